//! What a worker does with a stored delivery: hear it, ask GitHub for the facts, decide, act, and keep the reason.

use tokio::sync::Mutex;
use tracing::{Instrument as _, info, info_span, warn};

use super::event::{Heard, Names, Us, hear};
use super::json::json_of;
use super::{ask, click, edited, installation, moved};
use crate::app::App;
use crate::clock;
use crate::github::{Error, Repo};
use crate::queue::{Job, Verdict};
use crate::report::{Outbox, Undone};
use crate::store::{Decided, DeliveryState, Lease, StoredDelivery};
use crate::task::{Gone, Place, Refusal, Trigger};

/// Crashes and errors of ours after which a delivery is set aside.
const ATTEMPTS: i64 = 12;
/// From so many on it is looked at with no other such delivery beside it. What kills the process takes with it whatever is
/// being looked at; this tells the one from the others before they are given up with it.
const SUSPECT: i64 = 4;
static ALONE: Mutex<()> = Mutex::const_new(());

/// The shortest and the longest pause before another look, in milliseconds.
const SOON: clock::Millis = 1_000;
const LATE: clock::Millis = 300_000;

/// Look at one delivery.
pub async fn handle(app: App, job: Job) -> Verdict {
    let span = info_span!("delivery", delivery.id = job.lease().job_id, installation.id = tracing::field::Empty);
    // Boxed: it is large, and the worker's future would hold it.
    Box::pin(handle_in_span(app, job)).instrument(span).await
}

async fn handle_in_span(app: App, job: Job) -> Verdict {
    let _alone = match job.claimed.attempts < SUSPECT {
        true => None,
        false => match ALONE.try_lock() {
            Ok(turn) => Some(turn),
            Err(_) => return Verdict::Again { at: clock::now() + SOON, failed: false },
        },
    };
    let (age, limit) =
        (clock::now() - job.claimed.created_at, app.config.runs.wait_limit.0.as_millis() as clock::Millis);
    let looked = match job.claimed.attempts < ATTEMPTS {
        true => Box::pin(look(&app, &job)).await,
        // Looking at it again and again has killed the process.
        false => Err(Trouble::Ours(anyhow::anyhow!("looking at it never came to an end"))),
    };
    let decided = match looked {
        Ok(decided) => decided,
        Err(Trouble::Later { at, why }) if age < limit => {
            info!("Will look again: {why}");
            // The longer it has gone on, the longer the pause.
            let pause = (age / 10).clamp(SOON, LATE);
            return Verdict::Again { at: at.max(clock::now() + pause), failed: false };
        }
        Err(Trouble::Later { why, .. }) => {
            let (id, waited) = (&job.lease().job_id, app.config.runs.wait_limit);
            warn!("Giving a delivery up that could not be looked at for {waited}: {why}; {}", look_again(id));
            tell_that_it_was_given_up(&app, &job).await;
            Decided { state: DeliveryState::Failed, decision: why, task_id: None }
        }
        // What comes from GitHub is no rehearsal.
        Err(Trouble::Lost | Trouble::Would(_)) => return Verdict::Done,
        Err(Trouble::Gone(gone)) => done(DeliveryState::Ignored, gone.says()),
        Err(Trouble::Ours(error)) if job.claimed.attempts + 1 < ATTEMPTS => {
            warn!("Could not handle a delivery: {error:#}");
            return Verdict::Again { at: clock::now() + (2000 << job.claimed.attempts.min(8)), failed: true };
        }
        Err(Trouble::Ours(error)) => {
            let again = look_again(&job.lease().job_id);
            warn!("Giving a delivery up after {ATTEMPTS} tries: {error:#}; {again}");
            // Not when looking at it kills the process: telling would look again.
            if job.claimed.attempts < ATTEMPTS {
                tell_that_it_was_given_up(&app, &job).await;
            }
            Decided { state: DeliveryState::Failed, decision: format!("{error:#}"), task_id: None }
        }
    };
    info!(task.id = decided.task_id, "Decided: {}", decided.decision);
    match app.store.decided(job.lease(), &decided).await {
        Ok(_) => Verdict::Done,
        Err(error) => {
            warn!("Could not store a decision: {error}");
            Verdict::Again { at: clock::now() + 1000, failed: true }
        }
    }
}

/// What whoever reads the log can do about it.
fn look_again(delivery: &str) -> String {
    format!("`ca deliveries replay {delivery}` looks at it again")
}

/// Why a delivery has no decision yet.
pub(super) enum Trouble {
    Later {
        at: clock::Millis,
        why: String,
    },
    Lost,
    /// There is nobody left to answer.
    Gone(Gone),
    /// In a rehearsal: this is what would be done.
    Would(String),
    Ours(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        let error = error.into();
        let error = match error.downcast::<Undone>() {
            Ok(Undone::Later { at, why, .. }) => return Self::Later { at, why },
            Ok(Undone::Lost) => return Self::Lost,
            Ok(Undone::Gone(gone)) => return Self::Gone(gone),
            Ok(other) => return Self::Ours(other.into()),
            Err(error) => error,
        };
        match error.downcast::<Error>() {
            Ok(error @ Error::Limited { until, .. }) => Self::Later { at: until, why: error.to_string() },
            Ok(error) if error.gone().is_some() => error.gone().map_or(Self::Lost, Self::Gone),
            Ok(error) if !error.is_final() => Self::Later { at: clock::now() + 5_000, why: error.to_string() },
            Ok(error) => Self::Ours(error.into()),
            Err(error) => Self::Ours(error),
        }
    }
}

/// One delivery while it is looked at.
pub(super) struct Desk<'a> {
    pub app: &'a App,
    pub repo: Repo,
    pub outbox: Outbox<'a>,
    pub delivery_id: &'a str,
    /// The bot's account.
    pub us: u64,
    /// A rehearsal: facts are asked for and a decision is made, and nothing is done.
    pub dry: bool,
}

