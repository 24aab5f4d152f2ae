//! Deliveries that the door has turned away: they leave no row, so the log has to tell. Anybody can knock, so it tells at
//! most once a minute, and how many there were.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tracing::warn;

const MINUTE: Duration = Duration::from_mins(1);

/// What was turned away, by the status that it got.
#[derive(Clone, Default)]
pub(super) struct Refused(Arc<Mutex<BTreeMap<StatusCode, Count>>>);

/// Note what an answer says of a delivery.
pub(super) async fn note(State(refused): State<Refused>, response: Response) -> Response {
    let status = response.status();
    if why(status).is_some() {
        let next = refused.counts().entry(status).or_default().add(Instant::now());
        match next {
            Next::Tell => tell(status, 1),
            Next::TellIn(pause) => drop(tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                let many = refused.counts().entry(status).or_default().take(Instant::now());
                tell(status, many);
            })),
            Next::Told => (),
        }
    }
    response
}

impl Refused {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<StatusCode, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(status: StatusCode, many: u64) {
    let deliveries = if many == 1 { "a delivery".to_owned() } else { format!("{many} deliveries") };
    let why = why(status).unwrap_or_default();
    warn!("Refused {deliveries} with {}: {why}", status.as_u16());
}

fn why(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED => Some(
            "the signature fits no secret in GITHUB_WEBHOOK_SECRET. If it is GitHub's, the App's webhook has another \
             secret; the sweep fetches what was refused meanwhile",
        ),
        StatusCode::BAD_REQUEST => Some(
            "it is not as GitHub sends it. If it is GitHub's, something on the way cuts or changes it: Recent deliveries on \
             the App's page show what it was answered; the sweep fetches what was refused meanwhile",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => Some("it is larger than what GitHub sends"),
        _ => None,
    }
}

/// How many there were since it was told last, and from when on it may be told again.
#[derive(Default)]
struct Count {
    again: Option<Instant>,
    untold: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Tell,
    /// With all that come until then.
    TellIn(Duration),
    /// Somebody is about to.
    Told,
}

impl Count {
    fn add(&mut self, now: Instant) -> Next {
        match self.again.filter(|again| now < *again) {
            None if self.untold == 0 => {
                self.again = Some(now + MINUTE);
                Next::Tell
            }
            again => {
                self.untold += 1;
                match self.untold {
                    1 => Next::TellIn(again.map_or(Duration::ZERO, |again| again - now)),
                    _ => Next::Told,
                }
            }
        }
    }

    fn take(&mut self, now: Instant) -> u64 {
        self.again = Some(now + MINUTE);
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_told_once_a_minute_and_none_is_left_out() {
        let (mut count, start) = (Count::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(count.add(at(0)), Next::Tell);
        assert_eq!(count.add(at(10)), Next::TellIn(Duration::from_secs(50)));
        assert_eq!(count.add(at(59)), Next::Told);
        // Whoever is to tell it comes late.
        assert_eq!(count.add(at(61)), Next::Told);
        assert_eq!(count.take(at(62)), 3);
        assert_eq!(count.add(at(100)), Next::TellIn(Duration::from_secs(22)));
        assert_eq!(count.take(at(122)), 1);
        assert_eq!(count.add(at(200)), Next::Tell);
    }
}
