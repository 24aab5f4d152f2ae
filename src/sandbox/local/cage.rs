//! One sandbox of this process: its directory, its limits, and the processes that it has started.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use nix::fcntl::{Flock, OFlag};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{getegid, geteuid, pipe2};
use tokio::process::Command;

use super::args::{self, Args, Directories};
use super::files::{self, Root};
use super::floor::{Floor, Missing};
use super::limits::Group;
use super::number::Number;
use super::proc::{Mark, kill_tree};
use super::process::{Kill, Process};
use super::remove::remove;
use super::stage::{Mount, Stage, User};
use super::state::State;
use super::watch::blocking;
use super::{Machine, seccomp, spawner};
use crate::sandbox::{Cursor, Exec, ExecEvent, ExecId, Limit, Sandbox, SandboxError, Signal, Spec};

/// A live sandbox. Dropping it kills what runs in it and leaves its directory for `destroy`.
pub(super) struct Cage {
    id: String,
    dir: PathBuf,
    directories: Directories,
    spec: Spec,
    machine: Arc<Machine>,
    /// Its user on the host, when that is not ours.
    owner: Option<u32>,
    _user: Option<Number>,
    group: Group,
    state: Mutex<State>,
    processes: Mutex<HashMap<String, Arc<Process>>>,
    next: AtomicU64,
    deadline: Instant,
    ended: OnceLock<Option<Limit>>,
    /// Held for as long as this process has the sandbox.
    _lock: Flock<File>,
}

