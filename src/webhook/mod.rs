//! Stage 1: GitHub speaks. Verified over the raw bytes, stored before it is acknowledged, looked at by a worker.

mod door;
mod refused;
mod take;
pub mod missed;
mod edited;
mod event;
mod handle;
mod approve;
mod ask;
mod asof;
mod breaker;
mod late;
mod moved;
pub mod replay;
pub mod order;
mod click;
mod installation;
mod snapshot;
mod json;
mod payload;
mod signature;

pub use door::router;
pub use event::{Ask, Heard, Names, Us, hear, ignorable};
pub use handle::handle;
pub use installation::{Change, What};
pub use json::json_of;
pub use payload::Envelope;
