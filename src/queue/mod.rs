//! Stage 3: when. Deliveries and tasks wait here as rows with a lease; apalis runs the workers, the store is the truth.

mod accept;
mod job;
mod worker;

pub use accept::{Accepted, Acceptor};
pub use job::{Job, Stop, Verdict};
pub use worker::{Abandon, Settings, Turns, work};
