//! What `ca login` keeps: a server and its key, in a file that nobody else may read.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use etcetera::BaseStrategy as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

/// A server and the key that opens it.
#[derive(Debug, Clone)]
pub struct Saved {
    pub url: Url,
    pub key: SecretString,
}

#[derive(Serialize, Deserialize)]
struct Written {
    url: Url,
    api_key: String,
}

/// Where it is kept.
pub fn path() -> Result<PathBuf> {
    let dirs = etcetera::base_strategy::choose_native_strategy();
    let dirs = dirs.context("find your home directory; set HOME, or CA_URL and CA_API_KEY")?;
    Ok(dirs.config_dir().join("cloud-agent").join("login.json"))
}

/// What is kept, if there is something.
pub fn read(path: &Path) -> Result<Option<Saved>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let written: Written = serde_json::from_str(&text)
        .with_context(|| format!("{} can't be understood; `ca login` writes it anew", path.display()))?;
    Ok(Some(Saved { url: written.url, key: written.api_key.into() }))
}

/// Keep this instead of what is kept. The file is whole or not there, and never for other eyes.
pub fn write(path: &Path, saved: &Saved) -> Result<()> {
    let written = Written { url: saved.url.clone(), api_key: saved.key.expose_secret().to_owned() };
    let folder = path.parent().context("a file in a folder")?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let aside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    // It may be left of an earlier try, with other permissions.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(serde_json::to_string(&written)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    Ok(())
}

/// Forget it. Whether there was something.
pub fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("remove {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn what_is_kept_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/cloud-agent/login.json");
        assert!(read(&path).unwrap().is_none() && !remove(&path).unwrap());
        for key in ["ca_one", "ca_two"] {
            let saved = Saved { url: "https://agent.example.com/".parse().unwrap(), key: key.into() };
            write(&path, &saved).unwrap();
            assert_eq!(read(&path).unwrap().unwrap().key.expose_secret(), key);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        }
        fs::write(&path, "{").unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("ca login"));
        assert!(remove(&path).unwrap() && read(&path).unwrap().is_none());
    }
}
