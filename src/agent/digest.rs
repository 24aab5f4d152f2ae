//! Whether the executable is the one that the operator has looked at.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::ClaudeBinary;
use super::binary::LocateError;

/// What a file looks like from outside: an update in place changes one of these.
type Looks = (u64, u64, u64, i64, i64);

/// Digests of files that have not changed since. Reading some two hundred megabytes before every run would take its time.
static KNOWN: LazyLock<Mutex<HashMap<Looks, String>>> = LazyLock::new(Mutex::default);

impl ClaudeBinary {
    /// Its SHA-256 in hexadecimal.
    pub fn digest(&self) -> Result<String, LocateError> {
        digest(&self.path).map_err(|error| LocateError::Unreadable(self.path.clone(), error))
    }

    /// Refuse a file with another digest than this one, if there is one.
    pub fn pinned(self, to: Option<&str>) -> Result<Self, LocateError> {
        let Some(wanted) = to else { return Ok(self) };
        let found = self.digest()?;
        if found.eq_ignore_ascii_case(wanted) { Ok(self) } else { Err(LocateError::OtherDigest(self.path, found)) }
    }
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    // The time of the last change of the inode can't be set by hand.
    let looks = (meta.dev(), meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(digest) = known().get(&looks) {
        return Ok(digest.clone());
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    let digest = hex::encode(hash.finalize());
    known().insert(looks, digest.clone());
    Ok(digest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;
    use crate::agent::locate;

    #[test]
    fn another_program_than_the_pinned_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("claude");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        let found = || locate(&file, None).unwrap();
        let good = "0a8e0c1b4d0b5ba9aee0d8bd2c9d4a6a0b8ad7fe5be4f6d1b33d3f4ab2fdbd9f";
        let real = found().digest().unwrap();
        assert_eq!(real.len(), 64);
        assert!(matches!(found().pinned(Some(good)), Err(LocateError::OtherDigest(_, digest)) if digest == real));
        assert_eq!(found().pinned(Some(&real.to_uppercase())).unwrap(), found());
        assert_eq!(found().pinned(None).unwrap(), found());
        // An update in place is seen, though the path is the same.
        std::fs::write(&file, "#!/bin/sh\necho other\n").unwrap();
        assert!(matches!(found().pinned(Some(&real)), Err(LocateError::OtherDigest(..))));
    }
}
