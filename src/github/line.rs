//! How fast one installation may call, as plain arithmetic: what all who use its tokens have in common.
//!
//! GitHub takes 80 new things a minute from an installation and 500 an hour, and asks for a second between two writes.
//! Each budget is one number, the time at which it would be full again (GCRA): a burst, then one at a time. Burst and
//! rate add up to what GitHub allows, so that no minute and no hour of any cut sees more.

use crate::clock::Millis;

/// Why nothing may be sent for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests an hour.
    Primary,
    /// GitHub's guard against bursts; it does not say of what.
    Secondary,
    /// Ours, so that GitHub's on new comments, reviews and pull requests is never met.
    Content,
    /// Ours, so that GitHub's on requests a minute is never met.
    Pace,
}

impl Limit {
    pub const ALL: [Self; 4] = [Self::Primary, Self::Secondary, Self::Content, Self::Pace];

    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Content => "content",
            Self::Pace => "pace",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }
}

/// A number of things at once, then one each time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub every: Millis,
    pub burst: i64,
}

/// 20 at once, then one a second: 80 in any minute.
const MINUTE: Budget = Budget { every: 1_000, burst: 20 };
/// 200 at once, then one every twelve seconds: 500 in any hour.
const HOUR: Budget = Budget { every: 12_000, burst: 200 };

impl Budget {
    /// When this many more fit.
    pub fn when(self, full_at: Millis, now: Millis, many: i64) -> Millis {
        now.max(full_at + (many - self.burst) * self.every)
    }

    /// When the budget is full again, after this many are taken.
    pub fn after(self, full_at: Millis, taken_at: Millis, many: i64) -> Millis {
        full_at.max(taken_at) + many * self.every
    }

    /// Whether three quarters are used.
    fn is_nearly_used(self, full_at: Millis, now: Millis) -> bool {
        full_at - now > self.burst * self.every * 3 / 4
    }

    /// A clock that was set back must not hold us up for what was taken "in the future".
    fn mend(self, full_at: Millis, now: Millis) -> Millis {
        full_at.min(now + (self.burst + 10) * self.every)
    }
}

/// For how long GitHub asks us to be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    For(Millis),
    /// It does not say: a minute, and twice as long each time that it refuses again.
    Unsaid,
}

/// What was refused, and what the silence is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hushed {
    Everything,
    /// GraphQL's own budget is used up; REST goes on.
    GraphQl,
}

/// The first silence when GitHub does not say how long: its documentation asks for at least a minute.
pub(super) const UNSAID: Millis = 60_000;
/// The longest of these.
const LONGEST_UNSAID: Millis = 15 * 60_000;
/// No limit of GitHub's lasts longer than an hour.
const LONGEST: Millis = 2 * 3_600_000;

/// A write that wants to be made.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Between this write and the next.
    pub spacing: Millis,
    /// It makes or changes what people read, and so counts against what GitHub takes of that.
    pub content: bool,
    /// Longest that whoever asks will wait for the budget.
    pub patience: Millis,
}

/// Where an installation stands. Times are those of whoever keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub next_write_at: Millis,
    /// When the budget of a minute is full again.
    pub minute_at: Millis,
    pub hour_at: Millis,
    pub silent_until: Millis,
    pub graphql_until: Millis,
    /// Why it is silent.
    pub limit: Limit,
    /// Refusals one after another that did not say how long to wait.
    pub strikes: i64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            next_write_at: 0,
            minute_at: 0,
            hour_at: 0,
            silent_until: 0,
            graphql_until: 0,
            limit: Limit::Secondary,
            strikes: 0,
        }
    }
}

impl Line {
    /// Take a place: when the write may be made. `Err`: when to ask again, nothing is taken.
    pub fn write(&mut self, now: Millis, order: Order) -> Result<Millis, (Millis, Limit)> {
        self.mend(now, order.spacing);
        let spaced = now.max(self.next_write_at);
        let mut at = spaced;
        if order.content {
            at = at.max(MINUTE.when(self.minute_at, now, 1)).max(HOUR.when(self.hour_at, now, 1));
            if at - spaced > order.patience {
                return Err((at, Limit::Content));
            }
            self.minute_at = MINUTE.after(self.minute_at, at, 1);
            self.hour_at = HOUR.after(self.hour_at, at, 1);
        }
        self.next_write_at = at + order.spacing;
        Ok(at)
    }

    /// GitHub asks for silence.
    pub fn hush(&mut self, now: Millis, wait: Wait, limit: Limit, what: Hushed) {
        let until = match wait {
            Wait::For(long) => now + long.min(LONGEST),
            // Calls that were under way together are refused together; that is one refusal.
            Wait::Unsaid if self.silent_until > now && self.strikes > 0 => return,
            Wait::Unsaid => {
                let long = UNSAID << self.strikes.clamp(0, 4);
                self.strikes += 1;
                now + long.min(LONGEST_UNSAID)
            }
        };
        let silent = match what {
            Hushed::Everything => &mut self.silent_until,
            Hushed::GraphQl => &mut self.graphql_until,
        };
        if until > *silent {
            *silent = until;
            self.limit = limit;
        }
    }

