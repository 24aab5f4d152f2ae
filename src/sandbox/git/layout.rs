//! Repositories written by hand: a few files, faster than `git init`, and no template that somebody left on the machine.

use std::fs::{DirBuilder, create_dir_all, write};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::{Branch, GitError, Sha};

const BARE: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

/// `checkStat` and `trustctime`: the sandbox sees other owners than the host does, and git would read every file again.
const TREE: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
                    \tcheckStat = minimal\n\ttrustctime = false\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";

/// Counts before whatever the tree's own files say: no program is named that content goes through, and no character set of
/// hundreds that it would be converted from by this machine's C library.
const ATTRIBUTES: &str = "* !filter !working-tree-encoding\n";

/// A bare repository.
pub(super) fn bare(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    skeleton(dir)?;
    write(dir.join("HEAD"), "ref: refs/heads/none\n")?;
    write(dir.join("config"), BARE)
}

/// Whether `dir` is a repository as [`bare`] writes it.
pub(super) fn is_bare(dir: &Path) -> bool {
    dir.join("objects").is_dir()
        && dir.join("refs").is_dir()
        && dir.join("HEAD").is_file()
        && std::fs::read_to_string(dir.join("config")).is_ok_and(|text| text == BARE)
}

/// A working tree without files, on `branch` at `sha`. It has no remote, no hooks and no description.
pub(super) fn working_tree(dir: &Path, branch: &Branch, sha: &Sha) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        create_dir_all(parent)?;
    }
    // Fails when there is one: nothing of an earlier run is ever worked on.
    DirBuilder::new().mode(0o700).create(dir)?;
    let git = dir.join(".git");
    skeleton(&git)?;
    let head = git.join(branch.full());
    if let Some(parent) = head.parent() {
        create_dir_all(parent)?;
    }
    write(head, format!("{sha}\n"))?;
    write(git.join("HEAD"), format!("ref: {}\n", branch.full()))?;
    write(git.join("info/attributes"), ATTRIBUTES)?;
    write(git.join("config"), TREE)
}

/// Let a repository read the objects of another as well.
pub(super) fn borrow_objects(git_dir: &Path, objects: &Path) -> Result<(), GitError> {
    let path = objects.as_os_str().as_bytes();
    if !objects.is_absolute() || path.iter().any(|b| b"\n\"#".contains(b)) {
        return Err(GitError::Other(format!("{} can't be written into a repository", objects.display())));
    }
    let line = [path, b"\n"].concat();
    write(git_dir.join("objects/info/alternates"), line).map_err(|e| GitError::io("point to the mirror's objects", &e))
}

fn skeleton(git: &Path) -> io::Result<()> {
    for part in ["objects/info", "objects/pack", "refs/heads", "info"] {
        create_dir_all(git.join(part))?;
    }
    Ok(())
}
