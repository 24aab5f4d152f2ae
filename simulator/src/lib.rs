//! A GitHub and a Claude API on loopback, honest enough to refuse what the real ones refuse.
//!
//! [`GitHub`] keeps issues, comments and check runs in memory and code in real bare repositories. The bot under test
//! talks to it over TCP: REST, git over HTTP, signed webhooks. People are method calls (`github.comment("alice", …)`),
//! and [`World::told`](github::World::told) is everything that anybody could have seen, as story lines.
//!
//! [`Model`] speaks the Anthropic Messages API and says what a [`Script`] tells it to say; the real Claude Code CLI
//! accepts it, so its real tools run.
//!
//! To read on: `github/state.rs` (what exists), `github/acts.rs` (what can happen to it), `github/rest/mod.rs` (the
//! route table with the permission each route needs), `github/git_http.rs`, `github/deliveries.rs`, `model/mod.rs`.
#![expect(clippy::unwrap_used, reason = "a simulator that meets its own bug should stop with a stack trace")]

mod clock;
pub mod github;
pub mod model;
mod server;

pub use github::{GitHub, Options, Role};
pub use model::{Model, Script};
