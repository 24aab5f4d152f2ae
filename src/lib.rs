//! cloud-agent: a mention on GitHub becomes a task, a task becomes a run, a run becomes a pull request.

pub mod agent;
pub mod health;
pub mod app;
pub mod clock;
pub mod config;
pub mod gateway;
pub mod github;
pub mod queue;
pub mod run;
pub mod report;
pub mod api;
pub mod cli;
pub mod sandbox;
pub mod store;
pub mod task;
pub mod text;
pub mod webhook;
