//! What one run has used of the model: counted while answers stream, also when nobody waits for their end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

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
    under_way: Mutex<UnderWay>,
    /// Told whenever it is known better what a request costs.
    settled: Notify,
    /// Held by the request that is next.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct UnderWay {
    requests: usize,
    /// The most that they may cost beyond what has been counted already.
    reserved: i64,
}

impl Ledger {
    pub fn new(budget: i64, before: i64) -> Self {
        Self(Arc::new(Account {
            budget,
            before,
            used: watch::Sender::new(Usage::default()),
            by_model: Mutex::default(),
            under_way: Mutex::default(),
            settled: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        }))
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

    /// Whether nothing is left, not counting what the requests under way are still to cost.
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

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Open an account for one request, or `None` when the budget is used up.
    ///
    /// A request that may cost more than is left waits until those before it have told what they did cost: then it is
    /// alone, or there is room for it, or the budget is used up. So parallel subagents go on working, one after the other
    /// towards the end (Claude Code waits ten minutes for an answer, then asks again), and a budget is overdrawn by one
    /// answer at the most.
    pub async fn open(&self, model: &str, rate: Rate, size: Size) -> Option<Meter> {
        // Whoever came first goes first: the small ones would keep a large one waiting for ever.
        let _turn = self.0.turn.lock().await;
        loop {
            let settled = self.0.settled.notified();
            match self.try_open(model, rate, size) {
                Ok(meter) => return Some(meter),
                Err(Shut::Spent) => return None,
                Err(Shut::Full) => settled.await,
            }
        }
    }

    /// What can be said at once. A request that is alone may cost anything: a run that has money left must be able to go on.
    pub fn try_open(&self, model: &str, rate: Rate, size: Size) -> Result<Meter, Shut> {
        let estimate = size.input_bytes as u64 / BYTES_PER_TOKEN;
        let most = rate.cost(&Tokens { cache_write: estimate, output: size.most_output, ..Tokens::default() });
        let mut under_way = self.under_way();
        let held = self.spent().saturating_add(under_way.reserved);
        if self.is_spent() {
            return Err(Shut::Spent);
        }
        if under_way.requests > 0 && held.saturating_add(most) > self.0.budget {
            return Err(Shut::Full);
        }
        under_way.requests += 1;
        under_way.reserved = under_way.reserved.saturating_add(most);
        Ok(Meter {
            ledger: self.clone(),
            model: named(model),
            rate,
            most,
            reserved: most,
            most_output: size.most_output,
            estimate,
            counted: Tokens::default(),
            micros: 0,
            state: State::Unsent,
        })
    }
}

/// What is known of a request before it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub input_bytes: usize,
    /// Its `max_tokens`.
    pub most_output: u64,
}

