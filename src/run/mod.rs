//! ★ One task from the queue to the report. Read this file first: `drive` is the plot.
//!
//! Every step can be repeated: what is behind us stands in the task's `progress`, what stands on GitHub is found again by
//! the outbox, and all of it is written under the job's claim, so that a worker which has lost it changes nothing.

mod agent;
mod checkout;
mod context;
mod inspect;
mod log;
mod publish;
mod sweep;

use std::path::PathBuf;

use tokio::sync::watch;
use tracing::{Instrument as _, info, info_span, warn};

use crate::app::App;
use crate::clock::{self, Millis};
use crate::github::{self, Reaction, Repo};
use crate::queue::{Job, Stop, Verdict};
use crate::report::{self, Comment, Money, Outbox, Undone, View};
use crate::store::{self, StoredTask};
use crate::task::{Ending, Progress, Published, State, Work};
use crate::text;

use self::log::Log;

pub use sweep::sweep;

/// Crashes and errors of ours after which a task is given up.
const ATTEMPTS: i64 = 3;
/// Attempts after which a task is dropped without another word: something in telling it kills the process.
const HOPELESS: i64 = 10;
/// When what failed on our side is tried again, in milliseconds, doubled each time.
const AGAIN: Millis = 2_000;

/// Run one task as far as it gets.
pub async fn run(app: App, job: Job) -> Verdict {
    let span = info_span!(
        "run",
        task.id = job.lease().job_id,
        delivery.id = tracing::field::Empty,
        installation.id = tracing::field::Empty,
        repository = tracing::field::Empty
    );
    async move {
        match drive(&app, &job).await {
            Ok(()) => Verdict::Done,
            Err(Pause::Lost) => {
                warn!("This claim is void: another worker has the task, or will");
                Verdict::Done
            }
            Err(Pause::Draining) => Verdict::Again { at: clock::now(), failed: false },
            Err(Pause::Later { at, why }) => {
                info!("Will go on later: {why}");
                Verdict::Again { at, failed: false }
            }
            Err(Pause::Broken(error)) => {
                warn!("The run broke: {error:#}");
                Verdict::Again { at: clock::now() + (AGAIN << job.claimed.attempts.min(5)), failed: true }
            }
        }
    }
    .instrument(span)
    .await
}

/// What keeps a run from its end, for now.
enum Pause {
    /// The claim is somebody else's.
    Lost,
    /// The process goes down.
    Draining,
    /// GitHub is away or asks us to wait.
    Later { at: Millis, why: String },
    /// Our own fault, or the database's.
    Broken(anyhow::Error),
}

/// How a step can fail: the task ends here, or the run pauses.
enum Halt {
    End(Ending),
    Pause(Pause),
}

/// One attempt at a task.
struct Run<'a> {
    app: &'a App,
    job: &'a Job,
    task: &'a StoredTask,
    repo: Repo,
    /// The files of this run on the host: `DATA_DIR/runs/<task>`.
    dir: PathBuf,
    views: watch::Sender<View>,
    log: Log,
}

async fn drive(app: &App, job: &Job) -> Result<(), Pause> {
    let Some(task) = app.store.task(&job.lease().job_id).await? else {
        app.store.finish(job.lease()).await?;
        return Ok(());
    };
    tracing::Span::current().record("delivery.id", &task.delivery_id);
    tracing::Span::current().record("installation.id", task.place.installation_id);
    tracing::Span::current().record("repository", &task.place.repository);
    if job.claimed.attempts >= HOPELESS {
        // Not even telling people gets through. The store keeps what there is to know.
        app.store.conclude(job.lease(), &Ending::new("gave_up", "")).await?;
        app.store.end(job.lease(), State::Failed).await?;
        return Ok(());
    }
    let repo = app.github.repo(task.place.installation_id, task.place.repository_id, &task.place.repository);
    let (views, shown) = watch::channel(View {
        state: task.state.name().to_owned(),
        step: "checkout",
        money: Money { micros: task.spent_micros, turns: task.turns },
        work: task.progress.work.clone(),
        elapsed: clock::now() - task.created_at,
        ..View::default()
    });
    let id = task.id.to_string();
    let run = Run {
        dir: app.config.store.data_dir.join("runs").join(&id),
        log: Log::start(app.store.clone(), id.clone()),
        task: &task,
        repo: repo.clone(),
        app,
        job,
        views,
    };
    let outbox = Outbox { store: &app.store, lease: job.lease(), task_id: Some(&id) };

    let opened = Comment::open(&outbox, &app.config, &repo, &task, &run.view()).await;
    let comment = match opened {
        Ok(comment) => Some(comment),
        // The issue is locked, or we may not comment: the work itself can still be done.
        Err(Undone::Refused(why)) => {
            warn!("GitHub does not let us comment: {why}");
            None
        }
        Err(other) => return Err(other.into()),
    };
    let ending = match &task.ending {
        // An earlier attempt came to an end and died while telling it.
        Some(ending) => ending.clone(),
        None => {
            let worked = tokio::join!(work(&run, &outbox), async {
                if let Some(comment) = &comment {
                    comment.follow(shown).await;
                }
            });
            match worked.0 {
                Ok(ending) | Err(Halt::End(ending)) => {
                    info!(ending = ending.code, "Ended: {} {}", ending.code, text::line(&ending.says, 300));
                    run.log.step("ended", &ending.code);
                    if !app.store.conclude(job.lease(), &ending).await? {
                        return Err(Pause::Lost);
                    }
                    ending
                }
                Err(Halt::Pause(pause)) => return Err(wait(&run, comment.as_ref(), pause).await),
            }
        }
    };
    tell(&run, &outbox, comment.as_ref(), &ending).await?;
    run.log.flush().await;
    if !app.store.end(job.lease(), ending.state()).await? {
        return Err(Pause::Lost);
    }
    run.tidy_up().await;
    Ok(())
}

