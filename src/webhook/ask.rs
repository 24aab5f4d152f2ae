//! Somebody wants something: who may, and what comes of it.

use tracing::info;

use super::approve;
use super::breaker::{self, May};
use super::event::Ask;
use super::handle::{Desk, Trouble, done, refused_is_fine};
use super::late;
use super::replay::{self, Origin};
use super::snapshot::{self, Setting};
use crate::clock;
use crate::github::{PullRequest, Reaction};
use crate::report::{self, Undone};
use crate::store::{Created, Decided, DeliveryState, NewTask, StoredTask, Within};
use crate::task::{
    Admission, Asker, Command, Facts, Kind, Place, PullFacts, Refusal, Role, TaskId, ThreadRemark, Trigger, admit,
    review_asked,
};
use crate::text;

/// What a task is made of besides the snapshot.
pub(super) struct Order {
    pub kind: Kind,
    pub asker: Asker,
    pub prompt: String,
    pub goes_on: bool,
    pub origin: Option<String>,
}

/// What came of an approval.
pub(super) enum Asked {
    Approved(Decided),
    Answered(Decided),
}

/// Who asks, as the lane sees it.
pub(super) fn asker(role: Role) -> Asker {
    if role.can_write() { Asker::Writer } else { Asker::Other }
}

pub async fn decide(desk: &Desk<'_>, ask: &Ask) -> Result<Decided, Trouble> {
    let (app, place) = (desk.app, &ask.place);
    // An earlier attempt of ours may have come this far and died before it could say so.
    if let Some(task) = app.store.task_of_delivery(desk.delivery_id).await? {
        greet(desk, ask).await?;
        announce(desk, &task, None).await?;
        return Ok(made(&task.id));
    }
    if let Some(label) = &ask.label
        && !is_our_label(desk, ask, label).await?
    {
        return Ok(done(DeliveryState::Ignored, "it is not our label"));
    }
    let origin = match replay::origin(desk, place, origin(ask)).await? {
        Origin::Fresh(origin) => origin,
        Origin::Used => return Ok(done(DeliveryState::Ignored, HAS_ASKED)),
        Origin::Open => return Ok(done(DeliveryState::Ignored, replay::IS_OPEN)),
    };
    if let Some(why) = late::is_moot(desk, ask).await? {
        return Ok(done(DeliveryState::Ignored, why));
    }
    let pull = async {
        match ask.on_pull {
            true => desk.repo.pull(place.number).await.map(Some),
            false => Ok(None),
        }
    };
    let (setting, role, pull, tasks) = tokio::join!(
        Setting::of(desk, &ask.default_branch),
        desk.repo.role_of(&ask.asker),
        pull,
        app.store.tasks_of_thread(place.repository_id, place.number)
    );
    let (setting, pull, tasks) = (setting?, pull?, tasks?);
    // Work on a pull request of ours begins with the task that has opened it.
    let opened = match ask.on_pull {
        true => app.store.task_that_opened(place.repository_id, place.number).await?.is_some(),
        false => false,
    };
    let role = role?;
    let asker = asker(role);
    let facts = Facts {
        role,
        who: setting.rules.ask.who,
        pull: pull.as_ref().map(|pull| pull_facts(pull, &tasks)),
        open_task: tasks.iter().any(|task| task.kind != Kind::Review && !task.state.is_final()),
        ended_task: tasks.iter().any(|task| task.state.is_final()) || (opened && ask.command == Command::Continue),
        has_commits: setting.default.head.is_some() || pull.is_some(),
        broken: ask.command == Command::Resume
            && app.store.breaker(place).await?.is_some_and(|breaker| breaker.resumed_at.is_none()),
    };
    // Of labels and new issues a second word would be noise.
    let quiet = matches!(ask.trigger, Trigger::Opened | Trigger::Labeled);
    let kind = if ask.on_pull { Kind::Pull } else { Kind::Issue };
    let order = match admit(&ask.command, quiet, &facts) {
        Admission::Ignore(why) => return Ok(done(DeliveryState::Ignored, why)),
        // Who did not name us hears only that their review has to wait, for it would be lost without a sign.
        Admission::Refuse(refusal) if ask.unnamed && refusal != Refusal::AlreadyRunning => {
            return Ok(done(DeliveryState::Ignored, "nobody named us"));
        }
        Admission::Refuse(refusal) => {
            if refusal == Refusal::NothingToStop && late::stops_what_waits(desk, ask).await? {
                greet(desk, ask).await?;
                return Ok(done(DeliveryState::Done, "what was asked before will not begin"));
            }
            return refuse(desk, ask, refusal).await;
        }
        Admission::Help => {
            desk.would("say what one can say")?;
            report::help(&desk.outbox, &desk.repo, &app.config.github, place.number, &ask.asker)
                .await
                .or_else(refused_is_fine)?;
            return Ok(done(DeliveryState::Done, "explained what one can say"));
        }
        Admission::Stop => {
            desk.would("ask the running task to stop")?;
            stop(desk, late::meant(desk, ask, &tasks).await?, &ask.asker.login).await?;
            greet(desk, ask).await?;
            return Ok(done(DeliveryState::Done, "asked the running task to stop"));
        }
        Admission::Resume => {
            desk.would("let tasks begin here again")?;
            app.store.resume(place, &ask.asker.login).await?;
            greet(desk, ask).await?;
            return Ok(done(DeliveryState::Done, "resumed"));
        }
        Admission::Approve(commit) => {
            let Some(pull) = &pull else { return refuse(desk, ask, Refusal::NothingToApprove).await };
            return match (approve::decide(desk, ask, &commit, pull).await?, &ask.command) {
                (Asked::Approved(_), Command::Approve { then: Some(then), .. }) => {
                    let ask = Ask { command: (**then).clone(), ..ask.clone() };
                    Box::pin(decide(desk, &ask)).await
                }
                (Asked::Approved(decided) | Asked::Answered(decided), _) => Ok(decided),
            };
        }
        Admission::Retry => retry(&tasks, ask.on_pull, asker),
        Admission::Continue => {
            let prompt = "Go on where you stopped.".to_owned();
            Order { kind, asker, prompt, goes_on: true, origin: None }
        }
        Admission::Review => review(asker),
        Admission::Start { prompt } => Order { kind, asker, prompt, goes_on: ask.on_pull, origin: None },
    };
    match breaker::may(desk, place, &ask.asker, &ask.trigger).await? {
        May::Begin(within) => {
            let order = Order { origin, ..order };
            start(desk, ask, &setting, pull.as_ref(), order, quiet, within).await
        }
        May::NotHere(decided) => Ok(decided),
        May::NotNow => refuse(desk, ask, Refusal::TooMuchAtOnce).await,
    }
}

