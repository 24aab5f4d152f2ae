//! Errors of the API, all of one shape: `application/problem+json` with a stable `code` and a sentence that says what to do.

use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::error;
use utoipa::ToSchema;

use crate::app::App;
use crate::bodies::{self, Unread};

/// An error as RFC 9457 has it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`; `code` tells problems apart.
    #[schema(value_type = String)]
    pub r#type: &'static str,
    /// The status in words.
    #[schema(value_type = String)]
    pub title: &'static str,
    pub status: u16,
    /// Stable, for programs.
    pub code: String,
    /// What to do, for people.
    pub detail: String,
    /// Which field or parameter is wrong, with 422.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds until another try makes sense.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            field: None,
            retry_after: None,
        }
    }

    /// A value that can't be used.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        let field = Some(field.to_owned()).filter(|it| it != ".");
        Self { field, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    /// What is not there, and what the caller may not know of: the two look the same.
    pub fn no_such(what: &str, hint: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, &format!("no_such_{what}"), format!("there is no such {what}; {hint}"))
    }

    /// The same for every key that does not open.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send `Authorization: Bearer ca_…` with a key that is valid; the first one stands in the server's \
             DATA_DIR/admin-api-key and makes others",
        )
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        error!("The API could not use the store: {error:#}");
        let detail = "the database did not answer, try again";
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail) }
    }
}

impl From<Unread> for Problem {
    fn from(why: Unread) -> Self {
        match why {
            Unread::TooLarge => {
                let says = format!("a body may have {LARGEST} bytes");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", says)
            }
            Unread::Full => {
                let says = "more is being sent at once than fits into the server's memory, try again";
                let retry_after = Some(bodies::RETRY_AFTER);
                Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", says) }
            }
            Unread::Late => Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not come in time"),
            Unread::Broken(_) => malformed("the body broke off"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after.map(HeaderValue::from);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(retry_after.map(|it| (header::RETRY_AFTER, it)));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A path that no route knows.
pub async fn no_route(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} {} is no route; GET /api/v1/openapi.json lists all of them", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", detail)
}

/// A path that a route knows, with another method.
pub async fn no_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}; the `allow` header says what it takes", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json")) {
            let says = "send JSON with `content-type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", says));
        }
        let whole = app.bodies.read(&mut request.into_body(), LARGEST).await?;
        let raw = &whole.bytes;
        // In two steps: what is no JSON at all is another mistake than a field that can't be used.
        let json: Value = serde_json::from_slice(raw).map_err(|error| malformed(&format!("no JSON: {error}")))?;
        if has_nul(&json) {
            return Err(malformed("a text holds the character NUL, which no database keeps"));
        }
        let read = serde_path_to_error::deserialize(json);
        read.map(Self).map_err(|error| wrong(&error.path().to_string(), &error.inner().to_string()))
    }
}

/// A JSON body that may be left out.
pub struct BodyIfAny<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<App> for BodyIfAny<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        match request.body().size_hint().exact() {
            Some(0) => Ok(Self(T::default())),
            _ => Body::from_request(request, app).await.map(|Body(it)| Self(it)),
        }
    }
}

/// PostgreSQL takes no text with this character in it; better said here than as trouble with the database.
const NUL: char = '\0';

fn has_nul(json: &Value) -> bool {
    match json {
        Value::String(text) => text.contains(NUL),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(NUL) || has_nul(value)),
        _ => false,
    }
}

fn malformed(says: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed_json", says)
}

/// A field that serde complains of. It names an unknown or missing one in its sentence alone.
fn wrong(path: &str, says: &str) -> Problem {
    let named = ["unknown field `", "missing field `"].iter().find_map(|start| says.strip_prefix(start));
    let field = named.and_then(|rest| rest.split('`').next()).unwrap_or(path);
    Problem::invalid(field, says)
}

/// Bytes that a body may have.
pub const LARGEST: usize = 1 << 20;

/// What follows the `?`. An unknown name is a mistake: a filter that is misspelt would let everything through.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Bytes::copy_from_slice(parts.uri.query().unwrap_or_default().as_bytes());
        if let Some((name, _)) = url::form_urlencoded::parse(&query).find(|(_, value)| value.contains(NUL)) {
            return Err(Problem::invalid(&name, "leave the character NUL out"));
        }
        let given = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(&query));
        let read = serde_path_to_error::deserialize(given);
        read.map(Self).map_err(|error| wrong(&error.path().to_string(), &error.inner().to_string()))
    }
}

/// A part of the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().contains("%00") {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "malformed_path", "leave the character NUL out"));
        }
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(it)| Self(it))
            .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, "malformed_path", rejection.body_text()))
    }
}
