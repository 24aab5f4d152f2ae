//! A key for the model that whoever asked has brought: it works for their task alone, and what is wrong with it is theirs to
//! mend. The operator's key takes nothing over, and hears of none of its troubles.

use super::{Halt, Pause, Run};
use crate::agent::Why;
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
                text::hold_until(&key, self.app.config.runs.longest_life());
                Ok(Some(key))
            }
            Err(error) if error.chain().any(|it| it.downcast_ref::<crate::store::Error>().is_some()) => {
                Err(Halt::Pause(Pause::from(error)))
            }
            // Wiped, or sealed with a key that is gone.
            _ => Err(Halt::End(Ending::new("own_key_gone", said("gone")))),
        }
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
        let model = model.map(|it| format!(" The model says: {}", text::line(&it, 200))).unwrap_or_default();
        self.task.own_key.then(|| Ending::new(code, format!("{}{model}", said(why))))
    }
}

fn said(why: &str) -> String {
    text::render("report/own_key.md", &serde_json::json!({ "why": why })).trim().to_owned()
}
