//! Claude Code as its maker has published it. An operator may pin any executable by its digest; where none is pinned, one that
//! says it is the version that was tested has to be that one. Of other versions nobody has stated a digest.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::ClaudeBinary;
use super::binary::{LocateError, Ran, TESTED, version_of};
use crate::sandbox::{Exec, SandboxError};

/// The executables of npm's `@anthropic-ai/claude-code-<platform>` in version `TESTED`, whose packages the lock file in
/// `script/npm` holds to their digests.
pub const STATED: [(&str, &str); 4] = [
    ("linux-x64", "a982d38030b97e750848add2cbb2df6d9a70d5544a22ca9b216a349ba25865e8"),
    ("linux-x64-musl", "641ef19622b485b5379491f10c5c60ebace53775f1cc700dce03b3d742bbb57a"),
    ("linux-arm64", "307f8bada27b37db7553fac75e86004e3dbff5a931ffc611b54fe710ce1eb521"),
    ("linux-arm64-musl", "b393a5a8d69ec68e78ef54ca908f282f89236a2364b529898b666755677b0dcf"),
];

/// Whether executables with these digests say that they are the version that was tested. Asked once.
static ASKED: LazyLock<Mutex<HashMap<String, bool>>> = LazyLock::new(Mutex::default);

impl ClaudeBinary {
    /// Which of the stated executables it is.
    pub async fn stated(&self) -> Result<Option<&'static str>, LocateError> {
        // Reading some two hundred megabytes takes its time.
        let binary = self.clone();
        let digest = tokio::task::spawn_blocking(move || binary.digest()).await;
        let digest = digest.unwrap_or_else(|error| {
            Err(LocateError::Unreadable(self.path.clone(), std::io::Error::other(error.to_string())))
        })?;
        Ok(STATED.iter().find(|(_, stated)| *stated == digest).map(|(platform, _)| *platform))
    }

    /// Refuse one that says it is the version that was tested, and is not. `run` runs a command in a sandbox that has it
    /// mounted. A script is nobody's executable: it is whatever the operator has written.
    pub async fn vouched<F>(&self, run: impl FnOnce(Exec) -> F) -> Result<(), LocateError>
    where
        F: Future<Output = Result<Ran, SandboxError>>,
    {
        if self.is_script()? || self.stated().await?.is_some() {
            return Ok(());
        }
        let digest = self.digest()?;
        let known = ASKED.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).copied();
        let says_so = match known {
            Some(known) => known,
            None => {
                // One that does not say anything fails by itself, and says why then.
                let Ok(ran) = run(super::binary::asks_version()).await else { return Ok(()) };
                let says_so = version_of(&ran.stdout) == Some(TESTED);
                ASKED.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone(), says_so);
                says_so
            }
        };
        if says_so { Err(LocateError::NotAsPublished(self.path.clone(), digest)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::agent::locate;
    use crate::sandbox::Exit;

    fn says(version: &str) -> Ran {
        let exit = Exit { code: Some(0), signal: None, limit: None };
        Ran { exit, stdout: format!("{version} (Claude Code)\n"), stderr: String::new() }
    }

    #[test]
    fn each_platform_has_a_digest() {
        for (platform, digest) in STATED {
            assert!(
                digest.len() == 64 && digest.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')),
                "{platform}"
            );
            assert_eq!(STATED.iter().filter(|(_, other)| *other == digest).count(), 1, "{platform}");
        }
    }

    #[tokio::test]
    async fn what_says_it_is_the_tested_version_has_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
            locate(&file, None).unwrap()
        };
        let tested = TESTED.map(|part| part.to_string()).join(".");
        let (one, other) = (write("one", b"\x7fELF one"), write("other", b"\x7fELF other"));
        let found = one.vouched(async |_| Ok(says(&tested))).await;
        assert!(matches!(found, Err(LocateError::NotAsPublished(path, _)) if path == one.path));
        // It is not asked again, and would be believed no other word.
        assert!(one.vouched(async |_| Ok(says("9.9.9"))).await.is_err());
        other.vouched(async |_| Ok(says("9.9.9"))).await.unwrap();
        write("script", b"#!/bin/sh\n").vouched(async |_| Ok(says(&tested))).await.unwrap();
    }
}
