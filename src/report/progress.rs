//! What follows a task: its one comment, made once and edited in place, or its check run. Rarely enough for GitHub's
//! content limits.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::words::{Money, marker, progress_words};
use super::{Outbox, Undone, review};
use crate::clock;
use crate::config::Config;
use crate::github::Repo;
use crate::store::StoredTask;
use crate::task::review::Reviewed;
use crate::task::{Ending, Kind, TodoLine, Trigger, Waiting, Work};
use crate::text::Tally;

/// After this time edits come less often: GitHub takes 500 content writes an hour from an installation.
const BUSY_START: Duration = Duration::from_mins(1);
const CALM: u32 = 4;
/// The clock in the comment moves at least this often.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// What people are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The task's state.
    pub state: String,
    /// What it waits for, while that is its state.
    pub waiting: Waiting,
    /// `checkout`, `agent`, `verify` or `publishing`.
    pub step: &'static str,
    pub todos: Vec<TodoLine>,
    /// The file that the agent reads at the moment.
    pub reads: String,
    pub money: Money,
    /// Milliseconds since the task was made.
    pub elapsed: i64,
    /// Hidden things taken out of what people wrote.
    pub removed: Tally,
    /// What was changed after somebody had asked: `comment`, `text`, `thread`, `head`.
    pub later: Vec<&'static str>,
    /// Hosts that the sandbox was refused.
    pub blocked: Vec<(String, u64)>,
    pub work: Option<Work>,
    pub reviewed: Option<Reviewed>,
    /// The run has come to its end; the last words follow.
    pub over: bool,
}

/// Where people follow a task.
pub struct Board<'a> {
    config: &'a Config,
    repo: &'a Repo,
    task: &'a StoredTask,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// A comment in the conversation.
    Comment(u64),
    /// A reply in a conversation on a line.
    Reply(u64),
    /// The check run of a review.
    Check(u64),
}

/// Wait until the view is so, or until a moment.
async fn wait_for(views: &mut watch::Receiver<View>, until: Instant, is_so: impl FnMut(&View) -> bool) {
    let _ = tokio::time::timeout_at(until, views.wait_for(is_so)).await;
}

impl<'a> Board<'a> {
    /// Make the comment or check run, or find the one that an earlier attempt has made.
    pub async fn open(
        outbox: &Outbox<'_>,
        config: &'a Config,
        repo: &'a Repo,
        task: &'a StoredTask,
        view: &View,
    ) -> Result<Self, Undone> {
        let board = |at| Self { config, repo, task, at };
        if task.kind == Kind::Review {
            let check = review::queued(outbox, repo, task).await?;
            let board = board(At::Check(check.id));
            if task.ending.is_none() {
                board.show(view).await;
            }
            return Ok(board);
        }
        let (number, marker) = (task.place.number, marker(task));
        let body = progress_words(config, task, view, None);
        if let Trigger::ReviewComment { thread, .. } = task.trigger {
            let key = format!("task:{}:reply", task.id);
            let reply =
                outbox.once(&key, || repo.find_review_comment(number, &marker), || repo.reply(number, thread, &body));
            match reply.await {
                // The thread is gone: the conversation is still there.
                Err(Undone::Refused(why)) => debug!("Could not reply in the thread: {why}"),
                other => return other.map(|id| board(At::Reply(id))),
            }
        }
        Self::comment(outbox, config, repo, task, view).await
    }

    /// Make the comment, whatever the task is.
    pub async fn comment(
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
        Ok(Self { config, repo, task, at: At::Comment(id) })
    }

    /// Follow the run until its view is over: an edit when the checklist or step moves, or once a minute. An edit that has
    /// begun is finished before this returns, so that it can't overtake the last one.
    pub async fn follow(&self, outbox: &Outbox<'_>, mut views: watch::Receiver<View>) {
        let started = Instant::now();
        let interval = self.config.runs.comment_interval.0;
        let mut shown = views.borrow_and_update().clone();
        let mut next_edit = started + interval;
        loop {
            let beat = Instant::now() + HEARTBEAT.max(interval);
            let reads = |view: &View| if self.is_spoken() { String::new() } else { view.reads.clone() };
            let shows = |view: &View| (view.state == "waiting", view.step, view.todos.clone(), reads(view));
            wait_for(&mut views, beat, |view| view.over || shows(view) != shows(&shown)).await;
            wait_for(&mut views, next_edit, |view| view.over).await;
            shown = views.borrow_and_update().clone();
            if shown.over {
                return;
            }
            // Whoever has lost the claim may not write over the last words of another.
            if outbox.is_void().await {
                return;
            }
            self.show(&shown).await;
            if outbox.is_void().await {
                return self.repair(outbox, &shown).await;
            }
            let pause = if started.elapsed() < BUSY_START { interval } else { interval * CALM };
            next_edit = Instant::now() + pause;
        }
    }

    /// The claim went while an edit was on its way, which may have come after the last words of whoever has it now. Those
    /// are known by now, or will be said after this.
    async fn repair(&self, outbox: &Outbox<'_>, view: &View) {
        let Ok(Some(task)) = outbox.store.task(&self.task.id.to_string()).await else { return };
        let Some(ending) = &task.ending else { return };
        let view = View {
            work: task.progress.work.clone(),
            reviewed: task.progress.reviewed.clone(),
            elapsed: task.ended_at.unwrap_or_else(clock::now) - task.created_at,
            money: Money { micros: task.spent_micros, turns: task.turns },
            ..view.clone()
        };
        let body = progress_words(self.config, &task, &view, Some(ending));
        let edited = match self.at {
            At::Comment(id) => self.repo.edit_comment(id, &body).await,
            At::Reply(id) => self.repo.edit_review_comment(id, &body).await,
            At::Check(id) => review::complete_again(self.repo, self.config, &task, id, &view, ending).await,
        };
        if let Err(error) = edited {
            warn!("Could not put back the last words of a task: {error}");
        }
    }

    /// The last edit. Setting the same text twice is the same as once, so it may be repeated.
    pub async fn close(&self, outbox: &Outbox<'_>, view: &View, ending: &Ending) -> Result<(), Undone> {
        let key = format!("task:{}:comment-end", self.task.id);
        let body = progress_words(self.config, self.task, view, Some(ending));
        match self.at {
            At::Comment(id) => {
                outbox.once(&key, || async { Ok(None::<()>) }, || self.repo.edit_comment(id, &body)).await
            }
            At::Reply(id) => {
                outbox.once(&key, || async { Ok(None::<()>) }, || self.repo.edit_review_comment(id, &body)).await
            }
            At::Check(id) => review::close(outbox, self.repo, self.config, self.task, id, view, ending).await,
        }
    }

    /// Show a view on the way. The last edit is what counts; this one is a courtesy.
    pub async fn show(&self, view: &View) {
        // What GitHub takes in an hour is for what has to be said.
        if self.repo.is_pressed().await {
            return debug!("Left an edit of the progress comment out: GitHub takes little more at the moment");
        }
        let body = || progress_words(self.config, self.task, view, None);
        let edited = match self.at {
            At::Comment(id) => self.repo.edit_comment(id, &body()).await,
            At::Reply(id) => self.repo.edit_review_comment(id, &body()).await,
            At::Check(id) => {
                review::start(self.repo, self.config, self.task, id, view).await;
                Ok(())
            }
        };
        if let Err(error) = edited {
            debug!("Could not edit the progress comment: {error}");
        }
    }

    /// Whether what is said here is seen without looking for it.
    pub fn is_spoken(&self) -> bool {
        !matches!(self.at, At::Check(_))
    }
}