const HAS_ASKED: &str = "the same words have asked already";

/// What asked, by a name that is the same whichever delivery tells of it: all of a review is one ask.
fn origin(ask: &Ask) -> Option<String> {
    match (ask.review, &ask.trigger) {
        (Some(id), _) => Some(format!("review:{id}")),
        (None, Trigger::Comment { id }) => Some(format!("comment:{id}")),
        (None, Trigger::ReviewComment { id, .. }) => Some(format!("review-comment:{id}")),
        // Its own text, which is opened once and may be found again by a listing.
        (None, Trigger::Opened) => Some(format!("text:{}", ask.place.number)),
        _ => None,
    }
}

async fn has_asked(desk: &Desk<'_>, place: &Place, origin: Option<&str>) -> Result<bool, Trouble> {
    Ok(match origin {
        Some(origin) => desk.app.store.task_of_origin(place.repository_id, origin).await?.is_some(),
        None => false,
    })
}

/// Whether this label asks for something: the operator's, unless the repository's settings name another.
async fn is_our_label(desk: &Desk<'_>, ask: &Ask, label: &str) -> Result<bool, Trouble> {
    let rules = Setting::of(desk, &ask.default_branch).await?.rules;
    let ours = rules.fix.label.as_ref().unwrap_or(&desk.app.config.github.label);
    Ok(label.eq_ignore_ascii_case(ours))
}

/// The last thing that a person asked for, once more. It is no more trusted than it was then: the words are still the
/// other person's.
fn retry(tasks: &[StoredTask], on_pull: bool, asker: Asker) -> Order {
    let asked = tasks.iter().find(|task| task.trigger != Trigger::Pull).or(tasks.first());
    let asker = if asked.is_none_or(|task| task.snapshot.asker_writes()) { asker } else { Asker::Other };
    match asked {
        Some(task) if task.kind == Kind::Review => review(asker),
        // On an issue `retry` starts anew; a pull request has a history that the agent should know.
        _ => {
            let prompt = asked.map(|task| task.prompt.clone()).unwrap_or_default();
            let kind = if on_pull { Kind::Pull } else { Kind::Issue };
            Order { kind, asker, prompt, goes_on: on_pull, origin: None }
        }
    }
}

