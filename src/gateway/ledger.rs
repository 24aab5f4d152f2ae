//! What one run has used of the model: counted while answers stream, also when nobody waits for their end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::price::{Rate, Tokens};

/// What a run has used through its gate. What an earlier attempt of the run used is not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens by kind; `input` is without those read from or written to the cache.
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub micros: i64,
    /// Requests that were passed on to the model API.
    pub requests: u64,
}

/// The account of one run. Cheap to clone; all clones are the same account.
#[derive(Debug, Clone)]
pub(super) struct Ledger(Arc<Account>);

#[derive(Debug)]
struct Account {
    budget: i64,
    /// What earlier attempts used of the same budget.
    before: i64,
    used: watch::Sender<Usage>,
    /// The same by the model that was asked for.
    by_model: Mutex<BTreeMap<String, Usage>>,
    /// The least that the requests under way will cost.
    reserved: Mutex<i64>,
}

impl Ledger {
    pub fn new(budget: i64, before: i64) -> Self {
        let used = watch::Sender::new(Usage::default());
        Self(Arc::new(Account { budget, before, used, by_model: Mutex::default(), reserved: Mutex::default() }))
    }

    pub fn budget(&self) -> i64 {
        self.0.budget
    }

    pub fn usage(&self) -> Usage {
        *self.0.used.borrow()
    }

    pub fn by_model(&self) -> BTreeMap<String, Usage> {
        self.0.by_model.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn watch(&self) -> watch::Receiver<Usage> {
        self.0.used.subscribe()
    }

    /// Whether nothing is left, not counting the requests under way.
    pub fn is_spent(&self) -> bool {
        self.is_spent_by(&self.usage())
    }

    /// Whether nothing would be left if this were the usage.
    pub fn is_spent_by(&self, usage: &Usage) -> bool {
        self.0.before.saturating_add(usage.micros) >= self.0.budget
    }

    pub fn left(&self) -> i64 {
        self.0.budget.saturating_sub(self.spent()).max(0)
    }

    fn spent(&self) -> i64 {
        self.0.before.saturating_add(self.0.used.borrow().micros)
    }

    fn reserved(&self) -> MutexGuard<'_, i64> {
        self.0.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Open an account for one request, or `None` when the budget is used up.
    ///
    /// What is reserved is the least that the request can cost: its input, read from the cache. So many requests at
    /// once can't slip past a budget that the first of them will use up, and none is refused that could be paid for.
    /// What an answer will cost nobody knows before it ends: each request under way may overdraw by its own answer.
    pub fn open(&self, model: &str, rate: Rate, input_bytes: usize) -> Option<Meter> {
        let estimate = input_bytes as u64 / BYTES_PER_TOKEN;
        let least = rate.cost(&Tokens { cache_read: estimate, ..Tokens::default() });
        let mut reserved = self.reserved();
        if self.spent().saturating_add(*reserved) >= self.0.budget {
            return None;
        }
        *reserved += least;
        Some(Meter {
            ledger: self.clone(),
            model: named(model),
            rate,
            least,
            estimate,
            counted: Tokens::default(),
            micros: 0,
            state: State::Unsent,
        })
    }
}

/// Models that are told apart in one run; an agent that asks for more of them has the others counted together.
const MODELS: usize = 8;
const OTHERS: &str = "…";

/// What people may read as the name of a model: a sandbox has written it.
fn named(model: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    model.chars().take(100).map(plain).collect()
}

/// A token is about four bytes of English or code; used only where the API did not tell.
pub(super) const BYTES_PER_TOKEN: u64 = 4;

/// Counts one request. Whatever has not been counted when it is dropped is counted then, by estimate.
#[derive(Debug)]
pub(super) struct Meter {
    ledger: Ledger,
    model: String,
    rate: Rate,
    least: i64,
    /// Input tokens by the size of the request.
    estimate: u64,
    counted: Tokens,
    micros: i64,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Unsent,
    /// The API has it and has told nothing yet.
    Sent,
    /// The API has told at least what the input is.
    Told,
    /// Answered with an error, which costs nothing.
    Free,
}

impl Meter {
    pub fn sent(&mut self) {
        self.state = State::Sent;
        self.ledger.0.used.send_modify(|usage| usage.requests += 1);
    }

    /// The API refused it.
    pub fn free(&mut self) {
        self.state = State::Free;
    }

    /// The API says that the request has used this much so far.
    pub fn told(&mut self, so_far: Tokens) {
        self.state = State::Told;
        self.count(so_far);
    }

    /// The output can't be less than this: so much text has come.
    pub fn at_least(&mut self, output: u64) {
        if output > self.counted.output {
            self.count(Tokens { output, ..self.counted });
        }
    }

