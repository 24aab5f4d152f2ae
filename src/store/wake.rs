//! Hints that a queue has work. Losing every one of them loses no work: the workers poll slowly all the same.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::Queue;

/// The channel that PostgreSQL carries wake-ups on.
pub(super) const CHANNEL: &str = "cloud_agent_wake";

/// One bell for each queue, and one for cancellations.
#[derive(Clone, Default)]
pub struct Wakes {
    deliveries: Arc<Notify>,
    tasks: Arc<Notify>,
    cancels: Arc<Notify>,
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
        match Queue::named(heard.payload()) {
            Some(queue) => wakes.wake(queue),
            None => wakes.cancel(),
        }
    }
}
