//! What a REST route answers, and the ways GitHub says no.

use bytes::Bytes;
use serde_json::{Value, json};

/// An answer before the headers that every answer carries.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: Bytes::from(body.to_string()) }
    }

    pub fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    pub fn created(body: &Value) -> Self {
        Self::json(201, body)
    }

    pub fn nothing() -> Self {
        Self { status: 204, headers: Vec::new(), body: Bytes::new() }
    }

    pub fn text(status: u16, content_type: &str, body: String) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: Bytes::from(body) }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// GitHub's error object; its `status` is a string.
    pub fn refuse(status: u16, message: &str) -> Self {
        let documentation = "https://docs.github.com/rest";
        Self::json(
            status,
            &json!({ "message": message, "documentation_url": documentation, "status": status.to_string() }),
        )
    }

    pub fn not_found() -> Self {
        Self::refuse(404, "Not Found")
    }

    pub fn bad_credentials() -> Self {
        Self::refuse(401, "Bad credentials")
    }

    /// 422 with `errors` as objects.
    pub fn invalid(errors: &[Value]) -> Self {
        Self::json(
            422,
            &json!({
                "message": "Validation Failed",
                "errors": errors,
                "documentation_url": "https://docs.github.com/rest",
                "status": "422",
            }),
        )
    }

    /// 422 about one field, with a code of `missing_field`, `invalid`, `already_exists`, …
    pub fn invalid_field(resource: &str, field: &str, code: &str) -> Self {
        Self::invalid(&[json!({ "resource": resource, "field": field, "code": code })])
    }

    /// 422 with GitHub's free text about one resource.
    pub fn invalid_custom(resource: &str, message: &str) -> Self {
        Self::invalid(&[json!({ "resource": resource, "code": "custom", "message": message })])
    }

    /// 422 in the other shape: `errors` as plain strings.
    pub fn unprocessable(errors: &[&str]) -> Self {
        Self::json(
            422,
            &json!({
                "message": "Unprocessable Entity",
                "errors": errors,
                "documentation_url": "https://docs.github.com/rest",
                "status": "422",
            }),
        )
    }
}
