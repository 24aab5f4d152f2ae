//! The one comment of a task: made once, edited in place, rarely enough for GitHub's content limits.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use super::words::{Money, marker, progress_words};
use super::{Outbox, Undone};
use crate::config::Config;
use crate::github::Repo;
use crate::store::StoredTask;
use crate::task::{Ending, TodoLine, Work};

/// After this time edits come less often: GitHub takes 500 content writes an hour from an installation.
const BUSY_START: Duration = Duration::from_mins(1);
const CALM: u32 = 4;
/// The clock in the comment moves at least this often.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// What the comment shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The task's state.
    pub state: String,
    /// `checkout`, `agent` or `publishing`.
    pub step: &'static str,
    pub todos: Vec<TodoLine>,
    pub money: Money,
    /// Milliseconds since the task was made.
    pub elapsed: i64,
    /// Hidden things taken out of what people wrote.
    pub removed: usize,
    /// Hosts that the sandbox was refused.
    pub blocked: Vec<(String, u64)>,
    pub work: Option<Work>,
    /// The run has come to its end; the last words follow.
    pub over: bool,
}

/// A task's comment.
pub struct Comment<'a> {
    config: &'a Config,
    repo: &'a Repo,
    task: &'a StoredTask,
    id: u64,
}

/// Wait until the view is so, or until a moment.
async fn wait_for(views: &mut watch::Receiver<View>, until: Instant, is_so: impl FnMut(&View) -> bool) {
    let _ = tokio::time::timeout_at(until, views.wait_for(is_so)).await;
}

impl<'a> Comment<'a> {
    /// Make the comment, or find the one that an earlier attempt has made.
    pub async fn open(
        outbox: &Outbox<'_>,
        config: &'a Config,
        repo: &'a Repo,
        task: &'a StoredTask,
        view: &View,
    ) -> Result<Self, Undone> {
        let key = format!("task:{}:comment", task.id);
        let (number, marker) = (task.place.number, marker(task));
        let body = progress_words(config, task, view, None);
        let id = outbox.once(&key, || repo.find_comment(number, &marker), || repo.comment(number, &body)).await?;
        Ok(Self { config, repo, task, id })
    }

    /// Follow the run until its view is over: an edit when the checklist or step moves, or once a minute. An edit that has
    /// begun is finished before this returns, so that it can't overtake the last one.
    pub async fn follow(&self, mut views: watch::Receiver<View>) {
        let started = Instant::now();
        let interval = self.config.runs.comment_interval.0;
        let mut shown = views.borrow_and_update().clone();
        let mut next_edit = started + interval;
        loop {
            let beat = Instant::now() + HEARTBEAT.max(interval);
            let moved =
                wait_for(&mut views, beat, |view| view.over || (view.step, &view.todos) != (shown.step, &shown.todos));
            moved.await;
            wait_for(&mut views, next_edit, |view| view.over).await;
            shown = views.borrow_and_update().clone();
            if shown.over {
                return;
            }
            let body = progress_words(self.config, self.task, &shown, None);
            if let Err(error) = self.repo.edit_comment(self.id, &body).await {
                // The last edit is what counts; this one is a courtesy.
                debug!("Could not edit the progress comment: {error}");
            }
            let pause = if started.elapsed() < BUSY_START { interval } else { interval * CALM };
            next_edit = Instant::now() + pause;
        }
    }

    /// The last edit. Setting the same text twice is the same as once, so it may be repeated.
    pub async fn close(&self, outbox: &Outbox<'_>, view: &View, ending: &Ending) -> Result<(), Undone> {
        let key = format!("task:{}:comment-end", self.task.id);
        let body = progress_words(self.config, self.task, view, Some(ending));
        outbox.once(&key, || async { Ok(None::<()>) }, || self.repo.edit_comment(self.id, &body)).await
    }

    /// Say that the run waits for GitHub; best effort, since GitHub is what it waits for.
    pub async fn waiting(&self, view: &View) {
        let body = progress_words(self.config, self.task, view, None);
        let _ = self.repo.edit_comment(self.id, &body).await;
    }
}
