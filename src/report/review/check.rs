//! The check run of a review: queued with the task, live while it runs, completed from how the task has ended. Its buttons
//! are the remote control.

use serde_json::json;
use tracing::warn;

use super::words::{Concluded, check_words};
use crate::config::Config;
use crate::github::{Action, CheckRun, CheckStatus, CheckUpdate, Conclusion, Error, NewCheck, Repo};
use crate::report::words::Money;
use crate::report::{Outbox, Undone, View, check_run};
use crate::store::StoredTask;
use crate::task::{Ending, WaitsFor};
use crate::text;

/// What branch protection names; never changed.
pub const NAME: &str = "cloud-agent review";

const STOP: Action<'_> = Action { label: "Stop", description: "End this review", identifier: "stop" };
const RERUN: Action<'_> = Action { label: "Re-run", description: "Review this commit again", identifier: "rerun" };
const FIX: Action<'_> =
    Action { label: "Fix all", description: "Commit fixes for all open findings", identifier: "fix" };

/// The check run of a task, made with it and found again by its id.
pub async fn queued(outbox: &Outbox<'_>, repo: &Repo, task: &StoredTask) -> Result<CheckRun, Undone> {
    let id = task.id.to_string();
    let head = head(task);
    let summary = text::render("report/review/queued.md", &json!({ "requester": task.requester.login }));
    let new = NewCheck {
        name: NAME,
        head,
        external_id: &id,
        status: CheckStatus::Queued,
        conclusion: None,
        title: "Waiting for its turn",
        summary: &summary,
        actions: &[STOP],
        details_url: None,
    };
    check_run::make(outbox, repo, &key(task), &new).await
}

/// Show how far the review is. The last of these is what counts, so one that fails is a courtesy less.
pub async fn start(repo: &Repo, config: &Config, task: &StoredTask, check: u64, view: &View) {
    let summary = text::render(
        "report/review/progress.md",
        &json!({
            "step": view.step,
            "state": view.state,
            "waits": crate::report::words::waits(view),
            "todos": view.todos,
            "elapsed": text::elapsed(view.elapsed),
            "cost": text::dollars(view.money.micros),
            "turns": view.money.turns,
            "reads": view.reads,
            "task": task.id.to_string(),
            "mention": config.github.mention,
        }),
    );
    let title = match (view.state.as_str(), view.step) {
        ("waiting", _) => waits_title(view),
        (_, "publishing") => "Posting the review",
        (_, "agent") => "Reading the changes",
        (_, "verify") => "Checking what was found",
        _ => "Getting ready",
    };
    let update = CheckUpdate {
        status: CheckStatus::InProgress,
        conclusion: None,
        title,
        summary: &summary,
        annotations: &[],
        actions: &[STOP],
    };
    if let Err(error) = repo.update_check(check, &update).await {
        tracing::debug!("Could not update the check run: {error}");
    }
}

fn waits_title(view: &View) -> &'static str {
    match view.waiting.on {
        Some(WaitsFor::Model) => "Waiting for the model",
        Some(WaitsFor::Host) => "Waiting for the bot's machine",
        _ => "Waiting for GitHub",
    }
}

