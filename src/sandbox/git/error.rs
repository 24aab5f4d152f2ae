//! Why git could not do something: read from its words, without secrets, in kinds that a caller can match on.

use std::io;

/// Why git could not do something. Texts are cut and hold no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    #[error("the remote does not accept the token: {0}")]
    Auth(String),
    #[error("not on the remote: {0}")]
    NotFound(String),
    #[error("can't reach the remote: {0}")]
    Unreachable(String),
    /// The remote understood and said no: rules, protection, a missing permission.
    #[error("the remote refused the push: {reason}")]
    Rejected { reason: String },
    #[error("the branch has moved: it is not where it was expected")]
    Moved,
    #[error("git {0} took too long and was ended")]
    Timeout(String),
    #[error("no space left: {0}")]
    Disk(String),
    /// Objects that should be in the mirror are missing or broken.
    #[error("the repository is damaged: {0}")]
    Damaged(String),
    /// What somebody pushed is nothing to check out: git knows its names or objects for attacks on who does.
    #[error("git refuses what was pushed: {0}")]
    Hostile(String),
    #[error("no working tree can be made of this commit: {0}")]
    TooLarge(String),
    /// What left the sandbox can't be taken: the agent's doing, not ours.
    #[error("the agent's bundle can't be used: {0}")]
    Bundle(String),
    #[error("{0}")]
    Other(String),
}

impl GitError {
    pub(super) fn io(doing: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Disk(format!("{doing}: {error}")),
            _ => Self::Other(format!("can't {doing}: {error}")),
        }
    }
}

/// Turn what git wrote into an error. `text` is standard error and, for a push, its table; already redacted.
pub(super) fn classify(verb: &str, text: &str) -> GitError {
    let any = |words: &[&str]| words.iter().any(|w| text.contains(w));
    let says = || format!("git {verb}: {}", gist(text));
    // Before all else: whoever pushed has chosen the names that stand in such a text, and could choose other words below.
    if matches!(verb, "fetch" | "read-tree") && any(&["fsck error in pack", "error: invalid path '"]) {
        return GitError::Hostile(says());
    }
    if let Some(error) = refusal(text) {
        return error;
    }
    if any(&["No space left on device", "Disk quota exceeded", "File too large"]) {
        GitError::Disk(says())
    } else if any(&[
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "error: 401",
        "error: 403",
        "Invalid username or ",
        "Permission to ",
        "Write access to repository not granted",
        "requires authentication",
    ]) {
        GitError::Auth(says())
    } else if any(&[
        "Repository not found",
        "error: 404",
        "' not found",
        "error: 410",
        "not our ref",
        // What a remote says that gives only what its branches contain.
        "unadvertised object",
        "couldn't find remote ref",
        // Redirects are not followed with a token: a renamed repository is under its new name.
        "error: 301",
        "error: 302",
        "error: 307",
        "error: 308",
        "redirection",
    ]) {
        GitError::NotFound(says())
    } else if any(&DAMAGE) {
        GitError::Damaged(says())
    } else if any(&[
        "Could not resolve host",
        "Failed to connect",
        "Couldn't connect",
        "Connection refused",
        "Connection reset",
        "Connection timed out",
        "Operation timed out",
        "Operation too slow",
        "early EOF",
        "unexpected disconnect",
        "RPC failed",
        "the remote end hung up",
        "expected flush",
        "returned error: 5",
        "error: 429",
        "SSL",
        "gnutls",
        "Empty reply from server",
        "unable to access",
    ]) {
        GitError::Unreachable(says())
    } else {
        GitError::Other(says())
    }
}

const DAMAGE: [&str; 17] = [
    "is corrupt",
    "bad object",
    "unable to read tree",
    "unable to read sha1",
    "missing blob",
    "missing tree",
    "missing commit",
    "inflate: data stream error",
    "unresolved delta",
    "did not send all necessary objects",
    "is empty\n",
    "cannot be accessed",
    "far too short",
    "failed to unpack tree object",
    "unable to read ",
    "not a git repository",
    "bad config",
];

/// What a push was refused with, from git's table (`! <from>:<to> [remote rejected] (reason)`).
fn refusal(text: &str) -> Option<GitError> {
    if ["[rejected] (stale info)", "[rejected] (fetch first)", "[rejected] (non-fast-forward)"]
        .iter()
        .any(|w| text.contains(w))
    {
        return Some(GitError::Moved);
    }
    let (_, rest) = text.split_once("[remote rejected]")?;
    let reason = rest.lines().next().unwrap_or_default().trim().trim_start_matches('(').trim_end_matches(')');
    let raced =
        ["cannot lock ref", "incorrect old value", "reference already exists", "failed to update ref", "fetch first"];
    if raced.iter().any(|w| reason.contains(w)) {
        return Some(GitError::Moved);
    }
    // The line with GitHub's rule number (GH006, GH013 …) says which rule; the reason only that there is one.
    let rule = text
        .lines()
        .filter_map(|l| l.strip_prefix("remote:"))
        .map(str::trim)
        .find(|l| l.contains(" GH") || l.starts_with("GH"));
    let reason = match rule {
        Some(rule) => format!("{reason} ({})", rule.trim_start_matches("error: ")),
        None => reason.to_owned(),
    };
    Some(GitError::Rejected { reason: reason.chars().take(1000).collect() })
}

