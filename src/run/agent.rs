//! Steps 3 and 4: a sandbox with the working tree and the context in it, and Claude Code at work in that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tracing::{info, warn};
use uuid::Uuid;

use super::checkout::{OBJECTS_INSIDE, Tree};
use super::context::Context;
use super::left::Left;
use super::session::Earlier;
use super::{Halt, Pause, Run, stopped, wait};
use crate::agent::{
    self, Answer, ClaudeBinary, Invocation, Line, Outcome, Session, ThreadAnswer, TodoState, Tools, Turn, Why,
};
use crate::clock;
use crate::gateway::{Gate, RunTerms};
use crate::sandbox::{Limits, Sandbox, SandboxError, SandboxRef, Spec};
use crate::task::{AgentStep, Ending, Kind, Progress, ThreadLine, TodoLine, Wait, WaitsFor, Work};
use crate::text;

/// Packing and looking at the work come after the agent's own time.
const AFTERWARDS: Duration = Duration::from_mins(10);

/// A sandbox with a working tree in it, and the gate that it reaches the model through.
pub struct Room {
    pub sandbox: Arc<dyn Sandbox>,
    pub gate: Gate,
    pub reference: SandboxRef,
    /// Which checkout is in it.
    pub tree: String,
}

/// One thing to ask the agent.
pub struct Asking {
    pub prompt: String,
    pub schema: &'static str,
    pub tools: Tools,
    pub session: Session,
    /// The operator's or the repository's choice when absent.
    pub model: Option<String>,
    /// What is gone of the run's time.
    pub spent: Duration,
    /// Turns that it may take, where that is not what every question may.
    pub turns: Option<u32>,
}

