//! The one thread that forks.
//!
//! "Die with the parent" means the parent *thread* (`PDEATHSIG`), so a thread of tokio's pool, which comes and goes, would
//! take a healthy sandbox with it. This thread lives as long as the process.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{LazyLock, mpsc};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::stage::{Stage, fork};
use crate::sandbox::SandboxError;

type Job = Box<dyn FnOnce() + Send>;

static SPAWNER: LazyLock<io::Result<mpsc::Sender<Job>>> = LazyLock::new(|| {
    let (send, receive) = mpsc::channel::<Job>();
    std::thread::Builder::new().name("spawner".to_owned()).spawn(move || {
        for job in receive {
            job();
        }
    })?;
    Ok(send)
});

/// Start `command` through `stage`, keeping the descriptors `keep` open in it. Gives the child and its listeners.
pub(super) async fn start(
    mut command: Command,
    stage: Stage,
    keep: Vec<OwnedFd>,
) -> Result<(Child, Vec<OwnedFd>), SandboxError> {
    let spawner = SPAWNER.as_ref().map_err(|e| SandboxError::Unavailable(format!("no thread can be started: {e}")))?;
    let gone = || SandboxError::Unavailable("the thread that starts processes has ended".to_owned());
    let (send, receive) = oneshot::channel();
    let runtime = Handle::current();
    let job: Job = Box::new(move || {
        let _context = runtime.enter();
        // A child that nobody waits for any more is killed as it is dropped (`kill_on_drop`).
        let _ = send.send(fork(&mut command, stage, &keep));
    });
    spawner.send(job).map_err(|_| gone())?;
    receive.await.map_err(|_| gone())?
}
