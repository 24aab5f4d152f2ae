//! ★ One task from the queue to the report. Read this file first: `drive` is the plot.
//!
//! Every step can be repeated: what is behind us stands in the task's `progress`, what stands on GitHub is found again by
//! the outbox, and all of it is written under the job's claim, so that a worker which has lost it changes nothing.

mod account;
mod agent;
mod artifacts;
mod aside;
mod attempt;
mod checkout;
mod context;
mod gone;
mod guidance;
mod inspect;
mod left;
mod log;
mod own_key;
mod own_token;
mod publish;
mod review;
mod secrets;
mod session;
mod sweep;
mod wait;
mod work;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;
use tracing::{Instrument as _, info, info_span, warn};
use uuid::Uuid;

use crate::app::App;
use crate::clock::{self, Millis};
use crate::github::{Reaction, Repo};
use crate::queue::{Job, Stop, Verdict};
use crate::report::{self, Board, Money, Outbox, Undone, View};
use crate::store::StoredTask;
use crate::task::{CLOSED, Ending, Gone, Kind, State, Wait};
use crate::text;

use self::log::Log;

pub use left::abandon;
pub use sweep::{end_check, sweep};

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
    let work = async move {
        let driven = match Box::pin(drive(&app, &job)).await {
            Err(Pause::Broken(error)) => match gone::found(&error) {
                Some(ending) => gone::end(&app, &job, ending).await,
                None => Err(Pause::Broken(error)),
            },
            other => other,
        };
        match driven {
            Ok(()) => Verdict::Done,
            Err(Pause::Lost) => {
                warn!("This claim is void: another worker has the task, or will");
                match job.is_stopped() && job.why() == Stop::Lost {
                    // Only the lease has lapsed, while the database was away. If nobody has it yet, it is nobody's failed
                    // attempt.
                    true => Verdict::Again { at: clock::now() + AGAIN, failed: false },
                    false => Verdict::Done,
                }
            }
            Err(Pause::Draining) => Verdict::Again { at: clock::now(), failed: false },
            Err(Pause::Later(wait)) => {
                info!(waits_for = wait.on.name(), "Will go on later: {}", wait.why);
                Verdict::Again { at: wait.until.unwrap_or_else(clock::now), failed: false }
            }
            Err(Pause::Broken(error)) => {
                warn!("The run broke: {error:#}");
                Verdict::Again { at: clock::now() + (AGAIN << job.claimed.attempts.min(5)), failed: true }
            }
        }
    };
    // What is brought for this task concerns no other.
    text::apart(work.instrument(span)).await
}

/// What keeps a run from its end, for now.
enum Pause {
    /// The claim is somebody else's.
    Lost,
    /// The process goes down.
    Draining,
    /// Something that the run needs is not to be had at the moment.
    Later(Wait),
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
    repo: &'a Repo,
    /// The files of this run on the host: `DATA_DIR/runs/<task>`.
    dir: PathBuf,
    views: watch::Sender<View>,
    /// The model has answered in this attempt: whatever was waited for before, the task has got further since.
    answered: AtomicBool,
    /// The agent's conversations in this attempt.
    sessions: Mutex<Vec<Uuid>>,
    /// Why nothing of the conversation is given out either.
    withheld: Mutex<Option<&'static str>>,
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
    if let Some(gone) = job.claimed.cancelled_by.as_deref().and_then(Gone::stopped_by) {
        return gone::end(app, job, Ending::new(gone.code(), "")).await;
    }
    let repo = match own_token::repo(app, &task).await {
        Ok(repo) => repo,
        // There is nothing to tell it with.
        Err(Halt::End(ending)) => return gone::end(app, job, ending).await,
        Err(Halt::Pause(pause)) => return Err(pause),
    };
    let (views, shown) = watch::channel(View {
        state: task.state.name().to_owned(),
        step: "checkout",
        money: Money { micros: task.spent_micros, turns: task.turns },
        work: task.progress.work.clone(),
        reviewed: task.progress.reviewed.clone(),
        removed: task.progress.removed(),
        elapsed: clock::now() - task.created_at,
        ..View::default()
    });
    let id = task.id.to_string();
    let run = Run {
        dir: app.config.store.data_dir.join("runs").join(&id),
        log: Log::start(app.store.clone(), id.clone()),
        task: &task,
        repo: &repo,
        app,
        job,
        views,
        answered: AtomicBool::new(false),
        sessions: Mutex::default(),
        withheld: Mutex::default(),
    };
    let outbox = Outbox { store: &app.store, lease: job.lease(), task_id: Some(&id) };
    let mut board = None;
    let done = Box::pin(act(&run, &outbox, shown, &mut board)).await;
    let done = match done {
        Err(Pause::Later(wait)) => wait::wait(&run, board.as_ref(), wait).await,
        done => done,
    };
    run.log.flush().await;
    done
}

