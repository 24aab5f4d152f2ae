//! Hints that a queue has work. Losing every one of them loses no work: the workers poll slowly all the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::Queue;

/// The channel that PostgreSQL carries wake-ups on.
pub(super) const CHANNEL: &str = "cloud_agent_wake";

/// What a message begins with that tells of a task's log.
pub(super) const LOG: &str = "log:";

/// One bell for each queue, and one for cancellations.
#[derive(Clone, Default)]
pub struct Wakes {
    deliveries: Arc<Notify>,
    tasks: Arc<Notify>,
    cancels: Arc<Notify>,
    /// One for each task whose log somebody follows.
    logs: Arc<Mutex<HashMap<String, Weak<Notify>>>>,
}

impl Wakes {
    /// Wake one waiter of the queue, or the next to come.
    pub fn wake(&self, queue: Queue) {
        self.bell(queue).notify_one();
    }

    /// Returns when the queue may have work.
    pub async fn woken(&self, queue: Queue) {
        self.bell(queue).notified().await;
    }

    /// Somebody asked a running task to stop: its lease should be renewed, and so looked at, now.
    pub fn cancel(&self) {
        self.cancels.notify_waiters();
    }

    /// Returns when somebody in this process asked a task to stop.
    pub async fn cancelled(&self) {
        self.cancels.notified().await;
    }

    /// The bell of a task's log: it rings when something was written there. Whoever holds it hears it.
    pub fn log_of(&self, task_id: &str) -> Arc<Notify> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = logs.get(task_id).and_then(Weak::upgrade) {
            return bell;
        }
        logs.retain(|_, bell| bell.strong_count() > 0);
        let bell = Arc::new(Notify::new());
        logs.insert(task_id.to_owned(), Arc::downgrade(&bell));
        bell
    }

    /// Something was written to a task's log, or the task has ended.
    pub fn logged(&self, task_id: &str) {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = logs.get(task_id).and_then(Weak::upgrade) {
            bell.notify_one();
        }
    }

    fn bell(&self, queue: Queue) -> &Notify {
        match queue {
            Queue::Delivery => &self.deliveries,
            Queue::Task => &self.tasks,
        }
    }
}

/// Pass on the wake-ups of other processes until the end of time; reconnects by itself.
pub async fn listen(url: SecretString, wakes: Wakes) {
    loop {
        if let Err(error) = listen_once(&url, &wakes).await {
            warn!("Lost the connection that hears wake-ups, polling meanwhile: {error}");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn listen_once(url: &SecretString, wakes: &Wakes) -> sqlx::Result<()> {
    let mut listener = PgListener::connect(url.expose_secret()).await?;
    listener.listen(CHANNEL).await?;
    // What was said while we were not listening is lost: look once.
    for queue in Queue::ALL {
        wakes.wake(queue);
    }
    wakes.cancel();
    debug!("Listening for wake-ups of other processes");
    loop {
        let heard = listener.recv().await?;
        match (Queue::named(heard.payload()), heard.payload().strip_prefix(LOG)) {
            (Some(queue), _) => wakes.wake(queue),
            (None, Some(task_id)) => wakes.logged(task_id),
            (None, None) => wakes.cancel(),
        }
    }
}
