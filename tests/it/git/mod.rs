//! git on the host, with real git over real HTTP: from the mirror to the push.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod diff;
mod fetch;
mod hostile;
mod inspect;
mod pack;
mod publish;
mod rebase;
mod server;
mod unpack;
pub mod world;
