//! git on the host: mirrors, shared clones, bundles and pushes, never a tree that an agent touched.
//!
//! In order of a run: `mirror` fetches and gives the sandbox its working tree; `pack.sh` runs inside and makes a bundle;
//! `inspect` takes the bundle apart in a throw-away repository and `findings` judges it; `publish` makes the agent's
//! commits anew in the bot's name and pushes them, and `rebase` does so on another commit when the branch they were meant for
//! has moved on. `diff` reads what a review is about, and
//! `leave` what scripts are given.
//!
//! What is absent: no git process of the host has a repository or a working tree as its current directory that an agent
//! could write, none reads a configuration file of a person or the machine, none runs a hook, a filter or a credential
//! helper, and the token is nowhere but in the environment of the one process that talks to the remote.

mod binary;
mod bundle;
mod diff;
mod error;
mod findings;
mod inspect;
mod kinds;
mod layout;
mod leave;
mod lock;
mod message;
mod mirror;
mod names;
mod publish;
mod quick;
mod rebase;
mod remote;
mod run;
mod weigh;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

pub use diff::Diffed;
pub use error::{GitError, redact};
pub use findings::{HeldBack, Policy, judge};
pub use inspect::{Caps, Change, Commit, Cut, Inspection, Status, Workbench};
pub use message::tidy_message;
pub use mirror::Mirror;
pub use names::{BadName, Branch, Sha, Want};
pub use publish::{Identity, MAX_COMMITS, Plan, Published, Pushed, Squashed};
pub use rebase::Rebased;
pub use remote::Remote;

/// What the caller runs inside a sandbox, with `/bin/sh`, after the agent ended. Its head says what it needs and leaves.
pub const PACK_SCRIPT: &str = include_str!("pack.sh");

/// The same before the agent goes on: takes what the other has packed into a fresh working tree.
pub const UNPACK_SCRIPT: &str = include_str!("unpack.sh");

/// What git on this host needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The git executable; a bare name is looked for on the `PATH` of `env`, once.
    pub program: PathBuf,
    /// All that git processes get of the environment: `PATH`, and proxy or certificate variables where they are needed.
    pub env: Vec<(OsString, OsString)>,
    /// Where repositories live, as in `https://github.com`. The token goes to this origin and nowhere else.
    pub base: Url,
    pub data_dir: PathBuf,
    /// Name and address that the bot commits with.
    pub identity: Identity,
    /// Whether fetched objects are checked. Old repositories have faults that nobody can repair.
    pub fsck: bool,
    pub timeouts: Timeouts,
}

/// After which time a git process is ended, by what it does.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// One fetch, the first of a large repository included.
    pub fetch: Duration,
    pub push: Duration,
    /// Anything that stays on this machine.
    pub local: Duration,
    /// Waiting for another task or process that fetches the same repository.
    pub lock: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            fetch: Duration::from_mins(15),
            push: Duration::from_mins(5),
            local: Duration::from_mins(2),
            lock: Duration::from_mins(20),
        }
    }
}

/// git on this host. Cheap to clone; clones share the queue for each mirror.
#[derive(Clone)]
pub struct Git(Arc<Inner>);

struct Inner {
    settings: Settings,
    quick: Option<reqwest::Client>,
    /// Tasks of this process wait here in the order they came; the file lock knows no order.
    turns: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

/// Where the program is, if it is to be found. By a path the standard library starts it with `posix_spawn`; a name that is
/// looked for in another environment than ours makes it fork, which copies the tables of all our memory each time.
fn located(settings: &Settings) -> PathBuf {
    let path = settings.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
    let places = path.into_iter().flat_map(std::env::split_paths).map(|place| place.join(&settings.program));
    places.into_iter().find(|file| file.is_file()).unwrap_or_else(|| settings.program.clone())
}

impl Git {
    pub fn new(mut settings: Settings) -> Result<Self, GitError> {
        let bad = |why: &str| Err(GitError::Other(format!("can't use {} for git: {why}", settings.base)));
        if !matches!(settings.base.scheme(), "http" | "https") || settings.base.host_str().is_none() {
            return bad("it must be an http or https address");
        }
        if !settings.base.username().is_empty() || settings.base.password().is_some() {
            return bad("it must not hold a user name or password");
        }
        settings.identity.check()?;
        settings.program = located(&settings);
        let quick = quick::client(&settings);
        Ok(Self(Arc::new(Inner { settings, quick, turns: Mutex::default() })))
    }

    /// The mirror of the repository with this id, made when there is none yet.
    pub async fn mirror(&self, repository_id: u64) -> Result<Mirror, GitError> {
        Mirror::open(self, repository_id).await
    }

    /// What `git version` says, for the doctor. 2.38 is the oldest that knows all that is used here.
    pub async fn version(&self) -> Result<String, GitError> {
        let out = self.call("version").run().await?;
        let text = String::from_utf8_lossy(&out.stdout);
        Ok(text.trim().trim_start_matches("git version ").to_owned())
    }

    pub fn identity(&self) -> &Identity {
        &self.settings().identity
    }

    /// Fetch what is wanted and make a working tree of the first of it; a damaged mirror is replaced once.
    pub async fn checkout(&self, order: &Checkout<'_>) -> Result<Sha, GitError> {
        let mirror = self.mirror(order.repository_id).await?;
        if order.dest.exists() {
            return Err(GitError::Other(format!("{} exists already", order.dest.display())));
        }
        let seen = mirror.generation();
        let once = async || {
            let sha = mirror.fetch(order.remote, &order.wanted).await?.into_iter().next();
            let sha = sha.ok_or_else(|| GitError::Other("nothing was asked for".to_owned()))?;
            mirror.clone_shared(&sha, order.branch, order.dest, order.objects_inside).await?;
            Ok(sha)
        };
        match once().await {
            Err(GitError::Damaged(why)) => tracing::warn!(mirror = order.repository_id, "The mirror is damaged: {why}"),
            Err(GitError::Other(why)) if !mirror.is_sound().await? => {
                tracing::warn!(mirror = order.repository_id, "The mirror fails its check: {why}");
            }
            other => return other,
        }
        mirror.replace(seen).await?;
        once().await
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn mirrors(&self) -> PathBuf {
        self.settings().data_dir.join("mirrors")
    }

    fn turn(&self, repository_id: u64) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(repository_id).or_default())
    }
}

/// What [`Git::checkout`] is to do.
pub struct Checkout<'a> {
    pub repository_id: u64,
    pub remote: &'a Remote,
    /// The working tree is made of the first; the others are only fetched (the base of a pull request, say).
    pub wanted: Vec<Want>,
    /// The branch that the agent finds itself on.
    pub branch: &'a Branch,
    /// The working tree to make. It must not exist.
    pub dest: &'a Path,
    /// Where the sandbox will see the mirror's objects.
    pub objects_inside: &'a Path,
}
