//! What a commit would be as files, before it is: a few kilobytes of objects can stand for any number of files and bytes.

use super::{GitError, Mirror, Sha};

/// A working tree of more is refused. A sandbox of the usual size could do nothing with it.
const MOST_BYTES: u64 = 4 << 30;
/// The list of all files, some sixty bytes for each.
const LONGEST_LIST: usize = 32 << 20;
/// The system takes 4,096 bytes of a path, and the run's directory is a part of it.
const LONGEST_PATH: usize = 3000;
/// Each directory in a directory is a call within a call for whatever reads the tree.
const DEEPEST: usize = 400;

impl Mirror {
    /// An error if nobody should make files of this commit.
    pub(super) async fn weigh(&self, commit: &Sha) -> Result<(), GitError> {
        let call = self.read("ls-tree").args(["-r", "-z", "--full-tree", "--format=%(objectsize) %(path)"]);
        let bad = |why: String| Err(GitError::TooLarge(why));
        let out = match call.args(["--end-of-options", commit.as_str()]).cut_after(LONGEST_LIST).run().await {
            Ok(out) if !out.truncated => out,
            // Whoever made it is to hear of it, and it is not to be tried again.
            Ok(_) => return bad("it has too many files".to_owned()),
            Err(GitError::Timeout(_)) => return bad("its files could not be listed in time".to_owned()),
            Err(error) => return Err(error),
        };
        let mut sum = 0u64;
        for line in out.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
            let (size, path) = (&line[..space], line.get(space + 1..).unwrap_or_default());
            // A submodule has a hyphen there, and no files.
            sum = sum.saturating_add(std::str::from_utf8(size).ok().and_then(|size| size.parse().ok()).unwrap_or(0));
            if path.len() > LONGEST_PATH || path.split(|byte| *byte == b'/').nth(DEEPEST + 1).is_some() {
                return bad("a path in it is too long".to_owned());
            }
        }
        match sum > MOST_BYTES {
            true => bad(format!("its files have {} MiB, and {} are the most", sum >> 20, MOST_BYTES >> 20)),
            false => Ok(()),
        }
    }
}
