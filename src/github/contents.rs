//! Files of a repository as they are at a commit, without a clone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::repo::{OrAbsent as _, encode};
use super::{Error, Repo};

/// A file as it is at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub bytes: Vec<u8>,
    /// git's id of the contents.
    pub sha: String,
}

impl File {
    /// The text, if it is any.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }
}

impl Repo {
    /// A file at a branch, tag or commit. None when there is no such file or it is something else: a directory, a
    /// submodule. GitHub gives contents of up to 1 MB here; a larger file is `Error::Invalid`.
    pub async fn file(&self, path: &str, reference: &str) -> Result<Option<File>, Error> {
        let route = format!("contents/{}?ref={}", encode_path(path), encode(reference));
        let Some(found) = self.get::<Value>(&route).await.or_absent()? else { return Ok(None) };
        read(path, found)
    }
}

/// Each segment on its own; the slashes stay.
fn encode_path(path: &str) -> String {
    path.split('/').filter(|it| !it.is_empty()).map(encode).collect::<Vec<_>>().join("/")
}

fn read(path: &str, found: Value) -> Result<Option<File>, Error> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "type")]
        kind: String,
        sha: String,
        #[serde(default)]
        content: Option<String>,
        #[serde(default)]
        encoding: Option<String>,
        #[serde(default)]
        submodule_git_url: Option<String>,
    }
    // A directory is an array.
    if !found.is_object() {
        return Ok(None);
    }
    let unreadable = |error: &dyn std::fmt::Display| Error::Unreachable(format!("{path} can't be read: {error}"));
    let entry: Entry = serde_json::from_value(found).map_err(|error| unreadable(&error))?;
    // Older versions of the API call a submodule a file.
    if entry.kind != "file" || entry.submodule_git_url.is_some() {
        return Ok(None);
    }
    if entry.encoding.as_deref() != Some("base64") {
        return Err(Error::Invalid(format!("{path} is larger than the 1 MB that GitHub gives")));
    }
    // With a line break every 60 letters.
    let letters: String = entry.content.unwrap_or_default().split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(letters).map_err(|error| unreadable(&error))?;
    Ok(Some(File { bytes, sha: entry.sha }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_files_are_read() {
        let file = json!({ "type": "file", "sha": "a1", "encoding": "base64", "content": "aGVs\nbG8K\n" });
        let file = read("a", file).unwrap().unwrap();
        assert_eq!((file.text(), file.sha.as_str()), (Some("hello\n"), "a1"));
        assert_eq!(read("a", json!([])).unwrap(), None);
        assert_eq!(read("a", json!({ "type": "symlink", "sha": "a1", "target": "b" })).unwrap(), None);
        let module = json!({ "type": "file", "sha": "a1", "submodule_git_url": "https://github.com/a/b" });
        assert_eq!(read("a", module).unwrap(), None);
        let large = json!({ "type": "file", "sha": "a1", "encoding": "none", "content": "" });
        assert!(matches!(read("a", large), Err(Error::Invalid(_))));
        let empty = json!({ "type": "file", "sha": "a1", "encoding": "base64", "content": "" });
        assert_eq!(read("a", empty).unwrap().unwrap().bytes, b"");
    }

    #[test]
    fn segments_are_encoded_and_slashes_kept() {
        assert_eq!(encode_path("/.github/a b#?.yml"), ".github/a%20b%23%3F.yml");
    }
}
