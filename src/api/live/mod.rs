//! A task's log as it grows, for any number of clients: one reader a task, whatever their number.

mod code;
mod events;
mod hub;
mod typed;
mod ws;

use std::time::Duration;

/// How long a client may take for what it is sent, before it is let go.
const PATIENCE: Duration = Duration::from_secs(30);

pub use code::{__path_code, code};
pub use events::{__path_events, StreamEvent, events};
pub use hub::Hub;
pub use ws::{__path_ws, ws};
