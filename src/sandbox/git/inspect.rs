//! The throw-away repository in which an agent's work is taken apart.
//!
//! The bundle is hostile. Its objects are checked one by one as they come in (`index-pack --strict`), in a process that may
//! use so much memory, time and disk and no more. Nothing is ever checked out: all that follows reads objects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::run::{Call, Input, Output};
use super::{Git, GitError, Mirror, Sha, bundle, layout};

/// A bare repository that sees the mirror's objects and holds the agent's.
#[derive(Clone)]
pub struct Workbench {
    pub(super) git: Git,
    pub(super) dir: PathBuf,
}

impl Workbench {
    /// Whether this commit is in it.
    pub async fn has(&self, sha: &Sha) -> Result<bool, GitError> {
        let call = self.git.call("cat-file").arg("--batch-check=%(objecttype)").repo(&self.dir);
        let out = call.input(Input::lines(std::slice::from_ref(sha))).run().await?;
        Ok(out.stdout.trim_ascii() == b"commit")
    }
}

/// How much is taken and looked at.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    pub bundle_bytes: u64,
    /// Memory of a git process that reads the agent's objects.
    pub memory_bytes: u64,
    pub commits: usize,
    pub diff_bytes: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { bundle_bytes: 100 << 20, memory_bytes: 4 << 30, commits: 200, diff_bytes: 8 << 20 }
    }
}

/// What an agent did between `base` and `head`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub base: Sha,
    pub head: Sha,
    /// Whether `head` builds on `base`.
    pub descends: bool,
    /// Oldest first.
    pub commits: Vec<Commit>,
    /// From `base` to `head`.
    pub files: Vec<Change>,
    /// Contents that are in a commit on the way and not in `files`: they would be published, and `diff` does not show them.
    pub passing: Vec<Change>,
    /// Sum of the sizes of `files` as they are at `head`.
    pub total_bytes: u64,
    /// Unified, from `base` to `head`; bytes that are no UTF-8 are replaced.
    pub diff: String,
    /// The commits one by one, only when there is something in `passing`. What looks for secrets has to read it too.
    pub passing_diff: String,
    pub cut: Cut,
}

/// Of what there was more than was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// `commits`, `passing` or `passing_diff`.
    pub history: bool,
    pub files: bool,
    pub diff: bool,
}

/// A commit as the agent made it. Its author is not told: it means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub sha: Sha,
    pub tree: Sha,
    pub parents: Vec<Sha>,
    pub message: String,
}

/// A changed file. Modes are as in git's trees, 0 where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub status: Status,
    /// Bytes, as git has them.
    pub path: Vec<u8>,
    pub old_mode: u32,
    pub new_mode: u32,
    pub old: Option<Sha>,
    pub new: Option<Sha>,
    /// Bytes at `base`.
    pub old_size: u64,
    /// Bytes at `head`.
    pub size: u64,
    pub binary: bool,
    pub added: u64,
    pub deleted: u64,
    /// Where a symlink leads, unless that is absurdly long.
    pub target: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Added,
    Modified,
    Deleted,
    /// A file became a symlink or the like.
    Retyped,
}

impl Inspection {
    /// No work at all.
    pub fn nothing(base: &Sha) -> Self {
        Self {
            base: base.clone(),
            head: base.clone(),
            descends: true,
            commits: Vec::new(),
            files: Vec::new(),
            passing: Vec::new(),
            total_bytes: 0,
            diff: String::new(),
            passing_diff: String::new(),
            cut: Cut::default(),
        }
    }
}