    /// GitHub takes again what it refused.
    pub fn calm(&mut self) {
        self.strikes = 0;
    }

    /// Until when nothing may be sent, if so.
    pub fn silence(&self, now: Millis, graphql: bool) -> Option<(Millis, Limit)> {
        let until = if graphql { self.silent_until.max(self.graphql_until) } else { self.silent_until };
        (until > now).then_some((until.min(now + LONGEST), self.limit))
    }

    /// Whether what can be left out should be: silence is in force, or little more may be said for a while.
    pub fn is_pressed(&self, now: Millis) -> bool {
        self.silent_until > now || MINUTE.is_nearly_used(self.minute_at, now) || HOUR.is_nearly_used(self.hour_at, now)
    }

    fn mend(&mut self, now: Millis, spacing: Millis) {
        // One place each for more processes than anybody runs.
        self.next_write_at = self.next_write_at.min(now + 100 * spacing.max(100));
        self.minute_at = MINUTE.mend(self.minute_at, now);
        self.hour_at = HOUR.mend(self.hour_at, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Order = Order { spacing: 0, content: true, patience: 5_000 };

    /// Write as fast as it is allowed for this long; the times.
    fn greedy(long: Millis, spacing: Millis) -> Vec<Millis> {
        let (mut line, mut now, mut times) = (Line::default(), 1_000_000, Vec::new());
        let end = now + long;
        while now < end {
            match line.write(now, Order { spacing, ..ORDER }) {
                Ok(at) => {
                    times.push(at);
                    now = now.max(at);
                }
                Err((until, limit)) => {
                    assert_eq!(limit, Limit::Content);
                    assert!(until > now);
                    now = until;
                }
            }
        }
        times
    }

    /// The most that fall into one window of this length, wherever it is.
    fn most(times: &[Millis], window: Millis) -> usize {
        let from = |at: usize| times[at..].iter().take_while(|it| **it - times[at] < window).count();
        (0..times.len()).map(from).max().unwrap_or_default()
    }

    #[test]
    fn no_minute_and_no_hour_sees_more_than_github_takes() {
        for spacing in [0, 200, 1_000] {
            let times = greedy(4 * 3_600_000, spacing);
            assert!(most(&times, 60_000) <= 80, "{spacing}: {}", most(&times, 60_000));
            assert!(most(&times, 3_600_000) <= 500, "{spacing}: {}", most(&times, 3_600_000));
            // And it is not just silent.
            assert!(times.len() >= 200 + 4 * 299, "{spacing}: {}", times.len());
        }
    }

    #[test]
    fn writes_keep_their_distance() {
        let mut line = Line::default();
        let order = Order { spacing: 1_000, content: false, patience: 0 };
        let times: Vec<_> = (0..4).map(|_| line.write(10_000, order).unwrap()).collect();
        assert_eq!(times, [10_000, 11_000, 12_000, 13_000]);
        assert_eq!(line.write(60_000, order), Ok(60_000));
        // The clock was set back by an hour.
        assert!(line.write(60_000 - 3_600_000, order).unwrap() <= 60_000 - 3_600_000 + 100_000);
    }

    #[test]
    fn silence_doubles_while_refusals_go_on() {
        let (mut line, mut now, mut waits) = (Line::default(), 1_000_000, Vec::new());
        for _ in 0..7 {
            line.hush(now, Wait::Unsaid, Limit::Secondary, Hushed::Everything);
            // What was under way meanwhile is refused as well.
            line.hush(now + 10, Wait::Unsaid, Limit::Secondary, Hushed::Everything);
            let (until, _) = line.silence(now, false).unwrap();
            waits.push((until - now) / 1000);
            now = until;
        }
        assert_eq!(waits, [60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(line.silence(now, false), None);
        line.calm();
        line.hush(now, Wait::Unsaid, Limit::Secondary, Hushed::Everything);
        assert_eq!(line.silence(now, true), Some((now + 60_000, Limit::Secondary)));
        // A shorter wait does not shorten it.
        line.hush(now, Wait::For(1_000), Limit::Primary, Hushed::Everything);
        assert_eq!(line.silence(now, false), Some((now + 60_000, Limit::Secondary)));
    }

    #[test]
    fn graphql_is_silent_alone() {
        let mut line = Line::default();
        line.hush(0, Wait::For(5_000), Limit::Primary, Hushed::GraphQl);
        assert_eq!(line.silence(0, false), None);
        assert_eq!(line.silence(0, true), Some((5_000, Limit::Primary)));
    }

    #[test]
    fn what_can_be_left_out_gives_way_before_the_budget_is_used() {
        let mut line = Line::default();
        let mut written = 0;
        while !line.is_pressed(0) {
            assert_eq!(line.write(0, ORDER), Ok(0));
            written += 1;
        }
        assert_eq!(written, 16);
        assert_eq!(line.write(0, ORDER), Ok(0), "there is room for what has to be said");
        assert!(!line.is_pressed(60_000));
    }
}
