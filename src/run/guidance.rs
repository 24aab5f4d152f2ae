//! What a project asks of those who work on it, agents included: files of the base branch, given to the agent as text.
//!
//! Claude Code itself reads none of them (`--setting-sources ""`): in the tree that it works in they are whatever the pull
//! request makes of them. These are read by us, from the commit that the work is to go into, and only regular files.

use super::checkout::{Tree, git_trouble};
use super::context;
use super::{Halt, Run};
use crate::sandbox::git::Sha;

/// Where projects keep it. What two of them have alike is given once.
const FILES: [&str; 3] = ["AGENTS.md", "CLAUDE.md", ".claude/CLAUDE.md"];
/// A longer one is left away: it would crowd out the work.
const LONGEST: u64 = 32 << 10;

/// Files by their names.
#[derive(Default)]
pub struct Guidance(Vec<(&'static str, String)>);

impl Run<'_> {
    /// Read it from the base branch, as of the trigger.
    pub async fn guidance(&self, tree: &Tree) -> Result<Guidance, Halt> {
        let Ok(base) = self.task.snapshot.base_sha.parse::<Sha>() else { return Ok(Guidance::default()) };
        let paths = FILES.map(str::as_bytes);
        let found = tree.mirror.files(&base, &paths, LONGEST).await.map_err(|error| git_trouble("checkout", error))?;
        let mut all: Vec<(&'static str, String)> = Vec::new();
        for (name, bytes) in FILES.into_iter().zip(found) {
            let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) else { continue };
            if !text.trim().is_empty() && all.iter().all(|(_, known)| *known != text) {
                all.push((name, text));
            }
        }
        Ok(Guidance(all))
    }
}

impl Guidance {
    /// As the system prompt has it; empty where there is none. What is hidden in these files is the project's own habit,
    /// and nobody is told of it.
    pub fn words(&self) -> String {
        let one = |(name, text): &(&str, String)| format!("`{name}`:\n\n{}", context::ours(text));
        self.0.iter().map(one).collect::<Vec<_>>().join("\n\n")
    }
}
