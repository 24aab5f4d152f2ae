//! User numbers that nobody else on this machine has: each is a file that whoever has the number holds a lock on. The kernel
//! drops the lock with the process, so that a number is free again however its process ended.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;

/// Where the files are: the same place for all processes of a machine, and none that others can write to. The second is for
/// containers and services whose `/run` is closed to them.
const PLACES: [&str; 2] = ["/run/cloud-agent", "/tmp/cloud-agent-users"];

/// The numbers of this machine.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    pub places: Arc<[PathBuf]>,
}

/// A number of one's own. Dropping it frees it.
#[derive(Debug)]
pub(super) struct Number {
    pub id: u32,
    path: PathBuf,
    _lock: File,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { places: PLACES.map(PathBuf::from).into() }
    }
}

impl Numbers {
    /// The first of these that nobody has.
    pub fn take(&self, wanted: impl Iterator<Item = u32>) -> io::Result<Number> {
        let dir = self.dir()?;
        for id in wanted {
            if let Some(number) = Number::take(id, dir.join(id.to_string()))? {
                return Ok(number);
            }
        }
        Err(io::Error::other("every user number for sandboxes is in use"))
    }

    /// The first place that is ours alone.
    fn dir(&self) -> io::Result<&Path> {
        let mut why = io::Error::other("there is no place");
        for place in self.places.iter() {
            match own(place) {
                Ok(()) => return Ok(place),
                Err(error) => why = error,
            }
        }
        let all: Vec<_> = self.places.iter().map(|it| it.display().to_string()).collect();
        let says = format!("keep user numbers of sandboxes apart: make one of {} writable ({why})", all.join(", "));
        Err(io::Error::new(why.kind(), says))
    }
}

/// Make a directory, or see that it is one that nobody else can write to: others could hold our locks, or give us links.
fn own(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => (),
    }
    let meta = fs::symlink_metadata(dir)?;
    let ours = meta.is_dir() && meta.uid() == geteuid().as_raw() && meta.mode() & 0o022 == 0;
    ours.then_some(()).ok_or_else(|| io::Error::other(format!("{} is not ours alone", dir.display())))
}

impl Number {
    /// None when somebody has it.
    fn take(id: u32, path: PathBuf) -> io::Result<Option<Self>> {
        loop {
            let mut open = OpenOptions::new();
            let file =
                open.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(&path)?;
            match file.try_lock() {
                Ok(()) => (),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Whoever had it may have removed the file between our two steps; the next one would make another.
            let (held, there) = (file.metadata()?, fs::symlink_metadata(&path));
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
                return Ok(Some(Self { id, path, _lock: file }));
            }
        }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // Under the lock, which goes with the file after this.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use std::io::{BufRead as _, BufReader, Read as _};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::{Child, Command, Stdio};

    use super::*;

    const DIR: &str = "NUMBERS_OF_ANOTHER_PROCESS";
    const RANGE: std::ops::Range<u32> = 60_706..60_709;

    fn at(dir: &Path) -> Numbers {
        Numbers { places: [dir.to_owned()].into() }
    }

    /// The other process of the next test; nothing by itself.
    #[test]
    fn another_process_takes_a_number() {
        let Some(dir) = std::env::var_os(DIR) else { return };
        let number = at(Path::new(&dir)).take(RANGE).unwrap();
        eprintln!("took {}", number.id);
        // Until it is killed, or its parent is gone.
        let _ = std::io::stdin().read(&mut [0]);
    }

    fn another(dir: &Path) -> (Child, u32) {
        let name = concat!(module_path!(), "::another_process_takes_a_number");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([name.split_once("::").unwrap().1, "--exact", "--nocapture"]).env(DIR, dir);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let took = lines.find_map(|line| line.unwrap().strip_prefix("took ").map(|it| it.parse().unwrap()));
        (child, took.unwrap())
    }

    #[test]
    fn no_two_processes_have_the_same_number() {
        let dir = tempfile::tempdir().unwrap();
        let all = at(dir.path());
        let (mut first, one) = another(dir.path());
        let two = all.take(RANGE).unwrap();
        let (mut second, three) = another(dir.path());
        assert_eq!((one, two.id, three), (60_706, 60_707, 60_708));
        assert!(all.take(RANGE).is_err());
        // Killed, it leaves its file behind, and nothing else.
        first.kill().unwrap();
        first.wait().unwrap();
        assert_eq!(all.take(RANGE).unwrap().id, 60_706);
        drop(two);
        assert_eq!(all.take(60_707..60_709).unwrap().id, 60_707);
        second.kill().unwrap();
        second.wait().unwrap();
        all.take(60_708..60_709).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_place_that_others_can_write_to_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (open, link) = (dir.path().join("open"), dir.path().join("link"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        symlink(&open, &link).unwrap();
        let said = Numbers { places: [open, link].into() }.take(RANGE).unwrap_err().to_string();
        assert!(said.contains("is not ours alone"), "{said}");
        // A link in the place of a number is not followed.
        let own = dir.path().join("own");
        fs::create_dir(&own).unwrap();
        symlink(dir.path().join("elsewhere"), own.join("60706")).unwrap();
        assert!(at(&own).take(RANGE).is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }
}
