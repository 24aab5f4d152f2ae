//! What a worker does with a stored delivery: hear it, ask GitHub for the facts, decide, act, and keep the reason.

use std::collections::BTreeMap;

use futures::future::join_all;
use tracing::{Instrument as _, info, info_span, warn};

use super::event::{Ask, Heard, Names, hear};
use super::json::json_of;
use crate::app::App;
use crate::clock;
use crate::github::{self, Error, Reaction, Repo};
use crate::queue::{Job, Verdict};
use crate::report::{self, Outbox, Undone};
use crate::store::{Decided, DeliveryState, NewTask};
use crate::task::{Account, Admission, Facts, Refusal, Role, Said, Snapshot, TaskId, Trigger, admit};
use crate::text;

/// Crashes and errors of ours after which a delivery is set aside.
const ATTEMPTS: i64 = 8;
/// The newest comments of a thread that the agent is given, and the most of each, in characters.
const REMARKS: usize = 100;
const LONGEST_REMARK: usize = 16_000;
/// People of a thread whose rights are asked for; beyond that they count as unknown.
const PEOPLE: usize = 12;

/// Look at one delivery.
pub async fn handle(app: App, job: Job) -> Verdict {
    let span = info_span!("delivery", delivery.id = job.lease().job_id, installation.id = tracing::field::Empty);
    handle_in_span(app, job).instrument(span).await
}

