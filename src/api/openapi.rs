//! The API's description, made from its routes and types: what is served is what is described.

use std::sync::Arc;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement};

use super::clean::AsItIs;

/// The description as JSON, written once.
#[derive(Clone)]
pub struct Described(Arc<str>);

impl Described {
    pub fn new(api: &OpenApi) -> Self {
        Self(serde_json::to_string(api).unwrap_or_default().into())
    }
}

/// What the routes are added to.
pub fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("cloud-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Tasks, deliveries, usage and keys. Times are UTC milliseconds, money is micro-dollars. Errors are \
             `application/problem+json` with a stable `code`.",
        ))
        .build();
    let key = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    OpenApiBuilder::new()
        .info(info)
        .components(Some(ComponentsBuilder::new().security_scheme("key", key).build()))
        .security(Some([SecurityRequirement::new("key", Vec::<String>::new())]))
        .build()
}

/// This description, as OpenAPI 3.1.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "get_description", tag = "description", security(()),
    responses((status = 200, content_type = "application/json", body = Object)))]
pub async fn serve(Extension(described): Extension<Described>) -> Response {
    // It is made of code alone: there is nothing to look for in it.
    ([(header::CONTENT_TYPE, "application/json")], Extension(AsItIs), described.0.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_description_is_not_looked_through_each_time() {
        let answer = serve(Extension(Described::new(&base()))).await;
        assert!(answer.extensions().get::<AsItIs>().is_some());
    }
}
