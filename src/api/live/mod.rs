//! A task's log as it grows, for any number of clients: one reader a task, whatever their number.

mod events;
mod hub;
mod ws;

pub use events::{__path_events, events};
pub use hub::Hub;
pub use ws::{__path_ws, ws};
