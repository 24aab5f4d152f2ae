//! cloud-agent: a mention on GitHub becomes a task, a task becomes a run, a run becomes a pull request.

pub mod agent;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod gateway;
pub mod github;
pub mod health;
pub mod queue;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod store;
pub mod task;
pub mod text;
pub mod webhook;