/// The lines of an error that say something, at most some of them.
fn gist(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("hint:"));
    let words = lines.collect::<Vec<_>>().join("; ");
    if words.is_empty() {
        return "it failed without a word".to_owned();
    }
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1500).collect()
}

/// Take every token out of a text: those given, and whatever looks like one of GitHub's or like a password in a URL.
pub fn redact(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|s| s.len() >= 6) {
        text = text.replace(secret, "[secret]");
    }
    for prefix in ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "Basic ", "Bearer "] {
        text = mask_after(&text, prefix, 8, |c| c.is_ascii_alphanumeric() || "_-.+/=".contains(c));
    }
    mask_after(&text, "://", 1, |c| !c.is_whitespace() && !"@/'\"".contains(c))
}

/// Mask the characters that follow each `prefix`. After `://` only those that a `@` ends are a password.
fn mask_after(text: &str, prefix: &str, least: usize, part: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(prefix) {
        let (before, after) = rest.split_at(at + prefix.len());
        out.push_str(before);
        let end = after.find(|c| !part(c)).unwrap_or(after.len());
        let is_secret = end >= least && (prefix != "://" || after[end..].starts_with('@'));
        out.push_str(if is_secret { "[secret]" } else { &after[..end] });
        rest = &after[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_git_become_kinds() {
        let kind = |text: &str| classify("push", text);
        let workflows = "!\trefs/heads/x:refs/heads/x\t[remote rejected] (refusing to allow a GitHub App to create or update workflow `.github/workflows/x.yml` without `workflows` permission)\nDone";
        assert_eq!(
            kind(workflows),
            GitError::Rejected {
                reason: "refusing to allow a GitHub App to create or update workflow `.github/workflows/x.yml` without `workflows` permission".into()
            }
        );
        let rules = "remote: error: GH013: Repository rule violations found for refs/heads/x.\n! a:b [remote rejected] (push declined due to repository rule violations)";
        assert_eq!(
            kind(rules),
            GitError::Rejected {
                reason: "push declined due to repository rule violations (GH013: Repository rule violations found for refs/heads/x.)".into()
            }
        );
        assert_eq!(kind("!\ta:b\t[rejected] (stale info)\n"), GitError::Moved);
        for text in
            ["error: invalid path '.GIT/bad object/Authentication failed'", "fatal: fsck error in packed object"]
        {
            assert!(matches!(classify("read-tree", text), GitError::Hostile(_)), "{text}");
        }
        assert_eq!(
            kind("! a:b [remote rejected] (cannot lock ref 'refs/heads/x': reference already exists)"),
            GitError::Moved
        );
        let auth = "remote: Invalid username or token.\nfatal: Authentication failed for 'http://x/'";
        assert!(matches!(kind(auth), GitError::Auth(_)));
        assert!(matches!(
            kind("fatal: could not read Username for 'http://x': terminal prompts disabled"),
            GitError::Auth(_)
        ));
        assert!(matches!(
            kind("fatal: unable to access 'x': The requested URL returned error: 403"),
            GitError::Auth(_)
        ));
        assert!(matches!(
            kind("remote: Repository not found.\nfatal: repository 'x' not found"),
            GitError::NotFound(_)
        ));
        assert!(matches!(kind("fatal: remote error: upload-pack: not our ref 12"), GitError::NotFound(_)));
        assert!(matches!(
            kind("fatal: unable to access 'x': Failed to connect to 127.0.0.1 port 1"),
            GitError::Unreachable(_)
        ));
        assert!(matches!(
            kind("fatal: unable to access 'x': The requested URL returned error: 502"),
            GitError::Unreachable(_)
        ));
        assert!(matches!(kind("fatal: write error: No space left on device"), GitError::Disk(_)));
        assert!(matches!(
            kind("error: object file .git/x is empty\nfatal: loose object 12 is corrupt"),
            GitError::Damaged(_)
        ));
        assert!(matches!(kind("something else"), GitError::Other(_)));
    }

    #[test]
    fn no_secret_is_repeated() {
        let check = |input: &str, expected: &str| assert_eq!(redact(input, &["hunter22"]), expected);
        check("a hunter22 b", "a [secret] b");
        check("x ghs_0123456789abcdef.y-z w", "x ghs_[secret] w");
        check("https://u:p@h/x and https://h/x@y", "https://[secret]@h/x and https://h/x@y");
        check("Authorization: Basic eDp5eDp5eDp5", "Authorization: Basic [secret]");
        check("Basic usage", "Basic usage");
    }
}
