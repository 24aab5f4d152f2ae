//! Conversations on lines that a task has dealt with: answered with what was done, and resolved when that settles them.

use serde_json::json;
use tracing::{info, warn};

use super::words::marker;
use super::{Outbox, Undone, review};
use crate::github::Repo;
use crate::store::StoredTask;
use crate::task::{Trigger, Work};
use crate::text;

/// Answer in the threads that the work is about. `head` is the commit that settles them, if there is one.
pub async fn answer(
    outbox: &Outbox<'_>,
    repo: &Repo,
    task: &StoredTask,
    work: &Work,
    head: Option<&str>,
) -> Result<(), Undone> {
    if work.threads.is_empty() {
        return Ok(());
    }
    let number = task.place.number;
    // Where the request came from, the task's own reply says it all.
    let own = match task.trigger {
        Trigger::ReviewComment { thread, .. } => Some(thread),
        _ => None,
    };
    for line in work.threads.iter().filter(|line| Some(line.thread) != own) {
        // Found again in its thread by the task and the thread.
        let marker = format!("{}<!-- cloud-agent:thread={} -->", marker(task), line.thread);
        let body = text::render(
            "report/thread_answer.md",
            &json!({
                "reply": text::outgoing(&line.reply),
                "commit": head.filter(|_| line.settled),
                "marker": marker,
            }),
        );
        let key = format!("task:{}:thread:{}", task.id, line.thread);
        let replied =
            outbox.once(&key, || repo.find_review_comment(number, &marker), || repo.reply(number, line.thread, &body));
        match replied.await {
            Ok(_) => (),
            Err(Undone::Refused(why)) => warn!("GitHub did not take a reply: {why}"),
            Err(other) => return Err(other),
        }
    }
    if head.is_none() || !work.threads.iter().any(|line| line.settled) {
        return Ok(());
    }
    let threads = match repo.threads(number).await {
        Ok(threads) => threads,
        Err(error) if error.is_final() => {
            info!("GitHub does not show us the threads, so none is resolved: {error}");
            return Ok(());
        }
        Err(error) => return Err(Undone::later(&error)),
    };
    for line in work.threads.iter().filter(|line| line.settled) {
        review::resolve(outbox, repo, &threads, &format!("thread-{}", line.thread), line.thread).await?;
    }
    Ok(())
}
