//! One reader a task reads what is new from the store and gives it to all who follow, encoded once. The store's bell wakes
//! it, from other processes too on PostgreSQL; a slow look is the net below.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::api::auth::{Caller, Door};
use crate::api::logs::LogLine;
use crate::api::problem::Problem;
use crate::api::streams::Open;
use crate::store::{Event, Store};

/// How often the log is looked at though no bell rang.
const POLL: Duration = Duration::from_secs(1);
/// The same after news, which may have been the last: one bell may have rung for it and for the end.
const SETTLED: Duration = Duration::from_millis(20);
/// How long a client hears nothing before it hears that the line still stands.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream may go on after its key was revoked or has expired.
const TRUST: Duration = Duration::from_secs(5);
/// Events in one batch, and batches that a client may be behind before it is let go.
const BATCH: i64 = 256;
const BEHIND: usize = 256;

/// Who follows what in this process.
#[derive(Clone)]
pub struct Hub {
    store: Store,
    feeds: Arc<Mutex<HashMap<String, Sender<News>>>>,
    /// The server stops: clients are let go, and come back to the next one.
    stop: CancellationToken,
}

#[derive(Clone)]
enum News {
    Events(Arc<Batch>),
    /// The task has ended: how, as JSON.
    End(Arc<str>),
}

/// What a look at a log has found.
enum Seen {
    News,
    Nothing,
    End,
}

/// Events that go out together.
pub struct Batch {
    lines: Vec<(i64, String)>,
    /// All of them as server-sent events.
    pub sse: Bytes,
}

impl Batch {
    fn of(events: Vec<Event>) -> Self {
        let lines = events.into_iter().map(LogLine::from).map(|line| {
            let json = serde_json::to_string(&line).unwrap_or_default();
            (line.seq, json)
        });
        Self::encode(lines.collect())
    }

    fn encode(lines: Vec<(i64, String)>) -> Self {
        let sse = lines.iter().fold(String::new(), |mut sse, (seq, json)| {
            let _ = write!(sse, "id: {seq}\ndata: {json}\n\n");
            sse
        });
        Self { lines, sse: sse.into() }
    }

    /// Each as JSON, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|(_, json)| json.as_str())
    }

    fn first(&self) -> i64 {
        self.lines.first().map_or(0, |it| it.0)
    }

    fn last(&self) -> i64 {
        self.lines.last().map_or(0, |it| it.0)
    }

    /// What of it is newer than `seq`.
    fn after(self: Arc<Self>, seq: i64) -> Option<Arc<Self>> {
        match (self.first() > seq, self.last() > seq) {
            (true, _) => Some(self),
            (_, false) => None,
            _ => Some(Arc::new(Self::encode(self.lines.iter().filter(|it| it.0 > seq).cloned().collect()))),
        }
    }
}

/// What a client hears next.
pub enum Next {
    Events(Arc<Batch>),
    /// The task has ended: how, as JSON.
    End(Arc<str>),
    /// Nothing for a while.
    Quiet,
    /// The key that opened the stream opens nothing any more.
    Shut,
    /// The client took too long, or the server stops.
    Gone(&'static str),
}

impl Hub {
    pub fn new(store: Store, stop: CancellationToken) -> Self {
        Self { store, feeds: Arc::default(), stop }
    }

    /// Follow a task's log after `seq`, for as long as the caller may come in.
    pub async fn follow(&self, task_id: &str, seq: i64, ticket: Ticket) -> Result<Follower> {
        // Where a new reader begins. What is older, its first client reads from the store like all others.
        let begin = self.store.last_event(task_id).await?;
        let news = {
            let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
            match feeds.get(task_id) {
                Some(feed) => feed.subscribe(),
                None => {
                    let (feed, news) = broadcast::channel(BEHIND);
                    feeds.insert(task_id.to_owned(), feed.clone());
                    tokio::spawn(self.clone().read(task_id.to_owned(), begin, feed));
                    news
                }
            }
        };
        Ok(Follower { hub: self.clone(), task_id: task_id.to_owned(), seq, news, behind: true, ticket })
    }

