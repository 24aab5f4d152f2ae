//! Stage 3: when. Deliveries and tasks wait here as rows with a lease; apalis runs the workers, the store is the truth.

mod accept;
mod worker;

pub use accept::{Accepted, Acceptor};
pub use worker::{Abandon, Job, Settings, Stop, Verdict, work};