/// From the words that say "working" to the last ones.
async fn act<'a>(
    run: &Run<'a>,
    outbox: &Outbox<'_>,
    shown: watch::Receiver<View>,
    place: &mut Option<Board<'a>>,
) -> Result<(), Pause> {
    let Run { app, job, task, .. } = *run;
    let board = match task.place.has_thread() {
        true => Board::open(outbox, &app.config, run.repo, task, &run.view()).await.map(Some),
        // Nobody talks about it on GitHub: who has asked follows it through the API.
        false => Ok(None),
    };
    match board {
        Ok(board) => *place = board,
        // The thread is locked, or we may not make checks: the work itself can still be done.
        Err(Undone::Refused(why)) => warn!("GitHub does not let us show how far we are: {why}"),
        Err(other) => return Err(other.into()),
    }
    let board = place.as_ref();
    let ending = match &task.ending {
        // An earlier attempt came to an end and died while telling it.
        Some(ending) => ending.clone(),
        None => {
            let worked = tokio::join!(plot(run, outbox), async {
                if let Some(board) = board {
                    board.follow(outbox, shown).await;
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
                Err(Halt::Pause(pause)) => return Err(pause),
            }
        }
    };
    tell(run, outbox, board, &ending).await?;
    run.log.step("told", "");
    run.log.flush().await;
    run.end(ending.state()).await
}

/// Everything between the words that say "working" and those that say how it ended.
async fn plot(run: &Run<'_>, outbox: &Outbox<'_>) -> Result<Ending, Halt> {
    // Whatever way this ends, whoever shows the progress ends with it.
    let _closing = run.close_view_on_drop();
    run.check_snapshot().await?;
    match run.task.kind {
        Kind::Issue | Kind::Pull => work::work(run, outbox).await,
        Kind::Review => review::review(run, outbox).await,
    }
}

/// The last words: the comment's final text and the reaction. Repeating them changes nothing.
async fn tell(run: &Run<'_>, outbox: &Outbox<'_>, board: Option<&Board<'_>>, ending: &Ending) -> Result<(), Pause> {
    if Gone::coded(&ending.code).is_some() {
        return Ok(());
    }
    run.look_for_later().await?;
    run.show(|view| view.elapsed = run.elapsed());
    let view = run.view();
    if let Some(board) = board {
        refused_is_fine(board.close(outbox, &view, ending).await)?;
    }
    // A check run is not where people look who have asked in words; a review that is there answers them, though.
    let answered =
        board.is_some_and(Board::is_spoken) || view.reviewed.as_ref().is_some_and(|reviewed| reviewed.posted);
    if run.task.kind == Kind::Review && run.task.trigger.is_said() && !answered {
        match Board::comment(outbox, &run.app.config, run.repo, run.task, &view).await {
            Ok(comment) => refused_is_fine(comment.close(outbox, &view, ending).await)?,
            Err(undone) => refused_is_fine(Err(undone))?,
        }
    }
    let done = ending.state() == State::Completed && ending.code != "no_change";
    let reaction = if done { Reaction::Rocket } else { Reaction::Confused };
    match report::react_to(&run.task.trigger, run.task.place.number) {
        Some(to) => refused_is_fine(report::react(outbox, run.repo, to, reaction).await),
        None => Ok(()),
    }
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
        Stop::Cancelled(by) if by == CLOSED => Halt::End(Ending::new("closed", "")),
        Stop::Cancelled(by) => Halt::End(match Gone::stopped_by(&by) {
            Some(gone) => Ending::new(gone.code(), ""),
            None => Ending { by: Some(by), ..Ending::new("cancelled", "") },
        }),
        Stop::Lost => Halt::Pause(Pause::Lost),
        Stop::Draining => Halt::Pause(Pause::Draining),
    }
}
