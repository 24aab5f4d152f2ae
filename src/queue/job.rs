//! A claimed job while its handler is at it: its lease is kept, and the handler hears when it has to stop.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Millis;
use crate::store::{Claimed, Lease, Renewed, Store};

/// How long a handler that was told to stop may take; Claude Code gets most of it to end in order.
const GRACE: Duration = Duration::from_secs(25);

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
    pub(super) fn new(claimed: Claimed) -> Self {
        Self { claimed, stop: CancellationToken::new(), why: Arc::default() }
    }

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

    pub(super) fn halt(&self, why: Stop) {
        let _ = self.why.set(why);
        self.stop.cancel();
    }
}

/// Returns when a handler was told to stop for our sake and had its time to do so. A person's stop has no such end: the
/// run still has to tell people.
pub(super) async fn overdue(job: &Job) {
    if let Stop::Cancelled(_) = job.stopped().await {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(GRACE).await;
}

/// Renew a lease every third of its length; tell the handler when it is cancelled, lost, or the process drains.
pub(super) async fn keep(store: Store, length: Duration, drain: Duration, job: Job, draining: CancellationToken) {
    let drained = async {
        draining.cancelled().await;
        tokio::time::sleep(drain).await;
    };
    tokio::pin!(drained);
    let mut kept = Instant::now();
    let mut told = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(length / 3) => (),
            () = store.wakes().cancelled() => (),
            // The lease is kept on: until the handler has ended, nobody else may begin.
            () = &mut drained, if !told => {
                info!("Giving job {} back to whoever goes on", job.lease().job_id);
                told = true;
                job.halt(Stop::Draining);
            }
        }
        // A database that does not answer at all must not let us believe that the lease is ours.
        match tokio::time::timeout_at(kept + length, store.renew(job.lease(), length)).await {
            Ok(Ok(Renewed::Ours)) => kept = Instant::now(),
            Ok(Ok(Renewed::Cancelled(by))) => {
                kept = Instant::now();
                job.halt(Stop::Cancelled(by));
            }
            Ok(Ok(Renewed::Lost)) => return job.halt(Stop::Lost),
            Ok(Err(error)) if kept.elapsed() < length => warn!("Can't renew a lease, trying again: {error}"),
            Ok(Err(error)) => {
                warn!("Lost the lease of job {}: {error}", job.lease().job_id);
                return job.halt(Stop::Lost);
            }
            Err(_) => {
                warn!("Lost the lease of job {}: the database does not answer", job.lease().job_id);
                return job.halt(Stop::Lost);
            }
        }
    }
}
