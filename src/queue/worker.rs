//! The worker: claims jobs as it has room, keeps their leases, runs the handler under apalis.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Result;
use apalis::prelude::*;
use futures::SinkExt as _;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::{self, Millis};
use crate::store::{Claimed, Lease, Queue, Renewed, Store};

/// The net under lost wake-ups.
const POLL: Duration = Duration::from_secs(5);
/// Longest pause between two looks at a database that fails.
const SICK: Duration = Duration::from_secs(5);

/// How a queue is worked.
#[derive(Debug, Clone)]
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
}

/// A claimed job, as the handler sees it.
#[derive(Clone)]
pub struct Job {
    pub claimed: Claimed,
    stop: CancellationToken,
    why: Arc<OnceLock<Stop>>,
}

/// Why a handler has to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A person asked for it.
    Cancelled(String),
    /// The claim is somebody else's now: nothing may be written any more.
    Lost,
    /// The process is going down; another takes over.
    Draining,
}

/// How a handler left its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The row is gone, or somebody else's.
    Done,
    /// Try again then. `failed` counts it as an attempt.
    Again { at: Millis, failed: bool },
}

impl Job {
    pub fn lease(&self) -> &Lease {
        &self.claimed.lease
    }

    /// Returns when the handler has to stop.
    pub async fn stopped(&self) -> Stop {
        self.stop.cancelled().await;
        self.why()
    }

    /// A token that is cancelled when the handler has to stop.
    pub fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Why the handler has to stop, once it has to.
    pub fn why(&self) -> Stop {
        self.why.get().cloned().unwrap_or(Stop::Lost)
    }

    /// Whether the handler has to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn halt(&self, why: Stop) {
        let _ = self.why.set(why);
        self.stop.cancel();
    }
}

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
    let name = format!("{}-{}", settings.queue.name(), uuid::Uuid::now_v7());
    let worker = Worker { store, owner: name.clone(), room: Arc::new(Semaphore::new(settings.concurrency)), settings };
    let claims = worker.clone();
    let closing = shutdown.clone();
    let backend = BackendBuilder::new()
        .database(())
        .fetcher(move |(): &mut (), (): &(), _| claims.clone().stream(closing.clone()))
        .sink(|(), ()| futures::sink::drain().sink_map_err(|never| match never {}))
        .build();
    let backend = match backend {
        Ok(backend) => backend,
        Err(error) => return std::future::ready(Err(anyhow::anyhow!("build the worker: {error}"))).boxed(),
    };
    let concurrency = worker.settings.concurrency;
    let draining = shutdown.clone();
    let service = move |ticket: Ticket| {
        let (worker, handler, draining) = (worker.clone(), handler.clone(), draining.clone());
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
    built
        .run_until(async move {
            let _: () = shutdown.cancelled().await;
            Ok::<(), std::io::Error>(())
        })
        .map(|ended| ended.map_err(|error| anyhow::anyhow!("the worker ended: {error}")))
        .boxed()
}

/// What apalis carries from the fetcher to the service: a claim and the room it takes, taken out once.
#[derive(Clone)]
struct Ticket(Arc<std::sync::Mutex<Option<Taken>>>);

struct Taken {
    claimed: Claimed,
    _room: OwnedSemaphorePermit,
}

impl Ticket {
    fn take(&self) -> Option<Taken> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

#[derive(Clone)]
struct Worker {
    store: Store,
    owner: String,
    room: Arc<Semaphore>,
    settings: Settings,
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

impl Worker {
    /// Claims, one after another. Yields neither `Err` nor `Ok(None)`: either would end the worker, and a database
    /// that is away for a minute must not.
    fn stream(self, shutdown: CancellationToken) -> BoxStream<'static, Fetched> {
        let tickets = stream::unfold((self, Seen::default()), move |(worker, mut seen)| {
            let shutdown = shutdown.clone();
            async move {
                let tickets = tokio::select! {
                    tickets = worker.next(&mut seen) => tickets,
                    // Ends the stream's work but not the stream: apalis stops by its own signal.
                    () = async { shutdown.cancelled().await; std::future::pending::<()>().await } => Vec::new(),
                };
                Some((stream::iter(tickets), (worker, seen)))
            }
        });
        tickets.flatten().map(|ticket| Ok(Some(TaskBuilder::new(ticket).build()))).boxed()
    }

