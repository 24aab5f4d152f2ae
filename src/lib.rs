//! cloud-agent: a mention on GitHub becomes a task, a task becomes a run, a run becomes a pull request.

pub mod task;
pub mod sandbox;
pub mod agent;
pub mod gateway;
pub mod config;
pub mod clock;
