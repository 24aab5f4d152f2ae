//! Where the line of each installation is kept: by the store, for all processes, or in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::line::Line;
use crate::clock::{self, Millis};

/// Keeps lines. Times in them are those of its own clock, which it tells.
#[async_trait]
pub trait Pace: Send + Sync {
    /// Change the line of an installation, with nobody in between; the line and the time as they are then.
    async fn turn(
        &self,
        installation: u64,
        change: &mut (dyn for<'l> FnMut(&'l mut Line, Millis) + Send),
    ) -> anyhow::Result<(Line, Millis)>;

    /// The line of an installation, and the time.
    async fn look(&self, installation: u64) -> anyhow::Result<(Line, Millis)>;
}

/// For one process: nobody else uses the tokens, or whoever keeps the lines for all is away.
#[derive(Default)]
pub(super) struct Alone {
    lines: Mutex<HashMap<u64, Line>>,
}

#[async_trait]
impl Pace for Alone {
    async fn turn(
        &self,
        installation: u64,
        change: &mut (dyn for<'l> FnMut(&'l mut Line, Millis) + Send),
    ) -> anyhow::Result<(Line, Millis)> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(installation).or_default();
        let now = clock::now();
        change(line, now);
        Ok((*line, now))
    }

    async fn look(&self, installation: u64) -> anyhow::Result<(Line, Millis)> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((lines.get(&installation).copied().unwrap_or_default(), clock::now()))
    }
}
