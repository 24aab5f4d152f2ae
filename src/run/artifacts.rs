//! What a run leaves for scripts: its commits as a patch and a bundle, the changed files, and the conversation. They go into
//! the store as soon as they are whole, before the run's files can go, so that any machine can give them out. Nothing of a run
//! fails with them.

use std::sync::PoisonError;

use anyhow::Context as _;
use serde_json::Value;
use tracing::warn;
use uuid::Uuid;

use super::inspect::BENCH;
use super::{Halt, Pause, Run};
use crate::agent;
use crate::sandbox::git::{GitError, Sha, Workbench};
use crate::sandbox::{Sandbox, SandboxError};
use crate::store::{Content, NewArtifact};
use crate::task::{CommitLine, LARGEST_ARTIFACT, Work};
use crate::text;

const PATCH: &str = "changes.patch";
pub const BUNDLE: &str = "commits.bundle";
const FILES: &str = "files.tar";
const TRANSCRIPT: &str = "transcript.jsonl";

/// The branch in the bundle.
const BRANCH: &str = "cloud-agent/work";

/// Why something is not given out.
const TOO_LARGE: &str = "too_large";
/// The gate has found what looks like a credential.
pub const SECRET: &str = "secret";
/// The gate could not look through all of it.
pub const UNREAD: &str = "unread";

impl Run<'_> {
    /// Keep what is about to be published, or told as a patch. On another machine than the one that made it there is
    /// nothing to keep it from; that one has done so.
    pub async fn keep_work(&self, work: &Work) {
        let (Some(head), dir) = (&work.head, self.dir.join(BENCH)) else { return };
        if !dir.exists() {
            return;
        }
        let kept = async {
            let git = self.app.git().await?;
            let base: Sha = work.onto.as_deref().unwrap_or(self.start()).parse()?;
            let head: Sha = head.parse()?;
            let bench = Workbench::open(&git, &dir);
            match bench.has(&head).await? {
                true => self.keep_commits(&bench, &base, &head).await,
                false => Ok(()),
            }
        };
        if let Err(error) = kept.await {
            warn!("Could not keep the work for scripts: {error:#}");
        }
    }

    /// Keep the work of which the gate has held something back, as it would have been published.
    pub async fn keep_held_back(&self, bench: &Workbench, base: &Sha, head: Option<&Sha>) {
        let Some(head) = head else { return };
        if let Err(error) = self.keep_commits(bench, base, head).await {
            warn!("Could not keep the work for scripts: {error:#}");
        }
    }

    /// Give nothing of the work out, nor of the conversation that may quote it; what was kept by an earlier attempt goes.
    pub async fn withhold(&self, why: &'static str) {
        if why == SECRET {
            *self.withheld.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
        for (name, content_type) in [(PATCH, PATCH_TYPE), (BUNDLE, BUNDLE_TYPE), (FILES, FILES_TYPE)] {
            self.keep(NewArtifact { name, content_type, content: Content::LeftOut(why) }).await;
        }
    }

    async fn keep_commits(&self, bench: &Workbench, base: &Sha, head: &Sha) -> anyhow::Result<()> {
        if base == head {
            // Others have pushed the same meanwhile.
            return Ok(());
        }
        let at = self.task.created_at / 1000;
        let patch = bench.whole_diff(base, head, LARGEST_ARTIFACT).await.context("make the patch")?;
        self.keep(artifact(PATCH, PATCH_TYPE, patch)).await;
        let bundle = bench.bundle(base, head, BRANCH, LARGEST_ARTIFACT).await.context("make the bundle")?;
        self.keep(artifact(BUNDLE, BUNDLE_TYPE, bundle)).await;
        let files = bench.changed_files(base, head, at, LARGEST_ARTIFACT).await.context("pack the changed files")?;
        self.keep(artifact(FILES, FILES_TYPE, files)).await;
        Ok(())
    }

    /// The commits that are to be published, for people.
    pub async fn commit_lines(&self, bench: &Workbench, base: &Sha, head: &Sha) -> Result<Vec<CommitLine>, GitError> {
        let line = |(sha, subject): (Sha, String)| CommitLine {
            sha: sha.as_str().to_owned(),
            subject: text::line(&text::redact(&subject), 200),
        };
        Ok(bench.commits(base, head).await?.into_iter().map(line).collect())
    }

    /// Remember a conversation of this attempt.
    pub fn note_conversation(&self, session: Uuid) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if !sessions.contains(&session) {
            sessions.push(session);
        }
    }

    /// The conversation that this attempt has begun or taken up last.
    pub fn last_conversation(&self) -> Option<Uuid> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).last().copied()
    }

    /// Keep the conversations of this attempt, one after the other, whatever came of it: not where somebody else has the
    /// task by now, or takes it up at once.
    pub async fn keep_transcript<T>(&self, sandbox: &dyn Sandbox, came_of_it: &Result<T, Halt>) {
        if matches!(came_of_it, Err(Halt::Pause(Pause::Lost | Pause::Draining))) {
            return;
        }
        let withheld = *self.withheld.lock().unwrap_or_else(PoisonError::into_inner);
        let content = match withheld {
            Some(why) => Content::LeftOut(why),
            None => match self.transcript(sandbox).await {
                Ok(None) => return,
                Ok(Some(content)) => content,
                Err(error) => return warn!("Could not keep the transcript: {error:#}"),
            },
        };
        self.keep(NewArtifact { name: TRANSCRIPT, content_type: TRANSCRIPT_TYPE, content }).await;
    }

    async fn transcript(&self, sandbox: &dyn Sandbox) -> anyhow::Result<Option<Content>> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = Vec::new();
        for session in sessions {
            match sandbox.get(&agent::command::transcript(session), LARGEST_ARTIFACT as u64).await {
                Ok(lines) => all.extend_from_slice(&lines),
                Err(SandboxError::TooLarge(..)) => return Ok(Some(Content::LeftOut(TOO_LARGE))),
                // There is none, or what the agent put in its place is no file.
                Err(SandboxError::NotFound(_) | SandboxError::Path(_)) => (),
                Err(error) => return Err(error.into()),
            }
        }
        if all.is_empty() {
            return Ok(None);
        }
        if all.len() > LARGEST_ARTIFACT {
            return Ok(Some(Content::LeftOut(TOO_LARGE)));
        }
        Ok(Some(Content::Bytes(tokio::task::spawn_blocking(text::carried(move || cleaned(&all))).await?)))
    }

    /// Best effort: what can't be kept is missed by scripts, and the task by everybody.
    async fn keep(&self, new: NewArtifact) {
        let name = new.name;
        match self.app.store.keep_artifact(self.job.lease(), new).await {
            Ok(true) => (),
            Ok(false) => warn!("{name} is not kept: the claim is void"),
            Err(error) => warn!("Could not keep {name}: {error:#}"),
        }
    }
}

