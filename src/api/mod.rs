//! Door: what programs ask: tasks, deliveries, usage and keys over HTTP, for those who hold a key; and health for all.

mod auth;
mod address;
mod again;
mod artifacts;
mod brought;
mod callback;
mod clean;
mod create;
mod deliveries;
mod health;
mod keys;
mod links;
mod live;
mod logs;
mod openapi;
mod own;
mod page;
mod problem;
mod refused;
mod replay;
mod request;
mod result;
mod secret;
mod streams;
mod tasks;
mod usage;
mod values;
mod watch;
mod whole;

use axum::middleware::map_response;
use axum::routing::get;
use axum::{Extension, Router, middleware};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use auth::Door;
use live::Hub;

pub use again::{Resumed, Retried};
pub use artifacts::{ArtifactList, ArtifactView, LeftOut};
pub use auth::Scope;
pub use callback::{CallbackView, Phone, call, phone};
pub use create::{Accepted, NewOrder};
pub use deliveries::{DeliveryPage, DeliveryView};
pub use keys::{KeyView, Keys, MadeKey, NewKey};
pub use live::StreamEvent;
pub use logs::{LogLine, LogPage};
pub use own::OwnKey;
pub use replay::ReplayView;
pub use secret::Given;
pub use tasks::{ModelUse, TaskPage, TaskView};
pub use usage::{TokenView, UsageLine, UsageView};
pub use watch::watch;

/// The routes of this door. `stop` lets those go who follow a task, so that the server can end.
pub fn router(app: App, stop: CancellationToken) -> Router {
    let door = Door::new(app.clone());
    let guarded = OpenApiRouter::new()
        .routes(routes!(tasks::list, create::create))
        .routes(routes!(tasks::one))
        .routes(routes!(logs::logs))
        .routes(routes!(artifacts::list))
        .routes(routes!(artifacts::one))
        .routes(routes!(again::cancel))
        .routes(routes!(again::retry))
        .routes(routes!(again::resume))
        .routes(routes!(live::events))
        .routes(routes!(live::code))
        .routes(routes!(deliveries::list, deliveries::forget_many))
        .routes(routes!(deliveries::one, deliveries::forget))
        .routes(routes!(replay::replay))
        .routes(routes!(usage::usage))
        .routes(routes!(own::own))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        .route_layer(middleware::from_fn_with_state(door.clone(), auth::guard));
    // A WebSocket may show its key in its first message; the description is no secret.
    let open =
        OpenApiRouter::new().routes(routes!(live::ws)).routes(routes!(openapi::serve)).routes(routes!(page::serve));
    let (api, described) = OpenApiRouter::with_openapi(openapi::base()).merge(guarded).merge(open).split_for_parts();
    let described = links::lead(described);
    let hub = Hub::new(app.store.clone(), stop);
    api.fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(Extension(hub))
        .layer(Extension(door))
        .layer(Extension(openapi::Described::new(&described)))
        .layer(Extension(page::Page::new(&described, app.config.server.public_url.as_str())))
        .layer(middleware::from_fn(request::note))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .layer(map_response(clean::clean))
        .with_state(app)
}
