//! Removes what an agent had its hands in: however deep it is, whatever its modes are.
//!
//! The standard library goes down a tree with a descriptor and a frame of the stack for each level, and stops at the first
//! directory that its owner has closed. An agent can make a tree of fifty thousand levels, and caches that are read-only
//! are made in all innocence.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::files::{DIRECTORY, by_descriptor, entries, errno};
use super::watch::blocking;

/// Remove a tree, or a single file, that a sandbox could write to. Gone already is fine.
pub async fn remove_tree(root: &Path) -> io::Result<()> {
    let root = root.to_owned();
    blocking(move || remove(&root)).await.unwrap_or_else(|| Err(io::Error::other("this process is shutting down")))
}

/// The same; blocks.
///
/// A tree may be deeper than we have descriptors or stack, so it is flattened instead of descended into: directories found
/// one level down move up to the top, until the top is empty.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    match fs::symlink_metadata(root) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return fs::remove_file(root),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let top = open_writable(AT_FDCWD, root.as_os_str())?;
    // A name that nobody inside can have taken, nor a removal that was cut off.
    let aside = format!(".removing-{}", uuid::Uuid::new_v4().simple());
    let mut moved = 0u64;
    loop {
        let mut empty = true;
        for name in entries(&top)? {
            let name = name?;
            empty = false;
            if unlink(&top, &name) {
                continue;
            }
            let dir = open_writable(top.as_fd(), &name)?;
            for inner in entries(&dir)? {
                let inner = inner?;
                if unlink(&dir, &inner) {
                    continue;
                }
                // Moving a directory changes its "..", for which it must be writable itself.
                drop(open_writable(dir.as_fd(), &inner)?);
                moved += 1;
                renameat(&dir, inner.as_os_str(), &top, format!("{aside}-{moved}").as_str())?;
            }
            unlinkat(&top, name.as_os_str(), UnlinkatFlags::RemoveDir)?;
        }
        if empty {
            return fs::remove_dir(root);
        }
    }
}

/// Remove a file or an empty directory; whether that was possible.
fn unlink(dir: &OwnedFd, name: &OsStr) -> bool {
    unlinkat(dir, name, UnlinkatFlags::NoRemoveDir).is_ok() || unlinkat(dir, name, UnlinkatFlags::RemoveDir).is_ok()
}

/// Open a directory in `dir` and make sure that its owner may change it.
fn open_writable(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    let stat = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if stat.st_mode & 0o700 != 0o700 {
        // A directory without permissions can't be opened to be changed, but found: chmod goes through its descriptor.
        let found = openat(
            dir,
            name,
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(by_descriptor(&found), permissions).map_err(|error| errno(&error))?;
    }
    openat(dir, name, DIRECTORY, Mode::empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use nix::sys::stat::mkdirat;

    use super::*;

    fn close(dir: &Path, mode: u32) {
        fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn closed_and_read_only_directories_go() {
        let scene = tempfile::tempdir().unwrap();
        let root = scene.path().join("run");
        for name in ["workspace/closed/in/it", "workspace/cache/module", "other"] {
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(root.join(name).join("file"), "x").unwrap();
        }
        let beyond = scene.path().join("beyond");
        fs::write(&beyond, "precious").unwrap();
        symlink(&beyond, root.join("workspace/link")).unwrap();
        symlink(scene.path(), root.join("workspace/cache/up")).unwrap();
        for (name, mode) in [
            ("workspace/closed/in/it", 0),
            ("workspace/closed", 0),
            ("workspace/cache/module", 0o555),
            ("workspace/cache", 0o555),
            ("workspace", 0o555),
            ("", 0),
        ] {
            close(&root.join(name), mode);
        }
        remove_tree(&root).await.unwrap();
        assert_eq!(fs::read_dir(scene.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(&beyond).unwrap(), "precious");
        remove_tree(&root).await.unwrap();
        remove_tree(&beyond).await.unwrap();
        assert!(!beyond.exists(), "a file is removed as well");
    }

    #[tokio::test]
    async fn a_tree_deeper_than_any_path_goes() {
        let scene = tempfile::tempdir().unwrap();
        let root = scene.path().join("run");
        fs::create_dir(&root).unwrap();
        // What a removal that was cut off has left is in nobody's way.
        fs::create_dir_all(root.join(".removing-1/full")).unwrap();
        let mut dir = OwnedFd::from(fs::File::open(&root).unwrap());
        for _ in 0..20_000 {
            mkdirat(&dir, "d", Mode::from_bits_truncate(0o700)).unwrap();
            dir = openat(&dir, "d", DIRECTORY, Mode::empty()).unwrap();
        }
        remove_tree(&root).await.unwrap();
        assert!(!root.exists());
    }
}
