//! Step 1: a working tree at the commit of the snapshot, made on the host from the repository's mirror.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::attempt::disk_full;
use super::{Halt, Pause, Run};
use crate::github::{Scope, TO_FETCH};
use crate::sandbox;
use crate::sandbox::git::{Branch, Checkout, Diffed, Git, GitError, Mirror, Remote, Sha, Want};
use crate::task::{Ending, Wait, WaitsFor};

/// Where the sandbox sees the mirror's objects.
pub const OBJECTS_INSIDE: &str = "/srv/mirror/objects";
/// The branch that the agent finds itself on.
const BRANCH: &str = "cloud-agent/work";
/// Beside the working tree, out of a sandbox's reach: which checkout it is.
const NONCE: &str = "checkout";

/// Most bytes of a pull request's diff that are read; what is beyond is said not to have been.
const LARGEST_DIFF: usize = 48 << 20;

/// A working tree ready for a sandbox.
pub struct Tree {
    pub workspace: PathBuf,
    pub mirror: Mirror,
    pub git: Git,
    /// The commit that it is made of: for a pull request its head.
    pub base: Sha,
    /// Which checkout it is: each has its own.
    pub nonce: String,
}

impl Run<'_> {
    /// Fetch what is missing and make the working tree.
    pub async fn checkout(&self) -> Result<Tree, Halt> {
        self.checkout_with(None).await
    }

    /// The same, with one commit more in the mirror.
    pub async fn checkout_with(&self, more: Option<Sha>) -> Result<Tree, Halt> {
        let snapshot = &self.task.snapshot;
        let start = self.start();
        self.log.step("checkout", start);
        let git = self.app.git().await?;
        // What an earlier attempt left running must not write into what is made now.
        super::abandon(self.app, &self.task.id.to_string()).await;
        let workspace = self.fresh_directory().await?;
        let base: Sha = start.parse().map_err(|_| cant("the commit has no usable id"))?;
        let mut wanted = match snapshot.pull {
            Some(_) => {
                // The base is there for the diff, which begins where the histories part.
                let target = snapshot.base_sha.parse().map_err(|_| cant("the base commit has no usable id"))?;
                vec![Want::PullAt(self.task.place.number, base.clone()), Want::Sha(target)]
            }
            None => vec![Want::Sha(base.clone())],
        };
        wanted.extend(more.map(Want::Sha));
        let branch: Branch = BRANCH.parse().map_err(|_| cant("the branch name can't be used"))?;
        let (mut refusals, mut followed) = (0, false);
        loop {
            let token = self.repo.git_token(Scope::Fetch).await.map_err(Pause::from)?;
            let remote = Remote::new(&git, &self.repo.name(), Some(token)).map_err(|error| cant(&error.to_string()))?;
            let order = Checkout {
                repository_id: self.task.place.repository_id,
                remote: &remote,
                wanted: wanted.clone(),
                branch: &branch,
                dest: &workspace,
                objects_inside: Path::new(OBJECTS_INSIDE),
            };
            match git.checkout(&order).await {
                Ok(_) => break,
                // A kept token can die early: a key was rolled, the installation was changed.
                Err(GitError::Auth(_)) if self.repo.git_may_try_again(Scope::Fetch, refusals).await => {
                    refusals += 1;
                    let _ = sandbox::remove_tree(&workspace).await;
                }
                // git follows no redirect with a token.
                Err(GitError::NotFound(_)) if !followed && self.repo.follow().await? => followed = true,
                Err(error) => return Err(self.remote_trouble("checkout", TO_FETCH, error)),
            }
        }
        let mirror = git.mirror(self.task.place.repository_id).await.map_err(|error| git_trouble("checkout", error))?;
        let nonce = Uuid::new_v4().to_string();
        let noted = tokio::fs::write(self.dir.join(NONCE), &nonce).await;
        noted.map_err(|error| Pause::from(anyhow::Error::new(error).context("name the working tree")))?;
        Ok(Tree { workspace, mirror, git, base, nonce })
    }

    /// The working tree that an earlier attempt has left on this machine, as the agent left it. It is not looked at: all that
    /// counts is that it is of this checkout, and that the mirror has what it was made of.
    pub async fn tree_left(&self, nonce: &str) -> Result<Option<Tree>, Halt> {
        let workspace = self.dir.join("workspace");
        let kept = tokio::fs::read_to_string(self.dir.join(NONCE)).await.unwrap_or_default();
        let there = !nonce.is_empty()
            && kept == nonce
            && tokio::fs::symlink_metadata(&workspace).await.is_ok_and(|it| it.is_dir());
        let Ok(base) = self.start().parse::<Sha>() else { return Ok(None) };
        if !there {
            return Ok(None);
        }
        let git = self.app.git().await?;
        let Ok(mirror) = git.mirror(self.task.place.repository_id).await else { return Ok(None) };
        let mut needed = vec![base.clone()];
        if self.task.snapshot.pull.is_some() {
            needed.extend(self.task.snapshot.base_sha.parse::<Sha>());
        }
        for sha in needed {
            if !mirror.has(&sha).await.unwrap_or(false) {
                return Ok(None);
            }
        }
        // What was begun to be inspected is inspected anew.
        for begun in [super::inspect::BENCH, super::inspect::BUNDLE] {
            let _ = sandbox::remove_tree(&self.dir.join(begun)).await;
        }
        Ok(Some(Tree { workspace, mirror, git, base, nonce: kept }))
    }

    /// The commit that the working tree is made of.
    pub fn start(&self) -> &str {
        let snapshot = &self.task.snapshot;
        snapshot.pull.as_ref().map_or(&snapshot.base_sha, |pull| &pull.head_sha)
    }

    /// What the pull request changes: from where it left its base to its head.
    pub async fn changes(&self, tree: &Tree) -> Result<Diffed, Halt> {
        let trouble = |error| git_trouble("checkout", error);
        let from = self.fork_point(tree).await?;
        tree.mirror.diff(&from, &tree.base, LARGEST_DIFF).await.map_err(trouble)
    }

    /// Where the pull request left its base; the base itself when the histories have nothing in common.
    pub async fn fork_point(&self, tree: &Tree) -> Result<Sha, Halt> {
        let base: Sha = self.task.snapshot.base_sha.parse().map_err(|_| cant("the base commit has no usable id"))?;
        let found = tree.mirror.merge_base(&base, &tree.base).await.map_err(|error| git_trouble("checkout", error))?;
        Ok(found.unwrap_or(base))
    }

    /// The run's directory, emptied of what an earlier attempt left.
    async fn fresh_directory(&self) -> Result<PathBuf, Halt> {
        let prepared = async {
            // First of all: a tree that is half gone is nobody's.
            let _ = tokio::fs::remove_file(self.dir.join(NONCE)).await;
            sandbox::remove_tree(&self.dir).await?;
            tokio::fs::create_dir_all(&self.dir).await
        };
        match prepared.await {
            Ok(()) => Ok(self.dir.join("workspace")),
            Err(error) => Err(Pause::from(anyhow::Error::new(error).context("prepare the run's directory")).into()),
        }
    }
}

fn cant(why: &str) -> Halt {
    Halt::End(Ending::new("checkout", why))
}

/// What git's refusal means for the task: `code` names the step in the ending.
pub fn git_trouble(code: &str, error: GitError) -> Halt {
    match error {
        GitError::Unreachable(_) | GitError::Timeout(_) => {
            Halt::Pause(Pause::Later(Wait::new(WaitsFor::Git, error.to_string())))
        }
        GitError::Disk(_) => Halt::Pause(Pause::Later(disk_full())),
        GitError::Damaged(_) | GitError::Other(_) => Halt::Pause(Pause::Broken(error.into())),
        GitError::Auth(_)
        | GitError::NotFound(_)
        | GitError::Rejected { .. }
        | GitError::Moved
        | GitError::Hostile(_)
        | GitError::TooLarge(_)
        | GitError::Bundle(_) => Halt::End(Ending::new(code, error.to_string())),
    }
}
