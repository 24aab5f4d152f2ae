//! An agent's work in the bot's name: commits made anew on top of the base, and a push that overwrites nobody.

use std::path::Path;

use super::inspect::Caps;
use super::message::tidy_message;
use super::run::Input;
use super::{Branch, GitError, Inspection, Remote, Sha, Workbench};

/// With more commits than this, nobody reads them one by one.
pub const MAX_COMMITS: usize = 30;

/// A name and an address as they stand in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub email: String,
}

impl Identity {
    /// The characters that git would drop or that end the field are an error here, so that what is shown is what was given.
    pub fn check(&self) -> Result<(), GitError> {
        let bad = |text: &str| text.trim().is_empty() || text.chars().any(|c| c.is_control() || "<>".contains(c));
        match bad(&self.name) || bad(&self.email) || self.email.contains(' ') {
            true => Err(GitError::Other(format!("{:?} <{:?}> can't be the author of a commit", self.name, self.email))),
            false => Ok(()),
        }
    }
}

/// How work is to be published.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Who asked for it.
    pub co_author: Option<&'a Identity>,
    /// Subject of a squashed commit, and of commits without a message.
    pub title: &'a str,
    /// Body of a squashed commit.
    pub body: &'a str,
    /// Seconds since 1970 for every commit: the same work published twice has the same ids.
    pub at: i64,
    /// Paths that stay as they are at the base. With any, the work is squashed.
    pub leave_out: &'a [&'a [u8]],
    /// One commit even where the agent's own could be kept.
    pub squash: bool,
}

/// What was made of the agent's commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// `None` when nothing differs from the base.
    pub head: Option<Sha>,
    pub commits: usize,
    pub squashed: Option<Squashed>,
}

/// Why there is one commit and not the agent's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Squashed {
    Asked,
    NotDescending,
    Merge,
    TooMany,
    /// Something on the way must not be published, or could not be looked at.
    Hidden,
    LeftOut,
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Created,
    Updated,
    AlreadyThere,
}

impl Workbench {
    /// Make the work anew: the same trees, with the bot as author and committer, and tidy messages.
    pub async fn recreate(&self, seen: &Inspection, plan: &Plan<'_>) -> Result<Published, GitError> {
        if let Some(person) = plan.co_author {
            person.check()?;
        }
        let base_tree = self.tree_of(&seen.base).await?;
        let squashed = squashed(seen, plan);
        let steps = if squashed.is_none() {
            let tidy = |message: &str| tidy_message(message, plan.title, plan.co_author);
            seen.commits.iter().map(|c| (c.tree.clone(), tidy(&c.message))).collect()
        } else {
            let tree = match plan.leave_out {
                [] => self.tree_of(&seen.head).await?,
                paths => self.tree_without(seen, paths).await?,
            };
            let message = format!("{}\n\n{}", plan.title, plan.body);
            vec![(tree, tidy_message(&message, plan.title, plan.co_author))]
        };
        let (mut head, mut tree, mut commits) = (seen.base.clone(), base_tree.clone(), 0);
        for (next, message) in steps {
            // Commits that change nothing are not published.
            if next != tree {
                head = self.commit(&next, &head, &message, plan.at).await?;
                tree = next;
                commits += 1;
            }
        }
        let head = (tree != base_tree).then_some(head);
        Ok(Published { head, commits, squashed })
    }

    /// Put `sha` on a branch. `expect` is where we left the branch, `None` when it must not be there; if it is anywhere
    /// else, somebody has worked on it and the answer is [`GitError::Moved`]. So it is when `sha` does not build on
    /// `expect`: a branch only grows. Doing it twice is fine.
    pub async fn push(
        &self,
        remote: &Remote,
        sha: &Sha,
        branch: &Branch,
        expect: Option<&Sha>,
    ) -> Result<Pushed, GitError> {
        if let Some(expect) = expect {
            // A lease lets git overwrite what is there, as long as it is what was expected.
            self.must_build_on(sha, expect).await?;
        }
        let call = self.git.call("push").repo(&self.dir).args([
            "--porcelain",
            "--no-verify",
            "--no-follow-tags",
            "--no-signed",
        ]);
        let call = call.args(["--recurse-submodules=no", "--no-progress"]);
        // A lease without a commit means: only if there is no such branch.
        let lease = format!("--force-with-lease={}:{}", branch.full(), expect.map_or("", Sha::as_str));
        let call = call.arg(lease).args(["--end-of-options", remote.url(), &format!("{sha}:{}", branch.full())]);
        // Without it, git knows of no common history when every branch there is newer than ours, and sends all of it.
        let call = call.config("push.negotiate", "true");
        match call.remote(remote, self.git.settings().timeouts.push).run().await {
            Ok(out) => Ok(what_happened(&String::from_utf8_lossy(&out.stdout))),
            // Two of us may have pushed the same.
            Err(GitError::Moved) if self.git.remote_head(remote, branch).await?.as_ref() == Some(sha) => {
                Ok(Pushed::AlreadyThere)
            }
            Err(error) => Err(error),
        }
    }

