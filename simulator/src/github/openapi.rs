//! GitHub's own description of its REST API: what the simulator let through, and GitHub says is no such request.
//!
//! The description is a large file of npm's `@octokit/openapi`, which `script/setup` installs; without it nothing is
//! checked. Only the routes that are asked for are taken out of it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use serde_json::{Value, json};

use super::World;

impl World {
    /// Requests that the simulator answered well although GitHub's description has no such body. A story with one
    /// fails when it is told.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }
}

/// What is wrong with a body for this route; nothing if the description does not know the route.
pub(crate) fn complaint(method: &str, route: &str, body: &Value) -> Option<String> {
    type Known = Mutex<HashMap<String, Option<Arc<Validator>>>>;
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let validator = {
        let mut known = KNOWN.get_or_init(Known::default).lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(format!("{method} {route}")).or_insert_with(|| validator(method, route).map(Arc::new)).clone()
    }?;
    let wrong: Vec<String> =
        validator.iter_errors(body).map(|it| format!("{} (at {:?})", it, it.instance_path().to_string())).collect();
    (!wrong.is_empty()).then(|| format!("{method} {route}: {}\n  {body}", wrong.join("; ")))
}

fn validator(method: &str, route: &str) -> Option<Validator> {
    let operations = operations(description()?, route)?;
    let mut schema = operations[method.to_lowercase()]["requestBody"]["content"]["application/json"]["schema"].clone();
    if schema.is_null() {
        return None;
    }
    settle(&mut schema);
    jsonschema::validator_for(&schema).ok()
}

fn description() -> Option<&'static str> {
    static TEXT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/npm/node_modules");
        std::fs::read_to_string(packages.join("@octokit/openapi/generated/api.github.com.json")).ok()
    };
    TEXT.get_or_init(read).as_deref()
}

/// The operations of a path, found without reading the rest.
fn operations(description: &str, route: &str) -> Option<Value> {
    let start = format!("\"{}", route.split('{').next().unwrap_or(route));
    let mut rest = description;
    loop {
        let key = &rest[rest.find(&start)? + 1..];
        let (path, after) = key.split_once('"')?;
        rest = after;
        let value = after.trim_start().strip_prefix(':').map(str::trim_start).filter(|it| it.starts_with('{'));
        if let (true, Some(value)) = (shape(path) == shape(route), value) {
            return serde_json::Deserializer::from_str(value).into_iter().next()?.ok();
        }
    }
}

/// A path whose parameters have no names.
fn shape(path: &str) -> String {
    path.split('/').map(|it| if it.starts_with('{') { "{}" } else { it }).collect::<Vec<_>>().join("/")
}

/// From OpenAPI 3.0 to JSON Schema, and strict: a key that GitHub does not know is a slip, though it would ignore it.
fn settle(schema: &mut Value) {
    if let Value::Object(object) = schema {
        if object.get("nullable") == Some(&json!(true)) {
            if let Some(kind) = object.get("type").cloned() {
                object.insert("type".to_owned(), json!([kind, "null"]));
            }
            if let Some(Value::Array(values)) = object.get_mut("enum") {
                values.push(Value::Null);
            }
        }
        if object.get("properties").is_some_and(Value::is_object) && !object.contains_key("oneOf") {
            object.entry("additionalProperties").or_insert(json!(false));
        }
        object.values_mut().for_each(settle);
    } else if let Value::Array(items) = schema {
        items.iter_mut().for_each(settle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_held_against_the_description() {
        if description().is_none() {
            return;
        }
        let review = |body: Value| complaint("POST", "/repos/{o}/{r}/pulls/{n}/reviews", &body);
        assert_eq!(review(json!({ "event": "COMMENT", "comments": [{ "path": "a", "line": 1, "body": "x" }] })), None);
        assert!(review(json!({ "event": "comment" })).unwrap().contains("/event"));
        assert!(review(json!({ "comments": [{ "path": "a", "lin": 1, "body": "x" }] })).unwrap().contains("lin"));
        assert!(review(json!({ "comments": [{ "line": 1, "body": "x" }] })).unwrap().contains("path"));
        assert_eq!(complaint("POST", "/nowhere", &json!({ "x": 1 })), None);
        let check = |body: Value| complaint("POST", "/repos/{o}/{r}/check-runs", &body);
        assert_eq!(check(json!({ "name": "x", "head_sha": "y", "status": "in_progress" })), None);
        assert!(check(json!({ "name": "x", "head_sha": "y", "status": "done" })).is_some());
    }
}