/// Why no account is opened now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// Nothing is left.
    Spent,
    /// What is left may be used up by the requests under way.
    Full,
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
    /// The most that it was taken to cost, and what it may still cost beyond what has been counted.
    most: i64,
    reserved: i64,
    most_output: u64,
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
        self.ledger.0.settled.notify_waiters();
    }

    /// The output can't be less than this: so much text has come.
    pub fn at_least(&mut self, output: u64) {
        if output > self.counted.output {
            self.count(Tokens { output, ..self.counted });
        }
    }

    fn count(&mut self, tokens: Tokens) {
        let micros = self.rate.cost(&tokens);
        let rest = self.most_output.saturating_sub(tokens.output);
        let rest = self.rate.cost(&Tokens { output: rest, ..Tokens::default() });
        // Once the API has told what the input is, only the rest of the answer is unknown.
        let reserved = if self.state == State::Told { rest } else { self.most.saturating_sub(micros).max(rest) };
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
        {
            let mut models = self.ledger.0.by_model.lock().unwrap_or_else(PoisonError::into_inner);
            let known = models.contains_key(&self.model) || models.len() < MODELS;
            add(models.entry(if known { self.model.clone() } else { OTHERS.to_owned() }).or_default());
        }
        // After it was counted: what is held by nobody for a moment could be given away twice.
        self.reserve(reserved);
    }

    fn reserve(&mut self, reserved: i64) {
        let old = std::mem::replace(&mut self.reserved, reserved);
        let mut under_way = self.ledger.under_way();
        under_way.reserved = under_way.reserved.saturating_sub(old).saturating_add(reserved);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.state == State::Sent {
            // Given up before the API said anything, or answered in words that we can't read. It is paid for all the
            // same, so an agent can't work for nothing by hanging up early.
            self.count(Tokens { input: self.counted.input.max(self.estimate), ..self.counted });
        }
        self.reserve(0);
        self.ledger.under_way().requests -= 1;
        self.ledger.0.settled.notify_waiters();
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

    fn size(input_bytes: usize, most_output: u64) -> Size {
        Size { input_bytes, most_output }
    }

    #[test]
    fn a_budget_that_is_used_up_opens_no_more_requests() {
        let ledger = Ledger::new(1_000, 400);
        let mut meter = ledger.try_open("opus", rate(), size(40, 0)).unwrap();
        meter.sent();
        meter.told(Tokens { input: 100, output: 4, ..Tokens::default() });
        assert_eq!(ledger.usage().micros, 600);
        assert_eq!(ledger.try_open("opus", rate(), size(40, 0)).unwrap_err(), Shut::Spent);
        assert!(ledger.is_spent());
    }

    #[test]
    fn only_a_request_that_is_alone_may_overdraw() {
        let ledger = Ledger::new(1_000_000, 0);
        // A tenth of a dollar each, for four thousand tokens of output.
        let open = || ledger.try_open("opus", rate(), size(0, 4000));
        let mut first = open().unwrap();
        let others: Vec<Meter> = (0..9).map(|_| open().unwrap()).collect();
        assert_eq!(open().unwrap_err(), Shut::Full, "ten fill the budget");
        // What has been counted of one is not held a second time.
        first.sent();
        first.told(Tokens { output: 3000, ..Tokens::default() });
        assert_eq!(open().unwrap_err(), Shut::Full);
        drop(first);
        let small = || ledger.try_open("opus", rate(), size(0, 1000));
        let last = small().unwrap();
        assert_eq!(small().unwrap_err(), Shut::Full);
        drop((others, last));
        assert_eq!(ledger.usage().micros, 75_000, "what was never sent costs nothing");
        // Alone it may cost more than there is: nothing would ever come of the run otherwise.
        let large = ledger.try_open("opus", rate(), size(4_000_000, 128_000)).unwrap();
        assert_eq!(small().unwrap_err(), Shut::Full);
        drop(large);
        assert!(small().is_ok());
    }

    #[tokio::test]
    async fn requests_in_parallel_cost_the_budget_and_one_answer_more_at_the_most() {
        let ledger = Ledger::new(1_000_000, 0);
        let ask = |ledger: Ledger| async move {
            // 32000 tokens of output are 0.8 dollars: a second one does not fit beside the first.
            let Some(mut meter) = ledger.open("opus", rate(), size(400, 32_000)).await else { return false };
            meter.sent();
            tokio::task::yield_now().await;
            meter.told(Tokens { input: 100, output: 16_000, ..Tokens::default() });
            true
        };
        let all = (0..32).map(|_| tokio::spawn(ask(ledger.clone())));
        let answered = futures::future::join_all(all).await.into_iter().filter(|it| *it.as_ref().unwrap()).count();
        assert_eq!((answered, ledger.usage().micros), (3, 3 * 400_500));
    }

    #[test]
    fn models_are_told_apart_as_far_as_they_are_few() {
        let ledger = Ledger::new(1_000_000, 0);
        let ask = |model: &str| {
            let mut meter = ledger.try_open(model, rate(), size(40, 0)).unwrap();
            meter.sent();
            meter.told(Tokens { input: 1, output: 2, ..Tokens::default() });
        };
        for model in ["opus", "haiku", "opus", "a\u{7}b"] {
            ask(model);
        }
        let outputs = |ledger: &Ledger| -> Vec<(String, u64)> {
            ledger.by_model().into_iter().map(|(model, used)| (model, used.output)).collect()
        };
        assert_eq!(outputs(&ledger), [("a?b".to_owned(), 2), ("haiku".to_owned(), 2), ("opus".to_owned(), 4)]);
        for n in 0..20 {
            ask(&format!("model-{n}"));
        }
        let all = outputs(&ledger);
        assert_eq!((all.len(), all.iter().map(|it| it.1).sum::<u64>()), (MODELS + 1, ledger.usage().output));
    }

    #[test]
    fn what_is_told_replaces_what_was_told_before() {
        let ledger = Ledger::new(1_000_000, 0);
        let mut meter = ledger.try_open("opus", rate(), size(40, 0)).unwrap();
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
        let mut meter = ledger.try_open("opus", rate(), size(4000, 0)).unwrap();
        meter.sent();
        drop(meter);
        assert_eq!(ledger.usage().input, 1000);
        let mut meter = ledger.try_open("opus", rate(), size(4000, 0)).unwrap();
        meter.sent();
        meter.free();
        drop(meter);
        assert_eq!(ledger.usage().input, 1000, "an error costs nothing");
    }
}
