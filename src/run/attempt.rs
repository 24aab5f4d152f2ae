//! One attempt at a task: what every step needs, and what it means when a step fails.

use std::io;

use tokio::sync::watch;
use tracing::warn;

use super::{Halt, Pause, Run, publish, stopped, wait};
use crate::clock::{self, Millis};
use crate::github;
use crate::queue::Stop;
use crate::report::{Money, Undone, View};
use crate::sandbox::{self, git::Workbench};
use crate::store::{self, Begun, ChangeAfter};
use crate::task::{Ending, Progress, Snapshot, State, Trigger, Wait, WaitsFor, Work};

impl Run<'_> {
    /// Move the task from where it stands; `Lost` when the claim is gone.
    pub async fn advance(&self, to: State) -> Result<(), Halt> {
        let from = State::named(&self.views.borrow().state).unwrap_or(self.task.state);
        let moved = self.app.store.advance(self.job.lease(), from, to).await.map_err(Pause::from)?;
        if !moved {
            return Err(Halt::Pause(Pause::Lost));
        }
        self.show(|view| to.name().clone_into(&mut view.state));
        Ok(())
    }

    /// Move the task to where nothing can be stopped any more. A stop that was asked for before ends it here, whether this
    /// process has heard of it or not.
    pub async fn begin_publishing(&self) -> Result<(), Halt> {
        self.check_cancel()?;
        let from = State::named(&self.views.borrow().state).unwrap_or(self.task.state);
        match self.app.store.begin_publishing(self.job.lease(), from).await.map_err(Pause::from)? {
            Begun::Yes => {
                self.show(|view| State::Publishing.name().clone_into(&mut view.state));
                Ok(())
            }
            Begun::Cancelled(by) => Err(stopped(Stop::Cancelled(by))),
            Begun::Lost => Err(Halt::Pause(Pause::Lost)),
        }
    }

    pub async fn record(&self, progress: &Progress) -> Result<(), Halt> {
        match self.app.store.record(self.job.lease(), progress).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Halt::Pause(Pause::Lost)),
            Err(error) => Err(Halt::Pause(error.into())),
        }
    }

    /// Note how far a step has come, which does not put it behind us.
    pub async fn note(&self, progress: &Progress) -> Result<(), Halt> {
        match self.app.store.note_progress(self.job.lease(), progress).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Halt::Pause(Pause::Lost)),
            Err(error) => Err(Halt::Pause(error.into())),
        }
    }

    /// An end if a person asked for it, a pause if the process or the claim goes.
    pub fn check_stop(&self) -> Result<(), Halt> {
        match self.job.is_stopped() {
            true => Err(stopped(self.job.why())),
            false => Ok(()),
        }
    }

    /// An end if a person asked for it. A process that goes down still publishes what is there.
    pub fn check_cancel(&self) -> Result<(), Halt> {
        match self.job.is_stopped().then(|| self.job.why()) {
            Some(why @ Stop::Cancelled(_)) => Err(stopped(why)),
            _ => Ok(()),
        }
    }

    /// A pause while this machine or the model is unwell: a run that began now would fail.
    pub fn check_host(&self) -> Result<(), Halt> {
        let unfit = match self.task.own_key {
            // The operator's key is not needed.
            true => self.app.health.unfit_with_own_key(),
            false => self.app.health.unfit(),
        };
        match unfit {
            Some((part, why)) => Err(Halt::Pause(Pause::Later(wait::unfit(part, why)))),
            None => Ok(()),
        }
    }

    /// Change what the comment shows.
    pub fn show(&self, change: impl FnOnce(&mut View)) {
        self.views.send_modify(change);
    }

    pub fn view(&self) -> View {
        self.views.borrow().clone()
    }

    pub fn money(&self) -> Money {
        self.views.borrow().money
    }

    pub fn elapsed(&self) -> Millis {
        clock::now() - self.task.created_at
    }

    /// Whether the work goes onto a branch of the repository.
    pub fn may_push(&self) -> bool {
        self.task.snapshot.lane.publishes()
    }

    /// Whether the code is a fork's, to whose branch nothing can be pushed.
    pub fn is_of_fork(&self) -> bool {
        self.task.snapshot.pull.as_ref().is_some_and(|pull| !pull.same_repository)
    }

    /// Hosts that the sandbox may reach besides the model. None where strangers have a say.
    pub fn egress(&self) -> Vec<String> {
        match self.task.snapshot.lane.has_egress() {
            true => self.app.config.sandbox.egress(),
            false => Vec::new(),
        }
    }

    /// An end if what was stored of the request is not what it was when the task was made.
    pub async fn check_snapshot(&self) -> Result<(), Halt> {
        match self.app.store.snapshot_holds(&self.task.id.to_string()).await.map_err(Pause::from)? {
            true => Ok(()),
            false => Err(Halt::End(Ending::new("snapshot_changed", ""))),
        }
    }

    /// Show what was changed on GitHub after somebody had asked, as far as we have heard of it.
    pub async fn look_for_later(&self) -> Result<(), Pause> {
        let all = self.app.store.changes_after(&self.task.place).await?;
        let ours = self.task.progress.published.as_ref().map(|it| it.head.clone());
        let ours = ours.or_else(|| self.view().work.and_then(|work| work.head));
        let mut later = later_of(&all, &self.task.snapshot, &self.task.trigger, ours.as_deref());
        // How the work was published says it already.
        let aside = self.view().work.map(|work| work.aside).unwrap_or_default();
        if matches!(aside.as_str(), "rebased" | "conflict") {
            later.retain(|it| *it != "head");
        }
        if aside == "retargeted" {
            later.retain(|it| *it != "base");
        }
        self.show(|view| view.later = later);
        Ok(())
    }

    /// What the run may spend, in micro-dollars: what the repository or the caller says, and never more than the operator.
    pub fn budget_micros(&self) -> i64 {
        self.task.budget_within(self.app.config.runs.budget_run_usd.micros)
    }

    /// Whether what an earlier attempt left can still be published from this machine.
    pub async fn still_has(&self, work: &Work) -> Result<bool, Halt> {
        let Some(head) = &work.head else { return Ok(true) };
        let bench = self.dir.join(super::inspect::BENCH);
        let (true, Ok(head)) = (bench.exists(), head.parse()) else { return Ok(false) };
        // It may hold an older attempt's: another machine has been at it since.
        let git = self.app.git().await?;
        Ok(Workbench::open(&git, &bench).has(&head).await.unwrap_or(false))
    }

    pub fn close_view_on_drop(&self) -> CloseView<'_> {
        CloseView(&self.views)
    }

    /// End the task, whose ending is written down and told as far as it can be. The files go first: nothing is done with them
    /// any more, and an answer of the database that is lost here leaves nothing. What a crash leaves is removed by `sweep`.
    pub async fn end(&self, state: State) -> Result<(), Pause> {
        if let Err(error) = sandbox::remove_tree(&self.dir).await {
            warn!("Could not remove {}: {error}", self.dir.display());
        }
        if !self.app.store.end(self.job.lease(), state).await? {
            return Err(Pause::Lost);
        }
        // This may take long, and nobody waits for it.
        if let Ok(git) = self.app.git().await
            && let Ok(mirror) = git.mirror(self.task.place.repository_id).await
            && let Err(error) = mirror.maintain().await
        {
            warn!("Could not put the mirror in order: {error}");
        }
        Ok(())
    }
}

