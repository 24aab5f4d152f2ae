//! A pull request came, moved or went, and nobody said anything: what the repository's settings want then.

use super::ask::{self, Order, head_of};
use super::breaker::{self, May};
use super::event::{Ask, Moved};
use super::handle::{Desk, Trouble, done, refused_is_fine};
use super::replay::{self, Origin};
use super::snapshot::{self, Setting};
use crate::clock;
use crate::github::PullRequest;
use crate::report;
use crate::store::{Decided, DeliveryState, NewTask};
use crate::task::rules::{self, On, Rules};
use crate::task::{Asker, CLOSED, Command, Kind, State, TaskId, Trigger};

/// A pull request was opened whose text speaks to us: what it says comes first, and what the settings want is not lost,
/// whoever has written it.
pub async fn opened(desk: &Desk<'_>, ask: &Ask) -> Result<Decided, Trouble> {
    let decided = Box::pin(ask::decide(desk, ask)).await?;
    let ask = Ask { trigger: Trigger::Pull, command: Command::Review, ..ask.clone() };
    // One delivery, two tasks: this one is known by what it comes from.
    let origin = replay::origin(desk, &ask.place, Some(format!("opened:{}", ask.place.number))).await?;
    let origin = match origin {
        Origin::Fresh(origin) => origin,
        Origin::Used | Origin::Open => return Ok(decided),
    };
    let moved = of(desk, &Moved { ask, action: "opened".to_owned(), by_bot: false, head_sha: None }, origin).await?;
    Ok(if decided.task_id.is_some() { decided } else { moved })
}

pub async fn decide(desk: &Desk<'_>, it: &Moved) -> Result<Decided, Trouble> {
    of(desk, it, None).await
}

async fn of(desk: &Desk<'_>, it: &Moved, origin: Option<String>) -> Result<Decided, Trouble> {
    let (app, place) = (desk.app, &it.ask.place);
    let made = match origin {
        None => app.store.task_of_delivery(desk.delivery_id).await?,
        Some(_) => None,
    };
    if let Some(task) = made {
        ask::announce(desk, &task, None).await?;
        return Ok(ask::made(&task.id));
    }
    let tasks = app.store.tasks_of_thread(place.repository_id, place.number).await?;
    if let (Some(head), "synchronize", false) = (&it.head_sha, it.action.as_str(), desk.dry) {
        app.store.head_moved(place, head, &it.ask.asked_at).await?;
    }
    if it.action == "closed" {
        // It may be open again, and this only late.
        if tasks.iter().any(|task| !task.state.is_final()) && desk.repo.pull(place.number).await?.is_open() {
            return Ok(done(DeliveryState::Ignored, "it is open again"));
        }
        let stopped = ask::stop(desk, &tasks, CLOSED).await?;
        return Ok(match stopped {
            0 => done(DeliveryState::Ignored, "nothing ran on the closed pull request"),
            _ => done(DeliveryState::Done, "asked the tasks of the closed pull request to stop"),
        });
    }
    let (setting, pull) = tokio::join!(Setting::of(desk, &it.ask.default_branch), desk.repo.pull(place.number));
    let (setting, pull) = (setting?, pull?);
    if !desk.dry {
        check_settings(desk, &setting, &pull).await?;
    }
    if let Err(why) = wanted(it, &setting.rules, &pull) {
        return Ok(done(DeliveryState::Ignored, why));
    }
    let again = tasks.iter().any(|task| {
        let looked = matches!(task.state, State::Completed) || !task.state.is_final();
        task.kind == Kind::Review && looked && head_of(task) == pull.head.sha
    });
    if again {
        return Ok(done(DeliveryState::Ignored, "this commit is reviewed already, or about to be"));
    }
    let within = match breaker::may(desk, place, &it.ask.asker, &Trigger::Pull).await? {
        May::Begin(within) => Some(within),
        May::NotHere(decided) => return Ok(decided),
        // A push is not held against what a person has asked for.
        May::NotNow => None,
    };
    let order =
        Order { kind: Kind::Review, asker: Asker::Settings, prompt: String::new(), goes_on: false, origin: None };
    let snapshot = snapshot::take(desk, &it.ask, &setting, Some(&pull), &order, Vec::new()).await?;
    // The snapshot took a while. Of two pushes, the delivery that is done later must not bring the older commit back.
    let now = desk.repo.pull(place.number).await?;
    if now.head.sha != pull.head.sha {
        return Err(Trouble::Later { at: clock::now() + 500, why: "the pull request has moved on".to_owned() });
    }
    let new = NewTask {
        id: TaskId::fresh(),
        place: place.clone(),
        requester: it.ask.asker.clone(),
        trigger: Trigger::Pull,
        prompt: String::new(),
        snapshot,
        kind: Kind::Review,
        origin,
        within,
    };
    let busy = || done(DeliveryState::Ignored, "another delivery has asked for the review already");
    Ok(ask::create(desk, &new).await?.unwrap_or_else(busy))
}

/// Whether the settings ask for a review now, or why not.
fn wanted(it: &Moved, rules: &Rules, pull: &PullRequest) -> Result<(), &'static str> {
    let on = |on: On| rules.review.on.contains(&on);
    let asked = match it.action.as_str() {
        "opened" => on(On::Opened),
        "reopened" => on(On::Reopened),
        // A draft that waited was opened all the same.
        "ready_for_review" => on(On::ReadyForReview) || on(On::Opened),
        _ => on(On::Synchronize),
    };
    if !asked {
        return Err("the repository's settings don't ask for a review");
    }
    if pull.state != "open" {
        return Err("the pull request is closed");
    }
    if pull.draft {
        return Err("it is a draft: it waits until it is ready");
    }
    let author = pull.user.as_ref().map_or("", |user| &user.login);
    let of_bot = author.ends_with("[bot]");
    if (of_bot && !rules.review.takes_bot(author)) || (it.by_bot && !rules.review.takes_bot(&it.ask.asker.login)) {
        return Err("it is a bot's, and the repository's settings don't name that bot");
    }
    Ok(())
}

/// A pull request that changes the settings is told what they would mean; they count once they are merged.
async fn check_settings(desk: &Desk<'_>, setting: &Setting, pull: &PullRequest) -> Result<(), Trouble> {
    let Some(file) = snapshot::settings_at(desk, &pull.head.sha).await? else {
        return Ok(());
    };
    if file == setting.text.as_bytes() || pull.state != "open" {
        return Ok(());
    }
    // A branch that was made before the settings changed has another text as well, and says nothing by it.
    if !desk.repo.pull_touches(pull.number, rules::FILE).await? {
        return Ok(());
    }
    report::settings_check(&desk.outbox, &desk.repo, &desk.app.config, &pull.head.sha, &file, "")
        .await
        .or_else(refused_is_fine)?;
    Ok(())
}

/// A merge queue waits for every required check on a commit of its own. What is in it was reviewed on its pull request, so
/// the answer is yes.
pub async fn answer_merge_queue(desk: &Desk<'_>, head_sha: &str) -> Result<Decided, Trouble> {
    desk.would("answer the merge queue")?;
    report::review::merge_group(&desk.outbox, &desk.repo, head_sha, desk.delivery_id).await.or_else(refused_is_fine)?;
    Ok(done(DeliveryState::Done, "answered the merge queue"))
}
