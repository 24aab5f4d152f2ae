//! What is held back of an agent's work, and why. Decides without doing: an [`Inspection`] comes in, reasons go out.

use std::collections::BTreeSet;

use super::kinds::{is_agent_settings, is_git_settings, is_shown, is_workflow, tests_lost};
use super::names::is_invisible;
use super::{Change, Inspection};
use crate::config::Kind;

/// How much may be published, and what needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub max_file_bytes: u64,
    pub max_total_bytes: u64,
    pub max_files: usize,
    /// What the repository and its operator let through.
    pub allow: BTreeSet<Kind>,
}

impl Default for Policy {
    fn default() -> Self {
        // GitHub warns at 50 MiB and refuses at 100; an agent's file of more than 5 is an accident.
        Self { max_file_bytes: 5 << 20, max_total_bytes: 50 << 20, max_files: 1000, allow: BTreeSet::new() }
    }
}

/// A reason not to publish something as it is. Paths are bytes, since a path need not be text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldBack {
    /// It runs with the repository's secrets as soon as it is pushed.
    Workflow(Vec<u8>),
    /// It says who has to approve.
    CodeOwners(Vec<u8>),
    /// Coding agents obey it.
    AgentSettings(Vec<u8>),
    /// Git obeys it, or runs it.
    GitSettings(Vec<u8>),
    /// Nobody can read it.
    Binary(Vec<u8>),
    /// A test that is gone or mostly so.
    TestLost(Vec<u8>),
    /// A symlink that is absolute or leaves the tree.
    Symlink {
        path: Vec<u8>,
        target: Vec<u8>,
    },
    Submodule(Vec<u8>),
    /// A path that means something else on another system or to the eye.
    OddPath {
        path: Vec<u8>,
        why: &'static str,
    },
    LargeFile {
        path: Vec<u8>,
        bytes: u64,
    },
    /// Dependencies were pinned anew though nothing that asks for them changed.
    LockfileAlone(Vec<u8>),
    TooManyFiles(usize),
    TooLarge(u64),
    /// The work does not build on the commit that it was given.
    NotDescending,
    Merge,
    /// Something that would be held back is in a commit on the way and gone at the end.
    InHistory(Box<HeldBack>),
    /// The history was too long to be looked at.
    LongHistory,
    /// The diff was too long to be looked through for secrets.
    LongDiff,
}

impl HeldBack {
    /// The path to leave out, when everything else can go on without it.
    pub fn path(&self) -> Option<&[u8]> {
        match self {
            Self::Workflow(path)
            | Self::CodeOwners(path)
            | Self::AgentSettings(path)
            | Self::GitSettings(path)
            | Self::Binary(path)
            | Self::TestLost(path)
            | Self::Submodule(path)
            | Self::LockfileAlone(path)
            | Self::Symlink { path, .. }
            | Self::OddPath { path, .. }
            | Self::LargeFile { path, .. } => Some(path),
            _ => None,
        }
    }

    /// What would let it through, if anything does.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Workflow(_) => Some(Kind::Workflows),
            Self::CodeOwners(_) => Some(Kind::CodeOwners),
            Self::AgentSettings(_) => Some(Kind::AgentSettings),
            Self::GitSettings(_) => Some(Kind::GitSettings),
            Self::Binary(_) => Some(Kind::Binaries),
            Self::TestLost(_) => Some(Kind::Tests),
            Self::LockfileAlone(_) => Some(Kind::Lockfiles),
            Self::InHistory(why) => why.kind(),
            _ => None,
        }
    }

    /// Whether one squashed commit instead of the agent's own is the answer.
    pub fn is_cured_by_squash(&self) -> bool {
        matches!(self, Self::NotDescending | Self::Merge | Self::InHistory(_) | Self::LongHistory)
    }
}

impl Inspection {
    /// Whether a commit changes what GitHub takes as a workflow, be it on the way.
    pub fn has_workflows(&self) -> bool {
        let is = |change: &Change| change.path.to_ascii_lowercase().starts_with(b".github/workflows/");
        self.files.iter().chain(&self.passing).any(is)
    }
}

/// Everything that speaks against publishing this as it is, in a stable order.
pub fn judge(seen: &Inspection, policy: &Policy) -> Vec<HeldBack> {
    let mut found = BTreeSet::new();
    let changed = seen.files.iter().map(|c| c.path.as_slice()).collect::<BTreeSet<_>>();
    for change in &seen.files {
        found.extend(of_change(change, policy));
        found.extend(lockfile_alone(&change.path, &changed));
    }
    found.extend(tests_lost(&seen.files).into_iter().map(|change| HeldBack::TestLost(change.path.clone())));
    for change in &seen.passing {
        found.extend(of_change(change, policy).into_iter().map(|why| HeldBack::InHistory(Box::new(why))));
    }
    let all = [
        (seen.files.len() > policy.max_files || seen.cut.files, HeldBack::TooManyFiles(seen.files.len())),
        (seen.total_bytes > policy.max_total_bytes, HeldBack::TooLarge(seen.total_bytes)),
        (!seen.descends, HeldBack::NotDescending),
        (seen.commits.iter().any(|c| c.parents.len() > 1), HeldBack::Merge),
        (seen.cut.history, HeldBack::LongHistory),
        (seen.cut.diff, HeldBack::LongDiff),
    ];
    found.extend(all.into_iter().filter(|(is, _)| *is).map(|(_, why)| why));
    found.retain(|why| why.kind().is_none_or(|kind| !policy.allow.contains(&kind)));
    found.into_iter().collect()
}

