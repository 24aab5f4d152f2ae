//! One run of Claude Code in a sandbox, from the prompt to the outcome, ended softly whenever it has to be ended.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::command;
use super::outcome::{Facts, Outcome, Stop, decide};
use super::stream::{Line, ResultLine, Stream};
use crate::gateway::Gate;
use crate::sandbox::{Channel, Cursor, Exec, ExecEvent, ExecId, Exit, Sandbox, SandboxError, Signal};

/// What is kept of standard error, from its end.
const STDERR: usize = 8 << 10;
/// An output stream that breaks off without an exit is taken up again so many times in a row.
const REATTACH: u32 = 5;

/// How long an agent that has to end is waited for, step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// From being interrupted to its result, and from its result to its exit.
    pub soft: Duration,
    /// From being terminated to being killed.
    pub hard: Duration,
    /// From the end of the budget to being interrupted: it may still bring in the answer that it has paid for. The
    /// gateway ends its next request by itself, so only a long command in between has to be interrupted.
    pub budget: Duration,
}

impl Default for Grace {
    /// An interruption gives a result within 60 ms when nothing is wrong.
    fn default() -> Self {
        Self { soft: Duration::from_secs(10), hard: Duration::from_secs(5), budget: Duration::from_mins(1) }
    }
}

/// What to do, and for how long.
pub struct Turn {
    /// From `Invocation::exec`.
    pub exec: Exec,
    pub prompt: String,
    /// The wall clock, from now on. Nothing else ends an agent that hangs.
    pub time: Duration,
    /// The run's gate; its budget ends the run, and its trouble explains it. It is not closed here.
    pub gate: Gate,
    pub grace: Grace,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub outcome: Outcome,
    /// For `Session::Resume`; none if it never began.
    pub session_id: Option<String>,
    /// As Claude Code tells it, over the whole session; the gate's usage is what is billed.
    pub cost_micros: Option<i64>,
    pub turns: Option<u32>,
    /// Tool calls that were not allowed.
    pub denials: usize,
    pub exit: Option<Exit>,
    /// The end of what it wrote to standard error.
    pub stderr: String,
}

/// Run Claude Code to its end. `on_line` hears of each line as it comes. An error is the sandbox's; whatever the agent
/// does is an outcome.
pub async fn run(
    sandbox: &dyn Sandbox,
    turn: Turn,
    cancel: CancellationToken,
    mut on_line: impl FnMut(Line),
) -> Result<Finished, SandboxError> {
    let deadline = Instant::now() + turn.time;
    let resumed = command::resumes(&turn.exec);
    let exec = sandbox.spawn(turn.exec).await?;
    let mut events = sandbox.attach(&exec, Cursor::default()).await?;
    let mut live =
        Live { sandbox, exec, stdin_open: true, phase: Phase::Working, stop: None, next: None, grace: turn.grace };
    live.send(command::user_message(&turn.prompt), false).await;
    let mut seen = Seen::default();
    let mut broken = 0;
    let spent = async {
        turn.gate.spent().await;
        tokio::time::sleep(turn.grace.budget).await;
    };
    tokio::pin!(spent);
    while seen.exit.is_none() {
        tokio::select! {
            event = events.next() => {
                if let Some(event) = event {
                    broken = 0;
                    let gap = matches!(event, ExecEvent::Gap { .. });
                    let results = seen.take(event, &mut on_line);
                    // The process waits for more messages until its input ends. When output was lost, its result may
                    // have been as well, so it is told at once that nothing more will come.
                    if (results || gap) && live.stdin_open {
                        live.send(Vec::new(), true).await;
                    }
                    if results {
                        live.leave();
                    }
                } else if broken < REATTACH {
                    broken += 1;
                    tokio::time::sleep(Duration::from_millis(100 << broken)).await;
                    events = live.attach_again(seen.cursor).await?;
                } else {
                    warn!("Lost the output of {:?}; ending it", live.exec);
                    live.signal(Signal::Kill).await;
                    break;
                }
            }
            () = cancel.cancelled(), if live.stop.is_none() => live.stop(Stop::Cancelled).await,
            () = sleep_until(deadline), if live.stop.is_none() => live.stop(Stop::Time).await,
            () = &mut spent, if live.stop.is_none() => live.stop(Stop::Budget).await,
            () = due(live.next) => if !live.push_on().await { break },
        }
    }
    seen.end(&mut on_line);
    Ok(finished(&turn.gate, seen, live.stop, resumed))
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn finished(gate: &Gate, seen: Seen, stop: Option<Stop>, resumed: bool) -> Finished {
    let Seen { result, session_id, exit, stderr, .. } = seen;
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    let trouble = gate.trouble();
    let (result, trouble) = (result.as_ref(), trouble.as_ref());
    let facts = Facts { result, exit, stop, trouble, resumed, begun: session_id.is_some(), stderr: &stderr };
    Finished {
        outcome: decide(&facts),
        session_id: result.and_then(|result| result.session_id.clone()).or(session_id),
        cost_micros: result.map(|result| result.cost_micros),
        turns: result.map(|result| result.num_turns),
        denials: result.map_or(0, |result| result.denials),
        exit,
        stderr,
    }
}

/// The process, and how far its end has been brought on.
struct Live<'a> {
    sandbox: &'a dyn Sandbox,
    exec: ExecId,
    stdin_open: bool,
    phase: Phase,
    /// Why we ended it; the first reason counts.
    stop: Option<Stop>,
    /// When to go on to the next phase.
    next: Option<Instant>,
    grace: Grace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    /// Asked to end, or has given its result and only has to exit.
    Leaving,
    Terminated,
    Killed,
}