async fn handle_in_span(app: App, job: Job) -> Verdict {
    let looked = match job.claimed.attempts < ATTEMPTS {
        true => look(&app, &job).await,
        // Looking at it again and again has killed the process.
        false => Err(Trouble::Ours(anyhow::anyhow!("looking at it never came to an end"))),
    };
    let decided = match looked {
        Ok(decided) => decided,
        Err(Trouble::Later { at, why }) => {
            info!("Will look again: {why}");
            return Verdict::Again { at, failed: false };
        }
        Err(Trouble::Lost) => return Verdict::Done,
        Err(Trouble::Ours(error)) if job.claimed.attempts + 1 < ATTEMPTS => {
            warn!("Could not handle a delivery: {error:#}");
            return Verdict::Again { at: clock::now() + (2000 << job.claimed.attempts.min(8)), failed: true };
        }
        Err(Trouble::Ours(error)) => {
            warn!("Giving a delivery up after {ATTEMPTS} tries: {error:#}");
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

/// Why a delivery has no decision yet.
enum Trouble {
    Later { at: clock::Millis, why: String },
    Lost,
    Ours(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        let error = error.into();
        let error = match error.downcast::<Undone>() {
            Ok(Undone::Later { at, why, .. }) => return Self::Later { at, why },
            Ok(Undone::Lost) => return Self::Lost,
            Ok(other) => return Self::Ours(other.into()),
            Err(error) => error,
        };
        match error.downcast::<Error>() {
            Ok(Error::Limited { until }) => Self::Later { at: until, why: "GitHub asks us to wait".to_owned() },
            Ok(error) if !error.is_final() => Self::Later { at: clock::now() + 5_000, why: error.to_string() },
            Ok(error) => Self::Ours(error.into()),
            Err(error) => Self::Ours(error),
        }
    }
}

async fn look(app: &App, job: &Job) -> Result<Decided, Trouble> {
    let Some(delivery) = app.store.delivery(&job.lease().job_id).await? else {
        return Ok(done(DeliveryState::Failed, "the delivery is gone"));
    };
    let us = app.github.identity().await?.bot_id;
    let names = Names { mention: app.config.github.mention.clone(), label: app.config.github.label.clone() };
    let json = json_of(&delivery.content_type, &delivery.body).map_err(anyhow::Error::msg)?;
    let ask = match hear(&delivery.event, &json, &names, us) {
        Ok(Heard::Ask(ask)) => ask,
        Ok(Heard::Nothing(why)) => return Ok(done(DeliveryState::Ignored, why)),
        Err(error) => return Ok(done(DeliveryState::Failed, &format!("the payload is not as expected: {error}"))),
    };
    tracing::Span::current().record("installation.id", ask.place.installation_id);
    decide(app, job, &ask).await
}

async fn decide(app: &App, job: &Job, ask: &Ask) -> Result<Decided, Trouble> {
    let place = &ask.place;
    let repo = app.github.repo(place.installation_id, place.repository_id, &place.repository);
    let outbox = Outbox { store: &app.store, lease: job.lease(), task_id: None };
    // An earlier attempt of ours may have come this far and died before it could say so.
    if let Some(task) = app.store.task_of_delivery(&job.lease().job_id).await? {
        greet(&outbox, &repo, ask).await?;
        return Ok(Decided { task_id: Some(task.id.to_string()), ..done(DeliveryState::Done, "made a task") });
    }
    let (role, default, last) = tokio::join!(
        repo.role_of(&ask.asker),
        repo.default_branch(&ask.default_branch),
        app.store.last_task(place.repository_id, place.number),
    );
    let (default, last) = (default?, last?);
    let facts = Facts {
        role: role?,
        on_pull: ask.on_pull,
        open_task: last.as_ref().is_some_and(|task| !task.state.is_final()),
        ended_task: last.as_ref().is_some_and(|task| task.state.is_final()),
        has_commits: default.head.is_some(),
    };
    let quiet = !matches!(ask.trigger, Trigger::Comment { .. });
    let prompt = match admit(&ask.command, quiet, &facts) {
        Admission::Ignore(why) => return Ok(done(DeliveryState::Ignored, why)),
        Admission::Refuse(refusal) => return refuse(app, &outbox, &repo, ask, refusal).await,
        Admission::Help => {
            report::help(&outbox, &repo, &app.config.github, place.number, &ask.asker)
                .await
                .or_else(refused_is_fine)?;
            return Ok(done(DeliveryState::Done, "explained what one can say"));
        }
        Admission::Stop => {
            if let Some(task) = &last {
                app.store.request_cancel(&task.id.to_string(), &ask.asker.login).await?;
            }
            greet(&outbox, &repo, ask).await?;
            return Ok(done(DeliveryState::Done, "asked the running task to stop"));
        }
        Admission::Retry => last.map(|task| task.prompt).unwrap_or_default(),
        Admission::Start { prompt } => prompt,
    };
    let (greeted, snapshot) =
        tokio::join!(greet(&outbox, &repo, ask), snapshot(&repo, ask, &default, app.github.identity().await?.bot_id));
    let new = NewTask {
        id: TaskId::fresh(),
        place: place.clone(),
        requester: ask.asker.clone(),
        trigger: ask.trigger.clone(),
        prompt,
        snapshot: snapshot?,
    };
    if !app.store.create_task(job.lease(), &new).await? {
        // Somebody else asked at the same moment.
        return match quiet {
            true => Ok(done(DeliveryState::Ignored, "a task of this thread is open already")),
            false => refuse(app, &outbox, &repo, ask, Refusal::AlreadyRunning).await,
        };
    }
    greeted?;
    Ok(Decided { task_id: Some(new.id.to_string()), ..done(DeliveryState::Done, "made a task") })
}

/// 👀: heard. That GitHub does not let us react is no reason not to work.
async fn greet(outbox: &Outbox<'_>, repo: &Repo, ask: &Ask) -> Result<(), Undone> {
    let to = report::react_to(&ask.trigger, ask.place.number);
    report::react(outbox, repo, to, Reaction::Eyes).await.or_else(refused_is_fine)
}

async fn refuse(app: &App, outbox: &Outbox<'_>, repo: &Repo, ask: &Ask, refusal: Refusal) -> Result<Decided, Trouble> {
    let to = report::react_to(&ask.trigger, ask.place.number);
    report::react(outbox, repo, to, Reaction::Confused).await.or_else(refused_is_fine)?;
    let names = &app.config.github;
    report::refuse(outbox, repo, names, ask.place.number, &ask.asker, refusal).await.or_else(refused_is_fine)?;
    Ok(done(DeliveryState::Done, &format!("refused: {}", refusal.code())))
}

fn refused_is_fine(undone: Undone) -> Result<(), Undone> {
    match undone {
        Undone::Refused(why) => {
            warn!("GitHub does not let us say so: {why}");
            Ok(())
        }
        other => Err(other),
    }
}

/// The issue as it is at this moment. Title, text and the asking comment come from the signed payload, so that an edit
/// between the ask and now changes nothing.
async fn snapshot(repo: &Repo, ask: &Ask, default: &github::Default, us: u64) -> Result<Snapshot, Error> {
    let before = match ask.trigger {
        Trigger::Comment { id } => id,
        _ => u64::MAX,
    };
    let mut remarks = match ask.comments {
        0 => Vec::new(),
        _ => repo.comments(ask.place.number).await?,
    };
    // What we said ourselves tells the agent nothing about the issue.
    remarks.retain(|remark| remark.id < before && remark.user.as_ref().is_none_or(|user| user.id != us));
    remarks.drain(..remarks.len().saturating_sub(REMARKS));
    let people: BTreeMap<u64, String> = ask
        .author
        .iter()
        .map(|author| (author.id, author.login.clone()))
        .chain(remarks.iter().filter_map(|it| it.user.as_ref()).map(|user| (user.id, user.login.clone())))
        .filter(|(id, login)| *id != ask.asker.id && !login.ends_with("[bot]"))
        .take(PEOPLE)
        .collect();
    let asked = people.into_iter().map(|(id, login)| async move {
        let role = repo.role_of(&Account { id, login }).await;
        (id, role.ok().map(Role::can_write))
    });
    let mut trusted: BTreeMap<u64, Option<bool>> = join_all(asked).await.into_iter().collect();
    trusted.insert(ask.asker.id, Some(true));
    let thread = remarks
        .into_iter()
        .map(|remark| Said {
            trusted: remark.user.as_ref().and_then(|user| trusted.get(&user.id).copied().flatten()),
            author: remark.user.map_or_else(|| "ghost".to_owned(), |user| user.login),
            body: text::cut(&remark.body.unwrap_or_default(), LONGEST_REMARK),
            at: remark.created_at,
        })
        .collect();
    Ok(Snapshot {
        title: ask.title.clone(),
        body: ask.body.clone(),
        author_trusted: ask.author.as_ref().and_then(|author| trusted.get(&author.id).copied().flatten()),
        author: ask.author.as_ref().map_or_else(|| "ghost".to_owned(), |author| author.login.clone()),
        labels: ask.labels.clone(),
        thread,
        comment: ask.comment.clone(),
        base_branch: default.branch.clone(),
        base_sha: default.head.clone().unwrap_or_default(),
    })
}

fn done(state: DeliveryState, decision: &str) -> Decided {
    Decided { state, decision: decision.to_owned(), task_id: None }
}
