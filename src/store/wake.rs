//! Hints that a queue has work. Losing every one of them loses no work: the workers poll slowly all the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::Executor as _;
use sqlx::postgres::PgListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tracing::{debug, warn};

use super::{Dialect, Queue, Store};

/// The channel that PostgreSQL carries wake-ups on.
pub(super) const CHANNEL: &str = "cloud_agent_wake";

/// What a message begins with that tells of a task's log; its id follows.
pub(super) const LOG: &str = "log:";
/// The same of an installation.
const INSTALLATION: &str = "installation:";

/// One bell for each queue, one for cancellations, one for each log that is followed; and the installations that other
/// processes tell of.
#[derive(Clone)]
pub struct Wakes {
    deliveries: Arc<Notify>,
    tasks: Arc<Notify>,
    callbacks: Arc<Notify>,
    cancels: Arc<Notify>,
    /// One for each task whose log somebody follows.
    logs: Arc<Mutex<HashMap<String, Weak<Notify>>>>,
    installations: broadcast::Sender<Changed>,
}

/// How often the connection that hears wake-ups is asked whether it still stands, and how long it may take to answer. A
/// network that has gone says nothing, and the kernel believes in it for hours.
const ASKED: Duration = Duration::from_secs(5);
const ANSWERS: Duration = Duration::from_secs(5);

/// What another process has heard of: the state of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    One(u64),
    /// Which ones is not known.
    Any,
}

impl Default for Wakes {
    fn default() -> Self {
        /// Whoever falls behind by more drops everything.
        const BEHIND: usize = 64;
        Self {
            deliveries: Arc::default(),
            tasks: Arc::default(),
            callbacks: Arc::default(),
            cancels: Arc::default(),
            logs: Arc::default(),
            installations: broadcast::Sender::new(BEHIND),
        }
    }
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

    /// Hears of installations that other processes tell of, from now on.
    pub fn installations(&self) -> Installations {
        Installations(self.installations.subscribe())
    }

    fn bell(&self, queue: Queue) -> &Notify {
        match queue {
            Queue::Delivery => &self.deliveries,
            Queue::Task => &self.tasks,
            Queue::Callback => &self.callbacks,
        }
    }
}

/// What other processes tell of installations.
pub struct Installations(broadcast::Receiver<Changed>);

impl Installations {
    /// Returns when another process has heard of a change. None when nothing will come any more.
    pub async fn changed(&mut self) -> Option<Changed> {
        match self.0.recv().await {
            Ok(changed) => Some(changed),
            Err(RecvError::Lagged(_)) => Some(Changed::Any),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Store {
    /// Tell the other processes that what they keep of an installation may be of no use any more.
    pub async fn tell_of_installation(&self, id: u64) -> sqlx::Result<()> {
        const SQL: &str = "select pg_notify($1, $2)";
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        sqlx::query(SQL).bind(CHANNEL).bind(format!("{INSTALLATION}{id}")).execute(&self.write).await.map(drop)
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
    let connecting = async {
        let mut listener = PgListener::connect(url.expose_secret()).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    };
    let mut listener = answered(connecting).await?;
    // What was said while we were not listening is lost: look once.
    look_everywhere(wakes);
    debug!("Listening for wake-ups of other processes");
    loop {
        // Giving up waiting loses nothing: what has come in part stays with the connection.
        match tokio::time::timeout(ASKED, listener.try_recv()).await {
            Ok(heard) => match heard? {
                Some(heard) => pass_on(heard.payload(), wakes),
                // It was lost, and stands again.
                None => look_everywhere(wakes),
            },
            Err(_) => {
                answered((&mut listener).execute("select 1")).await?;
            }
        }
    }
}

/// What a server that has vanished never says.
async fn answered<T>(asked: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(ANSWERS, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

fn look_everywhere(wakes: &Wakes) {
    for queue in Queue::ALL {
        wakes.wake(queue);
    }
    wakes.cancel();
    let _ = wakes.installations.send(Changed::Any);
}

fn pass_on(said: &str, wakes: &Wakes) {
    match (Queue::named(said), said.strip_prefix(INSTALLATION), said.strip_prefix(LOG)) {
        (Some(queue), ..) => wakes.wake(queue),
        (_, Some(id), _) => {
            let _ = wakes.installations.send(id.parse().map_or(Changed::Any, Changed::One));
        }
        (.., Some(task_id)) => wakes.logged(task_id),
        (None, None, None) => wakes.cancel(),
    }
}
