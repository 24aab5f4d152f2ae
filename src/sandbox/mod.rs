//! Stage 4: where. One `Spec` makes a sandbox of any provider; what a run needs of it is this trait and no more.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

pub mod git;
pub mod local;

pub use local::remove_tree;

/// What is asked of a provider when a sandbox is made.
#[derive(Clone)]
pub struct Spec {
    /// Found again by these: `app`, `instance`, `run`, `repository`.
    pub labels: BTreeMap<String, String>,
    pub limits: Limits,
    /// Host directory that appears as `/workspace`, writable. It holds a shared clone.
    pub workspace: PathBuf,
    /// Object directories that the workspace's alternates point to: `(host path, path inside)`, read-only.
    pub objects: Vec<(PathBuf, PathBuf)>,
    /// Files and directories of the host that appear inside, read-only: `(host path, path inside)`.
    pub read_only: Vec<(PathBuf, PathBuf)>,
    /// Loopback ports inside that lead to the gateway. Nothing else is reachable.
    pub doors: Vec<Door>,
    /// Name and address that git makes commits with inside; without it the bot's own.
    pub git_identity: Option<(String, String)>,
}

/// What a sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From creation to forced end.
    pub lifetime: Duration,
    pub memory_bytes: u64,
    pub processes: u64,
    /// Largest file, and the most that the writable directories may hold in all.
    pub disk_bytes: u64,
}

/// A loopback port inside a sandbox whose connections the host serves.
#[derive(Clone)]
pub struct Door {
    pub port: u16,
    pub serve: Arc<dyn Fn(TcpStream) + Send + Sync>,
}

/// A sandbox that can be found again after a restart; stored before it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRef {
    pub provider: String,
    pub native_id: String,
}

/// A process to start. `env` is everything the process gets besides `HOME` and `PATH`; it must not hold a secret.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// `/workspace` when empty.
    pub cwd: PathBuf,
    /// Keep standard input open for `Sandbox::stdin`; otherwise it is empty.
    pub stdin: bool,
    /// Whether the doors are open for this process.
    pub network: bool,
    /// Bytes of output after which the rest is dropped and a `Gap` says so; 0 for the provider's own measure.
    pub max_output: u64,
}

/// A process inside a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExecId(pub String);

/// A place in a process's recorded output: bytes since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor(pub u64);

/// What a process did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEvent {
    /// Output and the cursor after it.
    Out { channel: Channel, bytes: Bytes, cursor: Cursor },
    /// Output that was dropped.
    Gap { lost: u64 },
    /// Always the last event.
    Exit(Exit),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Stdout,
    Stderr,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// As a shell gives it: 128 and the signal's number for one that a signal ended inside.
    pub code: Option<i32>,
    /// Set when it was ended from outside, together with everything that it had started.
    pub signal: Option<i32>,
    /// Set when the sandbox ended it.
    pub limit: Option<Limit>,
}

/// The limit that a process was ended by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Lifetime,
    Memory,
    Disk,
    /// Not a limit of its own: the machine's disk was nearly full, and it held most of all.
    HostDisk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Interrupt,
    Terminate,
    Kill,
}

/// What `cloud-agent doctor` says about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub grade: Grade,
    /// What was looked at.
    pub what: String,
    /// What was seen and, when it is bad, what to do.
    pub says: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Good,
    Warning,
    /// Runs can't work like this.
    Bad,
}

/// Somewhere that sandboxes come from.
#[async_trait]
pub trait Provider: Send + Sync {
    fn name(&self) -> &'static str;
    /// Whether sandboxes can be made here, and how strong they are.
    async fn preflight(&self) -> Vec<Finding>;
    /// Make a sandbox. `key` makes the call idempotent: the same key gives the same sandbox.
    async fn create(&self, spec: &Spec, key: &str) -> Result<SandboxRef, SandboxError>;
    /// The sandbox behind a reference. Local sandboxes do not outlive the process that made them.
    async fn open(&self, sandbox: &SandboxRef) -> Result<Arc<dyn Sandbox>, SandboxError>;
    /// All sandboxes that carry these labels, whatever their state.
    async fn list(&self, labels: &BTreeMap<String, String>) -> Result<Vec<SandboxRef>, SandboxError>;
    /// What a sandbox was labelled with.
    async fn labels(&self, sandbox: &SandboxRef) -> Result<BTreeMap<String, String>, SandboxError>;
    /// End everything in it and keep its files for `salvage`, also of one whose process has died.
    async fn end(&self, sandbox: &SandboxRef) -> Result<(), SandboxError>;
    /// End everything in it, then read what it has left: the regular files at these paths and directly below them, in
    /// this order, as far as `limit` bytes go. Never follows a symlink.
    async fn salvage(
        &self,
        sandbox: &SandboxRef,
        paths: &[PathBuf],
        limit: u64,
    ) -> Result<Vec<(PathBuf, Bytes)>, SandboxError>;
    /// End everything in it and remove it. Gone already is fine.
    async fn destroy(&self, sandbox: &SandboxRef) -> Result<(), SandboxError>;
}

/// A live sandbox.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Write files; paths are absolute and inside `/context`, `/out`, `/home/agent` or `/workspace`.
    async fn put(&self, files: &[(PathBuf, Bytes)]) -> Result<(), SandboxError>;
    /// Read a file of at most `limit` bytes. Never follows a symlink.
    async fn get(&self, path: &Path, limit: u64) -> Result<Bytes, SandboxError>;
    /// Start a process. It runs on whether or not anybody is attached; its output is recorded.
    async fn spawn(&self, exec: Exec) -> Result<ExecId, SandboxError>;
    /// Everything a process wrote from `from` on, and live from there until it ends.
    async fn attach(&self, exec: &ExecId, from: Cursor) -> Result<BoxStream<'static, ExecEvent>, SandboxError>;
    /// Write to standard input; `end` closes it.
    async fn stdin(&self, exec: &ExecId, bytes: Bytes, end: bool) -> Result<(), SandboxError>;
    /// Signal the process, and with `Kill` everything it started.
    async fn signal(&self, exec: &ExecId, signal: Signal) -> Result<(), SandboxError>;
}

/// Why a sandbox could not do something. What the agent does wrong is an `Exit`, not an error.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("this machine can't make sandboxes: {0}")]
    Unavailable(String),
    #[error("no such {0}")]
    NotFound(String),
    #[error("{path} is larger than {limit} bytes", path = .0.display(), limit = .1)]
    TooLarge(PathBuf, u64),
    #[error("the path {} may not be used", .0.display())]
    Path(PathBuf),
    #[error("{0}")]
    Invalid(String),
    /// Files can still be read; nothing can be started any more.
    #[error("the sandbox has ended{}", .0.map(|limit| format!(": it used up {limit}")).unwrap_or_default())]
    Ended(Option<Limit>),
    #[error("{doing}: {error}")]
    Io { doing: String, error: std::io::Error },
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Lifetime => "its time",
            Limit::Memory => "its memory",
            Limit::Disk => "its disk space",
            Limit::HostDisk => "the disk of this machine",
        })
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({})", self.port)
    }
}