impl Change {
    /// The path for people.
    pub fn path_text(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

pub(super) const SYMLINK: u32 = 0o120_000;
pub(super) const GITLINK: u32 = 0o160_000;
const DIFF: [&str; 5] = ["-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--full-index"];

impl Workbench {
    /// A new one at `dir`, which is emptied first.
    pub async fn make(mirror: &Mirror, dir: &Path) -> Result<Self, GitError> {
        let bench = Self::open(&mirror.git, dir);
        let (dir, objects) = (dir.to_owned(), mirror.objects());
        let made = tokio::task::spawn_blocking(move || {
            if dir.exists() {
                std::fs::remove_dir_all(&dir).map_err(|e| GitError::io("empty the workbench", &e))?;
            }
            layout::bare(&dir).map_err(|e| GitError::io("make the workbench", &e))?;
            layout::borrow_objects(&dir, &objects)
        });
        made.await.map_err(|e| GitError::Other(e.to_string()))??;
        Ok(bench)
    }

    /// The one that was made at `dir` earlier, maybe by a process that is no more.
    pub fn open(git: &Git, dir: &Path) -> Self {
        Self { git: git.clone(), dir: dir.to_owned() }
    }

    /// Take in a bundle. What is wrong with it is [`GitError::Bundle`]. The answer is its one commit.
    pub async fn take(&self, path: &Path, caps: &Caps) -> Result<Sha, GitError> {
        let (path, max) = (path.to_owned(), caps.bundle_bytes);
        let opened = tokio::task::spawn_blocking(move || bundle::open(&path, max));
        let (file, header) = opened.await.map_err(|e| GitError::Other(e.to_string()))??;
        let call = self.call("index-pack", caps).args(["--stdin", "--fix-thin", "--strict", "--threads=1"]);
        let call = call.arg(format!("--max-input-size={max}")).input(Input::File(file));
        call.run().await.map_err(theirs)?;
        let asked = Input::lines([&header.head]);
        let out = self.call("cat-file", caps).arg("--batch-check=%(objecttype)").input(asked).run().await?;
        match out.stdout.as_slice() {
            b"commit\n" => Ok(header.head),
            _ => Err(GitError::Bundle("its ref is no commit".to_owned())),
        }
    }

    /// Look at everything between `base` and `head`.
    pub async fn look(&self, base: &Sha, head: &Sha, caps: &Caps) -> Result<Inspection, GitError> {
        let mut seen = Inspection { head: head.clone(), ..Inspection::nothing(base) };
        let range = [base.as_str(), head.as_str()];
        let call = self.call("merge-base", caps).args(["--is-ancestor", "--end-of-options"]).args(range);
        seen.descends = call.codes(&[0, 1]).run().await?.code == 0;
        self.look_at_commits(&mut seen, caps).await?;

        let call = self.call("diff-tree", caps).args(DIFF).args(["-z", "--raw", "--numstat", "--end-of-options"]);
        let out = call.args(range).cut_after(32 << 20).run().await?;
        seen.files = changes(&out.stdout);
        seen.cut.files = out.truncated;
        self.look_at_passing(&mut seen, caps).await?;
        let mut files = seen.files.iter_mut().chain(&mut seen.passing).collect::<Vec<_>>();
        self.weigh(&mut files, caps).await?;
        seen.total_bytes = seen.files.iter().map(|c| c.size).sum();

        let call = self.call("diff-tree", caps).args(DIFF).args(["-p", "--end-of-options"]).args(range);
        (seen.diff, seen.cut.diff) = text(call.cut_after(caps.diff_bytes).run().await?);
        Ok(seen)
    }

    async fn look_at_commits(&self, seen: &mut Inspection, caps: &Caps) -> Result<(), GitError> {
        let call = self.call("rev-list", caps).arg("--topo-order").arg(format!("--max-count={}", caps.commits + 1));
        let call = call.args(["--end-of-options", seen.head.as_str(), &format!("^{}", seen.base)]);
        let out = call.run().await?.stdout;
        let newest = out.split_inclusive(|b| *b == b'\n').take(caps.commits).collect::<Vec<_>>();
        let asked = newest.iter().rev().copied().collect::<Vec<_>>().concat();
        let call = self.call("cat-file", caps).arg("--batch").input(Input::Bytes(asked));
        let batch = call.cut_after(16 << 20).run().await?;
        seen.commits = objects(&batch.stdout).into_iter().filter_map(|(sha, body)| commit(sha, body)).collect();
        seen.cut.history = batch.truncated || out.split_inclusive(|b| *b == b'\n').count() > caps.commits;
        Ok(())
    }

    /// Find what commits bring that is not there at the end.
    async fn look_at_passing(&self, seen: &mut Inspection, caps: &Caps) -> Result<(), GitError> {
        if seen.commits.len() < 2 {
            return Ok(());
        }
        let asked = || Input::lines(seen.commits.iter().map(|c| &c.sha));
        let call = self.call("diff-tree", caps).args(DIFF).args(["--stdin", "--root", "-z", "--raw"]);
        let out = call.input(asked()).cut_after(32 << 20).run().await?;
        let stays = seen.files.iter().map(|c| (&c.path, &c.new, c.new_mode)).collect::<BTreeSet<_>>();
        let mut passing = changes(&out.stdout);
        passing.retain(|c| c.new.is_some() && !stays.contains(&(&c.path, &c.new, c.new_mode)));
        let mut truncated = out.truncated;
        if !passing.is_empty() {
            let call = self.call("diff-tree", caps).args(DIFF).args(["--stdin", "--root", "--no-commit-id", "-p"]);
            let diff = text(call.input(asked()).cut_after(caps.diff_bytes).run().await?);
            truncated |= diff.1;
            seen.passing_diff = diff.0;
        }
        seen.passing = passing;
        seen.cut.history |= truncated;
        Ok(())
    }

    /// Find sizes, and where symlinks lead.
    pub(super) async fn weigh(&self, files: &mut [&mut Change], caps: &Caps) -> Result<(), GitError> {
        const LONGEST_TARGET: u64 = 4096;
        let new = files.iter().filter(|c| c.new_mode != GITLINK).filter_map(|c| c.new.clone());
        let old = files.iter().filter(|c| c.old_mode != GITLINK).filter_map(|c| c.old.clone());
        let ids = new.chain(old).collect::<BTreeSet<_>>();
        let call =
            self.call("cat-file", caps).arg("--batch-check=%(objectname) %(objectsize)").input(Input::lines(&ids));
        let out = call.run().await?.stdout;
        let out = String::from_utf8_lossy(&out);
        let sizes = out.lines().filter_map(|l| l.split_once(' ')).collect::<BTreeMap<_, _>>();
        let size_of = |id: &Sha| sizes.get(id.as_str()).and_then(|s| s.parse::<u64>().ok());
        let mut links = BTreeSet::new();
        for change in files.iter_mut() {
            change.old_size = change.old.as_ref().and_then(size_of).unwrap_or(0);
            let Some(id) = &change.new else { continue };
            // A size that is not known is not small.
            change.size = match change.new_mode {
                GITLINK => 0,
                _ => size_of(id).unwrap_or(u64::MAX / 1024),
            };
            if change.new_mode == SYMLINK && change.size <= LONGEST_TARGET {
                links.insert(id.clone());
            }
        }
        if links.is_empty() {
            return Ok(());
        }
        let out = self.call("cat-file", caps).arg("--batch").input(Input::lines(&links)).run().await?.stdout;
        let targets = objects(&out).into_iter().collect::<BTreeMap<_, _>>();
        for change in files.iter_mut().filter(|c| c.new_mode == SYMLINK) {
            change.target = change.new.as_ref().and_then(|id| targets.get(id)).map(|t| t.to_vec());
        }
        Ok(())
    }

    /// A git process that reads what an agent made.
    pub(super) fn call(&self, verb: &'static str, caps: &Caps) -> Call<'_> {
        self.git.careful(verb, &self.dir, caps)
    }
}

/// When git can't take a pack, that is the agent's doing, unless this machine is at fault.
fn theirs(error: GitError) -> GitError {
    match error {
        GitError::Disk(why) if !why.contains("File too large") => GitError::Disk(why),
        GitError::Timeout(_) => GitError::Bundle("it takes too long to unpack".to_owned()),
        GitError::Disk(why) | GitError::Damaged(why) | GitError::Unreachable(why) | GitError::NotFound(why) => {
            GitError::Bundle(why)
        }
        GitError::Other(why) => GitError::Bundle(why),
        error => GitError::Bundle(error.to_string()),
    }
}

/// Read `--raw -z` and `--numstat -z`. Whatever a cut left incomplete at the end is dropped.
pub(super) fn changes(out: &[u8]) -> Vec<Change> {
    let mut found = Vec::<Change>::new();
    let mut at = BTreeMap::<Vec<u8>, usize>::new();
    let whole = out.iter().rposition(|b| *b == 0).map_or(0, |end| end + 1);
    let mut tokens = out[..whole].split(|b| *b == 0);
    while let Some(token) = tokens.next() {
        if token.first() == Some(&b':') {
            if let Some(change) = tokens.next().and_then(|path| raw(token, path)) {
                at.insert(change.path.clone(), found.len());
                found.push(change);
            }
        } else if let Some((added, deleted, path)) = numstat(token)
            && let Some(change) = at.get(path).and_then(|i| found.get_mut(*i))
        {
            change.binary = added.is_none();
            (change.added, change.deleted) = (added.unwrap_or(0), deleted.unwrap_or(0));
        }
    }
    found
}

/// `:<old mode> <new mode> <old id> <new id> <status>`
fn raw(token: &[u8], path: &[u8]) -> Option<Change> {
    let mut parts = std::str::from_utf8(token).ok()?.trim_start_matches(':').split(' ');
    let mut mode = || u32::from_str_radix(parts.next()?, 8).ok();
    let (old_mode, new_mode) = (mode()?, mode()?);
    // The id of nothing is all zeros, and no `Sha`.
    let mut id = || parts.next()?.parse::<Sha>().ok();
    let (old, new) = (id(), id());
    let status = match parts.next()?.chars().next()? {
        'A' => Status::Added,
        'D' => Status::Deleted,
        'T' => Status::Retyped,
        _ => Status::Modified,
    };
    let path = path.to_vec();
    Some(Change {
        status,
        path,
        old_mode,
        new_mode,
        old,
        new,
        old_size: 0,
        size: 0,
        binary: false,
        added: 0,
        deleted: 0,
        target: None,
    })
}

/// `<added> TAB <deleted> TAB <path>`, with `-` for binary files.
fn numstat(token: &[u8]) -> Option<(Option<u64>, Option<u64>, &[u8])> {
    let mut parts = token.splitn(3, |b| *b == b'\t');
    let mut number = || Some(std::str::from_utf8(parts.next()?).ok()?.parse().ok());
    Some((number()?, number()?, parts.next()?))
}

/// Read `cat-file --batch`: `<id> <type> <size>`, then so many bytes and a line feed.
pub(super) fn objects(mut out: &[u8]) -> Vec<(Sha, &[u8])> {
    let mut found = Vec::new();
    while let Some(end) = out.iter().position(|b| *b == b'\n') {
        let head = String::from_utf8_lossy(&out[..end]).into_owned();
        let mut head = head.split(' ');
        let id = head.next().and_then(|id| id.parse::<Sha>().ok());
        let size = head.nth(1).and_then(|size| size.parse::<usize>().ok());
        let (Some(id), Some(size)) = (id, size) else { break };
        let Some(body) = out.get(end + 1..end + 1 + size) else { break };
        found.push((id, body));
        out = out.get(end + size + 2..).unwrap_or_default();
    }
    found
}

fn commit(sha: Sha, body: &[u8]) -> Option<Commit> {
    let text = String::from_utf8_lossy(body);
    let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let ids = |key: &str| {
        let lines = head.lines().filter_map(|l| l.strip_prefix(key)?.parse::<Sha>().ok());
        lines.collect::<Vec<_>>()
    };
    Some(Commit { sha, tree: ids("tree ").pop()?, parents: ids("parent "), message: message.to_owned() })
}

/// Text for people.
fn text(out: Output) -> (String, bool) {
    let (bytes, cut) = whole_lines(out);
    (String::from_utf8_lossy(&bytes).into_owned(), cut)
}

/// What was said, up to the last whole line if there was more than was asked for.
pub(super) fn whole_lines(out: Output) -> (Vec<u8>, bool) {
    let mut bytes = out.stdout;
    if out.truncated {
        bytes.truncate(bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1));
    }
    (bytes, out.truncated)
}
