//! What a task waits for, when it tries again, and when it has waited enough.

use serde::{Deserialize, Serialize};

use super::Ending;
use crate::clock::Millis;

/// The first pause, and the longest; a pause is twice as long as the one before.
const FIRST: Millis = 5_000;
const LONGEST: Millis = 300_000;
/// The longest while this machine is unwell: it is looked at all the time.
const LONGEST_HERE: Millis = 30_000;
/// So many tasks may wait for the same thing: they come back over this time.
const SPREAD: f64 = 1_000.0;

/// Who or what keeps a task waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// GitHub has said when to come back.
    RateLimit,
    Github,
    Git,
    Model,
    /// This machine: no sandbox, no Claude Code, no room.
    Host,
}

impl WaitsFor {
    pub const ALL: [Self; 5] = [Self::RateLimit, Self::Github, Self::Git, Self::Model, Self::Host];

    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::Github => "github",
            Self::Git => "git",
            Self::Model => "model",
            Self::Host => "host",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// A reason to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub on: WaitsFor,
    /// Not before, where somebody has said so.
    pub until: Option<Millis>,
    /// What is wrong, in a sentence.
    pub why: String,
    /// How the task ends when it has waited enough.
    pub ending: Box<Ending>,
}

/// What is stored of a task's waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// None when it does not wait at the moment.
    pub on: Option<WaitsFor>,
    pub until: Option<Millis>,
    pub says: Option<String>,
    /// Since when it has got nowhere.
    pub since: Option<Millis>,
    pub tries: u32,
}

impl Wait {
    pub fn new(on: WaitsFor, why: impl Into<String>) -> Self {
        let why = why.into();
        let code = match on {
            WaitsFor::RateLimit | WaitsFor::Github | WaitsFor::Git => "github_away",
            WaitsFor::Model => "model_unreachable",
            WaitsFor::Host => "sandbox",
        };
        Self { on, until: None, ending: Box::new(Ending::new(code, why.clone())), why }
    }

    /// The same, not before a moment.
    #[must_use]
    pub fn until(self, until: Millis) -> Self {
        Self { until: Some(until), ..self }
    }

    /// The same, with another end.
    #[must_use]
    pub fn or_else(self, ending: Ending) -> Self {
        Self { ending: Box::new(ending), ..self }
    }

    /// What the task waits for from `now` on, after what it has waited before; None when that is enough. `spread` is a
    /// number from 0 to 1 by which tasks that wait for the same thing differ.
    pub fn after(&self, before: &Waiting, now: Millis, limit: Millis, spread: f64) -> Option<Waiting> {
        let since = before.since.unwrap_or(now);
        let end = since.saturating_add(limit);
        if now >= end {
            return None;
        }
        let at = match self.until {
            Some(until) => until.max(now) + (spread * SPREAD) as Millis,
            None => now + pause(self.on, before.tries, spread),
        };
        Some(Waiting {
            on: Some(self.on),
            until: Some(at.min(end)),
            says: Some(self.why.clone()),
            since: Some(since),
            tries: before.tries.saturating_add(1),
        })
    }
}

/// How long to wait after so many tries. A fifth of it is left to chance, so that not all come back at once.
fn pause(on: WaitsFor, tries: u32, spread: f64) -> Millis {
    let longest = if on == WaitsFor::Host { LONGEST_HERE } else { LONGEST };
    let whole = (FIRST << tries.min(16)).min(longest);
    whole - (spread * whole as f64 / 5.0) as Millis
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = 24 * 3_600_000;

    #[test]
    fn pauses_grow_and_do_not_outgrow_five_minutes() {
        let all = |on, spread| (0..10).map(|tries| pause(on, tries, spread) / 1000).collect::<Vec<_>>();
        assert_eq!(all(WaitsFor::Github, 0.0), [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
        assert_eq!(all(WaitsFor::Github, 1.0), [4, 8, 16, 32, 64, 128, 240, 240, 240, 240]);
        assert_eq!(all(WaitsFor::Host, 0.0), [5, 10, 20, 30, 30, 30, 30, 30, 30, 30]);
        assert_eq!(pause(WaitsFor::Model, u32::MAX, 0.0), LONGEST);
    }

    #[test]
    fn what_waits_is_counted_until_it_is_enough() {
        let wait = Wait::new(WaitsFor::Model, "it is away");
        let mut now = 1_000_000;
        let (start, mut before, mut tries) = (now, Waiting::default(), 0);
        while let Some(next) = wait.after(&before, now, DAY, 0.5) {
            assert_eq!(next.since, Some(start));
            now = next.until.unwrap();
            before = next;
            tries += 1;
        }
        assert_eq!(now, start + DAY, "the end is met, not passed");
        assert!(tries < 400, "{tries} tries in a day");
    }

    #[test]
    fn who_says_when_is_believed() {
        let wait = Wait::new(WaitsFor::RateLimit, "slow down").until(90_000);
        let next = wait.after(&Waiting { tries: 9, ..Waiting::default() }, 1_000, DAY, 0.0).unwrap();
        assert_eq!(next.until, Some(90_000));
        let past = Wait { until: Some(5), ..wait }.after(&Waiting::default(), 1_000, DAY, 0.0).unwrap();
        assert_eq!(past.until, Some(1_000));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for it in WaitsFor::ALL {
            assert_eq!(WaitsFor::named(it.name()), Some(it));
        }
    }
}
