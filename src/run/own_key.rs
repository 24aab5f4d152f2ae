//! A key for the model that whoever asked has brought: it works for their task alone, and what is wrong with it is theirs to
//! mend. The operator's key takes nothing over, and hears of none of its troubles.

use super::{Halt, Pause, Run};
use crate::agent::{Answer, Why};
use crate::gateway::Gate;
use crate::store::Secret;
use crate::task::Ending;
use crate::text;

impl Run<'_> {
    /// The key that was brought for this task, if one was. A task whose key can't be had ends: it was not to be paid for by
    /// somebody else.
    pub async fn own_key(&self) -> Result<Option<secrecy::SecretString>, Halt> {
        if !self.task.own_key {
            return Ok(None);
        }
        match self.app.store.secret_of(&self.task.id.to_string(), Secret::ModelKey).await {
            Ok(Some(key)) => {
                text::hold_brought(&key, self.app.config.runs.longest_life());
                Ok(Some(key))
            }
            Err(error) if error.chain().any(|it| it.downcast_ref::<crate::store::Error>().is_some()) => {
                Err(Halt::Pause(Pause::from(error)))
            }
            // Wiped, or sealed with a key that is gone.
            _ => Err(Halt::End(Ending::new("own_key_gone", said("gone")))),
        }
    }

    /// What the agent says, without the key that was brought: it is kept, and read where nobody knows the key.
    pub fn without_own_key(&self, said: Answer) -> Answer {
        if !self.task.own_key {
            return said;
        }
        let clean = serde_json::to_value(&said).map(|it| text::redact_json(&it, text::redact_held));
        clean.and_then(serde_json::from_value).unwrap_or_default()
    }

    /// The ending, where the model does not take the caller's key or its account has no credit.
    pub fn own_key_trouble(&self, why: &Why, gate: &Gate) -> Option<Ending> {
        let code = match why {
            Why::ModelRefusedKey => "own_key_refused",
            Why::ModelOutOfCredit => "own_key_out_of_credit",
            _ => return None,
        };
        let why = code.strip_prefix("own_key_").unwrap_or_default();
        let model = gate.trouble().map(|it| it.message).filter(|it| !it.is_empty());
        let model = model
            .map(|it| format!(" The model says: {}", text::redact_held(&text::line(&it, 200))))
            .unwrap_or_default();
        self.task.own_key.then(|| Ending::new(code, format!("{}{model}", said(why))))
    }
}

fn said(why: &str) -> String {
    text::render("report/own_key.md", &serde_json::json!({ "why": why })).trim().to_owned()
}
