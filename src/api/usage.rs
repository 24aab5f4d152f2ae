//! What tasks have cost: by day, repository, person or model, as JSON or CSV.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{May, UsageRead};
use super::problem::{Problem, Query};
use super::values::Moment;
use crate::app::App;
use crate::clock::{self, Millis};
use crate::store::{Tokens, Usage, UsageBy};

const DAY: Millis = 86_400_000;
/// The longest time that is added up at once, so that no question reads all that was ever done.
const LONGEST: Millis = 400 * DAY;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// What is added up together; by day when absent.
    #[param(inline)]
    by: Option<By>,
    /// Tasks made from this moment on, in UTC milliseconds; the last 30 days when absent. 400 days are added up at most.
    #[param(inline)]
    since: Option<Moment>,
    /// Tasks made before this moment.
    #[param(inline)]
    until: Option<Moment>,
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum By {
    #[default]
    Day,
    Repository,
    Person,
    Model,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Json,
    Csv,
}

/// What was added up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageView {
    pub usage: Vec<UsageLine>,
}

/// One line of it. Money is micro-dollars.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UsageLine {
    /// A day such as `2026-01-31`, a repository, a login, or a model as it was asked for.
    pub of: String,
    pub tasks: i64,
    pub completed: i64,
    pub failed: i64,
    pub cancelled: i64,
    /// Pull requests that were opened.
    pub pulls: i64,
    /// All that was paid for the model, with whosever key.
    pub cost_micros: i64,
    /// What of it callers paid with keys of their own, and so the operator did not.
    #[serde(default)]
    pub own_key_cost_micros: i64,
    /// Of a model: of the tasks that have used it, whatever else they have used.
    pub turns: i64,
    /// Milliseconds from the ask to the first thing that people saw on GitHub, such as 👀: the average over the tasks that have
    /// ended and showed something. Null where none did.
    #[serde(default)]
    pub first_reaction_ms: Option<i64>,
    /// The same to the pull request that a task has opened.
    #[serde(default)]
    pub pull_ms: Option<i64>,
    #[serde(flatten)]
    pub tokens: TokenView,
}

/// Tokens by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Without those that were read from or written to the cache.
    #[serde(default)]
    pub input_tokens: i64,
    #[serde(default)]
    pub output_tokens: i64,
    #[serde(default)]
    pub cache_read_tokens: i64,
    #[serde(default)]
    pub cache_write_tokens: i64,
}

impl From<Tokens> for TokenView {
    fn from(it: Tokens) -> Self {
        Self {
            input_tokens: it.input,
            output_tokens: it.output,
            cache_read_tokens: it.cache_read,
            cache_write_tokens: it.cache_write,
        }
    }
}

/// Tasks, outcomes and money, added up. Days are UTC's.
#[utoipa::path(get, path = "/api/v1/usage", operation_id = "get_usage", tag = "usage", params(Asked),
    responses((status = 200, content((UsageView = "application/json"), (String = "text/csv"))),
              (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn usage(
    State(app): State<App>,
    may: May<UsageRead>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let until = asked.until.map_or_else(|| clock::now() + 1, |it| it.0);
    let since = asked.since.map_or_else(|| clock::now() / DAY * DAY - 29 * DAY, |it| it.0);
    if until - since > LONGEST {
        return Err(Problem::invalid("since", format!("ask for {} days at most", LONGEST / DAY)));
    }
    let by = match asked.by.unwrap_or_default() {
        By::Day => UsageBy::Day,
        By::Repository => UsageBy::Repository,
        By::Person => UsageBy::Person,
        By::Model => UsageBy::Model,
    };
    let lines: Vec<UsageLine> =
        app.store.usage(by, since, until, may.0.among()).await?.into_iter().map(|it| line(by, it)).collect();
    if asked.format.unwrap_or_default() == Format::Csv {
        return Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv(&lines)).into_response());
    }
    Ok(Json(UsageView { usage: lines }).into_response())
}

fn line(by: UsageBy, it: Usage) -> UsageLine {
    let of = match (by, it.of.parse()) {
        (UsageBy::Day, Ok(at)) => clock::iso(at)[..10].to_owned(),
        _ => it.of,
    };
    UsageLine {
        of,
        tasks: it.tasks,
        completed: it.completed,
        failed: it.failed,
        cancelled: it.cancelled,
        pulls: it.pulls,
        cost_micros: it.cost_micros,
        own_key_cost_micros: it.own_key_cost_micros,
        turns: it.turns,
        first_reaction_ms: it.first_reaction_ms,
        pull_ms: it.pull_ms,
        tokens: it.tokens.into(),
    }
}

fn csv(lines: &[UsageLine]) -> String {
    let mut csv = "of,tasks,completed,failed,cancelled,pulls,cost_micros,turns,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,own_key_cost_micros,first_reaction_ms,pull_ms\n".to_owned();
    for it in lines {
        let row = [it.tasks, it.completed, it.failed, it.cancelled, it.pulls, it.cost_micros, it.turns];
        let TokenView { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens } = it.tokens;
        let tokens = [input_tokens, output_tokens, cache_read_tokens, cache_write_tokens];
        let times = [it.first_reaction_ms, it.pull_ms].map(|it| it.map(|ms| ms.to_string()).unwrap_or_default());
        let row = row.iter().chain(&tokens).chain([&it.own_key_cost_micros]).map(ToString::to_string);
        let row: Vec<String> = row.chain(times).collect();
        let _ = writeln!(csv, "{},{}", cell(&it.of), row.join(","));
    }
    csv
}

/// A text that is one cell, and that no spreadsheet takes for a formula: GitHub's names begin with neither, but who knows.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_is_neither_two_nor_a_formula() {
        for (text, expected) in [
            ("octo/app", "octo/app"),
            ("=1+1", "'=1+1"),
            ("@sum(a)", "'@sum(a)"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("-1,2", "\"'-1,2\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