fn of_change(change: &Change, policy: &Policy) -> Vec<HeldBack> {
    let path = || change.path.clone();
    let lower = change.path.to_ascii_lowercase();
    let mut found = Vec::new();
    if [&b"codeowners"[..], b".github/codeowners", b"docs/codeowners"].contains(&lower.as_slice()) {
        found.push(HeldBack::CodeOwners(path()));
    }
    let text = String::from_utf8_lossy(&lower);
    if is_workflow(&text) {
        found.push(HeldBack::Workflow(path()));
    }
    if is_agent_settings(&text) {
        found.push(HeldBack::AgentSettings(path()));
    }
    if is_git_settings(&text) {
        found.push(HeldBack::GitSettings(path()));
    }
    if change.old_mode == GITLINK || change.new_mode == GITLINK || lower == b".gitmodules" {
        found.push(HeldBack::Submodule(path()));
    }
    if change.new_mode == 0 {
        // A path can be odd and leave; only what comes is judged below.
        return found;
    }
    if change.new_mode == SYMLINK {
        let target = change.target.clone().unwrap_or_default();
        if change.target.is_none() || leaves(&change.path, &target) {
            found.push(HeldBack::Symlink { path: path(), target });
        }
    }
    if let Some(why) = odd(&change.path) {
        found.push(HeldBack::OddPath { path: path(), why });
    }
    if change.binary && !(change.size <= SMALL && is_shown(&text)) {
        found.push(HeldBack::Binary(path()));
    }
    if change.size > policy.max_file_bytes {
        found.push(HeldBack::LargeFile { path: path(), bytes: change.size });
    }
    found
}

/// Bytes of a picture, font or sound that nobody minds. Of what can run, no size is small: a build's wrapper has some 60 kB.
const SMALL: u64 = 100_000;
const SYMLINK: u32 = 0o120_000;
const GITLINK: u32 = 0o160_000;

/// Whether a symlink may lead out of the tree or into `.git`. Only `../…/name/…` is trusted: a `..` behind a name goes up
/// from wherever that name leads, which can be another symlink.
fn leaves(path: &[u8], target: &[u8]) -> bool {
    let depth = path.split(|b| *b == b'/').count() - 1;
    let parts = || target.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".");
    let up = parts().take_while(|p| *p == b"..").count();
    target.is_empty()
        || target.first() == Some(&b'/')
        || target.contains(&0)
        || target.contains(&b'\\')
        || up > depth
        || parts().skip(up).any(|p| p == b".." || is_dot_git(p))
}

/// What is wrong with a path.
fn odd(path: &[u8]) -> Option<&'static str> {
    let mut parts = path.split(|b| *b == b'/');
    let text = String::from_utf8_lossy(path);
    if path.is_empty() || parts.clone().any(<[u8]>::is_empty) {
        return Some("a part of it is empty");
    }
    if parts.clone().any(|p| p == b"." || p == b"..") {
        return Some("it leads somewhere else");
    }
    if parts.clone().any(is_dot_git) {
        return Some("it reaches into git's own directory");
    }
    if path.iter().any(|b| *b < 0x20 || *b == 0x7f) || text.chars().any(char::is_control) {
        return Some("it holds control characters");
    }
    if text.chars().any(is_invisible) {
        return Some("it holds invisible characters");
    }
    if path.contains(&b'\\') {
        return Some("it holds a backslash");
    }
    (path.len() > 1024 || parts.any(|p| p.len() > 255)).then_some("it is too long")
}

/// `.git` as any file system may understand it: in any case, with dots, spaces or a stream name behind it (NTFS), by its
/// short name, or with characters between that HFS+ does not see.
fn is_dot_git(part: &[u8]) -> bool {
    let text = String::from_utf8_lossy(part);
    let seen = text.chars().filter(|c| !is_invisible(*c)).collect::<String>().to_lowercase();
    let name = seen.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    name == ".git" || name.strip_prefix("git~").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// A lockfile that changed while no file beside it that it follows from did.
fn lockfile_alone(path: &[u8], changed: &BTreeSet<&[u8]>) -> Option<HeldBack> {
    const FOLLOWS: [(&str, &[&str]); 17] = [
        ("package-lock.json", &["package.json"]),
        ("npm-shrinkwrap.json", &["package.json"]),
        ("yarn.lock", &["package.json"]),
        ("pnpm-lock.yaml", &["package.json", "pnpm-workspace.yaml"]),
        ("bun.lock", &["package.json"]),
        ("bun.lockb", &["package.json"]),
        ("deno.lock", &["deno.json", "deno.jsonc", "package.json"]),
        ("cargo.lock", &["cargo.toml"]),
        ("go.sum", &["go.mod"]),
        ("poetry.lock", &["pyproject.toml"]),
        ("pdm.lock", &["pyproject.toml"]),
        ("uv.lock", &["pyproject.toml"]),
        ("pipfile.lock", &["pipfile"]),
        ("gemfile.lock", &["gemfile"]),
        ("composer.lock", &["composer.json"]),
        ("mix.lock", &["mix.exs"]),
        ("flake.lock", &["flake.nix"]),
    ];
    let name = path.rsplit(|b| *b == b'/').next()?.to_ascii_lowercase();
    let (_, sources) = FOLLOWS.iter().find(|(lock, _)| lock.as_bytes() == name)?;
    // In a workspace the manifest that changed may be anywhere below.
    let has_source = changed.iter().any(|other| {
        let other = other.rsplit(|b| *b == b'/').next().unwrap_or_default().to_ascii_lowercase();
        sources.iter().any(|s| s.as_bytes() == other)
    });
    (!has_source).then(|| HeldBack::LockfileAlone(path.to_vec()))
}

#[cfg(test)]
mod tests;
