//! Work made anew on another commit when its base has moved on: in the bare repository, with no tree for a hook or a
//! merge driver to run in.
//!
//! git's own rebase needs a working tree, and Debian 12's `merge-tree` (git 2.39) does not let us choose the merge base. So
//! each commit is merged with a commit made for this purpose, which has the new tip's tree and the old parent as its
//! parent: the two have exactly that parent in common.

use std::collections::BTreeSet;

use super::inspect::{Caps, objects};
use super::publish::one_sha;
use super::run::{Call, Input};
use super::{GitError, Sha, Workbench};

/// Work of more commits is not made anew one by one.
const MOST: usize = 200;

/// What became of the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebased {
    /// The new head, which is the commit to build on itself when that has all of the work already.
    Done(Sha),
    /// These files were changed on both sides. Nothing was made.
    Conflict(Vec<Vec<u8>>),
}

/// A commit as it stands in the repository.
struct Picked {
    parent: Sha,
    /// `author` and the lines after it that say how the text is written.
    author: Vec<u8>,
    encoding: Option<Vec<u8>>,
    /// Seconds and time zone.
    committed: Vec<u8>,
    message: Vec<u8>,
}

impl Workbench {
    /// Make the commits of `base..head` anew on `onto`: messages, authors and dates stay, the committer is the bot. Commits
    /// that change nothing any more are left out. Doing it again gives the same ids.
    ///
    /// All three have to be here or in the mirror; `Mirror::fetch` gets a branch's head.
    pub async fn rebase(&self, head: &Sha, base: &Sha, onto: &Sha) -> Result<Rebased, GitError> {
        if onto == base {
            return Ok(Rebased::Done(head.clone()));
        }
        let (mut tip, mut tree) = (onto.clone(), self.tree_of(onto).await?);
        for (sha, picked) in self.line(base, head).await? {
            let merged = match self.merge(&tree, &picked.parent, &sha).await? {
                Ok(merged) => merged,
                Err(paths) => return Ok(Rebased::Conflict(paths)),
            };
            if merged != tree {
                tip = self.put(&merged, &tip, &picked).await?;
                tree = merged;
            }
        }
        Ok(Rebased::Done(tip))
    }

    /// The commits from `base` to `head`, oldest first, each on the one before.
    async fn line(&self, base: &Sha, head: &Sha) -> Result<Vec<(Sha, Picked)>, GitError> {
        let call = self.read("rev-list").args(["--topo-order", "--reverse"]).arg(format!("--max-count={}", MOST + 1));
        let ids = call.args(["--end-of-options", head.as_str(), &format!("^{base}")]).run().await?.stdout;
        let batch = self.read("cat-file").arg("--batch").input(Input::Bytes(ids)).run().await?.stdout;
        let mut line = Vec::new();
        let mut previous = base.clone();
        for (sha, body) in objects(&batch) {
            let Some(picked) = read(body).filter(|picked| picked.parent == previous) else { break };
            previous = sha.clone();
            line.push((sha, picked));
        }
        match previous == *head && line.len() <= MOST {
            true => Ok(line),
            false => Err(GitError::Other(format!("{base}..{head} is not at most {MOST} commits, one on the other"))),
        }
    }

    /// The tree with what `commit` changes since `parent`, or the files that stand against it.
    async fn merge(&self, tree: &Sha, parent: &Sha, commit: &Sha) -> Result<Result<Sha, Vec<Vec<u8>>>, GitError> {
        let ours = self.commit(tree, parent, "Merged with, and never published", 1_000_000_000).await?;
        // `merge.renames` would follow `diff.renames`, which is off. What moved with its directory is for people to place.
        let call = self.read("merge-tree").config("merge.renames", "true").config("merge.renameLimit", "1000");
        let call = call.config("merge.directoryRenames", "conflict").codes(&[0, 1]);
        let call = call.args(["--write-tree", "-z", "--name-only", "--no-messages", "--end-of-options"]);
        let out = call.args([ours.as_str(), commit.as_str()]).run().await?;
        let mut tokens = out.stdout.split(|b| *b == 0);
        let merged = one_sha(tokens.next().unwrap_or_default())?;
        let paths = tokens.filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect::<BTreeSet<_>>();
        Ok(if out.code == 0 { Ok(merged) } else { Err(paths.into_iter().collect()) })
    }

    /// Written as an object and not with `commit-tree`, which would have its own view of other people's names.
    async fn put(&self, tree: &Sha, parent: &Sha, picked: &Picked) -> Result<Sha, GitError> {
        let who = self.git.identity();
        let mut body = format!("tree {tree}\nparent {parent}\nauthor ").into_bytes();
        body.extend_from_slice(&picked.author);
        body.extend_from_slice(format!("\ncommitter {} <{}> ", who.name, who.email).as_bytes());
        body.extend_from_slice(&picked.committed);
        if let Some(encoding) = &picked.encoding {
            body.extend_from_slice(b"\nencoding ");
            body.extend_from_slice(encoding);
        }
        body.extend_from_slice(b"\n\n");
        body.extend_from_slice(&picked.message);
        let call = self.read("hash-object").args(["-t", "commit", "-w", "--stdin"]);
        one_sha(&call.input(Input::Bytes(body)).run().await?.stdout)
    }

    fn read(&self, verb: &'static str) -> Call<'_> {
        self.call(verb, &Caps::default())
    }
}

/// Read a commit with one parent. A signature is not taken over: it would be none of the new commit.
fn read(body: &[u8]) -> Option<Picked> {
    let end = body.windows(2).position(|w| w == b"\n\n")?;
    let field = |name: &str| {
        let lines = body[..end].split(|b| *b == b'\n').filter_map(|line| line.strip_prefix(name.as_bytes()));
        lines.map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let parents = field("parent ");
    let [parent] = &parents[..] else { return None };
    let committer = field("committer ").pop()?;
    let committed = committer.rsplitn(2, |b| *b == b'>').next()?.trim_ascii().to_vec();
    Some(Picked {
        parent: std::str::from_utf8(parent).ok()?.parse().ok()?,
        author: field("author ").pop()?,
        encoding: field("encoding ").pop(),
        committed,
        message: body[end + 2..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_read_as_it_stands() {
        let sha = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        let text = format!(
            "tree {sha}\nparent {sha}\nauthor A <a@b> 1 +0100\ncommitter B > C <c@d> 2 -0230\nencoding latin1\ngpgsig -----\n parent x\n\nHi\n\nparent of all\n"
        );
        let picked = read(text.as_bytes()).expect("a commit");
        assert_eq!((picked.author.as_slice(), picked.committed.as_slice()), (&b"A <a@b> 1 +0100"[..], &b"2 -0230"[..]));
        assert_eq!(picked.message, b"Hi\n\nparent of all\n");
        assert_eq!(picked.encoding.as_deref(), Some(&b"latin1"[..]));
        assert!(
            read(format!("tree {sha}\nauthor A <a@b> 1 +0100\ncommitter A <a@b> 1 +0100\n\nx").as_bytes()).is_none()
        );
        assert!(read(text.replace("\nauthor", &format!("\nparent {sha}\nauthor")).as_bytes()).is_none());
    }
}
