//! bubblewrap on this machine: every sandbox is a directory, and a cage of namespaces around each process in it.
//!
//! ```text
//! Local ── create ──▶ Cage (a directory, limits, a guard) ── spawn ──▶ Process (a bubblewrap, its record, its doors)
//!   who: user      what it sees: args, seccomp      how it starts: spawner ▶ stage ▶ bwrap      what it may use: limits, watch
//! ```
//!
//! Nothing of ours runs inside and nothing inside can reach out: the network namespace is empty but for the doors, whose
//! listeners were handed to us (`stage`). Who a sandbox is on the host, and why root gives each a user of its own, is
//! said in `user`. All processes die with us: bubblewrap is asked to, by the one thread that starts them (`spawner`).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use self::cage::{Cage, Handle};
use self::floor::Floor;
use self::limits::Means;
use self::number::Numbers;
use self::remove::remove;
use self::state::State;
use self::user::Identity;
use self::watch::blocking;
use super::{Finding, Provider, Sandbox, SandboxError, SandboxRef, Spec};

mod args;
mod cage;
mod files;
mod floor;
mod left;
mod limits;
mod number;
mod preflight;
mod proc;
mod process;
mod record;
mod remove;
mod seccomp;
mod spawner;
mod stage;
mod state;
mod user;
mod watch;

pub use self::remove::remove_tree;

const NAME: &str = "local";

/// Sandboxes on this machine. Dropping it ends all of them.
pub struct Local {
    root: PathBuf,
    instance: String,
    machine: Arc<Machine>,
    live: Mutex<HashMap<String, Arc<Cage>>>,
    /// One at a time, so that two calls with one key can't both begin.
    making: tokio::sync::Mutex<()>,
}

/// What this machine offers, found out once.
struct Machine {
    bwrap: Option<PathBuf>,
    identity: Identity,
    users: Numbers,
    means: Means,
    floor: Floor,
}

impl Local {
    /// Keep sandboxes as directories below `root` (usually `DATA_DIR/sandboxes`). Each gets the label `instance`.
    ///
    /// That bubblewrap is missing is no error here: `preflight` says what to do.
    pub fn new(root: &Path, instance: String) -> Result<Local, SandboxError> {
        let failed = |error| SandboxError::Io { doing: format!("use {} for sandboxes", root.display()), error };
        fs::create_dir_all(root).map_err(failed)?;
        fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        left::sweep(&root);
        let places = ["/usr/bin", "/usr/local/bin", "/bin", "/run/wrappers/bin", "/run/current-system/sw/bin"];
        let bwrap = places.iter().map(|dir| Path::new(dir).join("bwrap")).find(|path| path.is_file());
        let machine = Machine {
            bwrap,
            identity: Identity::find(),
            users: Numbers::default(),
            means: Means::find(),
            floor: Floor::default(),
        };
        Ok(Local {
            root,
            instance,
            machine: Arc::new(machine),
            live: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        })
    }

    /// End sandboxes, the largest first, when the disk has less room than this.
    #[must_use]
    pub fn keep_free(self, bytes: u64) -> Self {
        self.machine.floor.keep(bytes);
        self
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, Arc<Cage>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The root is part of it, because cgroups and users are of the whole machine.
    fn id(&self, key: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.root.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(key);
        hex::encode(&hash.finalize()[..12])
    }

    /// The directory behind a reference, whether or not anything is there.
    fn known(&self, sandbox: &SandboxRef) -> Result<PathBuf, SandboxError> {
        self.dir(&sandbox.native_id).filter(|_| sandbox.provider == NAME).ok_or_else(|| unknown(sandbox))
    }

    /// The directory of a sandbox; None for an id that is none of ours.
    fn dir(&self, id: &str) -> Option<PathBuf> {
        let plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| self.root.join(id))
    }
}

#[async_trait]
impl Provider for Local {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn preflight(&self) -> Vec<Finding> {
        preflight::findings(self, &self.machine).await
    }

