//! Files of a sandbox, handled from the host without ever being led astray by what the agent put there.
//!
//! Every directory is opened one name at a time without following links, and what is below is reached by descriptor. An
//! agent that swaps a directory for a symlink at the right moment makes a call fail and nothing else.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use crate::sandbox::SandboxError;

/// A host directory that stands for one inside, and the user that owns what is in it (None: the user we are).
pub(super) struct Root {
    pub host: PathBuf,
    pub owner: Option<u32>,
}

pub(super) const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The names that lead from a root to a file. Only plain ones, and at least one.
pub(super) fn names(path: &Path) -> Option<Vec<&OsStr>> {
    let name = |part| if let Component::Normal(name) = part { Some(name) } else { None };
    path.components().map(name).collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
}

/// Write a file, with the directories that lead to it. It appears as a whole or not at all.
pub(super) fn put(root: &Root, inside: &Path, names: &[&OsStr], bytes: &[u8]) -> Result<(), SandboxError> {
    let refused = |error| explain(inside, error);
    let Some((last, directories)) = names.split_last() else { return Err(SandboxError::Path(inside.to_owned())) };
    let mut dir = open_root(root).map_err(refused)?;
    for name in directories {
        match mkdirat(&dir, *name, Mode::from_bits_truncate(0o755)) {
            Ok(()) => {
                dir = openat(&dir, *name, DIRECTORY, Mode::empty()).map_err(refused)?;
                own(&dir, root.owner).map_err(refused)?;
            }
            Err(Errno::EEXIST) => dir = openat(&dir, *name, DIRECTORY, Mode::empty()).map_err(refused)?,
            Err(error) => return Err(refused(error)),
        }
    }
    // A rename would replace a link silently; whoever put one there should hear of it.
    match fstatat(&dir, *last, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if kind(&stat) != SFlag::S_IFREG => return Err(SandboxError::Path(inside.to_owned())),
        Ok(_) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(refused(error)),
    }
    let temporary = format!(".put-{}", uuid::Uuid::new_v4().simple());
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(&dir, temporary.as_str(), flags, Mode::from_bits_truncate(0o644)).map_err(refused)?;
    let written = own(&file, root.owner)
        .and_then(|()| File::from(file).write_all(bytes).map_err(|error| errno(&error)))
        .and_then(|()| renameat(&dir, temporary.as_str(), &dir, *last));
    written.map_err(|error| {
        let _ = unlinkat(&dir, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
        refused(error)
    })
}

/// Read a regular file of at most `limit` bytes.
pub(super) fn get(root: &Root, inside: &Path, names: &[&OsStr], limit: u64) -> Result<Bytes, SandboxError> {
    let refused = |error| explain(inside, error);
    let Some((last, directories)) = names.split_last() else { return Err(SandboxError::Path(inside.to_owned())) };
    let mut dir = open_root(root).map_err(refused)?;
    for name in directories {
        dir = openat(&dir, *name, DIRECTORY, Mode::empty()).map_err(refused)?;
    }
    read(&dir, last, inside, limit)
}

/// Read the regular files of a directory, by name, as far as `limit` bytes go. What is no file is passed over, and so is
/// a directory that is not there.
pub(super) fn get_all(root: &Root, inside: &Path, names: &[&OsStr], limit: u64) -> io::Result<Vec<(OsString, Bytes)>> {
    /// An agent can make as many as it likes.
    const MOST: usize = 1000;
    let mut dir = open_root(root)?;
    for name in names {
        match openat(&dir, *name, DIRECTORY, Mode::empty()) {
            Ok(below) => dir = below,
            Err(_) => return Ok(Vec::new()),
        }
    }
    let mut all = entries(&dir)?.take(MOST).collect::<io::Result<Vec<_>>>()?;
    all.sort();
    let (mut found, mut left) = (Vec::new(), limit);
    for name in all {
        if let Ok(bytes) = read(&dir, &name, inside, left) {
            left -= bytes.len() as u64;
            found.push((name, bytes));
        }
    }
    Ok(found)
}

fn read(dir: &OwnedFd, name: &OsStr, inside: &Path, limit: u64) -> Result<Bytes, SandboxError> {
    let refused = |error| explain(inside, error);
    // Non-blocking: opening a pipe that nobody writes to would wait for ever.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = openat(dir, name, flags, Mode::empty()).map_err(refused)?;
    let stat = fstat(&file).map_err(refused)?;
    if kind(&stat) != SFlag::S_IFREG {
        return Err(SandboxError::Path(inside.to_owned()));
    }
    let too_large = || SandboxError::TooLarge(inside.to_owned(), limit);
    if stat.st_size as u64 > limit {
        return Err(too_large());
    }
    // It may still be growing.
    let mut bytes = Vec::with_capacity(stat.st_size as usize);
    File::from(file).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| refused(errno(&e)))?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(Bytes::from(bytes)) }
}

