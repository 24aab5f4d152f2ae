//! What the agent knew, kept for the next task on the same pull request, and given back to it in a fresh sandbox.

use bytes::Bytes;
use tracing::{info, warn};
use uuid::Uuid;

use super::Run;
use crate::agent;
use crate::sandbox::Sandbox;
use crate::store::StoredSession;
use crate::task::Lane;

/// Most bytes of a packed conversation; one of a hundred turns has about 1 MB.
pub const LARGEST: u64 = 24 << 20;

/// A conversation to go on with.
pub struct Earlier {
    pub id: Uuid,
    pub archive: Bytes,
}

impl Run<'_> {
    /// The conversation that this task goes on with, if it does and there is one. What was said in a sandbox with a
    /// stranger's code never comes into one that publishes: only those keep theirs. What was said in one that read a
    /// stranger's words never comes into one that has the network, whatever made this one trusted since.
    pub async fn earlier(&self) -> Option<Earlier> {
        if !self.task.snapshot.goes_on || !self.task.snapshot.lane.publishes() {
            return None;
        }
        let kept = self.kept().await.unwrap_or_else(|error| {
            warn!("Could not read the earlier conversation: {error:#}");
            None
        });
        if kept.is_none() && self.task.parent_id.is_some() {
            // Somebody has named what is gone on with.
            self.log.step("resumed", "without the earlier conversation");
        }
        let kept = kept?;
        let id = kept.session_id.parse().ok()?;
        info!("Going on with an earlier conversation");
        Some(Earlier { id, archive: kept.archive.into() })
    }

    /// What the task that was named has said, or else the newest about the same issue or pull request.
    async fn kept(&self) -> anyhow::Result<Option<StoredSession>> {
        let (store, place) = (&self.app.store, &self.task.place);
        let named = match &self.task.parent_id {
            Some(parent) => store.session_of(parent).await?.map(|kept| (parent.clone(), kept)),
            None => None,
        };
        let found = match named {
            Some(named) => Some(named),
            None => store.session_about(place.repository_id, place.number).await?,
        };
        let Some((whose, kept)) = found else { return Ok(None) };
        let said_in = store.task(&whose).await?.map(|task| task.snapshot.lane);
        Ok((self.task.snapshot.lane != Lane::Trusted || said_in == Some(Lane::Trusted)).then_some(kept))
    }

    /// Keep the conversation, however the run came out: who asks to go on should find it. Best effort.
    pub async fn keep_conversation(&self, sandbox: &dyn Sandbox, id: Uuid) {
        if !self.task.snapshot.lane.publishes() {
            return;
        }
        let archive = match agent::session_out(sandbox, id, LARGEST).await {
            Ok(Some(archive)) => archive.to_vec(),
            Ok(None) => return,
            Err(error) => return info!("The conversation could not be taken out of the sandbox: {error}"),
        };
        let session = StoredSession { session_id: id.to_string(), archive };
        if let Err(error) = self.app.store.keep_session(self.job.lease(), &session).await {
            warn!("Could not keep the conversation: {error:#}");
        }
    }
}
