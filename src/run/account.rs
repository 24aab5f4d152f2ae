//! What a run costs, written down while it is spent.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::Run;
use crate::gateway::{Gate, Usage};
use crate::report::Money;
use crate::store::{Tokens, Used};

/// How often the cost is written down while the agent works.
const ACCOUNT: Duration = Duration::from_secs(2);

impl Run<'_> {
    /// Write down the cost as it grows: what an attempt has spent stays spent when it dies. A turn is a request to the
    /// model, as far as is known before the end.
    pub async fn keep_account(&self, gate: &Gate, turns: i64, requests: u64) -> std::convert::Infallible {
        let mut tick = tokio::time::interval(ACCOUNT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.show(|view| view.money.turns = turns + (gate.usage().requests - requests) as i64);
            self.account(gate).await;
        }
    }

    /// Turns that are left of a run's, after what earlier attempts have taken; one at least, which may be the answer.
    pub fn turns_left(&self) -> u32 {
        let taken = u32::try_from(self.task.turns).unwrap_or(u32::MAX);
        self.app.config.runs.run_turns.saturating_sub(taken).max(1)
    }

    /// Write down what it has cost so far, and remember whether the model has answered at all.
    pub async fn account(&self, gate: &Gate) {
        self.answered.fetch_or(gate.has_answered(), Ordering::Relaxed);
        let micros = self.task.spent_micros + gate.usage().micros;
        let elapsed = self.elapsed();
        self.show(|view| {
            view.money.micros = micros;
            view.elapsed = elapsed;
        });
        let Money { micros, turns } = self.money();
        if let Err(error) = self.app.store.spent(self.job.lease(), micros, turns).await {
            warn!("Could not write down the cost of a run: {error:#}");
        }
        for (model, used) in gate.usage_by_model() {
            if let Err(error) = self.app.store.use_model(self.job.lease(), &of_store(model, &used)).await {
                warn!("Could not write down the tokens of a run: {error:#}");
            }
        }
    }
}

fn of_store(model: String, used: &Usage) -> Used {
    let tokens = Tokens {
        input: used.input as i64,
        output: used.output as i64,
        cache_read: used.cache_read as i64,
        cache_write: used.cache_write as i64,
    };
    Used { model, tokens, micros: used.micros }
}
