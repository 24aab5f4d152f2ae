//! Steps 3 and 4: a sandbox with the working tree and the context in it, and Claude Code at work in that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::checkout::{OBJECTS_INSIDE, Tree};
use super::context::Context;
use super::{Halt, Pause, Run, stopped};
use crate::agent::{self, Answer, Invocation, Line, Outcome, Session, TodoState, Tools, Turn, Why};
use crate::gateway::{Gate, RunTerms};
use crate::report::Money;
use crate::sandbox::{Limits, Sandbox, SandboxError, SandboxRef, Spec};
use crate::task::{Ending, TodoLine, Work};
use crate::text;

/// Packing and looking at the work come after the agent's own time.
const AFTERWARDS: Duration = Duration::from_mins(10);
/// How often the cost is written down while the agent works.
const ACCOUNT: Duration = Duration::from_secs(2);

impl Run<'_> {
    /// From a commit id to work that is checked and ready to be pushed.
    pub async fn make(&self) -> Result<Work, Halt> {
        let tree = self.checkout().await?;
        self.check_stop()?;
        let context = self.context();
        self.show(|view| view.removed = context.removed);
        let config = &self.app.config;
        let gate = self
            .app
            .gateway
            .open(RunTerms {
                run: self.task.id.to_string(),
                budget_micros: config.runs.budget_run_usd.micros,
                spent_micros: self.task.spent_micros,
                allowed_models: None,
                egress: config.sandbox.egress(),
            })
            .map_err(|error| Halt::End(Ending::new("sandbox", error.to_string())))?;
        self.end_left_over().await;
        // The claim's epoch is part of the key: an attempt never finds itself in the sandbox of another.
        let key = format!("{}-{}", self.task.id, self.job.lease().epoch);
        let made = self.app.provider.create(&self.spec(&tree, &gate)?, &key).await;
        let sandbox = made.map_err(sandbox_trouble)?;
        let work = self.work_in(&sandbox, &tree, &context, &gate).await;
        // Whatever came of it, nothing of the run goes on.
        gate.close().await;
        if let Err(error) = self.app.provider.destroy(&sandbox).await {
            warn!("Could not remove the sandbox: {error}");
        }
        self.account(&gate).await;
        work
    }

    /// End what an earlier attempt at this task left behind on this provider.
    async fn end_left_over(&self) {
        let labels = BTreeMap::from([("run".to_owned(), self.task.id.to_string())]);
        for sandbox in self.app.provider.list(&labels).await.unwrap_or_default() {
            if let Err(error) = self.app.provider.destroy(&sandbox).await {
                warn!("Could not remove the sandbox of an earlier attempt: {error}");
            }
        }
    }

    async fn work_in(&self, reference: &SandboxRef, tree: &Tree, context: &Context, gate: &Gate) -> Result<Work, Halt> {
        let sandbox = self.app.provider.open(reference).await.map_err(sandbox_trouble)?;
        sandbox.put(&context.files).await.map_err(sandbox_trouble)?;
        let answer = self.ask(sandbox.as_ref(), context, gate).await?;
        let work = Work {
            title: self.title(answer.title),
            summary: answer.summary,
            details: answer.details,
            verification: answer.verification,
            todos: self.views.borrow().todos.clone(),
            blocked: gate.blocked().into_iter().collect(),
            ..Work::default()
        };
        self.inspect(sandbox.as_ref(), tree, work).await
    }

    /// The agent's title, or one made of the issue's.
    fn title(&self, said: String) -> String {
        match said.trim() {
            "" => format!("Fix #{}: {}", self.task.place.number, text::line(&self.task.snapshot.title, 60)),
            _ => said,
        }
    }

    /// Let the agent work until it answers or has to stop.
    async fn ask(&self, sandbox: &dyn Sandbox, context: &Context, gate: &Gate) -> Result<Answer, Halt> {
        let config = &self.app.config;
        self.log.step("agent", "started");
        self.show(|view| view.step = "agent");
        let invocation = Invocation {
            session: Session::New(uuid::Uuid::new_v4()),
            model: config.model.model.clone(),
            max_turns: config.runs.run_turns,
            budget_micros: gate.left_micros(),
            system_prompt: Some(PathBuf::from(agent::command::SYSTEM_PROMPT)),
            tools: Tools::All,
            schema: agent::command::ANSWER_SCHEMA.to_owned(),
            env: gate.env(),
        };
        let turn = Turn {
            exec: invocation.exec(),
            prompt: context.prompt.clone(),
            time: config.runs.run_timeout.0,
            gate: gate.clone(),
            grace: agent::Grace::default(),
        };
        let running = agent::run(sandbox, turn, self.job.token(), |line| self.hear(&line));
        let finished = tokio::select! {
            finished = running => finished.map_err(sandbox_trouble)?,
            never = self.keep_account(gate) => match never {},
        };
        self.show(|view| {
            view.money.turns = self.task.turns + finished.turns.map_or(view.money.turns, i64::from);
            view.blocked = gate.blocked().into_iter().collect();
        });
        self.account(gate).await;
        info!(agent.turns = finished.turns, "Claude Code ended");
        match finished.outcome {
            Outcome::Answered(answer) => Ok(answer),
            Outcome::Stopped(Why::Cancelled) => Err(stopped(self.job.why())),
            Outcome::Stopped(why) => {
                // A person's stop and a lost claim count before what they did to the agent.
                self.check_stop()?;
                let says = match &why {
                    Why::Crashed { tail, .. } => tail.clone(),
                    _ => String::new(),
                };
                Err(Halt::End(Ending::new(why.code(), says)))
            }
        }
    }

    /// A line of the agent's stream: into the log, and into the comment what people follow.
    fn hear(&self, line: &Line) {
        if !matches!(line, Line::Control) {
            self.log.event(line.kind(), &line.body());
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

    /// Write down the cost as it grows: what an attempt has spent stays spent when it dies.
    async fn keep_account(&self, gate: &Gate) -> std::convert::Infallible {
        let mut tick = tokio::time::interval(ACCOUNT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.account(gate).await;
        }
    }

    async fn account(&self, gate: &Gate) {
        let micros = self.task.spent_micros + gate.usage().micros;
        let elapsed = self.elapsed();
        self.show(|view| {
            view.money.micros = micros;
            view.elapsed = elapsed;
        });
        let Money { micros, turns } = self.money();
        if let Err(error) = self.app.store.spent(self.job.lease(), micros, turns).await {
            warn!("Could not write down the cost of a run: {error:#}");
        }
    }

    fn spec(&self, tree: &Tree, gate: &Gate) -> Result<Spec, Halt> {
        let config = &self.app.config;
        let claude = agent::locate(&config.model.claude_bin, crate::config::search_path().as_deref())
            .map_err(|error| Halt::End(Ending::new("sandbox", error.to_string())))?;
        Ok(Spec {
            labels: BTreeMap::from([
                ("app".to_owned(), "cloud-agent".to_owned()),
                ("run".to_owned(), self.task.id.to_string()),
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
            read_only: claude.read_only,
            doors: gate.doors(),
            git_identity: Some((tree.git.identity().name.clone(), tree.git.identity().email.clone())),
        })
    }
}

fn state(state: TodoState) -> &'static str {
    match state {
        TodoState::Pending => "pending",
        TodoState::Active => "active",
        TodoState::Done => "done",
    }
}

/// A machine that can't make sandboxes is told to people; anything else is tried again.
fn sandbox_trouble(error: SandboxError) -> Halt {
    match error {
        SandboxError::Unavailable(why) => Halt::End(Ending::new("sandbox", why)),
        SandboxError::Ended(Some(limit)) => {
            let code = match limit {
                crate::sandbox::Limit::Lifetime => "time",
                crate::sandbox::Limit::Memory => "memory",
                crate::sandbox::Limit::Disk => "disk",
            };
            Halt::End(Ending::new(code, ""))
        }
        error => Halt::Pause(Pause::Broken(error.into())),
    }
}
