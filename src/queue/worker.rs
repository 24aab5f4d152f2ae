//! The worker: claims jobs as it has room, keeps their leases, runs the handler under apalis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use apalis::prelude::*;
use futures::SinkExt as _;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::job::{Job, Stop, Verdict, keep, overdue};
use crate::clock::{self, Millis};
use crate::store::{Claimed, Queue, Store};

/// The net under lost wake-ups.
const POLL: Duration = Duration::from_secs(5);
/// After this time without an answer of the database a question is asked anew.
const UNANSWERED: Duration = Duration::from_secs(20);
/// Longest pause between two looks at a database that fails.
const SICK: Duration = Duration::from_secs(5);
/// Between two tries to give a claim back.
const AGAIN: Duration = Duration::from_millis(500);

/// How a queue is worked.
#[derive(Clone)]
pub struct Settings {
    pub queue: Queue,
    /// Jobs at once in this process.
    pub concurrency: usize,
    /// Jobs of one lane at once, over all processes.
    pub lane_limit: Option<u32>,
    /// How long a claim lasts without being renewed.
    pub lease: Duration,
    /// How long running jobs may go on after a stop before their claims are given back.
    pub drain: Duration,
    /// Take only what is to be stopped, however busy the others are.
    pub cancelled_only: bool,
    /// Give everything back at once.
    pub hurry: CancellationToken,
    /// Shared by all that work one queue in this process.
    pub turns: Turns,
    /// Ends what a handler that was left where it was has set in motion, before another may begin.
    pub abandon: Abandon,
}

/// One handler a job in this process: after a suspended machine wakes up, its own lapsed job may be offered to it.
pub type Turns = Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>;

/// Called with the job's id.
pub type Abandon = Arc<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>;

/// Work a queue until `shutdown`; then finish what runs, or give it back after `drain`.
pub fn work<H, F>(
    store: Store,
    settings: Settings,
    handler: H,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<()>>
where
    H: Fn(Job) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Verdict> + Send + 'static,
{
    let what = if settings.cancelled_only { "stop" } else { settings.queue.name() };
    let name = format!("{what}-{}", uuid::Uuid::now_v7());
    let worker = Worker {
        store,
        owner: name.clone(),
        room: Arc::new(Semaphore::new(settings.concurrency)),
        settings,
        claimed: Arc::default(),
    };
    let (tickets, feed) = mpsc::channel(1);
    // A task of its own: a claim that was begun is carried through even when apalis stops polling, and so never keeps
    // SQLite's one writer with nobody driving it.
    let feeder = tokio::spawn(worker.clone().feed(tickets, shutdown.clone()));
    let feed = Arc::new(Mutex::new(Some(feed)));
    let backend = BackendBuilder::new()
        .database(())
        .fetcher(move |(): &mut (), (): &(), _| stream_of(lock(&feed).take()))
        .sink(|(), ()| futures::sink::drain().sink_map_err(|never| match never {}))
        .build();
    let backend = match backend {
        Ok(backend) => backend,
        Err(error) => return std::future::ready(Err(anyhow::anyhow!("build the worker: {error}"))).boxed(),
    };
    let concurrency = worker.settings.concurrency;
    let (draining, carrier) = (shutdown.clone(), worker.clone());
    let service = move |ticket: Ticket| {
        let (worker, handler, draining) = (carrier.clone(), handler.clone(), draining.clone());
        async move {
            if let Some(taken) = ticket.take() {
                worker.carry(taken, handler, draining).await;
            }
            Ok::<(), BoxDynError>(())
        }
    };
    let built = WorkerBuilder::new(name)
        .backend(backend)
        .concurrency(concurrency)
        .catch_panic()
        .parallelize(tokio::spawn)
        .build(service);
    // Boxed here: as part of an `async fn` the compiler can't see that this future may move between threads.
    let running = built
        .run_until(async move {
            let _: () = shutdown.cancelled().await;
            Ok::<(), std::io::Error>(())
        })
        .map(|ended| ended.map_err(|error| anyhow::anyhow!("the worker ended: {error}")))
        .boxed();
    async move {
        let ended = running.await;
        let _ = feeder.await;
        worker.give_back_the_rest().await;
        ended
    }
    .boxed()
}

/// What apalis carries from the fetcher to the service: a claim and the room it takes, taken out once.
#[derive(Clone)]
struct Ticket(Arc<Mutex<Option<Taken>>>);

struct Taken {
    claimed: Claimed,
    _room: OwnedSemaphorePermit,
}

impl Ticket {
    fn take(&self) -> Option<Taken> {
        lock(&self.0).take()
    }
}

#[derive(Clone)]
struct Worker {
    store: Store,
    owner: String,
    room: Arc<Semaphore>,
    settings: Settings,
    /// Claimed, and not yet with a handler.
    claimed: Arc<Mutex<HashMap<String, Claimed>>>,
}

/// What the last claims have shown.
#[derive(Default)]
struct Seen {
    /// The last one took all there was. Whatever came since has rung the bell, so there is no need to look again.
    emptied: bool,
    /// When the next job is due, as far as is known. One that is put off rings the bell, which leads to a new look.
    due: Option<Millis>,
}

type Fetched = Result<Option<Task<Ticket>>, BoxDynError>;

/// Tickets as apalis wants them. Yields neither `Err` nor `Ok(None)` and never ends: each would end the worker, which
/// stops by its own signal, and a database that is away for a minute must not stop it.
fn stream_of(feed: Option<mpsc::Receiver<Ticket>>) -> BoxStream<'static, Fetched> {
    let Some(feed) = feed else { return stream::pending().boxed() };
    let tickets = stream::unfold(feed, |mut feed| async move { Some((feed.recv().await?, feed)) });
    tickets.map(|ticket| Ok(Some(TaskBuilder::new(ticket).build()))).chain(stream::pending()).boxed()
}

