//! Everything that is tested from outside: stories first, then the parts.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod admission;
mod agent;
mod corpus;
mod crash;
mod faults;
mod fuzz;
mod gateway;
mod git;
mod github;
mod lines;
mod papers;
#[path = "../redteam/mod.rs"]
mod redteam;
mod resume;
mod sandbox;
mod soak;
mod store;
mod stories;
mod supply;
mod tidy;
mod world;