impl Desk<'_> {
    /// Stands before whatever is done: in a rehearsal this is as far as it goes.
    pub fn would(&self, what: impl Into<String>) -> Result<(), Trouble> {
        match self.dry {
            true => Err(Trouble::Would(what.into())),
            false => Ok(()),
        }
    }
}

/// Whoever has asked for something hears that nothing will come of it. As far as GitHub lets us.
async fn tell_that_it_was_given_up(app: &App, job: &Job) {
    let told = async {
        let Some(delivery) = app.store.delivery(&job.lease().job_id).await? else { return Ok(()) };
        let us = us(app).await?;
        match heard(app, &delivery, us)? {
            Ok(Heard::Ask(it)) if !it.unnamed => {
                ask::refuse(&desk(app, job.lease(), us, &it.place), &it, Refusal::Unreadable).await.map(drop)
            }
            _ => Ok(()),
        }
    };
    match told.await {
        Ok(()) | Err(Trouble::Lost | Trouble::Gone(_) | Trouble::Would(_)) => (),
        Err(Trouble::Later { why, .. }) => warn!("Nobody could be told: {why}"),
        Err(Trouble::Ours(error)) => warn!("Nobody could be told: {error:#}"),
    }
}

pub(super) async fn us(app: &App) -> Result<Us, Trouble> {
    let bot_id = app.github.identity().await?.bot_id;
    Ok(Us { bot_id, app_id: app.config.github.app_id.unwrap_or_default() })
}

pub(super) fn heard(app: &App, delivery: &StoredDelivery, us: Us) -> Result<serde_json::Result<Heard>, Trouble> {
    let names = Names { mention: app.config.github.mention.clone() };
    let json = json_of(&delivery.content_type, &delivery.body).map_err(anyhow::Error::msg)?;
    Ok(hear(&delivery.event, &json, &names, us))
}

impl Heard {
    /// Where it is about something that GitHub has to show us.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Ask(it) => Some(&it.place),
            Self::Pull(it) => Some(&it.ask.place),
            Self::Click(it) => Some(&it.place),
            Self::MergeGroup { place, .. } => Some(place),
            Self::Edited(_) | Self::Installation(_) | Self::Nothing(_) => None,
        }
    }
}

pub(super) fn desk<'a>(app: &'a App, lease: &'a Lease, us: Us, place: &Place) -> Desk<'a> {
    tracing::Span::current().record("installation.id", place.installation_id);
    Desk {
        app,
        repo: app.github.repo(place.installation_id, place.repository_id, &place.repository),
        outbox: Outbox { store: &app.store, lease, task_id: None },
        delivery_id: &lease.job_id,
        us: us.bot_id,
        dry: false,
    }
}

async fn look(app: &App, job: &Job) -> Result<Decided, Trouble> {
    let us = us(app).await?;
    let Some(delivery) = app.store.delivery(&job.lease().job_id).await? else {
        return Ok(done(DeliveryState::Failed, "the delivery is gone"));
    };
    let heard = match heard(app, &delivery, us)? {
        Ok(heard) => heard,
        Err(error) => return Ok(done(DeliveryState::Failed, &format!("the payload is not as expected: {error}"))),
    };
    // It may be large, and what comes next takes its time.
    drop(delivery);
    let place = heard.place().cloned();
    let decided = Box::pin(decide(app, job, us, heard)).await;
    if let (Err(Trouble::Gone(Gone::Suspended)), Some(place)) = (&decided, place)
        && !installation::is_suspended(app, place.installation_id).await?
    {
        return Err(Trouble::Later { at: clock::now(), why: "the installation is active again".to_owned() });
    }
    decided
}

async fn decide(app: &App, job: &Job, us: Us, heard: Heard) -> Result<Decided, Trouble> {
    match heard {
        Heard::Installation(it) => {
            tracing::Span::current().record("installation.id", it.installation);
            Box::pin(installation::decide(app, job, &it)).await
        }
        heard => decide_at(|place| desk(app, job.lease(), us, place), heard).await,
    }
}

/// Decide on what is about one repository.
pub(super) async fn decide_at<'a>(desk: impl Fn(&Place) -> Desk<'a>, heard: Heard) -> Result<Decided, Trouble> {
    match heard {
        Heard::Nothing(why) => Ok(done(DeliveryState::Ignored, why)),
        Heard::Ask(it) if it.on_pull && it.trigger == Trigger::Opened => {
            Box::pin(moved::opened(&desk(&it.place), &it)).await
        }
        Heard::Ask(it) => Box::pin(ask::decide(&desk(&it.place), &it)).await,
        Heard::Pull(it) => Box::pin(moved::decide(&desk(&it.ask.place), &it)).await,
        Heard::Edited(it) => Box::pin(edited::decide(&desk(&it.place), &it)).await,
        Heard::Click(it) => Box::pin(click::decide(&desk(&it.place), &it)).await,
        Heard::Installation(_) => Err(Trouble::Would("look at the installation anew".to_owned())),
        Heard::MergeGroup { place, head_sha } => Box::pin(moved::answer_merge_queue(&desk(&place), &head_sha)).await,
    }
}

/// A write that GitHub refuses is no reason not to go on.
pub(super) fn refused_is_fine(undone: Undone) -> Result<(), Undone> {
    match undone {
        Undone::Refused(why) => {
            warn!("GitHub does not let us say so: {why}");
            Ok(())
        }
        other => Err(other),
    }
}

pub(super) fn done(state: DeliveryState, decision: &str) -> Decided {
    Decided { state, decision: decision.to_owned(), task_id: None }
}