    /// Wait for room, then for jobs. Room comes first: a claim that waits for room would not be renewed.
    async fn next(&self, seen: &mut Seen) -> Vec<Ticket> {
        let mut pause = Duration::from_millis(100);
        loop {
            if std::mem::take(&mut seen.emptied) {
                if seen.due.is_some_and(|due| due <= clock::now()) {
                    seen.due = self.store.next_due(self.settings.queue).await.ok().flatten();
                }
                self.rest(seen.due).await;
            }
            let mut permits = Vec::new();
            if let Ok(permit) = self.room.clone().acquire_owned().await {
                permits.push(permit);
            }
            if self.settings.lane_limit.is_none() {
                while let Ok(permit) = self.room.clone().try_acquire_owned() {
                    permits.push(permit);
                }
            }
            let it = &self.settings;
            match self.store.claim(it.queue, &self.owner, it.lease, permits.len(), it.lane_limit).await {
                Ok(claimed) if claimed.is_empty() => {
                    drop(permits);
                    *seen = Seen { emptied: true, due: self.store.next_due(it.queue).await.ok().flatten() };
                }
                Ok(claimed) => {
                    seen.emptied = claimed.len() < permits.len();
                    let taken = claimed.into_iter().zip(permits).map(|(claimed, room)| Taken { claimed, _room: room });
                    return taken.map(|it| Ticket(Arc::new(std::sync::Mutex::new(Some(it))))).collect();
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

    /// Sleep until a wake-up, the next due job, or the poll.
    async fn rest(&self, due: Option<Millis>) {
        let sleep = match due.map(|due| due - clock::now()) {
            Some(left) if left > 0 => POLL.min(Duration::from_millis(left as u64 + 1)),
            _ => POLL,
        };
        tokio::select! {
            () = self.store.wakes().woken(self.settings.queue) => (),
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
        let job = Job { claimed, stop: CancellationToken::new(), why: Arc::default() };
        if let Some(by) = job.claimed.cancelled_by.clone() {
            job.halt(Stop::Cancelled(by));
        }
        let keeper = tokio::spawn(keep(self.clone(), job.clone(), draining));
        // Also when the handler panics: nothing keeps a lease whose work has died.
        let _guard = AbortOnDrop(keeper.abort_handle());
        let verdict = handler(job.clone()).await;
        if let Verdict::Again { at, failed } = verdict {
            if failed {
                warn!(job = job.lease().job_id, "Will try job {} again", job.lease().job_id);
            }
            if let Err(error) = self.store.give_back(job.lease(), at, failed).await {
                error!("Could not give job {} back, its lease will lapse: {error}", job.lease().job_id);
            }
            self.store.wakes().wake(self.settings.queue);
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Renew a lease every third of its length; tell the handler when it is cancelled, lost, or the process drains.
async fn keep(worker: Worker, job: Job, draining: CancellationToken) {
    let length = worker.settings.lease;
    let drained = async {
        draining.cancelled().await;
        tokio::time::sleep(worker.settings.drain).await;
    };
    tokio::pin!(drained);
    let mut kept = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(length / 3) => (),
            () = worker.store.wakes().cancelled() => (),
            () = &mut drained => {
                info!("Giving job {} back to whoever goes on", job.lease().job_id);
                return job.halt(Stop::Draining);
            }
        }
        match worker.store.renew(job.lease(), length).await {
            Ok(Renewed::Ours) => kept = Instant::now(),
            Ok(Renewed::Cancelled(by)) => {
                kept = Instant::now();
                job.halt(Stop::Cancelled(by));
            }
            Ok(Renewed::Lost) => return job.halt(Stop::Lost),
            Err(error) if kept.elapsed() < length => warn!("Can't renew a lease, trying again: {error}"),
            Err(error) => {
                warn!("Lost the lease of job {}: {error}", job.lease().job_id);
                return job.halt(Stop::Lost);
            }
        }
    }
}
