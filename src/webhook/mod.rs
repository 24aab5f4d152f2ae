//! Stage 1: GitHub speaks. Verified over the raw bytes, stored before it is acknowledged, looked at by a worker.

mod door;
mod event;
mod handle;
mod payload;
mod signature;

pub use door::router;
pub use event::{Ask, Heard, hear};
pub use handle::handle;