impl Worker {
    /// Claim, one time after another, until the shutdown.
    async fn feed(self, tickets: mpsc::Sender<Ticket>, shutdown: CancellationToken) {
        let mut seen = Seen::default();
        while !shutdown.is_cancelled() {
            for ticket in self.next(&mut seen, &shutdown).await {
                // Nobody takes it any more: it is given back when everything has ended.
                let _ = tickets.send(ticket).await;
            }
        }
    }

    /// Give back what was claimed and reached no handler. It is nobody's failed attempt.
    async fn give_back_the_rest(&self) {
        let rest: Vec<Claimed> = lock(&self.claimed).drain().map(|(_, claimed)| claimed).collect();
        for claimed in rest {
            self.give_back(&claimed, clock::now(), false).await;
        }
    }

    /// Wait for room, then for jobs. Room comes first: a claim that waits for room would not be renewed.
    async fn next(&self, seen: &mut Seen, shutdown: &CancellationToken) -> Vec<Ticket> {
        let mut pause = Duration::from_millis(100);
        loop {
            if std::mem::take(&mut seen.emptied) {
                if seen.due.is_some_and(|due| due <= clock::now()) {
                    seen.due = self.due().await;
                }
                shutdown.run_until_cancelled(self.rest(seen.due)).await;
            }
            let mut permits = Vec::new();
            match shutdown.run_until_cancelled(self.room.clone().acquire_owned()).await {
                Some(Ok(permit)) if !shutdown.is_cancelled() => permits.push(permit),
                _ => return Vec::new(),
            }
            if self.settings.lane_limit.is_none() {
                while let Ok(permit) = self.room.clone().try_acquire_owned() {
                    permits.push(permit);
                }
            }
            let it = &self.settings;
            let claiming = async {
                match it.cancelled_only {
                    true => self.store.claim_cancelled(it.queue, &self.owner, it.lease, permits.len()).await,
                    false => self.store.claim(it.queue, &self.owner, it.lease, permits.len(), it.lane_limit).await,
                }
            };
            // What was claimed unheard lapses with its lease.
            let claimed = in_time(claiming).await;
            match claimed {
                Ok(claimed) if claimed.is_empty() => {
                    drop(permits);
                    *seen = Seen { emptied: true, due: self.due().await };
                }
                Ok(claimed) => {
                    seen.emptied = claimed.len() < permits.len();
                    for it in &claimed {
                        lock(&self.claimed).insert(it.lease.job_id.clone(), it.clone());
                    }
                    let taken = claimed.into_iter().zip(permits).map(|(claimed, room)| Taken { claimed, _room: room });
                    return taken.map(|it| Ticket(Arc::new(Mutex::new(Some(it))))).collect();
                }
                Err(error) => {
                    warn!("Can't claim work, trying again in {pause:?}: {error}");
                    drop(permits);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(SICK);
                }
            }
        }
    }

