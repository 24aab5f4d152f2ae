//! The most that repositories may let through of an agent's work.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use clap::Args;
use serde::Serialize;

/// What the gate on the agent's work leaves to a repository's own settings.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Gate")]
pub struct Gate {
    /// Kinds of change that a repository's `gate.allow` may let through, comma separated.
    #[arg(
        long = "gate-most",
        env = "GATE_MOST",
        value_delimiter = ',',
        default_value = "agent_settings,binaries,git_settings,lockfiles,tests"
    )]
    pub most: Vec<Kinds>,
    /// The largest file that is published, in MiB; a repository may ask for less.
    #[arg(long = "gate-file-mb", env = "GATE_FILE_MB", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub file_mb: u32,
    /// The most files that are published at once; a repository may ask for less.
    #[arg(long = "gate-files", env = "GATE_FILES", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub files: u32,
}

/// A kind of change that is held back unless a repository and its operator let it through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What coding agents obey.
    AgentSettings,
    /// Files that are not text, but for small pictures, fonts, sounds and PDFs.
    Binaries,
    /// Who has to approve.
    CodeOwners,
    /// What git does with files, and what it or another tool runs on everybody's machine.
    GitSettings,
    /// A lockfile that changed alone.
    Lockfiles,
    /// Tests that go, or lose most of what they were.
    Tests,
    /// What a CI service runs with the repository's secrets, GitHub's or another.
    Workflows,
}

/// One kind of `GATE_MOST`, or none for an empty list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(pub Option<Kind>);

impl Kind {
    pub const ALL: [(&'static str, Self); 7] = [
        ("agent_settings", Self::AgentSettings),
        ("binaries", Self::Binaries),
        ("code_owners", Self::CodeOwners),
        ("git_settings", Self::GitSettings),
        ("lockfiles", Self::Lockfiles),
        ("tests", Self::Tests),
        ("workflows", Self::Workflows),
    ];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl Gate {
    /// The kinds that a repository may let through.
    pub fn most(&self) -> BTreeSet<Kind> {
        self.most.iter().filter_map(|kinds| kinds.0).collect()
    }
}

impl FromStr for Kinds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self(None));
        }
        let found = Kind::ALL.iter().find(|(name, _)| *name == text);
        let known = || Kind::ALL.map(|(name, _)| name).join(", ");
        found.map(|(_, kind)| Self(Some(*kind))).ok_or_else(|| format!("`{text}` is none of {}", known()))
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.map_or("", Kind::name))
    }
}
