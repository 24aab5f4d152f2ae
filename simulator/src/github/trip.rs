//! A tripwire: counts what passes, and does something once at the n-th, before or after that took effect. What it does is
//! usually to kill the bot; the connection is closed without an answer in any case.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::World;

/// When, seen from what passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// It never takes effect.
    Before,
    /// It has taken effect, and whoever asked for it does not hear so.
    After,
}

type Act = Box<dyn FnOnce() + Send>;

/// Counts from the moment it is set. Also of use to whatever else stands between the bot and its world.
#[derive(Default)]
pub struct Tripwire(Mutex<Wire>);

#[derive(Default)]
struct Wire {
    passed: usize,
    set: Option<(usize, Moment, Act)>,
    tripped: Option<String>,
}

impl Tripwire {
    /// Counts anew, and acts at the `n`-th, which is 1 for the next.
    pub fn set(&self, n: usize, moment: Moment, act: impl FnOnce() + Send + 'static) {
        *self.wire() = Wire { set: Some((n, moment, Box::new(act))), ..Wire::default() };
    }

    /// How many have passed since it was set.
    pub fn passed(&self) -> usize {
        self.wire().passed
    }

    /// What was passing when it acted, once it has.
    pub fn tripped(&self) -> Option<String> {
        self.wire().tripped.clone()
    }

    /// One more comes along. When this is the one, whoever lets it pass calls `act` at that moment and hangs up.
    pub fn step(&self) -> Option<Moment> {
        let mut wire = self.wire();
        wire.passed += 1;
        let (n, moment, _) = wire.set.as_ref()?;
        (*n == wire.passed).then_some(*moment)
    }

    /// Acts, because of `what`.
    pub fn act(&self, what: &str) {
        let act = {
            let mut wire = self.wire();
            wire.tripped = Some(what.to_owned());
            wire.set.take()
        };
        if let Some((_, _, act)) = act {
            act();
        }
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tripwire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tripwire").field("passed", &self.wire().passed).finish_non_exhaustive()
    }
}

impl World {
    /// The tripwire that every request of the bot steps on: REST, GraphQL, git.
    pub fn wire(&self) -> &Tripwire {
        &self.wire
    }
}