    /// When the next job is due, as far as it can be known.
    async fn due(&self) -> Option<Millis> {
        match self.settings.cancelled_only {
            true => None,
            false => in_time(self.store.next_due(self.settings.queue)).await.ok().flatten(),
        }
    }

    /// Sleep until a wake-up, the next due job, or the poll.
    async fn rest(&self, due: Option<Millis>) {
        let sleep = match due.map(|due| due - clock::now()) {
            Some(left) if left > 0 => POLL.min(Duration::from_millis(left as u64 + 1)),
            _ => POLL,
        };
        let woken = async {
            match self.settings.cancelled_only {
                true => self.store.wakes().cancelled().await,
                false => self.store.wakes().woken(self.settings.queue).await,
            }
        };
        tokio::select! {
            () = woken => (),
            () = tokio::time::sleep(sleep) => (),
        }
    }

    /// Run the handler with the lease kept alive beside it.
    async fn carry<H, F>(&self, taken: Taken, handler: H, draining: CancellationToken)
    where
        H: Fn(Job) -> F,
        F: Future<Output = Verdict>,
    {
        let Taken { claimed, _room } = taken;
        let job = Job::new(claimed);
        if let Some(by) = job.claimed.cancelled_by.clone() {
            job.halt(Stop::Cancelled(by));
        }
        lock(&self.claimed).remove(&job.lease().job_id);
        let keeper =
            tokio::spawn(keep(self.store.clone(), self.settings.lease, self.settings.drain, job.clone(), draining));
        // Also when the handler panics: nothing keeps a lease whose work has died.
        let _guard = AbortOnDrop(keeper.abort_handle());
        let turn = lock(&self.settings.turns).entry(job.lease().job_id.clone()).or_default().clone();
        let before = turn.lock().await;
        let verdict = tokio::select! {
            verdict = handler(job.clone()) => Some(verdict),
            // A handler that has to stop and does not is left where it is; what it did is found by the next.
            () = overdue(&job) => None,
            () = self.settings.hurry.cancelled() => None,
        };
        let verdict = match verdict {
            Some(verdict) => verdict,
            None => {
                (self.settings.abandon)(job.lease().job_id.clone()).await;
                Verdict::Again { at: clock::now(), failed: false }
            }
        };
        drop(before);
        lock(&self.settings.turns).retain(|_, turn| Arc::strong_count(turn) > 1);
        if let Verdict::Again { at, failed } = verdict {
            if failed {
                warn!(job = job.lease().job_id, "Will try job {} again", job.lease().job_id);
            }
            self.give_back(&job.claimed, at, failed).await;
        } else if self.settings.lane_limit.is_some() {
            // Another job of its lane may have waited for its turn.
            self.store.wakes().wake(self.settings.queue);
        }
    }

    /// Give a claim back. As long as it would last anyway, a database that is away is asked again.
    async fn give_back(&self, claimed: &Claimed, at: Millis, failed: bool) {
        let until = Instant::now() + self.settings.lease;
        loop {
            match self.store.give_back(claimed, at, failed).await {
                Ok(()) => return,
                Err(error) if Instant::now() + AGAIN < until && !self.settings.hurry.is_cancelled() => {
                    warn!("Could not give job {} back, trying again: {error}", claimed.lease.job_id);
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => {
                    return error!("Could not give job {} back, its lease will lapse: {error}", claimed.lease.job_id);
                }
            }
        }
    }
}

/// A server that has vanished in the middle of a question would be waited for as long as the kernel keeps the connection.
async fn in_time<T, E: Into<anyhow::Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T> {
    match tokio::time::timeout(UNANSWERED, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => anyhow::bail!("the database has not answered for {UNANSWERED:?}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
