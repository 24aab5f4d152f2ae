//! What differs between two commits of a mirror, and files as they are in one: all that a review reads of git.
//!
//! Objects are read and nothing is checked out. Commits of forks are strangers' work, so no `.gitattributes` decides what
//! is shown, and a process may use so much memory and time and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::inspect::{Caps, objects, whole_lines};
use super::run::{Call, Input};
use super::{GitError, Mirror, Sha};

/// A unified diff, as `git diff` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diffed {
    /// Whole lines. Names are quoted only where they hold control characters, quotes or backslashes.
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
}

/// `git diff`, but as plumbing, which no configuration changes. Renames are looked for among at most so many files on each
/// side: git compares each with each, and thousands would take minutes. Exact renames are always found.
const DIFF: [&str; 7] =
    ["-r", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames", "-l400", "--submodule=short"];
const PATCH: [&str; 5] = ["-p", "-U3", "--full-index", "--src-prefix=a/", "--dst-prefix=b/"];

/// Bytes of paths in the arguments of one process; the system takes 2 MiB, the environment included.
const ARGUMENTS: usize = 512 << 10;

const BLOB: [&str; 2] = ["100644", "100755"];

impl Mirror {
    /// The commit where two histories part; the first that git names when there are several.
    pub async fn merge_base(&self, a: &Sha, b: &Sha) -> Result<Option<Sha>, GitError> {
        let call = self.read("merge-base").args(["--end-of-options", a.as_str(), b.as_str()]).codes(&[0, 1]);
        let out = call.run().await?;
        Ok(String::from_utf8_lossy(&out.stdout).lines().next().and_then(|line| line.parse().ok()))
    }

    /// Whether `b` builds on `a`. A commit builds on itself.
    pub async fn is_ancestor(&self, a: &Sha, b: &Sha) -> Result<bool, GitError> {
        let call = self.read("merge-base").args(["--is-ancestor", "--end-of-options", a.as_str(), b.as_str()]);
        Ok(call.codes(&[0, 1]).run().await?.code == 0)
    }

    /// What differs, at most `cap` bytes of it.
    pub async fn diff(&self, from: &Sha, to: &Sha, cap: usize) -> Result<Diffed, GitError> {
        let call = self.read("diff-tree").args(DIFF).args(PATCH).args(["--end-of-options", from.as_str(), to.as_str()]);
        let (bytes, cut) = whole_lines(call.cut_after(cap).run().await?);
        Ok(Diffed { bytes, cut })
    }

    /// What differs in these files and directories, which need not exist. Without any, nothing.
    pub async fn diff_of(&self, from: &Sha, to: &Sha, paths: &[&[u8]], cap: usize) -> Result<Diffed, GitError> {
        let mut all = Diffed { bytes: Vec::new(), cut: false };
        for some in batches(paths) {
            let call = self.read("diff-tree").args(DIFF).args(PATCH).args(["--end-of-options", from.as_str()]);
            let call = call.args([to.as_str(), "--"]).args(some.iter().map(|path| OsStr::from_bytes(path)));
            let (bytes, cut) = whole_lines(call.cut_after(cap - all.bytes.len()).run().await?);
            all.bytes.extend(bytes);
            all.cut = cut;
            if cut {
                break;
            }
        }
        Ok(all)
    }

    /// A file as it is in a commit. None when there is no such file, when it is a directory, a symlink or a submodule, or
    /// when it has more than `cap` bytes. Any path may be asked for.
    pub async fn file(&self, commit: &Sha, path: &[u8], cap: u64) -> Result<Option<Vec<u8>>, GitError> {
        Ok(self.files(commit, &[path], cap).await?.pop().flatten())
    }

    /// As [`Mirror::file`], for many at once and in their order.
    pub async fn files(&self, commit: &Sha, paths: &[&[u8]], cap: u64) -> Result<Vec<Option<Vec<u8>>>, GitError> {
        let mut ids = BTreeMap::<Vec<u8>, (Sha, u64)>::new();
        for some in batches(paths) {
            let call = self.read("ls-tree").args(["-z", "-l", "--full-tree", "--end-of-options", commit.as_str()]);
            let out = call.args(some.iter().map(|path| OsStr::from_bytes(path))).run().await?.stdout;
            ids.extend(out.split(|b| *b == 0).filter_map(blob).filter(|(_, (_, size))| *size <= cap));
        }
        if ids.is_empty() {
            return Ok(vec![None; paths.len()]);
        }
        let wanted = ids.values().cloned().collect::<BTreeSet<_>>();
        // Each comes with a line that names it.
        let expected = wanted.iter().map(|(_, size)| *size as usize + 100).sum();
        let call = self.read("cat-file").arg("--batch").input(Input::lines(wanted.iter().map(|(id, _)| id)));
        let out = call.cut_after(expected).run().await?.stdout;
        let bodies = objects(&out).into_iter().collect::<BTreeMap<_, _>>();
        let body = |path: &&[u8]| ids.get(*path).and_then(|(id, _)| bodies.get(id)).map(|body| body.to_vec());
        Ok(paths.iter().map(body).collect())
    }

    /// Which of these names a commit has, whatever they are.
    pub async fn present(&self, commit: &Sha, paths: &[&[u8]]) -> Result<BTreeSet<Vec<u8>>, GitError> {
        let mut found = BTreeSet::new();
        for some in batches(paths) {
            let call = self.read("ls-tree").args(["-z", "--name-only", "--full-tree", "--end-of-options"]);
            let call = call.arg(commit.as_str()).args(some.iter().map(|path| OsStr::from_bytes(path)));
            found.extend(call.run().await?.stdout.split(|b| *b == 0).filter(|it| !it.is_empty()).map(<[u8]>::to_vec));
        }
        Ok(found)
    }

    /// A git process that reads what may be strangers' work.
    pub(super) fn read(&self, verb: &'static str) -> Call<'_> {
        let call = self.git.careful(verb, self.dir(), &Caps::default()).env("GIT_LITERAL_PATHSPECS", "1");
        call.config("core.quotePath", "false")
    }
}

/// `<mode> SP <type> SP <id> SP+ <size> TAB <path>`, unless it is something else than a plain file.
fn blob(line: &[u8]) -> Option<(Vec<u8>, (Sha, u64))> {
    let tab = line.iter().position(|b| *b == b'\t')?;
    let mut parts = std::str::from_utf8(&line[..tab]).ok()?.split_ascii_whitespace();
    BLOB.contains(&parts.next()?).then_some(())?;
    let id = parts.nth(1)?.parse().ok()?;
    Some((line[tab + 1..].to_vec(), (id, parts.next()?.parse().ok()?)))
}

/// Paths in groups that fit a command line, without those that can be in no tree: git would end at them.
fn batches<'a>(paths: &[&'a [u8]]) -> Vec<Vec<&'a [u8]>> {
    let is_path = |path: &[u8]| {
        !path.contains(&0)
            && path.len() <= 4096
            && path.split(|b| *b == b'/').all(|part| !part.is_empty() && part != b"." && part != b"..")
    };
    let mut batches = Vec::<Vec<&[u8]>>::new();
    let mut room = 0;
    for path in paths.iter().filter(|path| is_path(path)) {
        // The system keeps a pointer to each argument as well.
        let size = path.len() + 9;
        if size > room {
            batches.push(Vec::new());
            room = ARGUMENTS;
        }
        room -= size;
        batches.last_mut().into_iter().for_each(|batch| batch.push(path));
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_in_groups_that_fit() {
        let long = vec![b'x'; 4000];
        let paths = vec![long.as_slice(); 300];
        let groups = batches(&paths);
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), 300);
        assert!(groups.len() == 3 && groups.iter().all(|group| group.len() <= ARGUMENTS / 4000));
        let odd: [&[u8]; 8] = [b"", b"/a", b"a/", b"a//b", b"..", b"a/../b", b"./a", b"a\0b"];
        assert!(batches(&odd).is_empty());
        assert_eq!(batches(&[b"-x", b":(top)", b"a b"]).len(), 1);
    }
}
