//! Writes to GitHub, each at most once: intent, call, result. After a doubt GitHub is read before anything is written
//! again, twice with a pause, for it may carry a call out after we have given up on its answer; after a refusal the reason
//! is kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::{info, warn};

use crate::clock::{self, Millis};
use crate::github::Error;
use crate::store::{self, Doubt, Effect, Intent, Lease, NewEvent, Store};
use crate::task::Gone;
use crate::text;

/// Tries within one run; what still fails is tried again later.
const TRIES: u32 = 4;
/// Between two looks for what a call without an answer may have made.
const PAUSE: Duration = Duration::from_secs(3);
/// When what failed here is tried again.
const LATER: Millis = 30_000;

/// When a write that another job is at is looked for again.
const SOON: Millis = 2_000;

/// The writes of one job.
pub struct Outbox<'a> {
    pub store: &'a Store,
    pub lease: &'a Lease,
    pub task_id: Option<&'a str>,
}

/// Why a write was not made.
#[derive(Debug, thiserror::Error)]
pub enum Undone {
    /// For good, and this is why.
    #[error("{0}")]
    Refused(String),
    /// Not now: GitHub is away or asks us to wait.
    #[error("not before {at}: {why}")]
    Later { at: Millis, why: String, limited: bool },
    /// There is nothing to write to any more. Nothing is settled: it may come back.
    #[error("{}", .0.says())]
    Gone(Gone),
    /// The claim is somebody else's.
    #[error("the claim was lost")]
    Lost,
    #[error("the database failed: {0}")]
    Store(#[from] store::Error),
}

impl Undone {
    /// What an error means that is not for good.
    pub fn later(error: &Error) -> Self {
        match error {
            Error::Limited { until, .. } => Self::Later { at: *until, why: error.to_string(), limited: true },
            _ => Self::Later { at: clock::now() + LATER, why: error.to_string(), limited: false },
        }
    }
}

impl Outbox<'_> {
    /// Whether the claim is somebody else's by now; unknown counts as ours.
    pub async fn is_void(&self) -> bool {
        matches!(self.store.is_held(self.lease).await, Ok(false))
    }

    /// Write the intent down; while another job is at the same write, wait for a moment.
    async fn turn(&self, effect: &Effect<'_>) -> Result<Intent, store::Error> {
        const LOOKS: u32 = 25;
        for _ in 1..LOOKS {
            match self.store.intend(effect).await? {
                Intent::Elsewhere => tokio::time::sleep(Duration::from_millis(200)).await,
                other => return Ok(other),
            }
        }
        self.store.intend(effect).await
    }

    /// Make a write once. `look` finds on GitHub what an earlier try may have made; `write` makes it.
    pub async fn once<T, L, LF, W, WF>(&self, key: &str, look: L, write: W) -> Result<T, Undone>
    where
        T: Serialize + DeserializeOwned,
        L: Fn() -> LF,
        LF: Future<Output = Result<Option<T>, Error>>,
        W: Fn() -> WF,
        WF: Future<Output = Result<T, Error>>,
    {
        self.make(key, look, write, PAUSE).await
    }

    /// As `once`, for what GitHub may carry out long after it was given up: before it is made again the doubt is written
    /// down, so that a second one is found.
    pub async fn once_or_twice<T, L, LF, W, WF>(&self, doubt: &Doubt, look: L, write: W) -> Result<T, Undone>
    where
        T: Serialize + DeserializeOwned,
        L: Fn() -> LF,
        LF: Future<Output = Result<Option<T>, Error>>,
        W: Fn() -> WF,
        WF: Future<Output = Result<T, Error>>,
    {
        let looked = AtomicBool::new(false);
        let look = || {
            looked.store(true, Ordering::Relaxed);
            look()
        };
        let write = || async {
            if looked.load(Ordering::Relaxed) {
                let noted = self.store.note_doubt(doubt).await;
                noted.map_err(|error| Error::Unreachable(format!("not asked, for the database failed: {error}")))?;
            }
            write().await
        };
        self.make(&doubt.key, look, write, PAUSE).await
    }

    /// Make a write that is the same when it is made twice, so that there is nothing to look for.
    pub async fn repeatedly<W, WF>(&self, key: &str, write: W) -> Result<(), Undone>
    where
        W: Fn() -> WF,
        WF: Future<Output = Result<(), Error>>,
    {
        self.make(key, || async { Ok(None) }, write, Duration::ZERO).await
    }

