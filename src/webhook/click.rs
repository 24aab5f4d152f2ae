//! Somebody pressed a button on one of our check runs: *Fix all*, *Re-run* or *Stop*.

use super::ask::{self, Order, head_of};
use super::breaker::{self, May};
use super::event::{Ask, Click, Wants};
use super::handle::{Desk, Trouble, done, refused_is_fine};
use super::snapshot::{self, Setting};
use crate::clock;
use crate::github::PullRequest;
use crate::report;
use crate::store::{Decided, DeliveryState, NewTask, StoredTask};
use crate::task::review::KnownState;
use crate::task::{Account, Command, Kind, Place, Refusal, Role, TaskId, Trigger, may_press, review_asked};

pub async fn decide(desk: &Desk<'_>, click: &Click) -> Result<Decided, Trouble> {
    let app = desk.app;
    if let Some(task) = app.store.task_of_delivery(desk.delivery_id).await? {
        ask::announce(desk, &task, None).await?;
        return Ok(ask::made(&task.id));
    }
    let outside = click.task_id.as_deref().filter(|id| id.parse::<TaskId>().is_err());
    if let (Some(id), Wants::Rerun) = (outside, click.wants) {
        return of_no_task(desk, click, id).await;
    }
    let tasks = app.store.tasks_of_head(click.place.repository_id, &click.head_sha).await?;
    let clicked = tasks.iter().find(|task| click.task_id.as_ref().is_none_or(|id| task.id.to_string() == *id));
    let number = match clicked {
        // The check of work stands on what that has opened, not on what it was asked on.
        Some(task) if task.kind == Kind::Issue => {
            task.ending.as_ref().and_then(|it| it.pull).or(task.progress.published.as_ref().and_then(|it| it.pull))
        }
        Some(task) => Some(task.place.number),
        None => number_of(desk, click).await?,
    };
    let Some(number) = number else {
        // The commit of a merge queue belongs to no pull request.
        let runs = desk.repo.checks_of(&click.head_sha).await?;
        let ids = runs.into_iter().filter_map(|run| run.external_id);
        if let Some(id) = ids.into_iter().find(|id| id.starts_with(report::review::MERGE_GROUP)) {
            return of_no_task(desk, click, &id).await;
        }
        return Ok(done(DeliveryState::Ignored, "no open pull request has this commit"));
    };
    let role = desk.repo.role_of(&click.asker).await.or_else(|error| match error.is_final() {
        true => Ok(Role::None),
        false => Err(error),
    })?;
    let pull = desk.repo.pull(number).await?;
    let setting = Setting::of(desk, &click.default_branch).await?;
    if !may_press(click.wants, role, setting.rules.ask.who) {
        return ask::tell_refusal(desk, number, &click.asker, Refusal::NotAWriter, true, Some(desk.delivery_id)).await;
    }
    match click.wants {
        Wants::Stop => {
            let open = app.store.tasks_of_thread(click.place.repository_id, number).await?;
            // One review is stopped by its own button, everything by that of none.
            let meant: Vec<StoredTask> = open
                .into_iter()
                .filter(|task| click.task_id.as_ref().is_none_or(|id| task.id.to_string() == *id))
                .collect();
            let stopped = ask::stop(desk, &meant, &click.asker.login).await?;
            Ok(done(DeliveryState::Done, if stopped == 0 { "nothing ran" } else { "asked it to stop" }))
        }
        Wants::Rerun if clicked.is_none_or(|task| task.kind == Kind::Review) && !pull.is_open() => {
            ask::tell_refusal(desk, number, &click.asker, Refusal::PullClosed, true, Some(desk.delivery_id)).await
        }
        Wants::Rerun => rerun(desk, click, role, &pull, &setting, &tasks, clicked).await,
        Wants::Fix => fix(desk, click, role, &pull, &setting).await,
    }
}

/// *Re-run* on a check that is about no task: what it says is said again, on a new one.
async fn of_no_task(desk: &Desk<'_>, click: &Click, id: &str) -> Result<Decided, Trouble> {
    desk.would("tell it again")?;
    let (outbox, repo) = (&desk.outbox, &desk.repo);
    if id.starts_with(report::review::MERGE_GROUP) {
        report::review::merge_group(outbox, repo, &click.head_sha, desk.delivery_id).await.or_else(refused_is_fine)?;
    } else if let Some(file) = snapshot::settings_at(desk, &click.head_sha).await? {
        let config = &desk.app.config;
        report::settings_check(outbox, repo, config, &click.head_sha, &file, desk.delivery_id)
            .await
            .or_else(refused_is_fine)?;
    }
    Ok(done(DeliveryState::Done, "told it again"))
}

/// A fork's check names no pull request, and our own rows may be gone.
async fn number_of(desk: &Desk<'_>, click: &Click) -> Result<Option<u64>, Trouble> {
    let pulls = match desk.repo.pulls_of_commit(&click.head_sha).await {
        Err(error) if error.is_final() => Vec::new(),
        other => other?,
    };
    let known = pulls.iter().find(|pull| pull.state == "open" && pull.head.sha == click.head_sha);
    if let Some(pull) = known {
        return Ok(Some(pull.number));
    }
    Ok(desk.repo.open_pulls_with_head(&click.head_sha).await?.first().map(|pull| pull.number))
}

