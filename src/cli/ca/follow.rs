//! A task that is watched to its end: a live view on a terminal, lines elsewhere, and what Ctrl-C asks.

use std::future::pending;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use console::Term;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::picture::{Picture, log_line};
use super::screen::{self, escaped_json, harmless, note, tell};
use super::stream::{self, Ending, Heard};
use super::trouble::{CANCELLED, FAILED, INTERRUPTED, TIMED_OUT, Trouble};
use super::{Ca, show};
use crate::api::TaskView;
use crate::clock;

/// How often the live view is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// What is shown of a task that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// A live view, or lines where that can't be drawn.
    View,
    /// All lines of the log, above a live view where that can be drawn.
    Lines,
    /// Nothing but how it ended; a live view where that can be drawn.
    End,
}

/// Watch a task until it has ended. The code says how.
pub async fn follow(ca: &Ca, task: &str, what: Show, longest: Option<Duration>) -> Result<ExitCode> {
    let live = !ca.json && screen::is_live();
    let deadline = longest.map(|longest| Instant::now() + longest);
    let mut interrupts = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut heard = stream::follow(&ca.server, task, live);
    let mut view = View::new(live);
    let mut tick = interval(FRAME);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let how = loop {
        tokio::select! {
            next = heard.recv() => match next {
                Some(Heard::Event(json, line)) => {
                    view.picture.hear(&line);
                    if ca.json && what != Show::End {
                        tell(&json);
                    } else if what == Show::Lines || (what == Show::View && !live) {
                        view.above(&log_line(&line));
                    }
                }
                Some(Heard::Task(task)) => view.picture.update(&task),
                Some(Heard::Lost(why)) => view.lost(why),
                Some(Heard::Back) => view.picture.lost = None,
                Some(Heard::Failed(error)) => {
                    view.clear();
                    return Err(error);
                }
                Some(Heard::End(how)) => break how,
                None => break None,
            },
            _ = tick.tick(), if live => view.draw(),
            () = late(deadline) => {
                view.clear();
                let longest = show::span(longest.unwrap_or_default());
                note(&format!("ca: the task has not ended within {longest}. Come back with: ca task wait {task}"));
                return Ok(ExitCode::from(TIMED_OUT));
            }
            _ = interrupts.recv() => {
                view.clear();
                if leave(task, &mut interrupts).await {
                    note(&format!("ca: the task goes on. Come back with: ca task logs --follow {task}"));
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                // How that ends, the stream tells; also of a task that has ended meanwhile.
                match ca.server.post::<()>(&["api", "v1", "tasks", task, "cancel"], None).await {
                    Err(error) if !is_too_late(&error) => return Err(error),
                    _ => note("ca: asked it to stop"),
                }
            }
        }
    };
    view.clear();
    // Where its work is and what it has cost. How it has ended is known already, whatever becomes of this question.
    let answer = tokio::select! {
        answer = stream::ended(&ca.server, task) => answer,
        () = late(deadline) => Err(anyhow!("the server did not say more in time")),
        _ = interrupts.recv() => Err(anyhow!("the server was not waited for")),
    };
    let read = answer.and_then(|answer| {
        let json = answer.json.clone();
        answer.read::<TaskView>().map(|it| (json, it))
    });
    match (read, how) {
        (Ok((json, it)), _) => {
            tell(&if ca.json { json } else { show::ended(&it) });
            Ok(code(&it.status, it.ending.as_deref()))
        }
        (Err(error), Some(Ending { status, ending })) => {
            note(&harmless(&format!("ca: the task has ended, and could not be looked at: {error:#}")));
            tell(&match &ending {
                _ if ca.json => {
                    escaped_json(&json!({ "task_id": task, "status": status, "ending": ending }).to_string())
                }
                Some(ending) if *ending != status => format!("{}: {ending}.", screen::status(&status)),
                _ => format!("{}.", screen::status(&status)),
            });
            Ok(code(&status, ending.as_deref()))
        }
        (Err(error), None) => Err(error),
    }
}

async fn late(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

fn is_too_late(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Trouble::Told(problem)) if problem.code == "already_ended")
}

/// How a task ended, for scripts.
fn code(status: &str, ending: Option<&str>) -> ExitCode {
    match (status, ending) {
        ("completed", _) => ExitCode::SUCCESS,
        ("cancelled", _) => ExitCode::from(CANCELLED),
        (_, Some("time" | "lifetime")) => ExitCode::from(TIMED_OUT),
        _ => ExitCode::from(FAILED),
    }
}

/// Whether the task is to go on without us. Where nobody can be asked, it is.
async fn leave(task: &str, interrupts: &mut Signal) -> bool {
    if !screen::can_ask() {
        return true;
    }
    let asked = format!("Leave task {task} running? [Y/n] ");
    let _ = Term::stderr().write_str(&asked);
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let stop = tokio::select! {
        answer = answer => matches!(answer, Ok(Ok(line)) if matches!(line.trim().to_lowercase().as_str(), "n" | "no")),
        // Who presses it twice wants to be gone.
        _ = interrupts.recv() => {
            note("");
            false
        }
    };
    !stop
}

/// The live view, if there is one.
struct View {
    picture: Picture,
    term: Option<Term>,
    frame: usize,
    /// Lines that are drawn now.
    height: usize,
}

impl View {
    fn new(live: bool) -> Self {
        let term = live.then(Term::buffered_stderr);
        Self { picture: Picture::default(), term, frame: 0, height: 0 }
    }

    fn draw(&mut self) {
        let Some(term) = &self.term else { return };
        let (_, width) = term.size();
        let lines = self.picture.lines(self.frame, usize::from(width.max(20)) - 1, clock::now());
        let _ = term.clear_last_lines(self.height);
        for line in &lines {
            let _ = term.write_line(line);
        }
        let _ = term.flush();
        self.height = lines.len();
        self.frame += 1;
    }

    fn clear(&mut self) {
        if let Some(term) = &self.term {
            let _ = term.clear_last_lines(std::mem::take(&mut self.height));
            let _ = term.flush();
        }
    }

    /// A line that stays.
    fn above(&mut self, line: &str) {
        self.clear();
        tell(line);
    }

    fn lost(&mut self, why: String) {
        if self.term.is_none() && self.picture.lost.is_none() {
            note(&format!("ca: {why}; trying again"));
        }
        self.picture.lost = Some(why);
    }
}
