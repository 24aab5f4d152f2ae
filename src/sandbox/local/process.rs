//! One process of a sandbox: its output is recorded, its doors are served, and its end is told, whoever looks on.

use std::net::TcpListener as StdListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::cage::Cage;
use super::proc::{Mark, command_of, kill_tree};
use super::record::{Record, Writer};
use super::watch::blocking;
use crate::sandbox::{Channel, Door, Exit, Limit, SandboxError, Signal};

/// How long bubblewrap may take to make the namespaces. It takes milliseconds.
const START: Duration = Duration::from_secs(20);
/// How long a write to standard input waits for a process that doesn't read.
const STDIN: Duration = Duration::from_secs(30);
/// How long pipes are read after the end. Nothing can hold them open then, so this is never reached.
const REST: Duration = Duration::from_secs(5);

/// The order to end a process and all that it started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kill {
    pub limit: Option<Limit>,
}

pub(super) struct Process {
    record: Arc<Record>,
    /// The first process in its namespace.
    init: Mark,
    stdin: Mutex<Option<mpsc::Sender<Bytes>>>,
    kill: watch::Sender<Option<Kill>>,
}

/// What bubblewrap says on `--json-status-fd`, one document a line.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    child_pid: Option<i32>,
    exit_code: Option<i32>,
}

type StatusLines = tokio::io::Lines<BufReader<pipe::Receiver>>;

impl Process {
    /// Wait until bubblewrap has made its namespaces, and take everything over.
    pub async fn begin(
        cage: &Arc<Cage>,
        mut child: Child,
        status: OwnedFd,
        listeners: Vec<OwnedFd>,
        log: &Path,
        max_output: u64,
    ) -> Result<Arc<Process>, SandboxError> {
        let io = |doing: &str| {
            let doing = doing.to_owned();
            move |error| SandboxError::Io { doing, error }
        };
        let status = pipe::Receiver::from_owned_fd(status).map_err(io("read bubblewrap's status"))?;
        let mut status = BufReader::new(status).lines();
        let outer = child.id().and_then(|pid| Mark::of(pid as i32));
        let init = match timeout(START, status.next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str::<Status>(&line).ok().and_then(|status| status.child_pid),
            _ => return Err(failed(child).await),
        };
        let Some(outer) = outer else { return Err(failed(child).await) };
        // Gone already is possible for a very short command.
        let init = init.and_then(Mark::of).unwrap_or(outer);
        cage.note(&[outer, init], true);

        let mut tasks = JoinSet::new();
        let doors = listeners.into_iter().zip(&cage.spec().doors);
        for (listener, door) in doors {
            let listener = StdListener::from(listener);
            listener.set_nonblocking(true).map_err(io("listen for a sandbox"))?;
            let listener = TcpListener::from_std(listener).map_err(io("listen for a sandbox"))?;
            tasks.spawn(answer(listener, door.clone()));
        }
        let stdin = child.stdin.take().map(|pipe| {
            let (send, receive) = mpsc::channel(64);
            tasks.spawn(feed(pipe, receive));
            send
        });
        let (record, writer) = Record::begin(log, max_output).await?;
        let kill = watch::Sender::new(None);
        let process = Process { record, init, stdin: Mutex::new(stdin), kill };
        let keeper = Keeper {
            cage: Arc::downgrade(cage),
            child,
            marks: [outer, init],
            kill: process.kill.subscribe(),
            status,
            _tasks: tasks,
        };
        tokio::spawn(keeper.run(writer));
        Ok(Arc::new(process))
    }

    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Wait until nothing is left of it.
    pub async fn ended(&self) {
        self.record.ended().await;
    }

    pub fn kill(&self, kill: Kill) {
        self.kill.send_if_modified(|order| order.replace(order.unwrap_or(kill)).is_none());
    }

    /// Write, and wait at most a while for a process that doesn't read.
    pub async fn stdin(&self, bytes: Bytes, end: bool) -> Result<(), SandboxError> {
        let broken = |kind, why: &str| SandboxError::Io {
            doing: "write to a process".to_owned(),
            error: std::io::Error::new(kind, why),
        };
        let open = || self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = open().clone() else {
            return Err(SandboxError::Invalid(
                "the process was started without standard input, or it was closed".to_owned(),
            ));
        };
        if !bytes.is_empty() {
            match timeout(STDIN, sender.send(bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    return Err(broken(std::io::ErrorKind::BrokenPipe, "it has ended or closed its standard input"));
                }
                Err(_) => return Err(broken(std::io::ErrorKind::TimedOut, "it does not read its standard input")),
            }
        }
        if end {
            open().take();
        }
        Ok(())
    }

