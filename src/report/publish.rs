//! The pull request and the check run on its head, each made once.

use super::words::{Money, check_words, marker, pull_words};
use super::{Outbox, Undone, check_run};
use crate::github::{CheckRun, CheckStatus, Conclusion, NewCheck, NewPull, Pull, Repo};
use crate::store::StoredTask;
use crate::task::Work;

/// Open the pull request for a pushed branch, or find the one that was opened already, whatever has become of it since.
pub async fn pull(
    outbox: &Outbox<'_>,
    repo: &Repo,
    task: &StoredTask,
    work: &Work,
    money: Money,
    elapsed: i64,
) -> Result<Pull, Undone> {
    let (title, body) = pull_words(task, work, money, elapsed);
    // Beside a pull request, the work goes into that one's branch.
    let base = match &task.snapshot.pull {
        Some(pull) if pull.same_repository => &pull.head_branch,
        // A fork's branch is none of this repository's: what was made of it goes where it was to go.
        _ => &task.snapshot.base_branch,
    };
    let draft = task.snapshot.rules().fix.draft;
    let new = NewPull { title: &title, body: &body, head: &work.branch, base, draft };
    let key = format!("task:{}:pull", task.id);
    let marker = marker(task);
    outbox.once(&key, || repo.find_pull(&work.branch, &marker), || repo.open_pull(&new)).await
}

/// Put the check run on the pull request's head.
pub async fn check(
    outbox: &Outbox<'_>,
    repo: &Repo,
    task: &StoredTask,
    work: &Work,
    head: &str,
    money: Money,
    elapsed: i64,
) -> Result<CheckRun, Undone> {
    let key = format!("task:{}:check", task.id);
    check_once(outbox, repo, task, work, head, money, elapsed, &key, &task.id.to_string()).await
}

/// Tell the result of finished work again, on a new check run: GitHub has set the old one back to "queued".
pub async fn repeat_check(
    outbox: &Outbox<'_>,
    repo: &Repo,
    task: &StoredTask,
    head: &str,
    delivery_id: &str,
) -> Result<(), Undone> {
    let Some(work) = &task.progress.work else { return Ok(()) };
    let money = Money { micros: task.spent_micros, turns: task.turns };
    let elapsed = task.ended_at.unwrap_or(task.created_at) - task.created_at;
    let (key, id) = (format!("task:{}:check:{delivery_id}", task.id), format!("{}-{delivery_id}", task.id));
    check_once(outbox, repo, task, work, head, money, elapsed, &key, &id).await.map(drop)
}

#[expect(clippy::too_many_arguments, reason = "the parts of one call")]
async fn check_once(
    outbox: &Outbox<'_>,
    repo: &Repo,
    task: &StoredTask,
    work: &Work,
    head: &str,
    money: Money,
    elapsed: i64,
    key: &str,
    id: &str,
) -> Result<CheckRun, Undone> {
    let (title, summary) = check_words(task, work, money, elapsed);
    let name = "cloud-agent";
    let new = NewCheck {
        name,
        head,
        external_id: id,
        status: CheckStatus::Completed,
        conclusion: Some(Conclusion::Success),
        title: &title,
        summary: &summary,
        actions: &[],
        details_url: None,
    };
    check_run::make(outbox, repo, key, &new).await
}
