//! Paces the calls of one installation: its limits are kept before they are met, and nothing is sent while GitHub asks for
//! silence. What has to be shared with other processes stands in the installation's line; the rest is counted here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::{Mutex as Turns, MutexGuard as Turn, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Error;
use super::call::Ask;
use super::error::{number, says_when};
use super::line::{Budget, Hushed, Limit, Line, Order, Wait};
use super::pace::{Alone, Pace};
use crate::clock::{self, Millis};

/// A limit that ends within this time is waited for in place; a longer one is told to the caller.
pub(super) const SHORT_WAIT: Millis = 5_000;
/// GitHub takes 100 calls at once from an installation; the other half is for other processes.
const AT_ONCE: usize = 50;
/// How old may be what is known of the shared line before a read. A write always asks.
const FRESH: Duration = Duration::from_secs(1);
/// The database may take this long; then the process goes on with what it knows.
const PATIENCE: Duration = Duration::from_secs(5);
/// This part of the requests of an hour is kept for writes: work that is done can still be told when reading has used up
/// the rest.
const KEPT: i64 = 50;
/// 900 points in any minute: a read counts 1, a write 5. Counted for each process alone: writes are a second apart over
/// all of them, so that two processes would have to read at full speed to meet GitHub's limit.
const REST: Budget = Budget { every: 100, burst: 300 };
/// 2,000 points in any minute.
const GRAPHQL: Budget = Budget { every: 45, burst: 660 };

pub(super) struct Governor {
    installation: u64,
    shared: Arc<dyn Pace>,
    alone: Alone,
    spacing: Millis,
    room: Semaphore,
    /// GitHub asks for one write at a time. Those who wait keep their order.
    writing: Turns<()>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    line: Line,
    /// How far the clock of the line is ahead of ours.
    ahead: Millis,
    looked: Option<Instant>,
    /// What is left of each kind of request, by GitHub's word for it.
    left: HashMap<String, Left>,
    rest_full_at: Millis,
    graphql_full_at: Millis,
    /// GitHub has refused without saying for how long; what was refused was a write.
    struck: Option<bool>,
    /// A host that sends no limits has none: GitHub Enterprise Server, as it comes.
    unlimited: bool,
}

/// What GitHub said is left until the reset, on our clock.
#[derive(Debug, Clone, Copy)]
struct Left {
    requests: i64,
    limit: i64,
    reset_at: Millis,
}

/// The right to send one request.
pub(super) struct Pass<'a> {
    _turn: Option<Turn<'a, ()>>,
    _room: Option<SemaphorePermit<'a>>,
}

impl Governor {
    pub fn new(installation: u64, shared: Arc<dyn Pace>, spacing: Duration) -> Self {
        Self {
            installation,
            shared,
            alone: Alone::default(),
            spacing: spacing.as_millis() as Millis,
            room: Semaphore::new(AT_ONCE),
            writing: Turns::default(),
            seen: Mutex::default(),
        }
    }