impl Run<'_> {
    /// From a commit id to work that is checked and ready to be pushed.
    pub async fn make(&self) -> Result<Work, Halt> {
        let (left, tree) = match self.left().await? {
            Some((left, tree)) => (Some(left), tree),
            None => (None, self.checkout().await?),
        };
        self.check_stop()?;
        let diff = match &self.task.snapshot.pull {
            Some(_) => Some(self.changes(&tree).await?.bytes),
            None => None,
        };
        let earlier = if left.is_some() { None } else { self.earlier().await };
        let context = self.context(diff, &self.guidance(&tree).await?, earlier.is_some());
        self.show(|view| view.removed = context.removed.clone());
        let room = self.open_room(&tree).await?;
        let work = self.work_in(&room, &tree, context, earlier, left).await;
        self.put_aside(&room, &tree, &work).await;
        self.close_room(room, &work).await;
        work
    }

    /// A sandbox for this attempt.
    pub async fn open_room(&self, tree: &Tree) -> Result<Room, Halt> {
        let api_key = self.own_key().await?;
        let gate = self
            .app
            .gateway
            .open(RunTerms {
                run: self.task.id.to_string(),
                budget_micros: self.budget_micros(),
                spent_micros: self.task.spent_micros,
                allowed_models: None,
                egress: self.egress(),
                api_key,
            })
            .map_err(|error| Halt::End(Ending::new("sandbox", error.to_string())))?;
        // The claim's epoch is part of the key: an attempt never finds itself in the sandbox of another.
        let key = format!("{}-{}", self.task.id, self.job.lease().epoch);
        let claude = self.claude()?;
        let spec = self.spec(tree, &gate, claude.read_only.clone());
        let reference = self.app.provider.create(&spec, &key).await.map_err(sandbox_trouble)?;
        self.log.step("sandbox", self.app.provider.name());
        let sandbox = self.app.provider.open(&reference).await.map_err(sandbox_trouble)?;
        let room = Room { sandbox, gate, reference, tree: tree.nonce.clone() };
        // The operator's word counts before ours.
        if self.app.config.model.claude_sha256().is_none() {
            let vouched = claude.vouched(|exec| agent::binary::run_in(room.sandbox.as_ref(), exec)).await;
            if let Err(error) = vouched {
                let other = Err::<(), _>(no_claude(&error));
                self.close_room(room, &other).await;
                return Err(no_claude(&error));
            }
        }
        Ok(room)
    }

    /// The executable, if it is the one that the operator has pinned.
    fn claude(&self) -> Result<ClaudeBinary, Halt> {
        let model = &self.app.config.model;
        agent::locate(&model.claude_bin, crate::config::search_path().as_deref())
            .and_then(|claude| claude.pinned(model.claude_sha256()))
            .map_err(|error| no_claude(&error))
    }

    /// Whatever came of it, nothing of the run goes on. What the agent knows stays for whoever takes over from a pause.
    pub async fn close_room<T>(&self, room: Room, came_of_it: &Result<T, Halt>) {
        room.gate.close().await;
        self.keep_transcript(room.sandbox.as_ref(), came_of_it).await;
        let gone = match came_of_it {
            Err(Halt::Pause(_)) => self.app.provider.end(&room.reference).await,
            _ => self.app.provider.destroy(&room.reference).await,
        };
        if let Err(error) = gone {
            warn!("Could not remove the sandbox: {error}");
        }
        self.account(&room.gate).await;
        self.log.blocked(room.gate.blocked());
    }

    async fn work_in(
        &self,
        room: &Room,
        tree: &Tree,
        context: Context,
        earlier: Option<Earlier>,
        left: Option<Left>,
    ) -> Result<Work, Halt> {
        let sandbox = room.sandbox.as_ref();
        sandbox.put(&context.files).await.map_err(sandbox_trouble)?;
        let mut session = Session::New(Uuid::new_v4());
        let mut prompt = context.prompt.clone();
        let mut answered = None;
        let left = match left {
            Some(left) => self.put_back(sandbox, left).await?,
            None => None,
        };
        if let Some(back) = left {
            session = Session::Resume(back.session);
            prompt = text::render("prompt/interrupted.md", &json!({ "again": "", "moved": back.moved }));
            answered = back.answer.and_then(|answer| serde_json::from_value(answer).ok());
        } else if let Some(earlier) = earlier
            && agent::session_in(sandbox, earlier.id, earlier.archive).await.map_err(sandbox_trouble)?
        {
            session = Session::Resume(earlier.id);
        }
        // From here on this sandbox has all that was left in others.
        self.remove_left_over(&room.reference).await;
        let answer: Answer = match answered {
            Some(answer) => answer,
            None => self.converse(room, session, prompt, context.prompt).await?,
        };
        let work = Work {
            title: self.title(answer.title),
            summary: answer.summary,
            details: answer.details,
            verification: answer.verification,
            todos: self.views.borrow().todos.clone(),
            blocked: room.gate.blocked().into_iter().collect(),
            removed: context.removed,
            threads: self.thread_lines(answer.threads),
            ..Work::default()
        };
        self.inspect(sandbox, tree, work).await
    }

    /// Ask for the work, with the session written down before and the answer after. `anew` is what to say where the
    /// conversation can't be taken up.
    async fn converse(&self, room: &Room, session: Session, prompt: String, anew: String) -> Result<Answer, Halt> {
        let schema = match self.task.kind {
            Kind::Pull => agent::command::PULL_SCHEMA,
            _ => agent::command::ANSWER_SCHEMA,
        };
        let turns = Some(self.turns_left());
        let asking = |session, prompt| Asking {
            prompt,
            schema,
            tools: Tools::All,
            session,
            model: None,
            spent: Duration::ZERO,
            turns,
        };
        self.note_session(session, room, None).await?;
        let (mut session, resumed) = (session, matches!(session, Session::Resume(_)));
        let mut answer = self.ask(room, asking(session, prompt.clone())).await;
        if resumed
            && matches!(&answer, Err(Halt::End(ending)) if matches!(ending.code.as_str(), "session_lost" | "prompt_too_long"))
        {
            // A conversation that can't be taken up is no reason not to work.
            warn!("The earlier conversation could not be taken up, beginning a new one");
            session = Session::New(Uuid::new_v4());
            self.note_session(session, room, None).await?;
            let prompt = match prompt == anew {
                true => self.context(None, &super::guidance::Guidance::default(), false).prompt,
                // The tree is not as it was when the task began.
                false => text::render("prompt/interrupted.md", &json!({ "again": anew, "moved": false })),
            };
            answer = self.ask(room, asking(session, prompt)).await;
        }
        if !matches!(answer, Err(Halt::Pause(_))) {
            self.keep_conversation(room.sandbox.as_ref(), session.id()).await;
        }
        let answer = answer?;
        self.note_session(session, room, serde_json::to_value(&answer).ok()).await?;
        self.log.step("answered", "");
        Ok(answer)
    }

    async fn note_session(&self, session: Session, room: &Room, answer: Option<Value>) -> Result<(), Halt> {
        let step = AgentStep { session: session.id().to_string(), tree: room.tree.clone(), answer };
        self.note(&Progress { agent: Some(step), ..Progress::default() }).await
    }

    /// What the agent says about threads, of those that it was given.
    fn thread_lines(&self, said: Vec<ThreadAnswer>) -> Vec<ThreadLine> {
        let Some(pull) = &self.task.snapshot.pull else { return Vec::new() };
        let known = |id: &str| pull.threads.iter().find(|thread| thread.id.to_string() == id);
        let lines = said.into_iter().filter_map(|it| {
            known(&it.id).map(|thread| ThreadLine { thread: thread.id, reply: it.reply, settled: it.settled })
        });
        lines.collect()
    }

    /// The agent's title, or one made of the subject's.
    fn title(&self, said: String) -> String {
        match (said.trim(), self.task.kind) {
            ("", _) if !self.task.place.has_thread() => text::line(&self.task.snapshot.title, 60),
            ("", Kind::Issue) => {
                format!("Fix #{}: {}", self.task.place.number, text::line(&self.task.snapshot.title, 60))
            }
            ("", _) => format!("Work on #{}", self.task.place.number),
            _ => said,
        }
    }

    /// Let the agent work until it answers or has to stop.
    pub async fn ask(&self, room: &Room, asking: Asking) -> Result<Answer, Halt> {
        let (config, gate) = (&self.app.config, &room.gate);
        self.note_conversation(asking.session.id());
        self.log.step("agent", &format!("started, session {}", asking.session.id()));
        let rules = self.task.snapshot.rules();
        let invocation = Invocation {
            session: asking.session,
            tools: asking.tools,
            model: asking.model.or(rules.model).or_else(|| config.model.model.clone()),
            max_turns: asking.turns.unwrap_or(config.runs.run_turns),
            budget_micros: gate.left_micros(),
            system_prompt: Some(PathBuf::from(agent::command::SYSTEM_PROMPT)),
            schema: asking.schema.to_owned(),
            env: gate.env(),
        };
        let turn = Turn {
            exec: invocation.exec(),
            prompt: asking.prompt,
            time: config.runs.run_timeout.0.saturating_sub(asking.spent),
            gate: gate.clone(),
            grace: agent::Grace::default(),
        };
        let before = self.money().turns;
        let requests = gate.usage().requests;
        let running = agent::run(room.sandbox.as_ref(), turn, self.job.token(), |line| self.hear(&line));
        let finished = tokio::select! {
            finished = running => finished.map_err(sandbox_trouble)?,
            never = self.keep_account(gate, before, requests) => match never {},
        };
        self.show(|view| {
            let asked = (gate.usage().requests - requests) as i64;
            let taken = finished.turns.map_or(asked, i64::from);
            // A turn that the model has failed in is none: an outage does not use them up.
            let failed = matches!(&finished.outcome, Outcome::Stopped(why) if why.passes());
            view.money.turns = before + (taken - i64::from(failed)).max(0);
            view.blocked = gate.blocked().into_iter().collect();
        });
        self.account(gate).await;
        info!(agent.turns = finished.turns, "Claude Code ended");
        match finished.outcome {
            Outcome::Answered(answer) => Ok(self.without_own_key(answer)),
            Outcome::Stopped(Why::Cancelled) => Err(stopped(self.job.why())),
            Outcome::Stopped(why) => {
                // A person's stop and a lost claim count before what they did to the agent.
                self.check_stop()?;
                if let Some(ending) = self.own_key_trouble(&why, gate) {
                    return Err(Halt::End(ending));
                }
                if why.passes() {
                    return Err(Halt::Pause(Pause::Later(self.model_trouble(&why, gate))));
                }
                let says = match &why {
                    Why::Crashed { tail, .. } => text::redact_held(tail),
                    _ => String::new(),
                };
                Err(Halt::End(Ending::new(why.code(), says)))
            }
        }
    }

    /// Claude Code has tried again as often as it does; now we do, with more patience and the same conversation.
    fn model_trouble(&self, why: &Why, gate: &Gate) -> Wait {
        let trouble = gate.trouble();
        let said = trouble.as_ref().map(|it| it.message.as_str()).filter(|said| !said.is_empty());
        let wait = Wait::new(WaitsFor::Model, text::line(said.unwrap_or_else(|| why.code()), 300));
        let wait = wait.or_else(Ending::new(why.code(), ""));
        if *why == Why::ModelRefusedKey && !self.task.own_key {
            // No other run needs to find that out.
            self.app.health.key_refused();
        }
        match trouble.and_then(|it| it.retry_after) {
            Some(seconds) => wait.until(clock::now() + seconds.min(3600) as i64 * 1000),
            None => wait,
        }
    }

    /// A line of the agent's stream: into the log, and into the comment what people follow.
    fn hear(&self, line: &Line) {
        if !matches!(line, Line::Control) {
            self.log.event(line.kind(), &line.body());
        }
        if let Line::Tool { name, brief, .. } = line
            && name == "Read"
        {
            let file = brief.trim_start_matches("Read:").trim().trim_start_matches("/workspace/");
            self.show(|view| view.reads = text::line(file, 200).replace('`', ""));
        }
        if let Line::Todos(todos) = line {
            let todos: Vec<TodoLine> = todos
                .iter()
                .map(|todo| TodoLine {
                    text: text::outgoing(&text::line(&todo.text, 200)),
                    state: state(todo.state).to_owned(),
                })
                .collect();
            self.show(|view| view.todos = todos);
        }
    }

    fn spec(&self, tree: &Tree, gate: &Gate, read_only: Vec<(PathBuf, PathBuf)>) -> Spec {
        let config = &self.app.config;
        Spec {
            labels: BTreeMap::from([
                ("app".to_owned(), "cloud-agent".to_owned()),
                ("run".to_owned(), self.task.id.to_string()),
                ("tree".to_owned(), tree.nonce.clone()),
                ("repository".to_owned(), self.task.place.repository_id.to_string()),
            ]),
            limits: Limits {
                lifetime: config.runs.run_timeout.0 + AFTERWARDS,
                memory_bytes: config.sandbox.memory_mb << 20,
                processes: config.sandbox.processes,
                disk_bytes: config.sandbox.disk_mb << 20,
            },
            workspace: tree.workspace.clone(),
            objects: vec![(tree.mirror.objects(), PathBuf::from(OBJECTS_INSIDE))],
            read_only,
            doors: gate.doors(),
            git_identity: Some((tree.git.identity().name.clone(), tree.git.identity().email.clone())),
        }
    }
}

fn no_claude(error: &agent::binary::LocateError) -> Halt {
    Halt::Pause(Pause::Later(wait::no_claude(error.to_string())))
}

fn state(state: TodoState) -> &'static str {
    match state {
        TodoState::Pending => "pending",
        TodoState::Active => "active",
        TodoState::Done => "done",
    }
}

/// A machine that can't make sandboxes is waited for; anything else is tried again.
pub fn sandbox_trouble(error: SandboxError) -> Halt {
    match error {
        SandboxError::Unavailable(why) => Halt::Pause(Pause::Later(Wait::new(WaitsFor::Host, why))),
        SandboxError::Ended(Some(limit)) => {
            let code = match limit {
                crate::sandbox::Limit::Lifetime => "time",
                crate::sandbox::Limit::Memory => "memory",
                crate::sandbox::Limit::Disk => "disk",
                crate::sandbox::Limit::HostDisk => "host_disk_floor",
            };
            Halt::End(Ending::new(code, ""))
        }
        error => Halt::Pause(anyhow::Error::from(error).into()),
    }
}
