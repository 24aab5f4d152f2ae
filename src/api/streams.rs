//! How many streams each key has open in this process: each holds a socket for as long as its client likes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use super::auth::Caller;
use super::problem::Problem;

/// More than the clients of one busy page, and fewer than the sockets that a process may have.
const MOST: u32 = 600;

#[derive(Clone, Default)]
pub struct Streams {
    open: Arc<Mutex<HashMap<String, u32>>>,
}

/// A stream that counts until this goes.
pub struct Open {
    streams: Streams,
    /// None for the server's own key, which has no such limit.
    key_id: Option<String>,
}

impl Streams {
    /// One more for this caller, or why not.
    pub fn open(&self, caller: &Caller) -> Result<Open, Problem> {
        let Some(key) = &caller.key else { return Ok(Open { streams: self.clone(), key_id: None }) };
        self.take(&key.key_id).ok_or_else(|| {
            let says = format!("this key has {MOST} streams open; close some of them first");
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", says);
            Problem { retry_after: Some(10), ..problem }
        })
    }

    fn take(&self, key_id: &str) -> Option<Open> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let many = open.entry(key_id.to_owned()).or_default();
        if *many >= MOST {
            return None;
        }
        *many += 1;
        Some(Open { streams: self.clone(), key_id: Some(key_id.to_owned()) })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(key_id) = &self.key_id else { return };
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(many) = open.get_mut(key_id) {
            *many -= 1;
            if *many == 0 {
                open.remove(key_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_so_many_streams_at_once() {
        let streams = Streams::default();
        let mut open: Vec<Open> = (0..MOST).map_while(|_| streams.take("a")).collect();
        assert_eq!(open.len(), MOST as usize);
        assert!(streams.take("a").is_none());
        assert!(streams.take("b").is_some(), "another key has its own");
        open.pop();
        assert!(streams.take("a").is_some(), "one was closed");
        open.clear();
        assert!(streams.open.lock().unwrap_or_else(PoisonError::into_inner).is_empty(), "nothing is left of them");
    }
}
