//! Runs a checked document: walks the selections over the objects of `data.rs`.

use async_graphql_parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql_parser::{Pos, Positioned};
use async_graphql_value::{ConstValue, Value as Literal};
use serde_json::{Map, Value, json};

use super::schema::{Schema, named};
use super::{data, mutations};
use crate::github::answer::Answer;
use crate::github::rest::Call;

/// Why a field is null.
#[derive(Debug)]
pub(super) enum Trouble {
    /// GitHub's `type` and message; the rest of the answer stands.
    Field(&'static str, String),
    /// No GraphQL answer at all, such as a rate limit.
    Whole(Box<Answer>),
}

impl Trouble {
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::Field("NOT_FOUND", format!("Could not resolve to a {what} '{id}'."))
    }

    pub fn forbidden() -> Self {
        Self::Field("FORBIDDEN", "Resource not accessible by integration".to_owned())
    }

    pub fn unprocessable(message: &str) -> Self {
        Self::Field("UNPROCESSABLE", message.to_owned())
    }
}

pub(super) struct Run<'a, 'b> {
    pub call: &'a mut Call<'b>,
    pub document: &'a ExecutableDocument,
    pub variables: Map<String, Value>,
    pub errors: Vec<Value>,
}

impl Run<'_, '_> {
    /// What a selection takes from an object of this type.
    pub fn select(
        &mut self,
        of: &str,
        object: &Value,
        set: &SelectionSet,
        path: &[Value],
    ) -> Result<Value, Box<Answer>> {
        let mut out = Map::new();
        for item in &set.items {
            if self.left_out(&item.node) {
                continue;
            }
            let (on, set) = match &item.node {
                Selection::Field(field) => {
                    let key = field.node.response_key().node.to_string();
                    let value = self.field(of, object, field, path)?;
                    join(out.entry(key).or_insert(Value::Null), value);
                    continue;
                }
                Selection::InlineFragment(it) => {
                    let on = it.node.type_condition.as_ref().map_or(of, |it| it.node.on.node.as_str());
                    (on, &it.node.selection_set.node)
                }
                Selection::FragmentSpread(it) => {
                    let fragment = &self.document.fragments[&it.node.fragment_name.node];
                    (fragment.node.type_condition.node.on.node.as_str(), &fragment.node.selection_set.node)
                }
            };
            let here = object["__typename"].as_str().unwrap_or(of);
            if Schema::get().is_a(here, on)
                && let Value::Object(more) = self.select(of_type(here, on), object, set, path)?
            {
                for (key, value) in more {
                    join(out.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        Ok(Value::Object(out))
    }

    fn field(
        &mut self,
        of: &str,
        object: &Value,
        field: &Positioned<Field>,
        path: &[Value],
    ) -> Result<Value, Box<Answer>> {
        let (at, field) = (field.pos, &field.node);
        let name = field.name.node.as_str();
        if name == "__typename" {
            return Ok(object.get("__typename").cloned().unwrap_or_else(|| json!(of)));
        }
        let path = [path, &[json!(field.response_key().node.as_str())]].concat();
        let arguments = self.arguments(field);
        let found = match (of, name) {
            ("Query", _) => data::query(self.call, name, &arguments),
            ("Repository", "pullRequest") => data::pull_of(self.call, object, &arguments["number"]),
            ("Mutation", _) => mutations::run(self.call, name, &arguments["input"]),
            _ => Ok(object[name].clone()),
        };
        let ty = Schema::get().field(of, name).map_or("", |it| named(&it.ty.node));
        let found = found.and_then(|it| if ty.ends_with("Connection") { page(name, &it, &arguments) } else { Ok(it) });
        let value = match found {
            Ok(value) => value,
            Err(Trouble::Whole(answer)) => return Err(answer),
            Err(Trouble::Field(kind, message)) => {
                self.errors.push(error(kind, &message, &path, at));
                return Ok(Value::Null);
            }
        };
        let set = &field.selection_set.node;
        match value {
            Value::Object(_) => self.select(value["__typename"].as_str().unwrap_or(ty), &value, set, &path),
            Value::Array(items) => {
                let each = items.iter().enumerate().map(|(nth, it)| {
                    let path = [path.as_slice(), &[json!(nth)]].concat();
                    self.select(it["__typename"].as_str().unwrap_or(ty), it, set, &path)
                });
                Ok(Value::Array(each.collect::<Result<_, _>>()?))
            }
            plain => Ok(plain),
        }
    }

    fn arguments(&self, field: &Field) -> Value {
        let given = field.arguments.iter().filter(|(_, value)| !self.is_missing(&value.node));
        given.map(|(name, value)| (name.node.to_string(), self.plain(&value.node))).collect::<Map<_, _>>().into()
    }

    /// A variable without a value counts as no argument.
    fn is_missing(&self, value: &Literal) -> bool {
        matches!(value, Literal::Variable(name) if !self.variables.contains_key(name.as_str()))
    }

    fn plain(&self, value: &Literal) -> Value {
        let known = |name: async_graphql_value::Name| {
            let value = self.variables.get(name.as_str()).cloned().unwrap_or_default();
            Ok::<_, ()>(ConstValue::from_json(value).unwrap_or_default())
        };
        value.clone().into_const_with(known).ok().and_then(|it| it.into_json().ok()).unwrap_or_default()
    }

    fn left_out(&self, item: &Selection) -> bool {
        item.directives().iter().any(|it| {
            let on = it.node.get_argument("if").is_some_and(|it| self.plain(&it.node) == json!(true));
            match it.node.name.node.as_str() {
                "skip" => on,
                "include" => !on,
                _ => false,
            }
        })
    }
}

/// Inside a fragment on an interface an object has the interface's fields, which are its own.
fn of_type<'a>(here: &'a str, on: &'a str) -> &'a str {
    if Schema::get().is_a(here, on) { here } else { on }
}

/// The same key selected twice is one key with both selections.
fn join(there: &mut Value, more: Value) {
    match (there, more) {
        (Value::Object(there), Value::Object(more)) => {
            for (key, value) in more {
                join(there.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(there), Value::Array(more)) => {
            for (there, more) in there.iter_mut().zip(more) {
                join(there, more);
            }
        }
        (there, more) => *there = more,
    }
}

/// A page of a list. GitHub insists on `first` or `last`, and on 100 at most.
fn page(name: &str, list: &Value, arguments: &Value) -> Result<Value, Trouble> {
    let empty = Vec::new();
    let all = list.as_array().unwrap_or(&empty);
    let (first, last) = (arguments["first"].as_i64(), arguments["last"].as_i64());
    let Some((word, wanted)) = first.map(|it| ("first", it)).or(last.map(|it| ("last", it))) else {
        let message =
            format!("You must provide a `first` or `last` value to properly paginate the `{name}` connection.");
        return Err(Trouble::Field("MISSING_PAGINATION_BOUNDARIES", message));
    };
    if !(0..=100).contains(&wanted) {
        let message = format!(
            "Requesting {wanted} records on the `{name}` connection exceeds the `{word}` limit of 100 records."
        );
        return Err(Trouble::Field("EXCESSIVE_PAGINATION", message));
    }
    let place = |name: &str| arguments[name].as_str().map(|it| it.strip_prefix("Y3Vyc29y:")?.parse::<usize>().ok());
    let bad = || Trouble::Field("INVALID_CURSOR_ARGUMENTS", "`after` does not appear to be a valid cursor.".to_owned());
    let begin = place("after").map_or(Ok(0), |it| it.ok_or_else(bad))?;
    let end = place("before").map_or(Ok(all.len()), |it| it.map(|it| it - 1).ok_or_else(bad))?;
    let (begin, end) = (begin.min(all.len()), end.min(all.len()));
    let (begin, end) = match word {
        "first" => (begin, end.min(begin + wanted as usize)),
        _ => (begin.max(end.saturating_sub(wanted as usize)), end),
    };
    let cursor = |nth: usize| format!("Y3Vyc29y:{}", nth + 1);
    let some = begin < end;
    let edges = all[begin..end].iter().enumerate();
    Ok(json!({
        "nodes": all[begin..end],
        "edges": edges.map(|(nth, it)| json!({ "cursor": cursor(begin + nth), "node": it })).collect::<Vec<_>>(),
        "totalCount": all.len(),
        "pageInfo": {
            "hasNextPage": end < all.len(),
            "hasPreviousPage": begin > 0,
            "startCursor": some.then(|| cursor(begin)),
            "endCursor": some.then(|| cursor(end - 1)),
        },
    }))
}

fn error(kind: &str, message: &str, path: &[Value], at: Pos) -> Value {
    let locations = json!([{ "line": at.line, "column": at.column }]);
    json!({ "type": kind, "path": path, "locations": locations, "message": message })
}