impl Live<'_> {
    async fn stop(&mut self, stop: Stop) {
        self.stop = Some(stop);
        if self.phase != Phase::Working {
            return; // It has its result and is on its way out.
        }
        debug!("Interrupting {:?}: {stop:?}", self.exec);
        if self.stdin_open {
            self.send(command::interrupt(), false).await;
        } else {
            self.signal(Signal::Interrupt).await;
        }
        self.leave();
    }

    /// It has to exit within the soft grace from now.
    fn leave(&mut self) {
        if self.phase == Phase::Working || self.phase == Phase::Leaving {
            self.phase = Phase::Leaving;
            self.next = Some(Instant::now() + self.grace.soft);
        }
    }

    /// The time of the present phase is over. False when nothing is left to try.
    async fn push_on(&mut self) -> bool {
        let (phase, signal) = match self.phase {
            Phase::Working | Phase::Leaving => (Phase::Terminated, Signal::Terminate),
            Phase::Terminated => (Phase::Killed, Signal::Kill),
            Phase::Killed => {
                warn!("{:?} does not end though it was killed; leaving it to the sandbox's end", self.exec);
                return false;
            }
        };
        self.signal(signal).await;
        self.phase = phase;
        self.next = Some(Instant::now() + self.grace.hard);
        true
    }

    /// A process that has ended can't be written to, and its exit tells more than the failed write.
    async fn send(&mut self, bytes: Vec<u8>, end: bool) {
        if end {
            self.stdin_open = false;
        }
        // A process that does not read would hold us here past every deadline.
        match timeout(self.grace.soft, self.sandbox.stdin(&self.exec, Bytes::from(bytes), end)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("Could not write to {:?}: {error}", self.exec),
            Err(_) => warn!("{:?} does not read its standard input", self.exec),
        }
    }

    async fn signal(&self, signal: Signal) {
        if let Err(error) = self.sandbox.signal(&self.exec, signal).await {
            debug!("Could not signal {:?}: {error}", self.exec);
        }
    }

    async fn attach_again(&self, from: Cursor) -> Result<BoxStream<'static, ExecEvent>, SandboxError> {
        debug!("The output of {:?} broke off at {}; attaching again", self.exec, from.0);
        self.sandbox.attach(&self.exec, from).await
    }
}

/// What the process has written so far.
#[derive(Default)]
struct Seen {
    stream: Stream,
    cursor: Cursor,
    stderr: Vec<u8>,
    session_id: Option<String>,
    result: Option<ResultLine>,
    exit: Option<Exit>,
}

impl Seen {
    /// Whether a result was among it.
    fn take(&mut self, event: ExecEvent, on_line: &mut impl FnMut(Line)) -> bool {
        match event {
            ExecEvent::Out { channel: Channel::Stdout, bytes, cursor } => {
                self.cursor = cursor;
                let lines = self.stream.push(&bytes);
                return self.hear(lines, on_line);
            }
            ExecEvent::Out { channel: Channel::Stderr, bytes, cursor } => {
                self.cursor = cursor;
                self.stderr.extend_from_slice(&bytes);
                let surplus = self.stderr.len().saturating_sub(STDERR);
                self.stderr.drain(..surplus);
            }
            ExecEvent::Gap { lost } => {
                warn!("{lost} bytes of the agent's output were dropped");
                self.stream.gap();
            }
            ExecEvent::Exit(exit) => self.exit = Some(exit),
        }
        false
    }

    fn end(&mut self, on_line: &mut impl FnMut(Line)) {
        let lines = self.stream.end();
        self.hear(lines, on_line);
    }

    fn hear(&mut self, lines: Vec<Line>, on_line: &mut impl FnMut(Line)) -> bool {
        let mut results = false;
        for line in lines {
            match &line {
                Line::Init { session_id, .. } if !session_id.is_empty() => self.session_id = Some(session_id.clone()),
                Line::Result(result) => {
                    self.result = Some((**result).clone());
                    results = true;
                }
                _ => {}
            }
            on_line(line);
        }
        results
    }
}
