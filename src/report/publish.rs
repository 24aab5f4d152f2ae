//! The pull request and the check run on its head, each made once.

use super::words::{Money, check_words, pull_words};
use super::{Outbox, Undone};
use crate::github::{CheckRun, CheckStatus, Conclusion, NewCheck, NewPull, Pull, Repo};
use crate::store::StoredTask;
use crate::task::Work;

/// Open the pull request for a pushed branch, or find the one that is open already.
pub async fn pull(
    outbox: &Outbox<'_>,
    repo: &Repo,
    task: &StoredTask,
    work: &Work,
    money: Money,
    elapsed: i64,
) -> Result<Pull, Undone> {
    let (title, body) = pull_words(task, work, money, elapsed);
    let base = &task.snapshot.base_branch;
    let new = NewPull { title: &title, body: &body, head: &work.branch, base, draft: false };
    let key = format!("task:{}:pull", task.id);
    outbox.once(&key, || repo.find_pull(&work.branch), || repo.open_pull(&new)).await
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
    let (title, summary) = check_words(task, work, money, elapsed);
    let id = task.id.to_string();
    let name = "cloud-agent";
    let new = NewCheck {
        name,
        head,
        external_id: &id,
        status: CheckStatus::Completed,
        conclusion: Some(Conclusion::Success),
        title: &title,
        summary: &summary,
        actions: &[],
        details_url: None,
    };
    let key = format!("task:{id}:check");
    outbox.once(&key, || repo.find_check(head, name, &id), || repo.create_check(&new)).await
}