    /// The same key gives the same sandbox for as long as this process has it. What an earlier process left under the key
    /// is ended and removed first: half-written files of a run that was cut off must not pass for results.
    async fn create(&self, spec: &Spec, key: &str) -> Result<SandboxRef, SandboxError> {
        let _one = self.making.lock().await;
        let id = self.id(key);
        let reference = SandboxRef { provider: NAME.to_owned(), native_id: id.clone() };
        if self.live().contains_key(&id) {
            return Ok(reference);
        }
        let mut spec = spec.clone();
        spec.labels.entry("instance".to_owned()).or_insert_with(|| self.instance.clone());
        let (dir, key, machine) = (self.root.join(&id), key.to_owned(), self.machine.clone());
        let name = id.clone();
        let root = self.root.clone();
        let make = move || {
            // What a killed process has left is too young to be touched when we start; here it has grown old.
            left::sweep(&root);
            demolish(&dir)?;
            Cage::make(dir, &name, &key, &spec, &machine)
        };
        let cage =
            blocking(make).await.unwrap_or_else(|| Err(SandboxError::Unavailable("shutting down".to_owned())))?;
        let cage = Arc::new(cage);
        tokio::spawn(watch::watch(Arc::downgrade(&cage)));
        self.live().insert(id, cage);
        Ok(reference)
    }

    async fn open(&self, sandbox: &SandboxRef) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let found = self.live().get(&sandbox.native_id).filter(|_| sandbox.provider == NAME).cloned();
        match found {
            Some(cage) => Ok(Arc::new(Handle(cage))),
            None => Err(SandboxError::NotFound(format!("live sandbox {}", sandbox.native_id))),
        }
    }

    async fn list(&self, labels: &BTreeMap<String, String>) -> Result<Vec<SandboxRef>, SandboxError> {
        let failed = |error| SandboxError::Io { doing: format!("list {}", self.root.display()), error };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(dir) = name.to_str().and_then(|id| self.dir(id)) else { continue };
            if State::load(&dir).is_some_and(|state| state.has(labels)) {
                found.push(SandboxRef { provider: NAME.to_owned(), native_id: name.to_string_lossy().into_owned() });
            }
        }
        found.sort_by(|a, b| a.native_id.cmp(&b.native_id));
        Ok(found)
    }

    async fn labels(&self, sandbox: &SandboxRef) -> Result<BTreeMap<String, String>, SandboxError> {
        let dir = self.known(sandbox)?;
        State::load(&dir).map(|state| state.labels).ok_or_else(|| unknown(sandbox))
    }

    async fn end(&self, sandbox: &SandboxRef) -> Result<(), SandboxError> {
        let dir = self.known(sandbox)?;
        let cage = self.live().remove(&sandbox.native_id);
        if let Some(cage) = cage {
            cage.end_and_wait().await;
        }
        blocking(move || State::load(&dir).iter().for_each(State::end)).await;
        Ok(())
    }

    async fn salvage(
        &self,
        sandbox: &SandboxRef,
        paths: &[PathBuf],
        limit: u64,
    ) -> Result<Vec<(PathBuf, Bytes)>, SandboxError> {
        self.end(sandbox).await?;
        let (dir, paths) = (self.known(sandbox)?, paths.to_vec());
        let read = move || left::read(&dir, &paths, limit);
        blocking(read).await.unwrap_or_else(|| Err(SandboxError::Unavailable("shutting down".to_owned())))
    }

    async fn destroy(&self, sandbox: &SandboxRef) -> Result<(), SandboxError> {
        let dir = self.known(sandbox)?;
        let cage = self.live().remove(&sandbox.native_id);
        if let Some(cage) = cage {
            cage.end_and_wait().await;
        }
        blocking(move || demolish(&dir)).await.unwrap_or(Ok(()))
    }
}

fn unknown(sandbox: &SandboxRef) -> SandboxError {
    SandboxError::NotFound(format!("sandbox {} of {}", sandbox.native_id, sandbox.provider))
}

/// End whatever runs in a sandbox that nobody here has, and remove it. Blocks.
fn demolish(dir: &Path) -> Result<(), SandboxError> {
    let failed = |error| SandboxError::Io { doing: format!("remove the sandbox {}", dir.display()), error };
    if let Some(state) = State::load(dir) {
        state.end();
    }
    // Out of the way first: the name is free again however long the removal takes, or if it is cut off.
    let gone = dir.with_file_name(format!(".gone-{}", uuid::Uuid::new_v4().simple()));
    match fs::rename(dir, &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    }
    remove(&gone).map_err(failed)
}
