//! Asks that came to nothing. GitHub was asked for each of them, out of an allowance that all share who use the installation,
//! so a key gets few of them a minute. Like the rates of requests they are counted by each process for itself.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;

use super::auth::Caller;
use super::problem::Problem;
use crate::webhook::order::No;

/// How many within a minute.
const MOST: u32 = 30;
const MINUTE: Duration = Duration::from_mins(1);

static REFUSED: LazyLock<Mutex<Refused>> = LazyLock::new(Mutex::default);

/// For each key when its minute has begun, and how many it had in it.
#[derive(Default)]
struct Refused {
    minutes: HashMap<String, (Instant, u32)>,
}

impl Refused {
    fn note(&mut self, key_id: &str, now: Instant) {
        self.minutes.retain(|_, it| now.duration_since(it.0) < MINUTE);
        self.minutes.entry(key_id.to_owned()).or_insert((now, 0)).1 += 1;
    }

    /// How long a key has to wait, if it has had all of its minute.
    fn wait(&self, key_id: &str, now: Instant) -> Option<Duration> {
        let (begun, many) = self.minutes.get(key_id)?;
        let left = MINUTE.checked_sub(now.duration_since(*begun)).filter(|left| !left.is_zero())?;
        (*many >= MOST).then_some(left)
    }
}

/// Whether GitHub may be asked for this caller. The server's own key has no rate.
pub fn check(caller: &Caller) -> Result<(), Problem> {
    let Some(key) = &caller.key else { return Ok(()) };
    let refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(left) = refused.wait(&key.key_id, Instant::now()) else { return Ok(()) };
    let seconds = u32::try_from(left.as_secs()).unwrap_or_default() + 1;
    let says = format!("{MOST} of what this key asked for within a minute came to nothing; wait {seconds} s");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_refused", says);
    Err(Problem { retry_after: Some(seconds), ..problem })
}

/// Count what came to nothing, where GitHub was asked for it.
pub fn note(caller: &Caller, no: &No) {
    let own = matches!(no, No::TooMuch | No::OverBudget { .. } | No::Reused | No::Later { .. } | No::Ours(_));
    if let (Some(key), false) = (&caller.key, own) {
        REFUSED.lock().unwrap_or_else(PoisonError::into_inner).note(&key.key_id, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_so_many_refusals_a_minute() {
        let (mut refused, begun) = (Refused::default(), Instant::now());
        for _ in 0..MOST {
            assert_eq!(refused.wait("a", begun), None);
            refused.note("a", begun);
        }
        assert_eq!(refused.wait("a", begun + MINUTE / 4), Some(MINUTE / 4 * 3));
        assert_eq!(refused.wait("b", begun), None, "another key has its own");
        assert_eq!(refused.wait("a", begun + MINUTE), None);
        refused.note("a", begun + MINUTE);
        assert_eq!(refused.wait("a", begun + MINUTE), None, "it begins anew");
    }
}