/// What was changed after the ask, each once. `ours` is the commit that we have pushed ourselves.
fn later_of(all: &[ChangeAfter], snapshot: &Snapshot, trigger: &Trigger, ours: Option<&str>) -> Vec<&'static str> {
    let asked_by = match trigger {
        Trigger::Comment { id } => format!("comment:{id}"),
        Trigger::ReviewComment { id, .. } => format!("review-comment:{id}"),
        Trigger::Review { id } => format!("review:{id}"),
        Trigger::Opened => "text".to_owned(),
        Trigger::Labeled | Trigger::Pull | Trigger::Button | Trigger::Api => String::new(),
    };
    // Tasks of older versions don't say when.
    let since = |it: &&ChangeAfter| !snapshot.asked_at.is_empty() && it.at >= snapshot.asked_at;
    let mut later: Vec<&'static str> = Vec::new();
    for it in all.iter().filter(since) {
        let pushed = it.head_sha.as_deref();
        let what = match it.what.as_str() {
            what if what == asked_by => "comment",
            "text" => "text",
            "base" => "base",
            "head" => match &snapshot.pull {
                Some(pull) if pushed != Some(&pull.head_sha) && pushed != ours => "head",
                _ => continue,
            },
            _ => "thread",
        };
        if !later.contains(&what) {
            later.push(what);
        }
    }
    later.sort_unstable();
    later
}

/// Tells the comment's follower that nothing more will come.
pub struct CloseView<'a>(&'a watch::Sender<View>);

impl Drop for CloseView<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|view| view.over = true);
    }
}

impl From<Pause> for Halt {
    fn from(pause: Pause) -> Self {
        Self::Pause(pause)
    }
}

impl From<github::Error> for Halt {
    /// What is not there, or refused for good, is an end that people are told: asking again would leave them waiting for
    /// nothing. A permission may come back with the next look.
    fn from(error: github::Error) -> Self {
        match error {
            github::Error::NotFound(_) | github::Error::Invalid(_) => {
                Self::End(Ending::new("github_refused", error.to_string()))
            }
            github::Error::Token { .. } => Self::End(publish::refusal_ending(&error.to_string())),
            error => Self::Pause(error.into()),
        }
    }
}

impl From<Undone> for Pause {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Later { at, why, limited: true } => Self::Later(Wait::new(WaitsFor::RateLimit, why).until(at)),
            Undone::Later { why, .. } => Self::Later(Wait::new(WaitsFor::Github, why)),
            Undone::Lost => Self::Lost,
            Undone::Store(error) => error.into(),
            other @ (Undone::Refused(_) | Undone::Gone(_)) => Self::Broken(other.into()),
        }
    }
}

impl From<github::Error> for Pause {
    fn from(error: github::Error) -> Self {
        match error {
            github::Error::Limited { until, .. } => {
                Self::Later(Wait::new(WaitsFor::RateLimit, error.to_string()).until(until))
            }
            error if error.is_final() => Self::Broken(error.into()),
            error => Self::Later(Wait::new(WaitsFor::Github, error.to_string())),
        }
    }
}

impl From<anyhow::Error> for Pause {
    fn from(error: anyhow::Error) -> Self {
        if error.chain().any(|it| it.downcast_ref::<store::Error>().is_some_and(store::is_away)) {
            let wait = Wait::new(WaitsFor::Host, "the database does not answer");
            return Self::Later(wait.or_else(Ending::new("host_database", "")));
        }
        let full = |it: &io::Error| matches!(it.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if error.chain().any(|it| it.downcast_ref::<io::Error>().is_some_and(full)) {
            return Self::Later(disk_full());
        }
        Self::Broken(error)
    }
}

/// No room on this machine. Somebody has to make some; the task goes on by itself then.
pub fn disk_full() -> Wait {
    Wait::new(WaitsFor::Host, "this machine has no room left on its disk").or_else(Ending::new("host_disk", ""))
}

impl From<store::Error> for Pause {
    fn from(error: store::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}