fn review(asker: Asker) -> Order {
    Order { kind: Kind::Review, asker, prompt: String::new(), goes_on: false, origin: None }
}

pub(super) fn pull_facts(pull: &PullRequest, tasks: &[StoredTask]) -> PullFacts {
    PullFacts {
        closed: pull.state != "open",
        review_open: review_asked(tasks.iter().map(|task| (task.kind, task.state, head_of(task))), &pull.head.sha),
        any_review_open: tasks.iter().any(|task| task.kind == Kind::Review && !task.state.is_final()),
    }
}

/// The commit that a task looks at.
pub(super) fn head_of(task: &StoredTask) -> &str {
    task.snapshot.pull.as_ref().map_or("", |pull| &pull.head_sha)
}

/// Make the task, and let people see that it is there.
async fn start(
    desk: &Desk<'_>,
    ask: &Ask,
    setting: &Setting,
    pull: Option<&PullRequest>,
    order: Order,
    quiet: bool,
    within: Within,
) -> Result<Decided, Trouble> {
    let (body, said) = match ask.review {
        Some(id) if ask.on_pull => snapshot::review(desk, ask.place.number, id).await?,
        _ => (String::new(), Vec::new()),
    };
    // One comment alone is answered where it stands, several together in the conversation.
    let together = said.len() > 1 || (!said.is_empty() && !body.trim().is_empty());
    let trigger = match (ask.review, together) {
        (Some(id), true) => Trigger::Review { id },
        _ => ask.trigger.clone(),
    };
    let ask = &Ask { trigger, ..ask.clone() };
    let order = match together && order.kind != Kind::Review {
        true => Order { prompt: words_of(&body, &said, &desk.app.config.github.mention), ..order },
        false => order,
    };
    let review = if together { said } else { Vec::new() };
    desk.would(making(order.kind, &order.prompt))?;
    let (greeted, snapshot) = tokio::join!(greet(desk, ask), snapshot::take(desk, ask, setting, pull, &order, review));
    let new = NewTask {
        id: TaskId::fresh(),
        place: ask.place.clone(),
        requester: ask.asker.clone(),
        trigger: ask.trigger.clone(),
        prompt: order.prompt,
        snapshot: snapshot?,
        kind: order.kind,
        origin: order.origin,
        within: Some(within),
    };
    greeted?;
    match create(desk, &new).await? {
        Some(decided) => Ok(decided),
        // Somebody else asked at the same moment, or the same words did.
        None if has_asked(desk, &new.place, new.origin.as_deref()).await? => {
            Ok(done(DeliveryState::Ignored, HAS_ASKED))
        }
        None if quiet || ask.review.is_some() => {
            Ok(done(DeliveryState::Ignored, "a task of this thread is open already"))
        }
        None if new.kind == Kind::Review => refuse(desk, ask, Refusal::AlreadyReviewing).await,
        None => refuse(desk, ask, Refusal::AlreadyRunning).await,
    }
}

/// A review's words, the same whichever of its deliveries came first.
fn words_of(body: &str, said: &[ThreadRemark], mention: &str) -> String {
    let unnamed = |text: &str| text.replace(&format!("@{mention}"), "").trim().to_owned();
    let on_line = |remark: &ThreadRemark| {
        let line = remark.line.map_or(String::new(), |line| format!(", line {line}"));
        format!("On `{}`{line}: {}", remark.path, unnamed(&remark.body))
    };
    let parts: Vec<String> = std::iter::once(unnamed(body)).chain(said.iter().map(on_line)).collect();
    parts.join("\n\n").trim().to_owned()
}

/// Store a task and put its check run on the pull request. None when the thread has one already.
pub(super) async fn create(desk: &Desk<'_>, new: &NewTask) -> Result<Option<Decided>, Trouble> {
    desk.would(making(new.kind, &new.prompt))?;
    match desk.app.store.create_task(desk.outbox.lease, new).await? {
        Created::Lost => Err(Trouble::Lost),
        Created::Busy => Ok(None),
        // Now that those before it are there, the next look sees them, and tells people.
        Created::TooMuch => {
            Err(Trouble::Later { at: clock::now(), why: "too much was asked at the same moment".to_owned() })
        }
        Created::Made { superseded } => {
            let task = desk.app.store.task(&new.id.to_string()).await?;
            if let Some(task) = &task {
                announce(desk, task, superseded.as_deref()).await?;
            }
            Ok(Some(made(&new.id)))
        }
    }
}