/// Everything between the comment that says "working" and the one that says how it ended.
async fn work(run: &Run<'_>, outbox: &Outbox<'_>) -> Result<Ending, Halt> {
    // Whatever way this ends, the progress comment's follower ends with it.
    let _closing = run.close_view_on_drop();
    let (work, published) = match (&run.task.progress.work, &run.task.progress.published) {
        // Past the point where anything can be stopped or given up: people see the branch.
        (Some(work), Some(published)) => (work.clone(), published.clone()),
        _ => {
            let work = work_to_publish(run).await?;
            run.show(|view| view.work = Some(work.clone()));
            let Some(head) = work.head.clone() else {
                return Ok(Ending::new("no_change", work.summary));
            };
            run.advance(State::Publishing).await?;
            run.show(|view| view.step = "publishing");
            let branch = run.push(&head).await?;
            let published = Published { branch, head, pull: None };
            run.record(&Progress { work: Some(work.clone()), published: Some(published.clone()) }).await?;
            (work, published)
        }
    };
    run.advance(State::Publishing).await?;
    let work = Work { branch: published.branch.clone(), ..work };
    let (money, elapsed) = (run.money(), run.elapsed());
    let pull = report::pull(outbox, &run.repo, run.task, &work, money, elapsed).await.map_err(publish::refused)?;
    if published.pull.is_none() {
        run.log.step("pull_request", &format!("#{}", pull.number));
        let published = Published { pull: Some(pull.number), ..published.clone() };
        run.record(&Progress { work: Some(work.clone()), published: Some(published) }).await?;
    }
    match report::check(outbox, &run.repo, run.task, &work, &published.head, money, elapsed).await {
        Ok(_) => (),
        // Without the permission for checks the comment and the pull request still say everything.
        Err(Undone::Refused(why)) => warn!("GitHub does not let us make a check run: {why}"),
        Err(other) => return Err(Halt::Pause(other.into())),
    }
    Ok(Ending { pull: Some(pull.number), ..Ending::new("pull_request", "") })
}

/// What an earlier attempt has made, if it is on this machine, or what the agent makes now.
async fn work_to_publish(run: &Run<'_>) -> Result<Work, Halt> {
    if run.job.claimed.attempts >= ATTEMPTS {
        return Err(Halt::End(Ending::new("gave_up", "")));
    }
    run.check_stop()?;
    if let Some(work) = run.task.progress.work.as_ref().filter(|work| run.still_has(work)) {
        return Ok(work.clone());
    }
    run.advance(State::Running).await?;
    let work = run.make().await?;
    run.record(&Progress { work: Some(work.clone()), published: None }).await?;
    Ok(work)
}

/// The last words: the comment's final text and the reaction. Repeating them changes nothing.
async fn tell(run: &Run<'_>, outbox: &Outbox<'_>, comment: Option<&Comment<'_>>, ending: &Ending) -> Result<(), Pause> {
    run.show(|view| view.elapsed = run.elapsed());
    let view = run.view();
    if let Some(comment) = comment {
        refused_is_fine(comment.close(outbox, &view, ending).await)?;
    }
    let to = report::react_to(&run.task.trigger, run.task.place.number);
    let reaction = if ending.code == "pull_request" { Reaction::Rocket } else { Reaction::Confused };
    refused_is_fine(report::react(outbox, &run.repo, to, reaction).await)
}

