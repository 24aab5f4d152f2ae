//! The writer that makes deliveries durable. Those that arrive together share one commit, and so one fsync.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use crate::store::{NewDelivery, Store};

/// Most deliveries in one commit.
const BATCH: usize = 256;
/// GitHub gives up after 10 s; a clear answer before that is better than none.
const PATIENCE: Duration = Duration::from_secs(8);
/// Deliveries that may wait for the writer before senders wait themselves.
const BACKLOG: usize = 1024;

/// Whether a delivery was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    New,
    /// It was here and had been given up; it is looked at once more.
    Again,
    Duplicate,
}

/// The way into the store for deliveries.
#[derive(Clone)]
pub struct Acceptor {
    sender: mpsc::Sender<Waiting>,
}

struct Waiting {
    delivery: NewDelivery,
    answer: oneshot::Sender<Result<Accepted, String>>,
}

impl Acceptor {
    /// Start the writer; it ends when the last `Acceptor` is gone.
    pub fn start(store: Store) -> Self {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        tokio::spawn(write(store, receiver));
        Self { sender }
    }

    /// Store a delivery. When this returns `Ok`, it survives a power cut.
    pub async fn accept(&self, delivery: NewDelivery) -> Result<Accepted> {
        let (answer, written) = oneshot::channel();
        self.sender.send(Waiting { delivery, answer }).await.ok().context("the writer of deliveries has ended")?;
        written.await.context("the writer of deliveries has ended")?.map_err(anyhow::Error::msg)
    }
}

async fn write(store: Store, mut receiver: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::with_capacity(BATCH);
    // No timer: whoever comes while a commit runs goes into the next one, and a lone delivery never waits.
    while receiver.recv_many(&mut waiting, BATCH).await > 0 {
        let (batch, answers): (Vec<_>, Vec<_>) = waiting.drain(..).map(|it| (it.delivery, it.answer)).unzip();
        let patience = Instant::now() + PATIENCE;
        let stored = match tokio::time::timeout_at(patience, store.accept(&batch)).await {
            Ok(stored) => stored,
            Err(_) => Err(anyhow::anyhow!("the database did not answer within {} s", PATIENCE.as_secs())),
        };
        if let Err(error) = &stored {
            warn!(deliveries = batch.len(), "Could not store {} deliveries: {error:#}", batch.len());
        }
        let again = match &stored {
            Ok(new) => given_up(&store, &batch, new, patience).await,
            Err(_) => Ok(HashSet::new()),
        };
        for (delivery, answer) in batch.iter().zip(answers) {
            let accepted = match &stored {
                Ok(new) if new.contains(&delivery.delivery_id) => Ok(Accepted::New),
                Ok(_) => match &again {
                    Ok(again) if again.contains(&delivery.delivery_id) => Ok(Accepted::Again),
                    // It may be one that was given up: whoever brings it should bring it again.
                    Err(why) if delivery.ignored.is_none() => Err(why.clone()),
                    _ => Ok(Accepted::Duplicate),
                },
                Err(error) => Err(format!("{error:#}")),
            };
            // Whoever has hung up meanwhile can look into GitHub's own list of deliveries and send it again.
            let _ = answer.send(accepted);
        }
    }
}

/// Which of those that were here already had been given up, and are queued again now; or why that is not known.
async fn given_up(
    store: &Store,
    batch: &[NewDelivery],
    new: &HashSet<Uuid>,
    patience: Instant,
) -> Result<HashSet<Uuid>, String> {
    let here = |it: &&NewDelivery| it.ignored.is_none() && !new.contains(&it.delivery_id);
    let here: Vec<&NewDelivery> = batch.iter().filter(here).collect();
    if here.is_empty() {
        return Ok(HashSet::new());
    }
    let again = match tokio::time::timeout_at(patience, store.take_up_again(&here)).await {
        Ok(again) => again.map_err(|error| error.to_string()),
        Err(_) => Err("the database did not answer in time".to_owned()),
    };
    again.map_err(|why| {
        warn!("Could not look whether a delivery was given up before: {why}");
        format!("could not look whether it was given up before: {why}")
    })
}
