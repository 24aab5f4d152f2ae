//! Web pages for people.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use std::sync::Arc;

use super::World;

pub(crate) fn answer(_world: &Arc<World>, _request: &Request<Bytes>) -> Option<Response<Body>> {
    None
}