/// A review is seen on the pull request from now on; the one that it takes the place of is seen to have ended.
pub(super) async fn announce(desk: &Desk<'_>, task: &StoredTask, superseded: Option<&str>) -> Result<(), Trouble> {
    if task.kind != Kind::Review || task.state.is_final() {
        return Ok(());
    }
    match report::review::queued(&desk.outbox, &desk.repo, task).await {
        // Its run makes it when GitHub lets it, and shows that it waits; were both of us to wait, we would make two.
        Err(Undone::Later { why, .. }) => info!(task.id = %task.id, "The run is left to show the review: {why}"),
        shown => shown.map(drop).or_else(refused_is_fine)?,
    }
    desk.app.store.release_task(&task.id.to_string()).await?;
    // Another push may have taken its place while its check was made.
    if let Some(task) = desk.app.store.task(&task.id.to_string()).await?
        && task.ending.as_ref().is_some_and(|ending| ending.code == "superseded")
    {
        report::review::end_stranded(&desk.outbox, &desk.repo, &task).await.or_else(refused_is_fine)?;
    }
    if let Some(old) = superseded
        && let Some(old) = desk.app.store.task(old).await?
    {
        report::review::end_stranded(&desk.outbox, &desk.repo, &old).await.or_else(refused_is_fine)?;
    }
    Ok(())
}

fn making(kind: Kind, prompt: &str) -> String {
    let words = text::line(prompt, 80);
    let words = if words.is_empty() { words } else { format!(": {words}") };
    format!("make a task ({}){words}", kind.name())
}

/// Ask the open tasks of a thread to stop.
pub(super) async fn stop<'t>(
    desk: &Desk<'_>,
    tasks: impl IntoIterator<Item = &'t StoredTask>,
    by: &str,
) -> Result<usize, Trouble> {
    let mut asked = 0;
    for task in tasks.into_iter().filter(|task| !task.state.is_final()) {
        desk.would("ask the running task to stop")?;
        asked += usize::from(desk.app.store.request_cancel(&task.id.to_string(), by).await?);
    }
    Ok(asked)
}

/// 👀: heard. That GitHub does not let us react is no reason not to work.
async fn greet(desk: &Desk<'_>, ask: &Ask) -> Result<(), Undone> {
    react(desk, ask, Reaction::Eyes).await
}

pub(super) async fn react(desk: &Desk<'_>, ask: &Ask, reaction: Reaction) -> Result<(), Undone> {
    match report::react_to(&ask.trigger, ask.place.number) {
        Some(to) => report::react(&desk.outbox, &desk.repo, to, reaction).await.or_else(refused_is_fine),
        None => Ok(()),
    }
}

pub(super) async fn refuse(desk: &Desk<'_>, ask: &Ask, refusal: Refusal) -> Result<Decided, Trouble> {
    desk.would(refusing(refusal))?;
    react(desk, ask, Reaction::Confused).await?;
    tell_refusal(desk, ask.place.number, &ask.asker, refusal, ask.on_pull, None).await
}

/// Tell a person no, in the thread's conversation.
pub(super) async fn tell_refusal(
    desk: &Desk<'_>,
    number: u64,
    asker: &crate::task::Account,
    refusal: Refusal,
    on_pull: bool,
    press: Option<&str>,
) -> Result<Decided, Trouble> {
    desk.would(refusing(refusal))?;
    let names = &desk.app.config.github;
    report::refuse(&desk.outbox, &desk.repo, names, number, asker, refusal, on_pull, press)
        .await
        .or_else(refused_is_fine)?;
    Ok(done(DeliveryState::Done, &format!("refused: {}", refusal.code())))
}

pub(super) fn refusing(refusal: Refusal) -> String {
    format!("refuse: {}", refusal.code())
}

pub(super) fn made(id: &TaskId) -> Decided {
    Decided { task_id: Some(id.to_string()), ..done(DeliveryState::Done, "made a task") }
}
