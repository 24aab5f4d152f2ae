//! Names that come from outside and end up in git's arguments: commits, branches and what to fetch.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A full SHA-1 object id in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha(String);

/// A branch name, without `refs/heads/`, that git and GitHub accept and that can't be mistaken for anything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Branch(String);

/// Why a name is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a usable name for git: {0}")]
pub struct BadName(pub &'static str);

/// Something to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Want {
    Branch(Branch),
    /// The head of a pull request, which is there also when it comes from a fork.
    Pull(u64),
    /// Exactly this commit; the remote is not asked when it is here already.
    Sha(Sha),
    /// Exactly this commit of a pull request. GitHub gives it also after a force push has left it behind; a remote that
    /// does not is asked for the pull request as it is now, which may contain it. Never another commit instead.
    PullAt(u64, Sha),
}

impl Want {
    /// The full name on the remote, unless a commit is wanted.
    pub(super) fn ref_name(&self) -> Option<String> {
        match self {
            Self::Branch(branch) => Some(branch.full()),
            Self::Pull(number) => Some(pull_ref(*number)),
            Self::Sha(_) | Self::PullAt(..) => None,
        }
    }
}

/// Where GitHub keeps the head of a pull request, that of a fork included.
pub(super) fn pull_ref(number: u64) -> String {
    format!("refs/pull/{number}/head")
}

impl Sha {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Branch {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `refs/heads/…`
    pub fn full(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl FromStr for Sha {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 40 || !text.bytes().all(hex) {
            return Err(BadName("a commit id is 40 hexadecimal digits in lower case"));
        }
        if text.bytes().all(|b| b == b'0') {
            return Err(BadName("the id of nothing"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Branch {
    type Err = BadName;

    /// The rules of `git check-ref-format --branch`, and some of GitHub's and ours.
    fn from_str(name: &str) -> Result<Self, BadName> {
        match problem(name) {
            Some(why) => Err(BadName(why)),
            None => Ok(Self(name.to_owned())),
        }
    }
}

const LOCK: &str = ".lock";

fn problem(name: &str) -> Option<&'static str> {
    let wrong = [
        (name.is_empty(), "it is empty"),
        // `refs/heads/…` and `.lock` must fit the 255 bytes of a file name, and GitHub's own limit.
        (name.len() > 244, "it is longer than 244 bytes"),
        (name.starts_with('-'), "it begins with a hyphen"),
        (name == "@" || name == "HEAD", "it means something else to git"),
        (name.starts_with('/') || name.ends_with('/') || name.contains("//"), "a part of it is empty"),
        (name.ends_with('.') || name.contains(".."), "it has a dot in the wrong place"),
        (name.contains("@{"), "it holds `@{`"),
        (name.chars().any(|c| " ~^:?*[\\".contains(c)), "it holds a character that git gives a meaning"),
        (
            name.chars().any(|c| c.is_control() || c.is_whitespace() || is_invisible(c)),
            "it holds an invisible character",
        ),
        (name.split('/').any(|part| part.starts_with('.')), "a part of it begins with a dot"),
        // A file `x.lock` is git's lock on `x`.
        (name.contains(".lock/") || name.ends_with(LOCK), "a part of it ends in `.lock`"),
        (name.starts_with("refs/"), "it begins with `refs/`"),
        // GitHub refuses these, since they read like a commit.
        (name.len() == 40 && name.bytes().all(|b| b.is_ascii_hexdigit()), "it looks like a commit id"),
    ];
    wrong.into_iter().find(|(is, _)| *is).map(|(_, why)| why)
}

/// Characters that people don't see: zero-width, direction marks, tags, variation selectors, fillers.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Sha {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl TryFrom<String> for Branch {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Sha> for String {
    fn from(sha: Sha) -> Self {
        sha.0
    }
}

impl From<Branch> for String {
    fn from(branch: Branch) -> Self {
        branch.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_follow_git() {
        let good = ["main", "a/b/c", "cloud-agent/fix-12-tidy", "größe", "a@b", "v1.2", "a.lockx", "%2F", "{x}", "#1"];
        for name in good {
            assert_eq!(problem(name), None, "{name:?}");
        }
        let bad = [
            "",
            "-x",
            "--upload-pack=x",
            "@",
            "HEAD",
            "/a",
            "a/",
            "a//b",
            "a.",
            "a..b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a@{1}",
            "a\u{3000}b",
            "a\u{202e}b",
            "a\nb",
            "a\u{7f}",
            "refs/heads/x",
            "0123456789012345678901234567890123456789",
        ];
        for name in bad {
            assert!(problem(name).is_some(), "{name:?}");
        }
        assert!(problem(&"x".repeat(245)).is_some());
    }

    #[test]
    fn commit_ids_are_whole() {
        assert!("4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse::<Sha>().is_ok());
        for bad in ["", "4b825dc", "4B825DC642CB6EB9A060E54BF8D69288FBEE4904", &"0".repeat(40), &"g".repeat(40)] {
            assert!(bad.parse::<Sha>().is_err(), "{bad}");
        }
    }
}
