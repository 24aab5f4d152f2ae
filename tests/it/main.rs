//! Everything that is tested from outside: stories first, then the parts.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod agent;
mod faults;
mod corpus;
mod crash;
mod gateway;
mod git;
mod lines;
mod resume;
mod github;
mod sandbox;
mod store;
mod soak;
mod stories;
mod tidy;
mod world;