    fn count(&mut self, tokens: Tokens) {
        let micros = self.rate.cost(&tokens);
        let (old, paid) = (std::mem::replace(&mut self.counted, tokens), std::mem::replace(&mut self.micros, micros));
        let more = |new: u64, old: u64, sum: u64| sum.saturating_add(new).saturating_sub(old);
        let add = |usage: &mut Usage| {
            usage.input = more(tokens.input, old.input, usage.input);
            usage.output = more(tokens.output, old.output, usage.output);
            usage.cache_read = more(tokens.cache_read, old.cache_read, usage.cache_read);
            let written = |tokens: &Tokens| tokens.cache_write.saturating_add(tokens.cache_write_1h);
            usage.cache_write = more(written(&tokens), written(&old), usage.cache_write);
            usage.micros = usage.micros.saturating_add(micros).saturating_sub(paid);
        };
        self.ledger.0.used.send_modify(add);
        let mut models = self.ledger.0.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        let known = models.contains_key(&self.model) || models.len() < MODELS;
        add(models.entry(if known { self.model.clone() } else { OTHERS.to_owned() }).or_default());
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.state == State::Sent {
            // Given up before the API said anything, or answered in words that we can't read. It is paid for all the
            // same, so an agent can't work for nothing by hanging up early.
            self.count(Tokens { input: self.counted.input.max(self.estimate), ..self.counted });
        }
        *self.ledger.reserved() -= self.least;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;
    use crate::gateway::price::Prices;

    fn rate() -> Rate {
        Prices::default().of("claude-opus-4")
    }

    #[test]
    fn a_budget_that_is_used_up_opens_no_more_requests() {
        let ledger = Ledger::new(1_000, 400);
        let mut meter = ledger.open("opus", rate(), 40).unwrap();
        meter.sent();
        meter.told(Tokens { input: 100, output: 4, ..Tokens::default() });
        assert_eq!(ledger.usage().micros, 600);
        assert!(ledger.open("opus", rate(), 40).is_none());
        assert!(ledger.is_spent());
    }

    #[test]
    fn models_are_told_apart_as_far_as_they_are_few() {
        let ledger = Ledger::new(1_000_000, 0);
        let ask = |model: &str| {
            let mut meter = ledger.open(model, rate(), 40).unwrap();
            meter.sent();
            meter.told(Tokens { input: 1, output: 2, ..Tokens::default() });
        };
        ["opus", "haiku", "opus", "a\u{7}b"].iter().for_each(|model| ask(model));
        let outputs = |ledger: &Ledger| -> Vec<(String, u64)> {
            ledger.by_model().into_iter().map(|(model, used)| (model, used.output)).collect()
        };
        assert_eq!(outputs(&ledger), [("a?b".to_owned(), 2), ("haiku".to_owned(), 2), ("opus".to_owned(), 4)]);
        (0..20).for_each(|n| ask(&format!("model-{n}")));
        let all = outputs(&ledger);
        assert_eq!((all.len(), all.iter().map(|it| it.1).sum::<u64>()), (MODELS + 1, ledger.usage().output));
    }

    #[test]
    fn requests_under_way_hold_their_least_cost() {
        let ledger = Ledger::new(1_000, 0);
        // 8000 bytes are about 2000 tokens, 1000 micro-dollars when they come from the cache.
        let first = ledger.open("opus", rate(), 8000).unwrap();
        assert!(ledger.open("opus", rate(), 8).is_none());
        drop(first);
        assert!(ledger.open("opus", rate(), 8).is_some());
        assert_eq!(ledger.usage(), Usage::default(), "what was never sent costs nothing");
    }

    #[test]
    fn what_is_told_replaces_what_was_told_before() {
        let ledger = Ledger::new(1_000_000, 0);
        let mut meter = ledger.open("opus", rate(), 40).unwrap();
        meter.sent();
        meter.told(Tokens { input: 10, output: 1, cache_write: 3, cache_write_1h: 4, ..Tokens::default() });
        meter.at_least(20);
        meter.told(Tokens { input: 10, output: 15, cache_write: 3, cache_write_1h: 4, ..Tokens::default() });
        drop(meter);
        let usage = ledger.usage();
        assert_eq!((usage.input, usage.output, usage.cache_write, usage.requests), (10, 15, 7, 1));
        assert_eq!(usage.micros, 50 + 375 + 19 + 40);
    }

    #[test]
    fn an_answer_that_nobody_waited_for_is_paid_by_estimate() {
        let ledger = Ledger::new(1_000_000, 0);
        let mut meter = ledger.open("opus", rate(), 4000).unwrap();
        meter.sent();
        drop(meter);
        assert_eq!(ledger.usage().input, 1000);
        let mut meter = ledger.open("opus", rate(), 4000).unwrap();
        meter.sent();
        meter.free();
        drop(meter);
        assert_eq!(ledger.usage().input, 1000, "an error costs nothing");
    }
}
