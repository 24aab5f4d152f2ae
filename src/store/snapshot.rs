//! The digest of a task's request and snapshot, over their texts as they are stored: made with the task, and held against
//! them each time that a run begins or is taken up again.

use anyhow::Result;
use sqlx::Row as _;

use super::Store;
use crate::task::digest;

/// What the digest is over, as it is stored.
pub(super) struct Stored<'s> {
    pub repository_id: i64,
    pub number: i64,
    pub kind: &'s str,
    pub requester_id: i64,
    pub trigger: &'s str,
    pub prompt: &'s str,
    pub snapshot: &'s str,
}

impl Stored<'_> {
    pub fn hash(&self) -> String {
        let ids = format!("{} {} {}", self.repository_id, self.number, self.requester_id);
        digest([ids.as_str(), self.kind, self.trigger, self.prompt, self.snapshot])
    }
}

impl Store {
    /// Whether a task's request and snapshot are what they were when it was made. Those of older versions have no digest,
    /// and count as they are.
    pub async fn snapshot_holds(&self, task_id: &str) -> Result<bool> {
        const SQL: &str =
            "select repository_id, number, requester_id, kind, trigger_json, prompt, snapshot, snapshot_hash
                           from task where task_id = $1";
        let Some(row) = sqlx::query(SQL).bind(task_id).fetch_optional(&self.read).await? else { return Ok(true) };
        let text = |column: &str| row.try_get::<String, _>(column);
        let (kind, trigger, prompt, snapshot) =
            (text("kind")?, text("trigger_json")?, text("prompt")?, text("snapshot")?);
        let now = Stored {
            repository_id: row.try_get("repository_id")?,
            number: row.try_get("number")?,
            kind: &kind,
            requester_id: row.try_get("requester_id")?,
            trigger: &trigger,
            prompt: &prompt,
            snapshot: &snapshot,
        };
        Ok(row.try_get::<Option<String>, _>("snapshot_hash")?.is_none_or(|then| then == now.hash()))
    }
}