const PATCH_TYPE: &str = "text/x-diff";
const BUNDLE_TYPE: &str = "application/x-git-bundle";
const FILES_TYPE: &str = "application/x-tar";
const TRANSCRIPT_TYPE: &str = "application/x-ndjson";

fn artifact(name: &'static str, content_type: &'static str, bytes: Option<Vec<u8>>) -> NewArtifact {
    NewArtifact { name, content_type, content: bytes.map_or(Content::LeftOut(TOO_LARGE), Content::Bytes) }
}

/// A transcript without what looks like a secret. Lines that hold none stay as they were written.
fn cleaned(transcript: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(transcript.len());
    for line in transcript.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<Value>(line) {
            Ok(said) => match text::redact_json(&said, text::redact) {
                same if same == said => clean.extend_from_slice(line),
                other => clean.extend_from_slice(other.to_string().as_bytes()),
            },
            // Cut off in the middle, or none of the CLI's.
            Err(_) => clean.extend_from_slice(text::redact(&String::from_utf8_lossy(line)).as_bytes()),
        }
        clean.push(b'\n');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_loses_its_secrets_and_stays_what_it_is() {
        let key = format!("ghp_{}", "x".repeat(36));
        let said = format!("{{\"b\": 1, \"a\":[\"hello\"]}}\n{{\"text\":\"it is {key}\"}}\nbroken {key}");
        let clean = String::from_utf8(cleaned(said.as_bytes())).unwrap();
        let lines: Vec<&str> = clean.lines().collect();
        assert_eq!((lines.len(), lines[0]), (3, "{\"b\": 1, \"a\":[\"hello\"]}"));
        assert!(
            !clean.contains(&key) && lines[1].starts_with("{\"text\":\"it is ") && lines[2].starts_with("broken "),
            "{clean}"
        );
    }
}
