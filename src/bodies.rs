//! Tool: what senders make us keep in memory: all bodies of requests that are being read or worked on have one room together,
//! and each has so long to come. Nobody can fill the memory, however many send at once or how slowly.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Longest that a body may take to come; GitHub itself hangs up after 10 s.
const LONGEST: Duration = Duration::from_secs(30);
/// Bytes of a body that need no room: most deliveries are smaller, and so still come in when somebody sends large ones on
/// purpose. A connection costs as much by itself.
const FREE: usize = 64 << 10;

/// Seconds after which another try makes sense: by then a body that is slow has come or was given up.
pub const RETRY_AFTER: u32 = 30;

/// The room that bodies have in this process.
#[derive(Clone)]
pub struct Bodies {
    room: Arc<Semaphore>,
    patience: Duration,
}

/// A body, and its place in the room for as long as that is kept.
pub struct Whole {
    pub bytes: Bytes,
    pub place: Place,
}

/// The bytes of the room that a body takes. Dropping it frees them.
#[derive(Default)]
pub struct Place(Option<OwnedSemaphorePermit>);

/// Why a body was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    TooLarge,
    /// The others in memory leave no room for it.
    Full,
    Late,
    Broken(String),
}

impl Bodies {
    pub fn new(megabytes: u32, patience: Duration) -> Self {
        let bytes = (megabytes as usize).saturating_mul(1 << 20).min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(bytes)), patience: patience.min(LONGEST) }
    }

    /// Read a body of at most `largest` bytes. What was not read of it is still in there.
    pub async fn read(&self, body: &mut Body, largest: usize) -> Result<Whole, Unread> {
        timeout(self.patience, self.collect(body, largest)).await.unwrap_or(Err(Unread::Late))
    }

    async fn collect(&self, body: &mut Body, largest: usize) -> Result<Whole, Unread> {
        let (mut bytes, mut place) = (BytesMut::new(), Place::default());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Unread::Broken(error.to_string()))?;
            // Nothing but trailers, which nobody reads.
            let Some(data) = frame.data_ref() else { continue };
            let length = bytes.len() + data.len();
            if length > largest {
                return Err(Unread::TooLarge);
            }
            // What was announced is nothing yet; what has come is.
            place.grow(&self.room, length.saturating_sub(FREE))?;
            bytes.extend_from_slice(data);
        }
        Ok(Whole { bytes: bytes.freeze(), place })
    }
}

impl Place {
    fn grow(&mut self, room: &Arc<Semaphore>, to: usize) -> Result<(), Unread> {
        let more = to.saturating_sub(self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| Unread::TooLarge)?;
        let got = room.clone().try_acquire_many_owned(more).map_err(|_| Unread::Full)?;
        match &mut self.0 {
            Some(has) => has.merge(got),
            None => self.0 = Some(got),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    fn body(bytes: usize) -> Body {
        let pieces = (0..bytes.div_ceil(1 << 16)).map(move |at| (bytes - (at << 16)).min(1 << 16));
        Body::from_stream(stream::iter(pieces.map(|length| Ok::<_, Infallible>(Bytes::from(vec![b'.'; length])))))
    }

    #[tokio::test]
    async fn all_bodies_have_one_room_until_they_are_dropped() {
        const LARGEST: usize = 1 << 20;
        let bodies = Bodies::new(1, LONGEST);
        let read = async |bytes| bodies.read(&mut body(bytes), LARGEST).await;
        let first = read(LARGEST - (100 << 10)).await.unwrap();
        assert_eq!(first.bytes.len(), LARGEST - (100 << 10));
        assert_eq!(read(LARGEST / 2).await.err(), Some(Unread::Full));
        // What was given up leaves nothing behind, and small ones need no room.
        let fits = async |bytes| read(bytes).await.is_ok();
        assert!(fits(FREE).await && fits(FREE + (150 << 10)).await);
        drop(first);
        assert!(fits(LARGEST).await && fits(LARGEST).await);
        assert_eq!(read(LARGEST + 1).await.err(), Some(Unread::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let bodies = Bodies::new(1, Duration::from_millis(50));
        let mut never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        assert_eq!(bodies.read(&mut never, 10).await.err(), Some(Unread::Late));
    }
}
