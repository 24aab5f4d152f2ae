//! cloud-agent: a mention or a push on GitHub becomes a task, a task becomes a run, a run becomes a pull request, commits on
//! one, or a review.
//!
//! ```text
//!  a delivery ──▶ a task ──▶ the queue ──▶ one run: checkout ▶ sandbox ▶ agent ▶ inspect ▶ publish ──▶ GitHub hears
//!    webhook/       task/       queue/       run/   sandbox/  agent/                report/
//!  api/ and cli/ are more doors to the same task/.      gateway/ is all that a sandbox can reach.
//! ```
//!
//! Three kinds of module, told apart by the first word of their header: stages, doors, tools. To follow a delivery to the
//! pull request, read `webhook/door.rs`, `webhook/handle.rs`, then `run/mod.rs`, which is the plot.
//!
//! | module | |
//! |---|---|
//! | `webhook/` | stage 1: GitHub speaks: signature, delivery, event; what it becomes; what never came |
//! | `task/` | stage 2: what was asked: the task, its states, who may ask; pure |
//! | `task/review/` | what an agent says of a diff: which of it is new, where it can be said |
//! | `task/rules/` | what a repository asks for in its settings file |
//! | `queue/` | stage 3: when: the durable accept, the workers |
//! | `run/` | ★ one task from the queue to the report, cut off and taken up again: read first |
//! | `sandbox/` | stage 4: where: the trait, one folder a provider, git on the host |
//! | `agent/` | stage 4: who: Claude Code's command line, its stream, its answer |
//! | `gateway/` | stage 4: all that a sandbox may reach: model proxy, egress allow-list |
//! | `report/` | stage 5: GitHub hears: reaction, comment, check run, pull request, review |
//! | `api/`, `cli/` | doors: tasks, live streams, deliveries, usage and keys over HTTP; the command lines, `ca` among them |
//! | `github/`, `store/`, `health.rs`, `bodies.rs`, `app.rs`, `config/`, `clock.rs`, `text/` | tools |
//!
//! # Invariants
//!
//! Most are absences.
//!
//! 1. A delivery is durable before it is acknowledged: raw body and `(app id, GUID)` are committed before the 2xx.
//! 2. The store is the truth; a wake-up is a hint. Losing every wake-up loses no task; every step may run twice, and a
//!    worker whose lease has lapsed, by the database's clock, can change nothing (the epoch).
//! 3. `task/` decides without doing. Facts come in as arguments, decisions go out as values.
//! 4. No secret enters a sandbox: no model key, no GitHub token, no database URL; not in env, argv, files or URLs.
//! 5. Nothing in a sandbox can write to GitHub. The agent leaves commits and a structured answer; the host inspects them
//!    and publishes. A hijacked model can waste its budget and lie in its answer; it can't push or comment, and reaches no
//!    host but the model and those of `EGRESS`.
//! 6. The host never runs code or git hooks, and never reads git config, from a working tree that an agent touched.
//! 7. The agent reads the snapshot taken at the trigger, not live GitHub, and a run begins only if it is still what was
//!    stored then.
//! 8. Every task ends in something a person can see, within the run's deadline and `WAIT_LIMIT`. Silence is a bug, except
//!    where the App may no longer speak.
//! 9. Every write to GitHub has its intent stored first; after a doubt GitHub is read before it is made again.
//! 10. Only `github/` knows octocrab, only `store/` knows SQL, only `sandbox/` starts processes, only `config` reads the
//!     environment. Production code does not know that it is being tested.

pub mod webhook;
pub mod task;
pub mod queue;
pub mod run;
pub mod sandbox;
pub mod agent;
pub mod gateway;
pub mod report;
pub mod api;
pub mod cli;
pub mod github;
pub mod store;
pub mod health;
pub mod bodies;
pub mod app;
pub mod config;
pub mod clock;
pub mod text;