/// Complete the check run from how the task ended. Each call is made once: GitHub adds annotations up.
pub async fn close(
    outbox: &Outbox<'_>,
    repo: &Repo,
    config: &Config,
    task: &StoredTask,
    check: u64,
    view: &View,
    ending: &Ending,
) -> Result<(), Undone> {
    let Concluded { conclusion, title, summary, annotations } = check_words(config, task, view, ending);
    let fix = view.reviewed.as_ref().is_some_and(|it| it.open() > 0) && ending.code == "reviewed";
    let actions: &[Action<'_>] = if fix { &[FIX, RERUN] } else { &[RERUN] };
    let update = CheckUpdate {
        status: CheckStatus::Completed,
        conclusion: Some(conclusion),
        title: &title,
        summary: &summary,
        annotations: &annotations,
        actions,
    };
    for index in 0..update.calls() {
        let once = format!("{}-end:{index}", key(task));
        let look = || repo.find_annotated(check, index, &update);
        match outbox.once(&once, look, || repo.annotate(check, index, &update)).await {
            Ok(_) => (),
            Err(Undone::Refused(why)) => {
                warn!("GitHub did not take the notes of a check run: {why}");
                let plain = CheckUpdate { annotations: &[], ..update };
                let once = format!("{}-end:plain", key(task));
                let write = || repo.annotate(check, 0, &plain);
                return outbox.once(&once, || async { Ok(None) }, write).await.map(drop);
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Complete a check run once more that an edit on the way has opened again. Its notes are there already.
pub async fn complete_again(
    repo: &Repo,
    config: &Config,
    task: &StoredTask,
    check: u64,
    view: &View,
    ending: &Ending,
) -> Result<(), Error> {
    let Concluded { conclusion, title, summary, .. } = check_words(config, task, view, ending);
    let update = CheckUpdate {
        status: CheckStatus::Completed,
        conclusion: Some(conclusion),
        title: &title,
        summary: &summary,
        annotations: &[],
        actions: &[RERUN],
    };
    repo.annotate(check, 0, &update).await.map(drop)
}

/// Complete the check run of a task that was taken the place of while it waited.
pub async fn end_stranded(outbox: &Outbox<'_>, repo: &Repo, task: &StoredTask) -> Result<(), Undone> {
    match complete_stranded(repo, task).await {
        Ok(Stranded::Completed | Stranded::WasCompleted) => {
            Ok(outbox.store.note_effect(&end_key(task), &task.id.to_string()).await?)
        }
        // Whoever makes it may be about to; the sweep looks again.
        Ok(Stranded::NotThere) => Ok(()),
        Err(error) if error.is_final() => Err(Undone::Refused(error.to_string())),
        Err(error) => Err(Undone::later(&error)),
    }
}

/// The key of the write that completes a task's check run.
pub fn end_key(task: &StoredTask) -> String {
    format!("{}-end:0", key(task))
}

/// What there was of the check run of a task that has ended without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranded {
    NotThere,
    /// Somebody else did it.
    WasCompleted,
    Completed,
}

/// Complete the check run of a task that has ended without a word: a newer push took its place, or telling how it ended
/// failed again and again.
pub async fn complete_stranded(repo: &Repo, task: &StoredTask) -> Result<Stranded, Error> {
    let found = repo.find_check(head(task), NAME, &task.id.to_string()).await?;
    let Some(check) = found else { return Ok(Stranded::NotThere) };
    if check.status == "completed" {
        return Ok(Stranded::WasCompleted);
    }
    let superseded = task.ending.as_ref().is_some_and(|ending| ending.code == "superseded");
    let (title, conclusion) = match superseded {
        true => ("A newer push is reviewed instead", Conclusion::Cancelled),
        false => ("The review ended without a result", Conclusion::Neutral),
    };
    let summary =
        text::render("report/review/stranded.md", &json!({ "superseded": superseded, "task": task.id.to_string() }));
    let update = CheckUpdate {
        status: CheckStatus::Completed,
        conclusion: Some(conclusion),
        title,
        summary: &summary,
        annotations: &[],
        actions: &[RERUN],
    };
    repo.annotate(check.id, 0, &update).await.map(|_| Stranded::Completed)
}

/// What the external id of a merge group's check begins with.
pub const MERGE_GROUP: &str = "merge-group-";

/// Answer a merge queue, which waits for the check on a commit of its own; once a delivery that asks.
pub async fn merge_group(outbox: &Outbox<'_>, repo: &Repo, head_sha: &str, delivery_id: &str) -> Result<(), Undone> {
    let summary = text::render("report/review/merge_group.md", &json!({}));
    let id = format!("{MERGE_GROUP}{delivery_id}");
    let new = NewCheck {
        name: NAME,
        head: head_sha,
        external_id: &id,
        status: CheckStatus::Completed,
        conclusion: Some(Conclusion::Success),
        title: "Reviewed on its pull request",
        summary: &summary,
        actions: &[],
        details_url: None,
    };
    let key = format!("{}:{id}", repo.key());
    check_run::make(outbox, repo, &key, &new).await.map(drop)
}

fn key(task: &StoredTask) -> String {
    format!("task:{}:review-check", task.id)
}

fn head(task: &StoredTask) -> &str {
    task.snapshot.pull.as_ref().map_or("", |pull| &pull.head_sha)
}

/// What a completed check shows of the money.
pub(super) fn cost(view: &View) -> (String, String, i64) {
    let Money { micros, turns } = view.money;
    (text::elapsed(view.elapsed), text::dollars(micros), turns)
}
