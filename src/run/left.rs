//! What an attempt that was cut off has left on this machine: the agent's conversation in its sandbox, and the working tree
//! with all that it did. The next attempt goes on with both.
//!
//! Everything in them was written inside a sandbox. The conversation is read as bytes with a limit and put into the next
//! sandbox of the same task; the tree is handed to that one as it is, and no git of the host looks at it. On another machine
//! there is neither. What can be carried there is what was put aside in time (`aside`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;
use tracing::{info, warn};
use uuid::Uuid;

use super::checkout::Tree;
use super::session::LARGEST;
use super::{Halt, Run};
use crate::agent;
use crate::app::App;
use crate::sandbox::SandboxRef;
use crate::store::Kept;

/// Crashes after which the work begins anew: what is left may be what kills.
const FRESH: i64 = 2;

/// What is left, and worth going on with.
pub struct Left {
    pub session: Uuid,
    pub from: Source,
    /// What the agent had answered before the end.
    pub answer: Option<Value>,
}

/// Where it is left.
pub enum Source {
    /// On this machine: the conversation, as files of a sandbox. The work is in the tree.
    Here(Vec<(PathBuf, Bytes)>),
    /// In the database.
    Aside(Kept),
}

impl Run<'_> {
    /// What an earlier attempt has left, with the working tree that it is about.
    pub async fn left(&self) -> Result<Option<(Left, Tree)>, Halt> {
        let Some(step) = self.task.progress.agent.as_ref().filter(|_| self.job.claimed.attempts < FRESH) else {
            return Ok(None);
        };
        let Ok(session) = step.session.parse::<Uuid>() else { return Ok(None) };
        let found = match self.left_here(session, &step.tree).await? {
            Some((files, tree)) => Some((Source::Here(files), step.answer.clone(), tree)),
            None => match self.aside(step).await? {
                // What it answered later, about another tree, is not about this one.
                Some((kept, tree)) => {
                    let answer = step.answer.clone().filter(|_| kept.tree == step.tree);
                    Some((Source::Aside(kept), answer, tree))
                }
                None => None,
            },
        };
        let Some((from, answer, tree)) = found else { return Ok(None) };
        info!("Going on where the last attempt was cut off");
        self.log.step("resumed", &session.to_string());
        Ok(Some((Left { session, from, answer }, tree)))
    }

    async fn left_here(&self, session: Uuid, nonce: &str) -> Result<Option<(Vec<(PathBuf, Bytes)>, Tree)>, Halt> {
        let Some(tree) = self.tree_left(nonce).await? else { return Ok(None) };
        let files = self.conversation_left(session, &tree.nonce).await;
        Ok((!files.is_empty()).then_some((files, tree)))
    }

    /// The longest transcript of a session that is left in sandboxes of this task with this tree.
    async fn conversation_left(&self, session: Uuid, tree: &str) -> Vec<(PathBuf, Bytes)> {
        let mut longest = Vec::new();
        for sandbox in sandboxes(self.app, &self.task.id.to_string(), Some(tree)).await {
            match agent::session_left(self.app.provider.as_ref(), &sandbox, session, LARGEST).await {
                Ok(files) if length(&files) > length(&longest) => longest = files,
                Ok(_) => (),
                Err(error) => warn!("Could not read what a sandbox has left: {error}"),
            }
        }
        longest
    }

    /// Remove the sandboxes of earlier attempts at this task.
    pub async fn remove_left_over(&self, but: &SandboxRef) {
        for sandbox in sandboxes(self.app, &self.task.id.to_string(), None).await {
            if sandbox == *but {
                continue;
            }
            if let Err(error) = self.app.provider.destroy(&sandbox).await {
                warn!("Could not remove the sandbox of an earlier attempt: {error}");
            }
        }
    }
}

/// End what runs of a task on this machine. What it has left stays for whoever goes on.
pub async fn abandon(app: &App, task_id: &str) {
    for sandbox in sandboxes(app, task_id, None).await {
        if let Err(error) = app.provider.end(&sandbox).await {
            warn!(task.id = task_id, "Could not end a sandbox: {error}");
        }
    }
}

async fn sandboxes(app: &App, task_id: &str, tree: Option<&str>) -> Vec<SandboxRef> {
    let mut labels = BTreeMap::from([("run".to_owned(), task_id.to_owned())]);
    labels.extend(tree.map(|tree| ("tree".to_owned(), tree.to_owned())));
    app.provider.list(&labels).await.unwrap_or_default()
}

fn length(files: &[(PathBuf, Bytes)]) -> usize {
    files.first().map_or(0, |(_, bytes)| bytes.len())
}
