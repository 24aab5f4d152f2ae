//! GitHub's rate limits, counted for real: requests per hour, and content created per minute and hour.

use super::answer::Answer;
use super::state::State;
use super::{Options, World};

const HOUR: u64 = 3600;

/// Where a caller stands in the current hour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub limit: u64,
    pub used: u64,
    pub reset: u64,
}

impl Budget {
    pub fn remaining(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// The five headers of every answer.
    pub fn headers(self) -> Vec<(String, String)> {
        let value = |name: &str, value: String| (format!("x-ratelimit-{name}"), value);
        vec![
            value("limit", self.limit.to_string()),
            value("remaining", self.remaining().to_string()),
            value("used", self.used.to_string()),
            value("reset", self.reset.to_string()),
            value("resource", "core".to_owned()),
        ]
    }
}

/// Reads the caller's budget, spending `cost` of it. Installation tokens of one installation share a budget.
pub(crate) fn spend(world: &World, state: &mut State, who: &str, cost: u64) -> Budget {
    let now = world.clock.now();
    let limit = if who == "nobody" { 60 } else { world.options.primary_limit };
    let (used, since) = state.used.entry(who.to_owned()).or_insert((0, now));
    if now >= *since + HOUR {
        (*used, *since) = (0, now);
    }
    *used = (*used + cost).min(limit + 1);
    Budget { limit, used: (*used).min(limit), reset: *since + HOUR }
}

/// Whether this caller has gone over.
pub(crate) fn exhausted(world: &World, state: &State, who: &str) -> bool {
    let limit = if who == "nobody" { 60 } else { world.options.primary_limit };
    state.used.get(who).is_some_and(|(used, since)| *used > limit && world.clock.now() < since + HOUR)
}

pub(crate) fn primary(message_for: &str) -> Answer {
    Answer::refuse(403, &format!("API rate limit exceeded for {message_for}."))
}

pub(crate) fn secondary(retry_after: Option<u64>) -> Answer {
    let no = Answer::refuse(
        403,
        "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. Please \
         retry your request again later.",
    );
    match retry_after {
        Some(seconds) => no.with("retry-after", seconds.to_string()),
        None => no,
    }
}

/// Counts one thing created by an account, or refuses because it has created too much.
pub(crate) fn create(options: &Options, state: &mut State, by: u64, now: u64) -> Result<(), Answer> {
    let created = state.created.entry(by).or_default();
    while created.front().is_some_and(|at| at + HOUR <= now) {
        created.pop_front();
    }
    let (per_minute, per_hour) = options.content_budget;
    let last_minute = created.iter().filter(|at| **at + 60 > now).count();
    if last_minute >= per_minute || created.len() >= per_hour {
        return Err(secondary(Some(60)));
    }
    created.push_back(now);
    Ok(())
}