/// The same question about the same commit, on a new check run: GitHub keeps a completed one as it is.
async fn rerun(
    desk: &Desk<'_>,
    click: &Click,
    role: Role,
    pull: &PullRequest,
    setting: &Setting,
    tasks: &[StoredTask],
    clicked: Option<&StoredTask>,
) -> Result<Decided, Trouble> {
    let whole_suite = click.task_id.is_none();
    let wants_review = match (whole_suite, clicked) {
        (false, Some(task)) => task.kind == Kind::Review,
        // Our own rows may be gone: then a review is what our checks are for.
        _ => tasks.is_empty() || tasks.iter().any(|task| task.kind == Kind::Review),
    };
    // The suite holds every run on the commit; a run of finished work only has its result to tell again.
    for task in tasks.iter().filter(|task| task.kind != Kind::Review && task.state.is_final()) {
        if whole_suite || clicked.is_some_and(|it| it.id == task.id) {
            desk.would("tell the result of the work again")?;
            report::repeat_check(&desk.outbox, &desk.repo, task, &click.head_sha, desk.delivery_id)
                .await
                .or_else(refused_is_fine)?;
        }
    }
    if !wants_review {
        return Ok(done(DeliveryState::Done, "told the result of the work again"));
    }
    if review_asked(tasks.iter().map(|task| (task.kind, task.state, head_of(task))), &click.head_sha) {
        return Ok(done(DeliveryState::Ignored, "a review of this commit is open already"));
    }
    // The pull request may have moved on since; what was asked is about this commit.
    let mut pull = pull.clone();
    pull.head.sha.clone_from(&click.head_sha);
    make(desk, click, role, &pull, setting, Kind::Review, String::new()).await
}

/// A task that makes the changes which the review asks for.
async fn fix(
    desk: &Desk<'_>,
    click: &Click,
    role: Role,
    pull: &PullRequest,
    setting: &Setting,
) -> Result<Decided, Trouble> {
    if pull.state != "open" {
        return ask::tell_refusal(desk, pull.number, &click.asker, Refusal::PullClosed, true, Some(desk.delivery_id))
            .await;
    }
    let open = desk.app.store.findings(click.place.repository_id, pull.number).await?;
    // What people have resolved since the last review is settled.
    let threads = desk.repo.threads(pull.number).await.unwrap_or_default();
    let resolved = |comment: Option<u64>| {
        let mut of = threads.iter().filter(|it| it.is_resolved);
        comment.is_some() && of.any(|it| it.comments.first().and_then(|first| first.database_id) == comment)
    };
    let open: Vec<_> =
        open.iter().filter(|it| it.known.state == KnownState::Open && !resolved(it.comment_id)).collect();
    if open.is_empty() {
        return ask::tell_refusal(desk, pull.number, &click.asker, Refusal::NothingToFix, true, Some(desk.delivery_id))
            .await;
    }
    let findings: Vec<_> = open.iter().map(|it| &it.finding).collect();
    let prompt = crate::text::render("prompt/fix_all.md", &serde_json::json!({ "findings": findings }));
    make(desk, click, role, pull, setting, Kind::Pull, prompt.trim().to_owned()).await
}

async fn make(
    desk: &Desk<'_>,
    click: &Click,
    role: Role,
    pull: &PullRequest,
    setting: &Setting,
    kind: Kind,
    prompt: String,
) -> Result<Decided, Trouble> {
    let ask = Ask {
        place: Place { number: pull.number, ..click.place.clone() },
        asker: click.asker.clone(),
        trigger: Trigger::Button,
        command: Command::Review,
        label: None,
        on_pull: true,
        default_branch: setting.default.branch.clone(),
        title: pull.title.clone(),
        body: pull.body.clone().unwrap_or_default(),
        author: pull.user.as_ref().map(|user| Account { id: user.id, login: user.login.clone() }),
        labels: Vec::new(),
        has_comments: true,
        comment: None,
        review: None,
        unnamed: false,
        asked_at: clock::iso(clock::now()),
    };
    let within = match breaker::may(desk, &ask.place, &ask.asker, &ask.trigger).await? {
        May::Begin(within) => within,
        May::NotHere(decided) => return Ok(decided),
        May::NotNow => {
            let refusal = Refusal::TooMuchAtOnce;
            return ask::tell_refusal(desk, pull.number, &ask.asker, refusal, true, Some(desk.delivery_id)).await;
        }
    };
    let order =
        Order { kind, asker: ask::asker(role), prompt: prompt.clone(), goes_on: kind == Kind::Pull, origin: None };
    let snapshot = snapshot::take(desk, &ask, setting, Some(pull), &order, Vec::new()).await?;
    let new = NewTask {
        id: TaskId::fresh(),
        place: ask.place,
        requester: ask.asker,
        trigger: Trigger::Button,
        prompt,
        snapshot,
        kind,
        origin: None,
        within: Some(within),
    };
    match ask::create(desk, &new).await? {
        Some(decided) => Ok(decided),
        None if kind == Kind::Review => Ok(done(DeliveryState::Ignored, "another delivery has asked already")),
        None => {
            ask::tell_refusal(desk, pull.number, &new.requester, Refusal::AlreadyRunning, true, Some(desk.delivery_id))
                .await
        }
    }
}