    async fn make<T, L, LF, W, WF>(&self, key: &str, look: L, write: W, pause: Duration) -> Result<T, Undone>
    where
        T: Serialize + DeserializeOwned,
        L: Fn() -> LF,
        LF: Future<Output = Result<Option<T>, Error>>,
        W: Fn() -> WF,
        WF: Future<Output = Result<T, Error>>,
    {
        let effect = Effect { key, task_id: self.task_id, lease: self.lease };
        let mut unsure = match self.turn(&effect).await? {
            Intent::New => false,
            Intent::Unsure => true,
            Intent::Done(json) => match serde_json::from_str(&json) {
                Ok(made) => return Ok(made),
                Err(_) => true,
            },
            Intent::Refused(why) => return Err(Undone::Refused(why)),
            Intent::Lost => return Err(Undone::Lost),
            Intent::Elsewhere => {
                let why = format!("another job is at the same write ({key})");
                return Err(Undone::Later { at: clock::now() + SOON, why, limited: false });
            }
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let found = if unsure { look_twice(&look, pause).await } else { Ok(None) };
            // The claim may have lapsed over the looks, and another worker may be at the same write.
            if unsure && self.is_void().await {
                return Err(Undone::Lost);
            }
            let made = match found {
                Ok(None) => write().await,
                Ok(Some(found)) => Ok(found),
                Err(error) => Err(error),
            };
            let error = match made {
                Ok(made) => return self.settle(&effect, made).await,
                Err(error) => error,
            };
            if let Some(gone) = error.gone() {
                return Err(Undone::Gone(gone));
            }
            if error.is_final() {
                // "Already exists" is a refusal too, and what exists may be ours.
                match look().await {
                    Ok(Some(made)) => return self.settle(&effect, made).await,
                    Err(unseen) if !unseen.is_final() => {
                        return Err(Undone::later(&unseen));
                    }
                    _ => (),
                }
                info!(effect = key, "GitHub refused a write: {error}");
                if !self.store.settle_effect(&effect, false, &error.to_string()).await? {
                    return Err(Undone::Lost);
                }
                self.tell(key, &error).await;
                return Err(Undone::Refused(error.to_string()));
            }
            if matches!(error, Error::Limited { .. }) || tries == TRIES {
                return Err(Undone::later(&error));
            }
            warn!(effect = key, "A write to GitHub failed, looking before trying again: {error}");
            unsure = true;
            tokio::time::sleep(Duration::from_millis(250 << tries)).await;
            // The claim may have lapsed meanwhile, and another worker may be at the same write.
            if matches!(self.store.intend(&effect).await?, Intent::Lost | Intent::Elsewhere) {
                return Err(Undone::Lost);
            }
        }
    }

    /// Record what was made. Whoever was away for so long that another has the claim must not put theirs in its place.
    async fn settle<T: Serialize>(&self, effect: &Effect<'_>, made: T) -> Result<T, Undone> {
        let json = serde_json::to_string(&made).unwrap_or_else(|_| "null".to_owned());
        match self.store.settle_effect(effect, true, &json).await? {
            true => Ok(made),
            false => Err(Undone::Lost),
        }
    }

    /// A write that was refused for good stands in the task's log, where people look for what is missing on GitHub.
    async fn tell(&self, key: &str, error: &Error) {
        let Some(task_id) = self.task_id else { return };
        let what = key.rsplit_once(task_id).map_or(key, |(_, purpose)| purpose.trim_start_matches(':'));
        let says = text::redact(&format!("{what}: {error}"));
        let body = json!({ "step": "refused", "message": says, "text": format!("refused {says}") });
        let event = NewEvent { kind: "run".to_owned(), body: body.to_string() };
        if let Err(error) = self.store.append_events(task_id, &[event]).await {
            warn!("Could not write down that GitHub refused a write: {error}");
        }
    }
}

async fn look_twice<T, L, LF>(look: &L, pause: Duration) -> Result<Option<T>, Error>
where
    L: Fn() -> LF,
    LF: Future<Output = Result<Option<T>, Error>>,
{
    if let Some(found) = look().await? {
        return Ok(Some(found));
    }
    if pause.is_zero() {
        return Ok(None);
    }
    tokio::time::sleep(pause).await;
    look().await
}
