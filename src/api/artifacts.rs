//! What tasks have left for scripts: the list, and each of them as a stream. It was cleaned when it was kept, and goes out as it
//! is: a patch that is changed does not apply.

use anyhow::{Context as _, anyhow};
use axum::body::Body;
use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::warn;
use utoipa::ToSchema;

use super::auth::{May, TasksRead};
use super::clean::AsItIs;
use super::problem::{Path, Problem};
use super::tasks::seen;
use crate::app::App;
use crate::store::{Artifact, Store};
use crate::task::LARGEST_ARTIFACT;
use crate::text;

/// Something that a task has left.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ArtifactView {
    /// `changes.patch`, `commits.bundle`, `files.tar` or `transcript.jsonl`.
    pub name: String,
    /// Bytes.
    pub size: i64,
    pub content_type: String,
    /// Of its bytes, in hex; the `etag` as well.
    pub sha256: String,
    pub created_at: i64,
}

/// Something that was not kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    pub name: String,
    /// `too_large`, `secret` or `unread`.
    pub code: String,
    /// Why.
    pub detail: String,
}

/// All that a task has left.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ArtifactList {
    pub artifacts: Vec<ArtifactView>,
    /// What would be there as well, and why it is not.
    pub left_out: Vec<LeftOut>,
}

/// What a task has left: the patch, the commits, the changed files, the agent's conversation.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/artifacts", operation_id = "list_artifacts", tag = "tasks",
    params(("id" = String, Path, description = "`task_id`")),
    responses((status = 200, body = ArtifactList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    Shared(app): Shared<App>,
    may: May<TasksRead>,
    Path(id): Path<String>,
) -> Result<Json<ArtifactList>, Problem> {
    let task = seen(&app, &may.0, &id).await?;
    let (left_out, kept): (Vec<_>, Vec<_>) =
        app.store.artifacts(&task.id.to_string()).await?.into_iter().partition(|it| !it.left_out.is_empty());
    Ok(Json(ArtifactList {
        artifacts: kept.into_iter().map(view).collect(),
        left_out: left_out
            .into_iter()
            .map(|it| LeftOut { detail: why(&it), name: it.name, code: it.left_out })
            .collect(),
    }))
}

/// One thing that a task has left.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/artifacts/{name}", operation_id = "get_artifact", tag = "tasks",
    params(("id" = String, Path, description = "`task_id`"),
           ("name" = String, Path, description = "`name` of the list"),
           ("if-none-match" = Option<String>, Header, description = "`etag` of an earlier answer")),
    responses((status = 200, content((String = "text/x-diff"), (String = "application/x-git-bundle"), (String = "application/x-tar"), (String = "application/x-ndjson")),
                headers(("etag" = String, description = "The SHA-256 of its bytes"), ("content-disposition" = String))),
              (status = 304, description = "It is still the same"),
              (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn one(
    Shared(app): Shared<App>,
    may: May<TasksRead>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let task = seen(&app, &may.0, &id).await?.id.to_string();
    let all = app.store.artifacts(&task).await?;
    let Some(it) = all.iter().find(|it| it.name == name).filter(|it| it.left_out.is_empty()) else {
        return Err(no_such(&name, &all));
    };
    let etag = format!("\"{}\"", it.digest);
    let named = [
        (header::ETAG, etag.clone()),
        // Behind a key, and the task may still put another in its place.
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, named).into_response());
    }
    // The first piece before the answer begins: what can't be read is an error that can still be told.
    let first = piece(&app.store, &task, it, 0).await?;
    let described = [
        (header::CONTENT_TYPE, it.content_type.clone()),
        (header::CONTENT_LENGTH, it.size.to_string()),
        // The names are ours, and plain.
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", it.name)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    let body = Body::from_stream(stream::try_unfold((0, Some(first)), {
        let (store, it) = (app.store.clone(), it.clone());
        move |(n, ready)| {
            let (store, it, task) = (store.clone(), it.clone(), task.clone());
            async move {
                if n >= it.pieces() {
                    return Ok(None);
                }
                let bytes = match ready {
                    Some(bytes) => bytes,
                    None => piece(&store, &task, &it, n)
                        .await
                        .inspect_err(|error| warn!("A download broke off: {error:#}"))?,
                };
                Ok::<_, anyhow::Error>(Some((bytes, (n + 1, None))))
            }
        }
    }));
    Ok((named, described, Extension(AsItIs), body).into_response())
}

async fn piece(store: &Store, task: &str, it: &Artifact, n: i64) -> anyhow::Result<Bytes> {
    if it.pieces() == 0 {
        return Ok(Bytes::new());
    }
    let found = store.artifact_piece(task, it, n).await.with_context(|| format!("read {} of task {task}", it.name))?;
    found.map(Bytes::from).ok_or_else(|| anyhow!("{} of task {task} was replaced or is past its time", it.name))
}

/// Whether the caller has it already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    let mut tags = given.flat_map(|it| it.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Names what is there, or says why this is not.
fn no_such(name: &str, all: &[Artifact]) -> Problem {
    let there: Vec<_> = all.iter().filter(|it| it.left_out.is_empty()).map(|it| format!("`{}`", it.name)).collect();
    let why = all.iter().find(|it| it.name == name).map(|it| format!("`{name}` was not kept: {}; ", why(it)));
    let there = match there.is_empty() {
        true => "this task has left nothing that is kept".to_owned(),
        false => format!("this task has left {}", there.join(", ")),
    };
    let detail = format!("{}{there}", why.unwrap_or_default());
    Problem::new(StatusCode::NOT_FOUND, "no_such_artifact", detail)
}

fn why(it: &Artifact) -> String {
    let words = json!({ "why": it.left_out, "mb": LARGEST_ARTIFACT >> 20 });
    text::render("report/left_out.md", &words).trim().to_owned()
}

fn view(it: Artifact) -> ArtifactView {
    ArtifactView {
        name: it.name,
        size: it.size,
        content_type: it.content_type,
        sha256: it.digest,
        created_at: it.created_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_is_known_is_found_in_any_list() {
        let check = |given: &str, known: bool| {
            let headers =
                HeaderMap::from_iter([(header::IF_NONE_MATCH, given.parse().unwrap_or_else(|_| unreachable!()))]);
            assert_eq!(is_known(&headers, "\"abc\""), known, "{given}");
        };
        check("\"abc\"", true);
        check("\"x\", W/\"abc\"", true);
        check("*", true);
        check("abc", false);
        check("\"abcd\"", false);
        assert!(!is_known(&HeaderMap::new(), "\"abc\""));
    }
}
