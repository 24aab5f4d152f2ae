//! What stories need of the machine. One that can't be played fails and says what is missing: a story that passes without having
//! looked is worse than none.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The Python of the system: of the host's programs a sandbox sees those below `/usr` alone.
pub fn python() -> &'static str {
    const PYTHON: &str = "/usr/bin/python3";
    let says = "install the package python3 of your system (script/setup does): this story runs it in a sandbox";
    assert!(Path::new(PYTHON).exists(), "{PYTHON} is missing; {says}");
    PYTHON
}

/// The program where any user can start it, and the directory that it is in, if that had to be made.
pub fn for_everybody(program: &str) -> (PathBuf, Option<TempDir>) {
    let open = |dir: &Path| std::fs::metadata(dir).is_ok_and(|it| it.permissions().mode() & 1 != 0);
    let program = Path::new(program);
    if program.ancestors().skip(1).all(open) {
        return (program.to_owned(), None);
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join(program.file_name().unwrap());
    std::fs::copy(program, &copy).unwrap();
    assert!(copy.ancestors().skip(1).all(open), "set TMPDIR to a directory that every user can walk to");
    (copy, Some(dir))
}

/// The start of a shell command that is to be an ordinary user's; nothing when we are one.
pub fn as_nobody() -> &'static str {
    match nix::unistd::geteuid().is_root() {
        true => "setpriv --reuid 65534 --regid 65534 --clear-groups --",
        false => "",
    }
}
