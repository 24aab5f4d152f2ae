//! The questions of a review and their answers, written down one by one: after a crash only what has no answer is asked.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tracing::info;

use crate::run::agent::{Asking, Room};
use crate::run::{Halt, Run};
use crate::task::{Pass, Progress};

/// A longer answer is not written down; its question would be asked again.
const LONGEST: usize = 256 << 10;

/// What is answered so far.
pub struct Passes(Vec<Pass>);

impl Passes {
    /// What earlier attempts have heard.
    pub fn of(run: &Run<'_>) -> Self {
        Self(run.task.progress.passes.clone())
    }

    /// Ask, unless the same was asked before about the same code. None when the agent has not kept to the schema.
    pub async fn ask(
        &mut self,
        run: &Run<'_>,
        room: &Room,
        asking: Asking,
        about: &[u8],
    ) -> Result<Option<Value>, Halt> {
        let fingerprint = fingerprint(&asking, about);
        if let Some(pass) = self.0.iter().find(|pass| pass.fingerprint == fingerprint) {
            info!("An earlier attempt has the answer");
            run.log.step("answered", "before");
            return Ok(Some(pass.answer.clone()));
        }
        let Some(answer) = run.ask(room, asking).await?.structured else { return Ok(None) };
        if answer.to_string().len() <= LONGEST {
            self.0.push(Pass { fingerprint, answer: answer.clone() });
            run.note(&Progress { passes: self.0.clone(), ..Progress::default() }).await?;
        }
        run.log.step("answered", "");
        Ok(Some(answer))
    }
}

fn fingerprint(asking: &Asking, about: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [asking.schema.as_bytes(), asking.prompt.as_bytes(), about] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