    /// Wait until this may be sent; `Error::Limited` when that is not soon.
    pub async fn enter(&self, ask: &Ask<'_>) -> Result<Pass<'_>, Error> {
        self.silence(ask).await?;
        let turn = if ask.kind.writes() {
            let turn = self.writing.lock().await;
            self.take_place(ask).await?;
            // Somebody may have been refused while we stood in the line.
            self.silence(ask).await?;
            Some(turn)
        } else {
            None
        };
        self.take_points(ask).await?;
        // It is never closed.
        let room = self.room.acquire().await.ok();
        Ok(Pass { _turn: turn, _room: room })
    }

    /// Learn from an answer. A refusal comes back with the time that holds for all.
    pub async fn learn(&self, ask: &Ask<'_>, headers: &HeaderMap, refused: Option<Error>) -> Option<Error> {
        let graphql = ask.kind.is_graphql();
        self.count(headers, refused.is_none());
        let Some(Error::Limited { until, limit }) = refused else {
            if refused.is_none() {
                self.calm(!ask.kind.reads()).await;
            }
            return refused;
        };
        let said = says_when(headers);
        let wait = if said { Wait::For(until - clock::now()) } else { Wait::Unsaid };
        // GraphQL's own hour is no matter of the rest; a secondary limit is everybody's.
        let what = if graphql && limit == Limit::Primary { Hushed::GraphQl } else { Hushed::Everything };
        self.turn(|line, now| line.hush(now, wait, limit, what)).await;
        let until = {
            let mut seen = self.seen();
            if !said {
                seen.struck = Some(seen.struck.unwrap_or(false) || !ask.kind.reads());
            }
            seen.silence(graphql).map_or(until, |(until, _)| until)
        };
        warn!(
            github.installation = self.installation,
            "GitHub asks for silence until {} ({})",
            clock::of_day(until),
            limit.name()
        );
        Some(Error::Limited { until, limit })
    }

    /// Whether what can be left out should be.
    pub async fn is_pressed(&self) -> bool {
        self.look().await;
        let seen = self.seen();
        let now = clock::now();
        let scarce = |left: &Left| left.reset_at > now && left.requests < left.limit / 10;
        seen.left.get("core").is_some_and(scarce) || (!seen.unlimited && seen.line.is_pressed(now + seen.ahead))
    }

    /// Wait out a silence, if it is short.
    async fn silence(&self, ask: &Ask<'_>) -> Result<(), Error> {
        loop {
            self.look().await;
            let silent = {
                let seen = self.seen();
                seen.silence(ask.kind.is_graphql()).or_else(|| seen.used_up(ask))
            };
            match silent {
                None => return Ok(()),
                Some((until, limit)) => wait_until(until, limit).await?,
            }
        }
    }

    /// A place in the line of writes, and one in the budgets of content.
    async fn take_place(&self, ask: &Ask<'_>) -> Result<(), Error> {
        let content = ask.makes_content() && !self.seen().unlimited;
        let order = Order { spacing: self.spacing, content, patience: SHORT_WAIT };
        let mut place = Ok(0);
        let (_, now) = self.turn(|line, now| place = line.write(now, order)).await;
        match place {
            Ok(at) => {
                // However long: those before us are few, and each takes its spacing.
                tokio::time::sleep(Duration::from_millis((at - now).max(0) as u64)).await;
                Ok(())
            }
            Err((until, limit)) => Err(Error::Limited { until: until - now + clock::now(), limit }),
        }
    }

    async fn take_points(&self, ask: &Ask<'_>) -> Result<(), Error> {
        let (wait, until) = {
            let mut seen = self.seen();
            if seen.unlimited {
                return Ok(());
            }
            let now = clock::now();
            let (budget, points, full_at) = match ask.kind.is_graphql() {
                true => (GRAPHQL, if ask.kind.reads() { 1 } else { 5 }, &mut seen.graphql_full_at),
                false => (REST, if ask.kind.reads() { 1 } else { 5 }, &mut seen.rest_full_at),
            };
            let until = budget.when(*full_at, now, points);
            if until - now <= SHORT_WAIT {
                *full_at = budget.after(*full_at, now, points);
            }
            (until - now, until)
        };
        if wait > 0 {
            wait_until(until, Limit::Pace).await?;
        }
        Ok(())
    }

    /// Know what others know, if it is not known already.
    async fn look(&self) {
        let fresh = |seen: &Seen| seen.looked.is_some_and(|at| at.elapsed() < FRESH);
        if fresh(&self.seen()) {
            return;
        }
        match tokio::time::timeout(PATIENCE, self.shared.look(self.installation)).await {
            Ok(Ok(known)) => self.know(known),
            // The database is away; what this process was told still holds.
            Ok(Err(error)) => self.know_nothing_new(&format!("{error:#}")),
            Err(_) => self.know_nothing_new("no answer"),
        }
    }

    async fn turn(&self, mut change: impl FnMut(&mut Line, Millis) + Send) -> (Line, Millis) {
        let known = match tokio::time::timeout(PATIENCE, self.shared.turn(self.installation, &mut change)).await {
            Ok(Ok(known)) => Some(known),
            Ok(Err(error)) => {
                self.know_nothing_new(&format!("{error:#}"));
                None
            }
            Err(_) => {
                self.know_nothing_new("no answer");
                None
            }
        };
        let known = match known {
            Some(known) => known,
            None => {
                // What others have said before the database went still holds.
                let (before, ahead) = {
                    let seen = self.seen();
                    (seen.line, seen.ahead)
                };
                let mut change = |line: &mut Line, now: Millis| {
                    line.silent_until = line.silent_until.max(before.silent_until - ahead);
                    line.graphql_until = line.graphql_until.max(before.graphql_until - ahead);
                    change(line, now);
                };
                // Memory never fails.
                self.alone.turn(self.installation, &mut change).await.unwrap_or_default()
            }
        };
        self.know(known);
        known
    }

    fn know(&self, (line, now): (Line, Millis)) {
        let mut seen = self.seen();
        seen.line = line;
        seen.ahead = now - clock::now();
        seen.looked = Some(Instant::now());
    }

    fn know_nothing_new(&self, why: &str) {
        debug!("The pace of other processes is not known: {why}");
        self.seen().looked = Some(Instant::now());
    }

    /// Keep what the answer says is left. A host that has limits tells them with every answer.
    fn count(&self, headers: &HeaderMap, fine: bool) {
        let mut seen = self.seen();
        let Some(limit) = number(headers, "x-ratelimit-limit") else {
            seen.unlimited |= fine;
            return;
        };
        seen.unlimited = false;
        let numbers = (number(headers, "x-ratelimit-remaining"), number(headers, "x-ratelimit-reset"));
        if let (Some(requests), Some(reset)) = numbers {
            let resource = headers.get("x-ratelimit-resource").and_then(|it| it.to_str().ok()).unwrap_or("core");
            let left = Left { requests, limit, reset_at: reset * 1000 + 1000 - super::error::ahead(headers) };
            seen.left.insert(resource.to_owned(), left);
        }
    }

    /// A success ends a series of refusals, if it is of what was refused: reads may go on while writes are refused.
    async fn calm(&self, wrote: bool) {
        let over = {
            let mut seen = self.seen();
            let over = match seen.struck {
                Some(write) => wrote || !write,
                // Another process, or this one before it was started anew.
                None => wrote && seen.line.strikes > 0,
            };
            if over {
                seen.struck = None;
            }
            over
        };
        if over {
            info!(github.installation = self.installation, "GitHub takes calls again");
            self.turn(|line, _| line.calm()).await;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Until when silence is in force, on our clock.
    fn silence(&self, graphql: bool) -> Option<(Millis, Limit)> {
        let (until, limit) = self.line.silence(clock::now() + self.ahead, graphql)?;
        Some((until - self.ahead, limit))
    }

    /// Until when the requests of this hour are used up: to the last one for writes.
    fn used_up(&self, ask: &Ask<'_>) -> Option<(Millis, Limit)> {
        let left = self.left.get(if ask.kind.is_graphql() { "graphql" } else { "core" })?;
        let floor = if ask.kind.reads() { left.limit / KEPT } else { 0 };
        (left.requests <= floor && left.reset_at > clock::now()).then_some((left.reset_at, Limit::Primary))
    }
}

async fn wait_until(until: Millis, limit: Limit) -> Result<(), Error> {
    let left = until - clock::now();
    if left > SHORT_WAIT {
        return Err(Error::Limited { until, limit });
    }
    tokio::time::sleep(Duration::from_millis(left.max(0) as u64)).await;
    Ok(())
}
