//! The description for people: one page of HTML that the server has written, without a script and without anything from
//! elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Extension;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use super::clean::AsItIs;
use crate::text;

/// The page and what a browser may do with it, written once.
#[derive(Clone)]
pub struct Page {
    html: Arc<str>,
    policy: Arc<str>,
}

impl Page {
    pub fn new(api: &OpenApi, public_url: &str) -> Self {
        let style = text::render("api/page.css", &());
        let api = serde_json::to_value(api).unwrap_or_default();
        let html = text::render("api/page.html", &context(&api, public_url.trim_end_matches('/'), &style));
        // This one style, by its digest, and nothing else: no script, no image, no frame, no form.
        let digest = STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Self { html: html.into(), policy: policy.into() }
    }
}

/// This description as a page for people.
#[utoipa::path(get, path = "/api/v1", operation_id = "read_description", tag = "description", security(()),
    responses((status = 200, content_type = "text/html", body = String)))]
pub async fn serve(Extension(page): Extension<Page>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, &*page.policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    // As the description that it is made of.
    (headers, Extension(AsItIs), page.html.to_string()).into_response()
}

fn context(api: &Value, public_url: &str, style: &str) -> Value {
    let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (path, methods) in entries(&api["paths"]) {
        for (method, operation) in entries(methods) {
            let tag = operation["tags"][0].as_str().unwrap_or("other");
            groups.entry(tag).or_default().push(of_operation(api, public_url, path, method, operation));
        }
    }
    let groups: Vec<Value> =
        groups.into_iter().map(|(name, them)| json!({ "name": name, "operations": them })).collect();
    let schemas = entries(&api["components"]["schemas"])
        .map(|(name, it)| json!({ "name": name, "text": it["description"], "fields": fields(it), "type": shape(it) }));
    json!({
        "title": api["info"]["title"], "version": api["info"]["version"], "text": api["info"]["description"],
        "openapi": api["openapi"], "url": public_url, "groups": groups, "schemas": schemas.collect::<Vec<_>>(),
        "style": style,
    })
}

fn of_operation(api: &Value, public_url: &str, path: &str, method: &str, it: &Value) -> Value {
    let parameters = it["parameters"].as_array().into_iter().flatten().map(|it| {
        json!({ "name": it["name"], "in": it["in"], "required": it["required"], "text": it["description"],
                "type": shape(&it["schema"]) })
    });
    let body = &it["requestBody"]["content"]["application/json"]["schema"];
    let responses = entries(&it["responses"]).map(|(status, it)| {
        let kinds = entries(&it["content"]).map(|(kind, it)| json!({ "kind": kind, "type": shape(&it["schema"]) }));
        json!({ "status": status, "text": it["description"], "kinds": kinds.collect::<Vec<_>>() })
    });
    let open = it["security"].as_array().is_some_and(|them| them.iter().all(|it| it == &json!({})));
    json!({
        "id": it["operationId"], "method": method.to_uppercase(), "path": path, "summary": it["summary"],
        "text": it["description"], "open": open, "parameters": parameters.collect::<Vec<_>>(),
        "body": shape(body), "responses": responses.collect::<Vec<_>>(),
        "curl": curl(api, public_url, path, method, it, open),
    })
}

/// A command that can be pasted, once the key stands in `CA_API_KEY` and the id is filled in.
fn curl(api: &Value, public_url: &str, path: &str, method: &str, it: &Value, open: bool) -> String {
    let mut parts = vec!["curl".to_owned()];
    if method != "get" {
        parts.push(format!("-X {}", method.to_uppercase()));
    }
    if !open {
        parts.push("-H \"Authorization: Bearer $CA_API_KEY\"".to_owned());
    }
    parts.push(format!("{public_url}{}", path.replace("{id}", "$ID").replace("{name}", "$NAME")));
    let body = &it["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let body = resolved(api, body);
        let examples = entries(&body["properties"]);
        let examples =
            examples.filter(|(_, it)| !it["example"].is_null()).map(|(name, it)| (name, it["example"].clone()));
        let example: serde_json::Map<_, _> = examples.map(|(name, value)| (name.to_owned(), value)).collect();
        parts.push("-H \"Content-Type: application/json\"".to_owned());
        parts.push(format!("-d '{}'", Value::Object(example).to_string().replace('\'', "'\\''")));
    }
    parts.join(" ")
}

fn resolved<'a>(api: &'a Value, schema: &'a Value) -> &'a Value {
    match named(schema) {
        Some(name) => &api["components"]["schemas"][name],
        None => schema,
    }
}

fn named(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// The fields of an object, also of one that is put together.
fn fields(schema: &Value) -> Vec<Value> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|them| them.iter().any(|it| it == name));
    let own = entries(&schema["properties"]).map(
        |(name, it)| json!({ "name": name, "required": required(name), "text": it["description"], "type": shape(it) }),
    );
    let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| match named(part) {
        Some(name) => vec![json!({ "name": "…", "required": true, "text": "and its fields", "type": link(name) })],
        None => fields(part),
    });
    own.chain(parts).collect()
}

fn link(name: &str) -> Value {
    json!({ "words": "", "link": name })
}

/// What a value looks like: words, and the name of the schema that says more.
fn shape(schema: &Value) -> Value {
    if let Some(name) = named(schema) {
        return link(name);
    }
    let either = ["oneOf", "anyOf"].iter().find_map(|it| schema[*it].as_array());
    if let Some(one) = either.and_then(|them| them.iter().find(|it| it["type"] != "null")) {
        let inner = shape(one);
        return json!({ "words": format!("{} or null", inner["words"].as_str().unwrap_or_default()).trim(), "link": inner["link"] });
    }
    if !schema["items"].is_null() {
        let inner = shape(&schema["items"]);
        let words = format!("array of {}", inner["words"].as_str().unwrap_or_default());
        return json!({ "words": words.trim(), "link": inner["link"] });
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        return json!({ "words": format!("one of {}", words.join(", ")), "link": null });
    }
    let kind = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => String::new(),
    };
    let bounds = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Number(least), Value::Number(most)) => format!(", {least} to {most}"),
        _ => String::new(),
    };
    json!({ "words": format!("{kind}{bounds}"), "link": null })
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