    async fn must_build_on(&self, sha: &Sha, expect: &Sha) -> Result<(), GitError> {
        let caps = Caps::default();
        let call = self.call("cat-file", &caps).arg("--batch-check=%(objecttype)").input(Input::lines([expect]));
        // All that `sha` builds on is here, so what is not here is not among it.
        if call.run().await?.stdout != b"commit\n" {
            return Err(GitError::Moved);
        }
        let call = self.call("merge-base", &caps).args(["--is-ancestor", "--end-of-options"]);
        match call.args([expect.as_str(), sha.as_str()]).codes(&[0, 1]).run().await?.code {
            0 => Ok(()),
            _ => Err(GitError::Moved),
        }
    }

    /// The work as mails that `git am` takes, for whoever may push where we may not. None when it has more than `cap`
    /// bytes or is not UTF-8: a patch that is cut or mended can't be applied.
    pub async fn patch(&self, base: &Sha, head: &Sha, cap: usize) -> Result<Option<String>, GitError> {
        let call = self.call("format-patch", &Caps::default()).args(["--stdout", "--no-signature", "--no-attach"]);
        let call =
            call.args(["--no-thread", "--no-color", "--no-ext-diff", "--no-textconv", "--binary", "--find-renames"]);
        let call = call.args(["-l400", "--end-of-options", head.as_str(), &format!("^{base}")]);
        let out = call.cut_after(cap).run().await?;
        Ok((!out.truncated).then_some(out.stdout).and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    pub(super) async fn commit(&self, tree: &Sha, parent: &Sha, message: &str, at: i64) -> Result<Sha, GitError> {
        let who = self.git.identity();
        let date = format!("{} +0000", at.max(0));
        let call = self.call("commit-tree", &Caps::default()).args(["-p", parent.as_str(), "-F", "-", tree.as_str()]);
        let call =
            call.env("GIT_AUTHOR_NAME", &who.name).env("GIT_AUTHOR_EMAIL", &who.email).env("GIT_AUTHOR_DATE", &date);
        let call = call
            .env("GIT_COMMITTER_NAME", &who.name)
            .env("GIT_COMMITTER_EMAIL", &who.email)
            .env("GIT_COMMITTER_DATE", &date);
        one_sha(&call.input(Input::Bytes(message.as_bytes().to_vec())).run().await?.stdout)
    }

    pub(super) async fn tree_of(&self, commit: &Sha) -> Result<Sha, GitError> {
        let call = self.call("rev-parse", &Caps::default()).args(["--verify", "--end-of-options"]);
        one_sha(&call.arg(format!("{commit}^{{tree}}")).run().await?.stdout)
    }

    /// The tree at head, with some paths as they are at the base.
    async fn tree_without(&self, seen: &Inspection, paths: &[&[u8]]) -> Result<Sha, GitError> {
        let index = self.dir.join("index");
        // From an earlier attempt, maybe half-written.
        for left in [index.clone(), self.dir.join("index.lock")] {
            if let Err(e) = tokio::fs::remove_file(&left).await
                && e.kind() != std::io::ErrorKind::NotFound
            {
                return Err(GitError::io("empty the index", &e));
            }
        }
        let index: &Path = &index;
        let caps = Caps::default();
        let call = self.call("read-tree", &caps).args(["--end-of-options", seen.head.as_str()]);
        call.env("GIT_INDEX_FILE", index).run().await?;
        let mut lines = Vec::new();
        for change in seen.files.iter().filter(|c| paths.contains(&c.path.as_slice())) {
            let (mode, id) = match &change.old {
                Some(id) => (change.old_mode, id.to_string()),
                None => (0, "0".repeat(40)),
            };
            lines.extend_from_slice(format!("{mode:06o} {id}\t").as_bytes());
            lines.extend_from_slice(&change.path);
            lines.push(0);
        }
        let call =
            self.call("update-index", &caps).args(["-z", "--replace", "--index-info"]).env("GIT_INDEX_FILE", index);
        call.input(Input::Bytes(lines)).run().await?;
        one_sha(&self.call("write-tree", &caps).env("GIT_INDEX_FILE", index).run().await?.stdout)
    }
}

/// Whether the agent's commits become one, and why.
fn squashed(seen: &Inspection, plan: &Plan<'_>) -> Option<Squashed> {
    let mut previous = &seen.base;
    let mut straight = true;
    for commit in &seen.commits {
        straight &= commit.parents.as_slice() == std::slice::from_ref(previous);
        previous = &commit.sha;
    }
    let reasons = [
        (plan.squash, Squashed::Asked),
        (!plan.leave_out.is_empty(), Squashed::LeftOut),
        (!seen.descends, Squashed::NotDescending),
        (seen.commits.len() > MAX_COMMITS, Squashed::TooMany),
        (seen.commits.iter().any(|c| c.parents.len() > 1), Squashed::Merge),
        (seen.cut.history || !straight || previous != &seen.head, Squashed::Hidden),
    ];
    reasons.into_iter().find(|(is, _)| *is).map(|(_, why)| why)
}

/// The line of a push that tells of the branch: a mark, the refs, and words.
fn what_happened(table: &str) -> Pushed {
    match table.lines().filter_map(|l| l.split_once('\t')).map(|(mark, _)| mark).find(|mark| mark.len() == 1) {
        Some("*") => Pushed::Created,
        Some("=") => Pushed::AlreadyThere,
        _ => Pushed::Updated,
    }
}

pub(super) fn one_sha(out: &[u8]) -> Result<Sha, GitError> {
    let text = String::from_utf8_lossy(out);
    text.trim()
        .parse()
        .map_err(|_| GitError::Other(format!("git answered {:?} and no id", text.chars().take(80).collect::<String>())))
}
