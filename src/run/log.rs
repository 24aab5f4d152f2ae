//! What happens in a run, written to the task's log in batches, so that a chatty agent does not cost a commit a line.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::store::{BLOCKED, NewEvent, Store};
use crate::task::{BLOCKED_NAMED, Blocked};
use crate::text;

/// Events in one commit.
const BATCH: usize = 256;
/// Under load, what comes within this time is stored together; what comes after a pause is stored at once.
const GATHER: Duration = Duration::from_millis(4);

/// For so long a database that fails is asked again. Whoever waits for the log waits no longer than that.
const PATIENCE: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(200);

/// The way into a task's log. Dropping it ends the writer once everything is written.
pub struct Log {
    sender: Mutex<mpsc::UnboundedSender<Line>>,
}

enum Line {
    Event(NewEvent),
    Flush(oneshot::Sender<()>),
}

impl Log {
    pub fn start(store: Store, task_id: String) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(write(store, task_id, receiver));
        Self { sender: Mutex::new(sender) }
    }

    /// A step of ours.
    pub fn step(&self, step: &str, message: &str) {
        self.event("run", &json!({ "step": step, "message": message, "text": format!("{step} {message}") }));
    }

    /// What a sandbox was refused: found here whatever becomes of the task.
    pub fn blocked(&self, counted: BTreeMap<String, u64>) {
        let times: u64 = counted.values().sum();
        let counted: Vec<_> = counted.into_iter().collect();
        let blocked = Blocked::most(&counted, BLOCKED_NAMED);
        if !blocked.is_empty() {
            let text = format!("refused {times} connection{}", if times == 1 { "" } else { "s" });
            self.event(BLOCKED, &json!({ "text": text, "blocked": blocked }));
        }
    }

    /// Anything; what looks like a secret is taken out.
    pub fn event(&self, kind: &str, body: &serde_json::Value) {
        self.send(Line::Event(NewEvent {
            kind: kind.to_owned(),
            body: text::redact_json(body, text::redact).to_string(),
        }));
    }

    /// Returns when everything so far is stored.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        self.send(Line::Flush(done));
        let _ = flushed.await;
    }

    fn send(&self, line: Line) {
        let sender = self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The writer ends only after this sender is gone.
        let _ = sender.send(line);
    }
}

async fn write(store: Store, task_id: String, mut receiver: mpsc::UnboundedReceiver<Line>) {
    let mut lines = Vec::new();
    let mut failing = None;
    while receiver.recv_many(&mut lines, BATCH).await > 0 {
        let begun = tokio::time::Instant::now();
        let mut events = Vec::new();
        let mut flushed = Vec::new();
        for line in lines.drain(..) {
            match line {
                Line::Event(event) => events.push(event),
                Line::Flush(done) => flushed.push(done),
            }
        }
        append(&store, &task_id, &events, &mut failing).await;
        for done in flushed {
            let _ = done.send(());
        }
        tokio::time::sleep_until(begun + GATHER).await;
    }
}

/// Store events before any that come after them. A database that fails is asked again, for a while after it first did.
async fn append(store: &Store, task_id: &str, events: &[NewEvent], failing: &mut Option<Instant>) {
    while !events.is_empty() {
        let Err(error) = store.append_events(task_id, events).await else {
            *failing = None;
            return;
        };
        if failing.is_none() {
            warn!(task.id = task_id, "Could not store {} events of a task, trying again: {error}", events.len());
        }
        if failing.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            warn!(task.id = task_id, "Lost {} events of a task: {error}", events.len());
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}