/// What a tree takes on disk.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub bytes: u64,
    pub files: u64,
    /// A part of it could not be read: closed by its owner, or deeper than any program goes.
    pub unread: bool,
}

/// Measure a tree. With `open`, directories that their owner has closed are opened for good: an agent can hide files in one
/// from a host that is the same user.
pub(super) fn usage(root: &Path, open: bool) -> io::Result<Usage> {
    let mut sum = Usage::default();
    let whole = walk(root, open, &mut |_, _, stat| {
        // What a file shares with another name is counted once for each; the sandbox made the second name too. Empty
        // files take an inode.
        sum.bytes += stat.st_blocks as u64 * 512 + 256;
        sum.files += 1;
        Ok(())
    })?;
    sum.unread = !whole;
    Ok(sum)
}

/// Make `id` the owner of a tree. A file with several names is left alone: another name may lead to a shared object.
pub(super) fn give(root: &Path, id: u32) -> io::Result<()> {
    let dir = File::open(root)?;
    own(&dir.into(), Some(id))?;
    walk(root, false, &mut |dir, name, stat| {
        if stat.st_uid != id && (stat.st_nlink == 1 || kind(stat) == SFlag::S_IFDIR) {
            let (uid, gid) = (Some(Uid::from_raw(id)), Some(Gid::from_raw(id)));
            nix::unistd::fchownat(dir, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    })
    .map(drop)
}

type Visit<'a> = dyn FnMut(BorrowedFd<'_>, &OsStr, &FileStat) -> io::Result<()> + 'a;

/// Visit everything below `root`, never through a link; whether all of it could be read. What goes away meanwhile is left
/// out.
fn walk(root: &Path, open: bool, visit: &mut Visit<'_>) -> io::Result<bool> {
    // An agent can nest deeper than the kernel takes paths. So paths start anew, from a descriptor, before they get long;
    // but not so often that the descriptors run out.
    const LONG: usize = 2000;
    const TIMES: usize = 32;
    let top = Rc::new(open_below(AT_FDCWD, root, open, ResolveFlag::empty())?);
    let mut whole = true;
    let mut waiting = vec![(top, PathBuf::from("."), 0)];
    while let Some((base, path, times)) = waiting.pop() {
        let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let dir = match open_below(base.as_fd(), &path, open, beneath) {
            Ok(dir) => Rc::new(dir),
            // Gone, or something else by now.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV) => continue,
            Err(_) => {
                whole = false;
                continue;
            }
        };
        let (base, path, times) = match path.as_os_str().len() > LONG {
            true => (dir.clone(), PathBuf::from("."), times + 1),
            false => (base, path, times),
        };
        if times > TIMES {
            whole = false;
            continue;
        }
        for name in entries(&dir)? {
            let name = name?;
            let stat = match fstatat(&dir, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(error) => {
                    whole &= error == Errno::ENOENT;
                    continue;
                }
            };
            visit(dir.as_fd(), &name, &stat)?;
            if kind(&stat) == SFlag::S_IFDIR {
                waiting.push((base.clone(), path.join(&name), times));
            }
        }
    }
    Ok(whole)
}

/// Open a directory to read it and what is in it. With `open`, its owner gets the right to do so where that is missing.
fn open_below(top: BorrowedFd<'_>, path: &Path, open: bool, resolve: ResolveFlag) -> nix::Result<OwnedFd> {
    let go = |flags: OFlag| match openat2(top, path, OpenHow::new().flags(flags).resolve(resolve)) {
        // Before Linux 5.6 only the last name is guarded. A swapped one then leads a count astray, nothing more.
        Err(Errno::ENOSYS) => openat(top, path, flags, Mode::empty()),
        other => other,
    };
    // Whoever may read a directory may still not look at what is in it, were it only itself.
    let usable = |dir: OwnedFd| fstatat(&dir, ".", AtFlags::AT_SYMLINK_NOFOLLOW).map(|_| dir);
    match go(DIRECTORY).and_then(usable) {
        Err(Errno::EACCES) if open => {
            // One without permissions can't be opened to be changed, but found: chmod goes through its descriptor.
            let found = go(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)?;
            let mode = fstat(&found)?.st_mode & 0o7777 | 0o500;
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(by_descriptor(&found), permissions).map_err(|error| errno(&error))?;
            openat(&found, ".", DIRECTORY, Mode::empty())
        }
        other => other,
    }
}

pub(super) fn entries(dir: &OwnedFd) -> io::Result<impl Iterator<Item = io::Result<OsString>> + use<>> {
    Ok(fs::read_dir(by_descriptor(dir))?.map(|entry| Ok(entry?.file_name())))
}

/// A path to what is open, so that the standard library can work on a descriptor.
pub(super) fn by_descriptor(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn open_root(root: &Root) -> nix::Result<OwnedFd> {
    // The path of the root is the host's own; links in it are fine.
    nix::fcntl::open(&root.host, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Modes are set in spite of the umask, so that the sandbox's user can read what is put for it.
fn own(fd: &OwnedFd, owner: Option<u32>) -> nix::Result<()> {
    if let Some(id) = owner {
        fchown(fd, Some(Uid::from_raw(id)), Some(Gid::from_raw(id)))?;
    }
    let stat = fstat(fd)?;
    fchmod(
        fd,
        Mode::from_bits_truncate(stat.st_mode & 0o7777 | if kind(&stat) == SFlag::S_IFDIR { 0o755 } else { 0o644 }),
    )
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

pub(super) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn explain(path: &Path, error: Errno) -> SandboxError {
    match error {
        // A link, or something that is not a directory, on the way.
        Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR | Errno::ENXIO => SandboxError::Path(path.to_owned()),
        Errno::ENOENT => SandboxError::NotFound(format!("file {}", path.display())),
        _ => SandboxError::Io { doing: format!("use {} of the sandbox", path.display()), error: error.into() },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn closed_directories_are_counted_once_they_are_to_be_opened() {
        let scene = tempfile::tempdir().unwrap();
        let root = scene.path().join("workspace");
        fs::create_dir_all(root.join("unsearchable/closed")).unwrap();
        fs::write(root.join("unsearchable/closed/file"), vec![1; 100_000]).unwrap();
        for (name, mode) in [("unsearchable/closed", 0), ("unsearchable", 0o400), ("", 0)] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        if !nix::unistd::geteuid().is_root() {
            assert!(usage(&root, false).is_err());
        }
        let held = usage(&root, true).unwrap();
        assert!(held.bytes >= 100_000 && held.files == 3 && !held.unread, "{held:?}");
        let mode = |name: &str| fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o777;
        if !nix::unistd::geteuid().is_root() {
            assert_eq!((mode(""), mode("unsearchable")), (0o500, 0o500));
        }
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn a_tree_that_is_too_deep_is_said_to_be_unread() {
        let scene = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let deep = |levels: usize| {
            let root = scene.path().join(levels.to_string());
            fs::create_dir(&root).unwrap();
            let mut dir = OwnedFd::from(File::open(&root).unwrap());
            for _ in 0..levels {
                mkdirat(&dir, name.as_str(), Mode::from_bits_truncate(0o700)).unwrap();
                dir = openat(&dir, name.as_str(), DIRECTORY, Mode::empty()).unwrap();
            }
            let held = usage(&root, false).unwrap();
            super::super::remove::remove(&root).unwrap();
            held
        };
        assert_eq!((deep(100).unread, deep(100).files), (false, 100));
        assert!(deep(1000).unread);
    }
}
