//! The simulator refuses what GitHub and the model API refuse; otherwise the tests that use it would prove nothing.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod checks;
mod claude_cli;
mod client;
mod git;
mod graphql;
mod messages;
mod pages;
mod people;
mod personal;
mod pulls;
mod rest;
mod reviews;
mod webhooks;
