//! Machines. The work of a task lies on the disk of the one that ran it last, so the others leave the task to that one for a
//! while when it is due. They never do so for longer: a machine may be gone for good.

use std::sync::Arc;
use std::time::Duration;

use super::{Dialect, Queue, Store};
use crate::clock::Millis;
use crate::task::Progress;

/// How long a task whose lease has lapsed is left to its machine at the most. That one was away for a lease already.
const LAPSED: Duration = Duration::from_secs(5);

/// The machine that a process runs on.
pub(super) struct Home {
    /// The random id in its `DATA_DIR`.
    machine: String,
    /// How long other machines' tasks are left to them.
    handover: Duration,
}

impl Store {
    /// Say which machine this is, and how long tasks are left to others.
    pub fn live_on(&mut self, machine: &str, handover: Duration) {
        self.home = Some(Arc::new(Home { machine: machine.to_owned(), handover }));
    }

    /// The machine that has a task's work on its disk when it has come so far; empty when no disk is needed to go on.
    pub(super) fn home_of(&self, progress: &Progress) -> &str {
        match &self.home {
            Some(home) if progress.needs_its_machine() => &home.machine,
            _ => "",
        }
    }

    /// For a claim: from when on this machine may take a job, as an expression in which `$n` is its id; and that id. None
    /// where it may take all of them at any time.
    pub(super) fn free_at(&self, queue: Queue, n: usize) -> Option<(String, String)> {
        let home = self.home.as_ref().filter(|_| queue == Queue::Task && self.dialect == Dialect::Postgres)?;
        let millis = |span: Duration| span.as_millis() as Millis;
        // Whoever stops a task needs nothing of its work.
        let expression = format!(
            "case when job.home in ('', ${n}) or job.cancel_requested is not null then 0
                  when job.lease_owner is null then job.run_at + {}
                  else job.lease_until + {} end",
            millis(home.handover),
            millis(home.handover.min(LAPSED))
        );
        Some((expression, home.machine.clone()))
    }
}
