//! The way of a delivery into the store, whoever brings it: GitHub itself, or our own search for what it did not bring.

use std::cell::RefCell;

use anyhow::Result;
use bytes::Bytes;
use tracing::{debug, info};
use uuid::Uuid;
use zstd::bulk::Compressor;

use super::event::{Names, ignorable};
use super::payload::Envelope;
use crate::app::App;
use crate::clock;
use crate::queue::Accepted;
use crate::store::NewDelivery;

/// Larger bodies are packed on the blocking pool, so that they don't hold up small ones.
const LARGE: usize = 256 << 10;
/// zstd's fastest level: on a payload of 14 KB it saves 90 % in some 30 µs.
const LEVEL: i32 = 1;

/// A delivery that is known to be GitHub's.
pub struct Arrived {
    pub delivery_id: Uuid,
    pub guid: String,
    pub event: String,
    pub content_type: String,
    pub raw: Bytes,
    pub envelope: Envelope,
}

/// What became of it.
pub struct Taken {
    pub accepted: Accepted,
    /// Why nobody needs to look at it.
    pub ignored: Option<&'static str>,
}

impl Taken {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match (self.accepted, self.ignored) {
            (Accepted::Duplicate, _) => "duplicate",
            (Accepted::New, Some(_)) => "ignored",
            (Accepted::New | Accepted::Again, _) => "accepted",
        }
    }
}

/// Store a delivery. When this returns `Ok`, it survives a power cut.
pub async fn take(app: &App, it: Arrived) -> Result<Taken> {
    let names = Names { mention: app.config.github.mention.clone() };
    let ignored = ignorable(&it.event, &it.envelope, &names);
    let (delivery_id, guid, event) = (it.delivery_id, it.guid, it.event);
    let delivery = NewDelivery {
        delivery_id,
        app_id: app.config.github.app_id.unwrap_or_default() as i64,
        guid: guid.clone(),
        event: event.clone(),
        action: it.envelope.action,
        installation_id: it.envelope.installation.map(|it| it.id as i64),
        repository: it.envelope.repository.map(|it| it.full_name),
        content_type: it.content_type,
        body: pack(it.raw).await?,
        received_at: clock::now(),
        ignored,
    };
    let taken = Taken { accepted: app.acceptor.accept(delivery).await?, ignored };
    let word = taken.word();
    match ignored {
        Some(why) => debug!(delivery.guid = guid, delivery.event = event, "Delivery {word}: {why}"),
        None => info!(delivery.guid = guid, delivery.event = event, delivery.id = %delivery_id, "Delivery {word}"),
    }
    Ok(taken)
}

async fn pack(raw: Bytes) -> Result<Bytes> {
    let packed = if raw.len() <= LARGE {
        pack_small(&raw)?
    } else {
        let pack = move || zstd::bulk::compress(&raw, LEVEL);
        tokio::task::spawn_blocking(pack).await??
    };
    Ok(Bytes::from(packed))
}

/// With a compressor that each thread keeps: to make one takes as long as to use it.
fn pack_small(raw: &[u8]) -> std::io::Result<Vec<u8>> {
    thread_local! {
        static KEPT: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    KEPT.with_borrow_mut(|kept| match kept {
        Some(compressor) => compressor.compress(raw),
        None => kept.insert(Compressor::new(LEVEL)?).compress(raw),
    })
}