/// Put the task into the state that says what it waits for.
async fn wait(run: &Run<'_>, comment: Option<&Comment<'_>>, pause: Pause) -> Pause {
    if let Pause::Later { why, .. } = &pause {
        run.log.step("waiting", why);
        let waits = run.advance(State::Waiting).await.is_ok();
        if let (true, Some(comment)) = (waits, comment) {
            run.show(|view| "waiting".clone_into(&mut view.state));
            comment.waiting(&run.view()).await;
        }
    }
    run.log.flush().await;
    pause
}

fn refused_is_fine(done: Result<(), Undone>) -> Result<(), Pause> {
    match done {
        Err(Undone::Refused(why)) => {
            warn!("GitHub does not let us say so: {why}");
            Ok(())
        }
        other => other.map_err(Pause::from),
    }
}

/// What it means for the task that its handler has to stop.
fn stopped(why: Stop) -> Halt {
    match why {
        Stop::Cancelled(by) => Halt::End(Ending { by: Some(by), ..Ending::new("cancelled", "") }),
        Stop::Lost => Halt::Pause(Pause::Lost),
        Stop::Draining => Halt::Pause(Pause::Draining),
    }
}

impl Run<'_> {
    /// Move the task from where it stands; `Lost` when the claim is gone.
    async fn advance(&self, to: State) -> Result<(), Halt> {
        let from = State::named(&self.views.borrow().state).unwrap_or(self.task.state);
        let moved = self.app.store.advance(self.job.lease(), from, to).await.map_err(Pause::Broken)?;
        if !moved {
            return Err(Halt::Pause(Pause::Lost));
        }
        self.show(|view| to.name().clone_into(&mut view.state));
        Ok(())
    }

    async fn record(&self, progress: &Progress) -> Result<(), Halt> {
        match self.app.store.record(self.job.lease(), progress).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Halt::Pause(Pause::Lost)),
            Err(error) => Err(Halt::Pause(Pause::Broken(error))),
        }
    }

    /// An end if a person asked for it, a pause if the process or the claim goes.
    fn check_stop(&self) -> Result<(), Halt> {
        match self.job.is_stopped() {
            true => Err(stopped(self.job.why())),
            false => Ok(()),
        }
    }

    /// Change what the comment shows.
    fn show(&self, change: impl FnOnce(&mut View)) {
        self.views.send_modify(change);
    }

    fn view(&self) -> View {
        self.views.borrow().clone()
    }

    fn money(&self) -> Money {
        self.views.borrow().money
    }

    fn elapsed(&self) -> Millis {
        clock::now() - self.task.created_at
    }

    /// Whether what an earlier attempt left can still be published from this machine.
    fn still_has(&self, work: &Work) -> bool {
        work.head.is_none() || self.dir.join(inspect::BENCH).exists()
    }

    fn close_view_on_drop(&self) -> CloseView<'_> {
        CloseView(&self.views)
    }

    /// Remove the run's files, and put the mirror in order. What a crash leaves is removed by `sweep`.
    async fn tidy_up(&self) {
        if let Ok(git) = self.app.git().await
            && let Ok(mirror) = git.mirror(self.task.place.repository_id).await
            && let Err(error) = mirror.maintain().await
        {
            warn!("Could not put the mirror in order: {error}");
        }
        if let Err(error) = tokio::fs::remove_dir_all(&self.dir).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!("Could not remove {}: {error}", self.dir.display());
        }
    }
}

/// Tells the comment's follower that nothing more will come.
struct CloseView<'a>(&'a watch::Sender<View>);

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
    fn from(error: github::Error) -> Self {
        Self::Pause(error.into())
    }
}

impl From<Undone> for Pause {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Later { at, why, .. } => Self::Later { at, why },
            Undone::Lost => Self::Lost,
            other => Self::Broken(other.into()),
        }
    }
}

impl From<github::Error> for Pause {
    fn from(error: github::Error) -> Self {
        match error {
            github::Error::Limited { until } => Self::Later { at: until, why: "GitHub asks us to wait".to_owned() },
            error if error.is_final() => Self::Broken(error.into()),
            error => Self::Later { at: clock::now() + 10_000, why: error.to_string() },
        }
    }
}

impl From<anyhow::Error> for Pause {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<store::Error> for Pause {
    fn from(error: store::Error) -> Self {
        Self::Broken(error.into())
    }
}
