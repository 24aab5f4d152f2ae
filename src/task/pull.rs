//! A pull request as it was when somebody asked.

use serde::{Deserialize, Serialize};

use super::Said;

/// What a snapshot has more when its subject is a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PullSnapshot {
    /// The commit that is looked at, and that nobody may have pushed over.
    pub head_sha: String,
    pub head_branch: String,
    /// Whether the head is a branch of the same repository. A fork's is not ours to push to, and its code is a
    /// stranger's; a fork that was deleted has no repository at all.
    pub same_repository: bool,
    /// The bot has opened it.
    pub by_us: bool,
    /// Conversations on lines, oldest first.
    pub threads: Vec<Thread>,
    /// Checks of other Apps that failed on the head.
    pub checks: Vec<FailedCheck>,
    /// The issues that its text says it closes.
    pub linked: Vec<LinkedIssue>,
    /// The thread that the asking comment belongs to, by its first comment's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_in: Option<u64>,
    /// The comments of the asking review: place and words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub review: Vec<ThreadRemark>,
}

/// A conversation on a line of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The id of its first comment.
    pub id: u64,
    pub path: String,
    pub line: Option<u32>,
    pub resolved: bool,
    /// The first comment is the bot's own.
    pub ours: bool,
    pub said: Vec<Said>,
}

/// A comment on a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRemark {
    pub thread: u64,
    pub path: String,
    pub line: Option<u32>,
    pub body: String,
}

/// A check that failed on the head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    pub name: String,
    pub conclusion: String,
    /// What the check says of itself.
    pub says: String,
    /// The end of the job's log, where GitHub Actions ran it.
    pub log: String,
}

/// An issue that the pull request closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedIssue {
    pub number: u64,
    pub title: String,
    pub body: String,
    pub author: String,
    pub trusted: Option<bool>,
}

/// Numbers of the issues that a pull request's text says it closes, by GitHub's own keywords, in order and once each.
pub fn closes(text: &str) -> Vec<u64> {
    const KEYWORDS: [&str; 9] =
        ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];
    let mut found = Vec::new();
    let mut keyword = false;
    for word in text.split_whitespace() {
        let plain = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '#');
        if keyword
            && let Some(number) = plain.strip_prefix('#').and_then(|number| number.parse().ok())
            && !found.contains(&number)
        {
            found.push(number);
        }
        keyword = KEYWORDS.contains(&plain.to_ascii_lowercase().as_str());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_name_issues() {
        for (text, expected) in [
            ("Fixes #12", vec![12]),
            ("closes: #3, and resolves #4. Also fixes #3", vec![3, 4]),
            ("see #5", vec![]),
            ("prefixes #6", vec![]),
            ("Fixes\n#7", vec![7]),
            ("fixes other/repo#8", vec![]),
        ] {
            assert_eq!(closes(text), expected, "{text:?}");
        }
    }
}
