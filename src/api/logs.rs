//! A task's log, as far as it has come.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::auth::{May, TasksRead};
use super::problem::{Path, Problem, Query};
use super::tasks::seen;
use super::values::{Count, Limit, page};
use crate::app::App;
use crate::store::Event;
use crate::text;

/// A line of a task's log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    pub seq: i64,
    pub at: i64,
    pub kind: String,
    #[schema(value_type = Object)]
    pub body: Value,
}

/// Some of a task's log, oldest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    pub events: Vec<LogLine>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Events with a larger `seq`; the whole log when absent.
    #[param(inline)]
    after: Option<Count>,
    /// 1 to 200; 200 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// Lines for people instead of JSON; so does `accept: text/plain`.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Text,
}

/// What happened in a task, oldest first; ask again with the last `seq` for more.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/logs", operation_id = "get_task_log", tag = "tasks", params(("id" = String, Path, description = "`task_id`"), Asked),
    responses((status = 200, content((LogPage = "application/json"), (String = "text/plain"))),
              (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn logs(
    State(app): State<App>,
    may: May<TasksRead>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = page(asked.limit, 200);
    let task = seen(&app, &may.0, &id).await?.id.to_string();
    let events = app.store.events(&task, asked.after.map_or(0, |it| it.0), limit).await.map_err(anyhow::Error::from)?;
    let lines = events.into_iter().map(LogLine::from);
    let accepts = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let as_text = match asked.format {
        Some(format) => format == Format::Text,
        None => accepts.starts_with("text/plain"),
    };
    if !as_text {
        return Ok(Json(LogPage { events: lines.collect() }).into_response());
    }
    let text = lines.fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.text());
        text
    });
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// What looks like a key is taken out here: a stream is no answer that could be looked through when it is whole.
impl From<Event> for LogLine {
    fn from(it: Event) -> Self {
        let body = serde_json::from_str(&it.body).unwrap_or(Value::Null);
        Self { seq: it.seq, at: it.at, kind: it.kind, body: text::redact_json(&body, text::redact) }
    }
}

impl LogLine {
    /// The line for people, without what their terminals would act on.
    pub fn text(&self) -> String {
        let brief = ["text", "brief", "step", "message"].iter().find_map(|key| self.body[*key].as_str());
        let brief = brief.map_or_else(|| self.body.to_string(), str::to_owned);
        let plain = text::without_sequences(&brief.replace('\r', "\n"));
        let (plain, _) = text::without_invisible(&plain);
        format!("{:>4}  {:<14} {}", self.seq, self.kind, text::line(&plain, 120))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::LogLine;

    #[test]
    fn a_line_for_people_moves_no_terminal() {
        let line = |body| LogLine { seq: 7, at: 0, kind: "said".to_owned(), body }.text();
        let hostile = "\u{1B}]52;c;ZXZpbA==\u{7}good\u{1B}[2J \u{9B}31mday\u{202E}\u{8}\rgone\tand more";
        assert_eq!(line(json!({ "text": hostile })), "   7  said           good day…");
        assert_eq!(line(json!({ "text": "one\ttwo" })), "   7  said           one\ttwo");
        assert!(!line(json!({ "other": "\u{9B}31m\u{202E}" })).contains(['\u{9B}', '\u{202E}']));
    }
}