    /// Signal the process itself. Bubblewrap is not it: to bubblewrap every signal is instant death for all.
    pub async fn signal(&self, signal: Signal) {
        let number = match signal {
            Signal::Interrupt => nix::sys::signal::Signal::SIGINT,
            Signal::Terminate => nix::sys::signal::Signal::SIGTERM,
            Signal::Kill => return self.kill(Kill { limit: None }),
        };
        // It appears a moment after bubblewrap has begun.
        for _ in 0..100 {
            let init = self.init;
            if self.record.exit().is_some() {
                return;
            }
            if let Some(Some(mark)) = blocking(move || command_of(init)).await {
                return mark.signal(number);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Bubblewrap ended before it had made its namespaces; what it said is the reason.
async fn failed(mut child: Child) -> SandboxError {
    let mut said = Vec::new();
    let _ = child.start_kill();
    if let Some(pipe) = child.stderr.take() {
        let _ = timeout(Duration::from_secs(1), pipe.take(4096).read_to_end(&mut said)).await;
    }
    let _ = child.wait().await;
    let said = String::from_utf8_lossy(&said);
    let said = if said.trim().is_empty() { "bubblewrap ended without a word" } else { said.trim() };
    SandboxError::Unavailable(said.to_owned())
}

/// Serve a door for as long as the process lives.
async fn answer(listener: TcpListener, door: Door) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => (door.serve)(stream),
            Err(error) => {
                // Usually too many open files. The connection waits in the kernel meanwhile.
                tracing::warn!(port = door.port, "Could not accept a connection from a sandbox: {error}");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn feed(mut pipe: ChildStdin, mut receive: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = receive.recv().await {
        if pipe.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Stays with a process from its start to its end.
struct Keeper {
    cage: Weak<Cage>,
    child: Child,
    /// Bubblewrap, and the first process in its namespace.
    marks: [Mark; 2],
    kill: watch::Receiver<Option<Kill>>,
    status: StatusLines,
    /// Doors and standard input; they end with this.
    _tasks: JoinSet<()>,
}

impl Keeper {
    async fn run(mut self, mut writer: Writer) {
        let (status, killed) = self.pump(&mut writer).await;
        // Bubblewrap goes a moment before its init; "ended" means that nothing can write to the directories any more.
        for _ in 0..1000 {
            if !self.marks[1].alive() {
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
        let mut exit = Exit {
            code: status.and_then(|status| status.code()),
            signal: status.map_or(Some(libc::SIGKILL), |status| status.signal()),
            limit: killed.and_then(|kill| kill.limit),
        };
        let cage = self.cage.upgrade();
        if let Some(cage) = &cage {
            cage.note(&self.marks, false);
        }
        if killed.is_none() && exit.code != Some(0) {
            if cage.as_ref().is_some_and(|cage| cage.out_of_memory()) {
                exit.limit = Some(Limit::Memory);
            } else if exit.code == Some(128 + libc::SIGXFSZ) {
                exit.limit = Some(Limit::Disk);
            } else if !self.command_ran().await {
                tracing::error!("Bubblewrap failed to make a sandbox; its words are in the output of the process");
            }
            if let (Some(cage), Some(limit)) = (&cage, exit.limit) {
                cage.end(Some(limit));
            }
        }
        writer.finish(exit);
    }

    /// Record output until there is none any more. Gives the exit status, and the order that it was killed by.
    async fn pump(&mut self, writer: &mut Writer) -> (Option<ExitStatus>, Option<Kill>) {
        let (mut stdout, mut stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let (mut out, mut err) = (vec![0; 64 << 10], vec![0; 16 << 10]);
        let (mut status, mut killed) = (None, None);
        while status.is_none() || stdout.is_some() || stderr.is_some() {
            tokio::select! {
                read = some(&mut stdout, &mut out), if stdout.is_some() => match read {
                    0 => stdout = None,
                    n => writer.write(Channel::Stdout, &out[..n]).await,
                },
                read = some(&mut stderr, &mut err), if stderr.is_some() => match read {
                    0 => stderr = None,
                    n => writer.write(Channel::Stderr, &err[..n]).await,
                },
                ended = self.child.wait(), if status.is_none() => match ended {
                    Ok(ended) => status = Some(ended),
                    Err(error) => {
                        tracing::error!("Could not wait for bubblewrap: {error}");
                        return (None, killed);
                    }
                },
                order = ordered(&mut self.kill), if killed.is_none() && status.is_none() => {
                    killed = Some(order);
                    let marks = self.marks;
                    blocking(move || kill_tree(&marks)).await;
                    let _ = self.child.start_kill();
                },
                () = sleep(REST), if status.is_some() => return (status, killed),
            }
        }
        (status, killed)
    }

    /// Whether bubblewrap got as far as the command, by its own account.
    async fn command_ran(&mut self) -> bool {
        while let Ok(Ok(Some(line))) = timeout(Duration::from_secs(1), self.status.next_line()).await {
            if serde_json::from_str::<Status>(&line).is_ok_and(|status| status.exit_code.is_some()) {
                return true;
            }
        }
        false
    }
}

/// Wait for the order to end. When nobody can give it any more, the sandbox is gone, and its process has to be.
async fn ordered(kill: &mut watch::Receiver<Option<Kill>>) -> Kill {
    let order = kill.wait_for(Option::is_some).await;
    order.ok().and_then(|order| *order).unwrap_or(Kill { limit: None })
}

/// Read from a pipe; 0 when it is at its end.
async fn some(pipe: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match pipe {
        Some(pipe) => pipe.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}