impl Cage {
    /// Make the directory of a sandbox, and the sandbox. Blocks.
    pub fn make(dir: PathBuf, id: &str, key: &str, spec: &Spec, machine: &Arc<Machine>) -> Result<Cage, SandboxError> {
        args::check(spec)?;
        let failed = |error| SandboxError::Io { doing: format!("make the sandbox {}", dir.display()), error };
        // Half a sandbox must not look like one, so it gets its name last. Its note is in it from the first moment.
        let new = dir.with_file_name(format!(".new-{id}-{}", uuid::Uuid::new_v4().simple()));
        let user = machine.identity.take(id, &machine.users).map_err(failed)?;
        let owner = user.as_ref().map(|user| user.id);
        if owner.is_some() {
            args::check_readable(spec)?;
        }
        let made = (|| {
            fs::create_dir(&new)?;
            private(&new, 0o700)?;
            let lock = Flock::lock(File::create(new.join("lock"))?, nix::fcntl::FlockArg::LockExclusiveNonblock);
            let lock = lock.map_err(|(_, error)| std::io::Error::from(error))?;
            let group = machine.means.group(id, &spec.limits)?;
            let state = State {
                key: key.to_owned(),
                labels: spec.labels.clone(),
                processes: Vec::new(),
                cgroups: group.dirs.clone(),
            };
            let finish = || {
                state.save(&new)?;
                let directories = Directories::of(&new);
                for name in ["home", "context", "out", "tmp", "log", "etc", "staging"] {
                    fs::create_dir(new.join(name))?;
                    private(&new.join(name), 0o755)?;
                }
                args::write_etc(&directories.etc, spec)?;
                if let Some(id) = owner {
                    for writable in directories.writable().into_iter().chain([spec.workspace.as_path()]) {
                        files::give(writable, id)?;
                    }
                }
                fs::rename(&new, &dir)
            };
            finish().inspect_err(|_| group.end())?;
            Ok((lock, group, state))
        })();
        let (lock, group, state) = made.map_err(|error| {
            let _ = remove(&new);
            failed(error)
        })?;
        Ok(Cage {
            id: id.to_owned(),
            directories: Directories::of(&dir),
            dir,
            spec: spec.clone(),
            machine: machine.clone(),
            owner,
            _user: user,
            group,
            state: Mutex::new(state),
            processes: Mutex::default(),
            next: AtomicU64::new(1),
            deadline: Instant::now() + spec.limits.lifetime,
            ended: OnceLock::new(),
            _lock: lock,
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    pub fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    pub fn kernel_counts_memory(&self) -> bool {
        self.machine.means.memory()
    }

    /// Whether the kernel has killed a process of it for memory.
    pub fn out_of_memory(&self) -> bool {
        self.group.out_of_memory()
    }

    /// The directories that the agent can fill.
    pub fn writable(&self) -> Vec<PathBuf> {
        let own = self.directories.writable();
        own.into_iter().chain([self.spec.workspace.as_path()]).map(Path::to_owned).collect()
    }

    /// The room that is kept free for all of this machine.
    pub fn floor(&self) -> &Floor {
        &self.machine.floor
    }

    pub fn missing_on_disk(&self) -> Option<Missing> {
        self.floor().missing(&self.dir)
    }

    /// The bubblewraps and their inits, in pairs.
    pub fn roots(&self) -> Vec<Mark> {
        self.state().processes.clone()
    }

    /// End every process, for good. What a process exits with says which limit it was.
    pub fn end(&self, limit: Option<Limit>) {
        let limit = *self.ended.get_or_init(|| limit);
        for process in self.processes().values() {
            process.kill(Kill { limit });
        }
    }

    /// End every process and wait until none is left. The directory stays.
    pub async fn end_and_wait(&self) {
        self.end(None);
        let all: Vec<_> = self.processes().values().cloned().collect();
        for process in all {
            let _ = tokio::time::timeout(Duration::from_secs(5), process.ended()).await;
        }
        let state = self.state().clone();
        blocking(move || state.end()).await;
    }

    /// Note a process down before it does anything; forget it when nothing is left of it.
    pub fn note(&self, marks: &[Mark], alive: bool) {
        let mut state = self.state();
        state.processes.retain(|mark| !marks.contains(mark));
        if alive {
            state.processes.extend_from_slice(marks);
        }
        if let Err(error) = state.save(&self.dir) {
            // Destroyed meanwhile, or a full disk; the kernel still ends it with us.
            tracing::debug!(sandbox.id = %self.id, "Could not note the processes of a sandbox: {error}");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<String, Arc<Process>>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process(&self, exec: &ExecId) -> Result<Arc<Process>, SandboxError> {
        let found = self.processes().get(&exec.0).cloned();
        found.ok_or_else(|| SandboxError::NotFound(format!("process {} in this sandbox", exec.0)))
    }

    /// The host directory behind a path inside, and the names below it.
    fn locate<'a>(&self, path: &'a Path) -> Result<(Root, Vec<&'a std::ffi::OsStr>), SandboxError> {
        let home = Path::new(args::HOME);
        let roots = [
            (Path::new("/context"), &self.directories.context, None),
            (Path::new("/out"), &self.directories.out, self.owner),
            (home, &self.directories.home, self.owner),
            (Path::new("/workspace"), &self.spec.workspace, self.owner),
        ];
        roots
            .into_iter()
            .find_map(|(inside, host, owner)| {
                let names = files::names(path.strip_prefix(inside).ok()?)?;
                Some((Root { host: host.clone(), owner }, names))
            })
            .ok_or_else(|| SandboxError::Path(path.to_owned()))
    }

    /// Everything that is needed to start one process.
    fn command(&self, exec: &Exec, status: OwnedFd) -> Result<(Command, Stage, Vec<OwnedFd>), SandboxError> {
        let io = |doing: &str| {
            let doing = doing.to_owned();
            move |error: std::io::Error| SandboxError::Io { doing, error }
        };
        let Some(bwrap) = &self.machine.bwrap else {
            return Err(SandboxError::Unavailable(
                "bubblewrap is not installed (Debian, Ubuntu, Fedora: `bubblewrap`)".into(),
            ));
        };
        let staging = self.owner.map(|_| Path::new("/tmp"));
        // Without the filter a sandbox would be less than it says, so there is none.
        let filters = seccomp::filters().ok_or_else(|| {
            SandboxError::Unavailable("its filter of system calls knows x86_64 and aarch64, and this is neither".into())
        })?;
        let held = filters.iter().map(|filter| memory_file(filter)).collect::<std::io::Result<Vec<_>>>();
        let mut keep = held.map_err(io("hold the seccomp filters"))?;
        let seccomp: Vec<i32> = keep.iter().map(AsRawFd::as_raw_fd).collect();
        let args = Args::new(&self.directories, &self.spec, exec, &seccomp, status.as_raw_fd(), staging)?;
        let options = memory_file(&args.bytes).map_err(io("hold bubblewrap's options"))?;

        let mut command = Command::new(bwrap);
        command.arg("--args").arg(options.as_raw_fd().to_string()).arg("--").args(&exec.argv);
        // Bubblewrap's own environment can be read inside as that of process 1.
        command.env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(if exec.stdin { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());

        let ports = if exec.network { self.spec.doors.iter().map(|door| door.port).collect() } else { Vec::new() };
        let stage = Stage {
            user: self.user(&args.staged)?,
            ports,
            cgroups: self.group.joins(),
            limits: self.machine.means.of_process(&self.spec.limits),
        };
        keep.extend([options, status]);
        Ok((command, stage, keep))
    }

    fn user(&self, sources: &[PathBuf]) -> Result<User, SandboxError> {
        let string = |bytes: &[u8]| {
            CString::new(bytes).map_err(|_| SandboxError::Invalid("there is a NUL byte in a path".to_owned()))
        };
        let Some(id) = self.owner else {
            let (uid, gid) = (geteuid(), getegid());
            let map = |id: String| string(format!("{id} {id} 1").as_bytes());
            return Ok(User::Same { uid_map: map(uid.to_string())?, gid_map: map(gid.to_string())? });
        };
        let staging = self.dir.join("staging");
        let mount = |(number, source): (usize, &PathBuf)| {
            let target = staging.join(number.to_string());
            Ok(Mount {
                directory: source.is_dir(),
                source: string(source.as_os_str().as_bytes())?,
                target: string(target.as_os_str().as_bytes())?,
            })
        };
        let mounts = sources.iter().enumerate().map(mount).collect::<Result<_, SandboxError>>()?;
        Ok(User::Separate { id, staging: string(staging.as_os_str().as_bytes())?, mounts })
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        self.end(None);
        // Whatever the runtime is still able to do about it.
        kill_tree(&self.state().processes);
        self.group.end();
        self.floor().forget(&self.id);
    }
}

#[async_trait]
impl Sandbox for Handle {
    async fn put(&self, files: &[(PathBuf, Bytes)]) -> Result<(), SandboxError> {
        let (cage, files) = (self.0.clone(), files.to_vec());
        let write = move || {
            for (path, bytes) in &files {
                let (root, names) = cage.locate(path)?;
                files::put(&root, path, &names, bytes)?;
            }
            Ok(())
        };
        blocking(write).await.unwrap_or_else(|| Err(stopping()))
    }

    async fn get(&self, path: &Path, limit: u64) -> Result<Bytes, SandboxError> {
        let (cage, path) = (self.0.clone(), path.to_owned());
        let read = move || {
            let (root, names) = cage.locate(&path)?;
            files::get(&root, &path, &names, limit)
        };
        blocking(read).await.unwrap_or_else(|| Err(stopping()))
    }

    async fn spawn(&self, exec: Exec) -> Result<ExecId, SandboxError> {
        let cage = &self.0;
        if let Some(limit) = cage.ended.get() {
            return Err(SandboxError::Ended(*limit));
        }
        if exec.argv.first().is_none_or(String::is_empty) {
            return Err(SandboxError::Invalid("there is no command to start".to_owned()));
        }
        let (status, status_end) = pipe2(OFlag::O_CLOEXEC)
            .map_err(|e| SandboxError::Io { doing: "make a pipe".to_owned(), error: e.into() })?;
        let (command, stage, keep) = cage.command(&exec, status_end)?;
        let (child, listeners) = spawner::start(command, stage, keep).await?;
        let id = cage.next.fetch_add(1, Ordering::Relaxed).to_string();
        let log = cage.dir.join("log").join(&id);
        let process = Process::begin(cage, child, status, listeners, &log, exec.max_output).await?;
        cage.processes().insert(id.clone(), process.clone());
        // It may have ended while this was being started.
        if let Some(limit) = cage.ended.get() {
            process.kill(Kill { limit: *limit });
        }
        Ok(ExecId(id))
    }

    async fn attach(&self, exec: &ExecId, from: Cursor) -> Result<BoxStream<'static, ExecEvent>, SandboxError> {
        self.0.process(exec)?.record().follow(from).await
    }

    async fn stdin(&self, exec: &ExecId, bytes: Bytes, end: bool) -> Result<(), SandboxError> {
        self.0.process(exec)?.stdin(bytes, end).await
    }

    async fn signal(&self, exec: &ExecId, signal: Signal) -> Result<(), SandboxError> {
        self.0.process(exec)?.signal(signal).await;
        Ok(())
    }
}

/// What is handed out: the cage itself has watchers of its own that must not keep it alive.
pub(super) struct Handle(pub Arc<Cage>);

fn stopping() -> SandboxError {
    SandboxError::Unavailable("this process is shutting down".to_owned())
}

fn memory_file(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("sandbox", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

fn private(dir: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(mode))
}
