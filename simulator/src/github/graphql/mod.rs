//! GraphQL: documents are parsed and checked against a part of GitHub's schema, then run. Whatever goes wrong is told
//! in `errors`, with HTTP 200.

mod check;
mod data;
mod mutations;
mod run;
mod schema;

use async_graphql_parser::types::{DocumentOperations, OperationDefinition};
use serde_json::{Value, json};

use super::World;
use super::answer::Answer;
use super::rest::Call;
use check::{Check, root};
use run::Run;

impl World {
    /// `{api}/graphql`, or `/api/graphql` beside the REST prefix of GitHub Enterprise Server.
    pub fn graphql_url(&self) -> String {
        format!("{}{}", self.url, self.graphql_path())
    }

    pub(crate) fn graphql_path(&self) -> String {
        format!("{}/graphql", self.options.api_prefix.trim_end_matches("/v3"))
    }
}

/// `POST /graphql`.
pub(crate) fn answer(call: &mut Call<'_>) -> Result<Answer, Answer> {
    let body = call.body.clone();
    let Some(text) = body["query"].as_str() else {
        return Ok(refuse(&[json!({ "message": "A query attribute must be specified and must be a string." })]));
    };
    let document = match async_graphql_parser::parse_query(text) {
        Ok(document) => document,
        Err(error) => {
            let at: Vec<Value> = error.positions().map(|it| json!({ "line": it.line, "column": it.column })).collect();
            return Ok(refuse(&[json!({ "message": format!("Parse error: {error}"), "locations": at })]));
        }
    };
    let Some(operation) = chosen(&document.operations, body["operationName"].as_str()) else {
        let message = "An operation name is required";
        return Ok(refuse(&[json!({ "message": message })]));
    };
    let mut check = Check::of(&document, operation);
    let variables = check.variables(&body["variables"]);
    if !check.errors.is_empty() {
        return Ok(refuse(&check.errors));
    }
    let mut run = Run { call, document: &document, variables, errors: Vec::new() };
    let data = run.select(root(operation), &Value::Null, &operation.selection_set.node, &[]).map_err(|it| *it)?;
    let errors = run.errors;
    Ok(Answer::ok(&if errors.is_empty() { json!({ "data": data }) } else { json!({ "data": data, "errors": errors }) }))
}

fn chosen<'a>(operations: &'a DocumentOperations, name: Option<&str>) -> Option<&'a OperationDefinition> {
    let mut all = operations.iter();
    let found = match name {
        Some(name) => all.find(|(it, _)| it.is_none_or(|it| it == name)),
        None if operations.iter().len() == 1 => all.next(),
        None => None,
    };
    found.map(|it| &it.1.node)
}

fn refuse(errors: &[Value]) -> Answer {
    Answer::ok(&json!({ "errors": errors }))
}
