//! What commits leave for scripts: one patch, a bundle, their list, and the changed files in a tar archive.
//!
//! All of it is read from objects. The archive is written here and not by git, which would obey the attributes that stand in
//! the tree.

use super::inspect::{Caps, Change, GITLINK, SYMLINK, changes, objects};
use super::run::{Input, Output};
use super::{GitError, Sha, Workbench};

/// A block of a tar archive.
const BLOCK: usize = 512;
/// Bytes that a name has room for in a header.
const NAME: usize = 100;

impl Workbench {
    /// All that changes between two commits, as `git apply` takes it, with files that are no text. None when it has more than
    /// `cap` bytes.
    pub async fn whole_diff(&self, base: &Sha, head: &Sha, cap: usize) -> Result<Option<Vec<u8>>, GitError> {
        let call = self.call("diff-tree", &Caps::default()).args(["-r", "-p", "--binary", "--full-index"]);
        let call = call.args(["--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "--end-of-options"]);
        Ok(whole(call.args([base.as_str(), head.as_str()]).cut_after(cap).run().await?))
    }

    /// The commits of `base..head` as a bundle with one branch of this name; `base` has to be there where it is fetched from.
    /// None when it has more than `cap` bytes.
    pub async fn bundle(&self, base: &Sha, head: &Sha, branch: &str, cap: usize) -> Result<Option<Vec<u8>>, GitError> {
        let asked = Input::Bytes(format!("{head}\n^{base}\n").into_bytes());
        // One thread: the same commits give the same bytes.
        let call =
            self.call("pack-objects", &Caps::default()).args(["--stdout", "--revs", "--thin", "--threads=1", "-q"]);
        let pack = call.arg("--delta-base-offset").input(asked).cut_after(cap).run().await?;
        let head = format!("# v2 git bundle\n-{base} \n{head} refs/heads/{branch}\n\n").into_bytes();
        Ok(whole(pack).map(|pack| [head, pack].concat()))
    }

    /// The commits of `base..head`, oldest first, with the first lines of their messages.
    pub async fn commits(&self, base: &Sha, head: &Sha) -> Result<Vec<(Sha, String)>, GitError> {
        let caps = Caps::default();
        let call = self.call("rev-list", &caps).args(["--topo-order", "--reverse", "--no-commit-header"]);
        let call = call.arg("--format=%H %s").arg(format!("--max-count={}", caps.commits));
        let out = call.args(["--end-of-options", head.as_str(), &format!("^{base}")]).run().await?;
        let out = String::from_utf8_lossy(&out.stdout);
        let line = |line: &str| {
            let (sha, subject) = line.split_once(' ').unwrap_or((line, ""));
            Some((sha.parse().ok()?, subject.to_owned()))
        };
        Ok(out.lines().filter_map(line).collect())
    }

    /// The files that differ between two commits, as they are in the second, as a tar archive. None when it has more than
    /// `cap` bytes.
    pub async fn changed_files(
        &self,
        base: &Sha,
        head: &Sha,
        at: i64,
        cap: usize,
    ) -> Result<Option<Vec<u8>>, GitError> {
        let caps = Caps::default();
        let call = self.call("diff-tree", &caps).args(["-r", "--no-renames", "-z", "--raw", "--end-of-options"]);
        let out = call.args([base.as_str(), head.as_str()]).cut_after(cap).run().await?;
        if out.truncated {
            return Ok(None);
        }
        let mut files = changes(&out.stdout);
        files.retain(|file| file.new.is_some() && file.new_mode != GITLINK && is_plain(&file.path));
        self.weigh(&mut files.iter_mut().collect::<Vec<_>>(), &caps).await?;
        let room = |file: &Change| file.size.saturating_add(4 * BLOCK as u64 + 2 * file.path.len() as u64);
        if files.iter().map(room).fold(0, u64::saturating_add) > cap as u64 {
            return Ok(None);
        }
        let asked = Input::lines(files.iter().filter_map(|file| file.new.as_ref()));
        let out = self.call("cat-file", &caps).arg("--batch").input(asked).run().await?.stdout;
        let mut archive = Vec::new();
        // Asked for in this order, so they come in it.
        for (file, (_, body)) in files.iter().zip(objects(&out)) {
            match file.new_mode {
                SYMLINK => entry(&mut archive, &file.path, b'2', 0o777, at, body, &[]),
                mode => entry(&mut archive, &file.path, b'0', mode & 0o777, at, &[], body),
            }
        }
        archive.resize(archive.len() + 2 * BLOCK, 0);
        Ok(Some(archive))
    }
}

fn whole(out: Output) -> Option<Vec<u8>> {
    (!out.truncated).then_some(out.stdout)
}

/// Whether a path leads to a file below where the archive is unpacked. git takes no other; this does not rest on it.
fn is_plain(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').all(|part| !matches!(part, b"" | b"." | b"..") && !part.contains(&0))
}

/// A file or a symlink. Names that a header has no room for come before it, as GNU tar has them.
fn entry(out: &mut Vec<u8>, path: &[u8], kind: u8, mode: u32, at: i64, target: &[u8], body: &[u8]) {
    for (kind, name) in [(b'L', path), (b'K', target)] {
        if name.len() > NAME {
            header(out, b"././@LongLink", kind, 0o644, 0, &[], name.len() + 1);
            fill(out, &[name, &[0]].concat());
        }
    }
    header(out, path, kind, mode, at, target, body.len());
    fill(out, body);
}

fn header(out: &mut Vec<u8>, path: &[u8], kind: u8, mode: u32, at: i64, target: &[u8], size: usize) {
    let mut block = [0; BLOCK];
    let mut put = |from: usize, bytes: &[u8]| block[from..from + bytes.len()].copy_from_slice(bytes);
    put(0, &path[..path.len().min(NAME)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{:011o}", at.max(0)).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, &target[..target.len().min(NAME)]);
    put(257, b"ustar  \0");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&block);
}

fn fill(out: &mut Vec<u8>, body: &[u8]) {
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header says its own sum, counted with blanks in its place.
    fn is_sound(block: &[u8]) -> bool {
        let said = std::str::from_utf8(&block[148..154]).ok().and_then(|it| u32::from_str_radix(it, 8).ok());
        let sum = |part: &[u8]| part.iter().map(|b| u32::from(*b)).sum::<u32>();
        said == Some(sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..BLOCK]))
    }

    #[test]
    fn an_archive_is_made_of_whole_blocks() {
        let mut out = Vec::new();
        entry(&mut out, b"a/b.txt", b'0', 0o755, 1_700_000_000, &[], b"hello\n");
        assert_eq!(out.len(), 2 * BLOCK);
        assert!(is_sound(&out) && out.starts_with(b"a/b.txt\0") && out[BLOCK..].starts_with(b"hello\n\0"));
        assert_eq!((&out[100..108], &out[124..136]), (&b"0000755\0"[..], &b"00000000006\0"[..]));

        let (long, mut out) = ([b'x'; 150], Vec::new());
        entry(&mut out, &long, b'2', 0o777, 0, b"target", &[]);
        assert_eq!(out.len(), 3 * BLOCK, "its name, and itself");
        assert!(is_sound(&out[2 * BLOCK..]) && out[156] == b'L' && out[BLOCK..].starts_with(&long));
        assert_eq!((out[2 * BLOCK + 156], &out[2 * BLOCK + 157..2 * BLOCK + 163]), (b'2', &b"target"[..]));
    }

    #[test]
    fn nothing_leads_out_of_where_it_is_unpacked() {
        for (path, plain) in
            [("a/b", true), (".git-x", true), ("/a", false), ("a/../b", false), ("a//b", false), (".", false)]
        {
            assert_eq!(is_plain(path.as_bytes()), plain, "{path}");
        }
    }
}
