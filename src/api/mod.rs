//! Door: what programs ask. Health for now, and tasks to read, for those who hold the key.

mod auth;
mod clean;
mod health;
mod tasks;
mod watch;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::get;

use crate::app::App;

pub use tasks::{LogLine, TaskView};
pub use watch::watch;

/// The routes of this door.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/api/v1/tasks", get(tasks::list))
        .route("/api/v1/tasks/{id}", get(tasks::one))
        .route("/api/v1/tasks/{id}/logs", get(tasks::logs))
        .layer(map_response(clean::clean))
        .with_state(app)
}