    /// Read a log for as long as somebody follows it.
    async fn read(self, task_id: String, begin: i64, feed: Sender<News>) {
        let bell = self.store.wakes().log_of(&task_id);
        let mut seq = begin;
        loop {
            let next = match self.look(&task_id, &mut seq, &feed).await {
                Ok(Seen::End) => return,
                Ok(Seen::News) => SETTLED,
                Ok(Seen::Nothing) => POLL,
                Err(error) => {
                    warn!("Could not read a task's log, trying again: {error:#}");
                    POLL
                }
            };
            if self.leave(&task_id, &feed) {
                return;
            }
            tokio::select! {
                () = bell.notified() => (),
                () = tokio::time::sleep(next) => (),
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Give out what is new. When nothing is, look whether the task has ended: the busiest moments are not for that.
    async fn look(&self, task_id: &str, seq: &mut i64, feed: &Sender<News>) -> Result<Seen> {
        if self.give_out(task_id, seq, feed).await? {
            return Ok(Seen::News);
        }
        let state = self.store.task_state(task_id).await?;
        if state.is_some_and(|state| !state.is_final()) {
            return Ok(Seen::Nothing);
        }
        // A task's log is whole before it ends; some of it may have come between the two looks.
        self.give_out(task_id, seq, feed).await?;
        let ending = self.store.task(task_id).await?.and_then(|task| task.ending).map(|ending| ending.code);
        let end = json!({ "status": state.map(crate::task::State::name), "ending": ending }).to_string();
        // Together, so that nobody comes in between and waits for ever.
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.remove(task_id);
        let _ = feed.send(News::End(end.into()));
        Ok(Seen::End)
    }

    /// Give out what is new, and whether anything was.
    async fn give_out(&self, task_id: &str, seq: &mut i64, feed: &Sender<News>) -> Result<bool> {
        let before = *seq;
        loop {
            let events = self.store.events(task_id, *seq, BATCH).await?;
            let full = events.len() as i64 == BATCH;
            if let Some(last) = events.last() {
                *seq = last.seq;
                let _ = feed.send(News::Events(Arc::new(Batch::of(events))));
            }
            if !full {
                return Ok(*seq > before);
            }
        }
    }

    /// Whether nobody is left who follows.
    fn leave(&self, task_id: &str, feed: &Sender<News>) -> bool {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = feed.receiver_count() == 0;
        if alone {
            feeds.remove(task_id);
        }
        alone
    }
}

/// What a stream was opened with. It is looked at again while the stream stands.
pub struct Ticket {
    door: Door,
    caller: Caller,
    look_at: Instant,
    /// It is counted while it stands.
    _open: Open,
}

impl Ticket {
    pub fn new(door: Door, caller: Caller) -> Result<Self, Problem> {
        let open = door.streams.open(&caller)?;
        Ok(Self { door, caller, look_at: Instant::now() + TRUST, _open: open })
    }

    /// Whether it is still good. A database that does not answer shuts nobody out: it gives no news either.
    async fn is_good(&mut self) -> bool {
        if Instant::now() < self.look_at {
            return true;
        }
        let good = match self.door.still_opens(&self.caller).await {
            Ok(good) => good,
            Err(error) => {
                warn!("Could not look at the key of a stream, trying again: {error:#}");
                true
            }
        };
        // With the answer and not before: whoever waits for it may be called away, and then nobody has looked.
        self.look_at = Instant::now() + TRUST;
        good
    }
}

/// A client and how far it has come.
pub struct Follower {
    hub: Hub,
    task_id: String,
    seq: i64,
    news: Receiver<News>,
    /// It reads from the store what was there before it came.
    behind: bool,
    ticket: Ticket,
}

impl Follower {
    pub async fn next(&mut self) -> Next {
        if !self.ticket.is_good().await {
            return Next::Shut;
        }
        let quiet = Instant::now() + HEARTBEAT;
        loop {
            while self.behind {
                match self.hub.store.events(&self.task_id, self.seq, BATCH).await {
                    Ok(events) => {
                        self.behind = events.len() as i64 == BATCH;
                        if let Some(last) = events.last() {
                            self.seq = last.seq;
                            return Next::Events(Arc::new(Batch::of(events)));
                        }
                    }
                    Err(_) => return Next::Gone("the database did not answer"),
                }
            }
            let heard = tokio::select! {
                heard = self.news.recv() => heard,
                () = tokio::time::sleep_until(quiet) => return Next::Quiet,
                () = tokio::time::sleep_until(self.ticket.look_at) => match self.ticket.is_good().await {
                    true => continue,
                    false => return Next::Shut,
                },
                () = self.hub.stop.cancelled() => return Next::Gone("the server stops"),
            };
            if let Some(next) = taken(heard, &mut self.seq, &mut self.behind) {
                return next;
            }
        }
    }
}

/// What news are to a client that has come as far as `seq`. What went by while it was busy stands in the store; a client that
/// takes nothing is let go by whoever sends to it.
fn taken(heard: Result<News, RecvError>, seq: &mut i64, behind: &mut bool) -> Option<Next> {
    match heard {
        Ok(News::Events(batch)) => {
            let batch = batch.after(*seq)?;
            *seq = batch.last();
            Some(Next::Events(batch))
        }
        Ok(News::End(end)) => Some(Next::End(end)),
        Err(RecvError::Lagged(_)) => {
            *behind = true;
            None
        }
        Err(RecvError::Closed) => Some(Next::Gone("the server stops")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_missed_news_reads_them_from_the_store() {
        let (feed, mut news) = broadcast::channel(1);
        let batch = |seq| News::Events(Arc::new(Batch::encode(vec![(seq, "{}".to_owned())])));
        for seq in 1..=3 {
            assert!(feed.send(batch(seq)).is_ok());
        }
        let (mut seq, mut behind) = (0, false);
        assert!(taken(news.recv().await, &mut seq, &mut behind).is_none(), "nobody is let go for it");
        assert_eq!((seq, behind), (0, true));
        // From the store it has all three, and the last comes once more.
        (seq, behind) = (3, false);
        assert!(taken(news.recv().await, &mut seq, &mut behind).is_none());
        assert!(feed.send(batch(4)).is_ok());
        let next = taken(news.recv().await, &mut seq, &mut behind);
        assert!(matches!(next, Some(Next::Events(_))) && (seq, behind) == (4, false));
    }
}
