//! Threads of review comments, which only GraphQL knows: which are resolved, and resolving them.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::call::Kind;
use super::{Error, Repo, Scope};

/// Most pages of 100 threads that are read.
const PAGES: usize = 10;

const THREADS: &str = "\
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 100, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          id isResolved isOutdated path line
          resolvedBy { login }
          comments(first: 50) { nodes { fullDatabaseId body createdAt author { login } } }
        }
      }
    }
  }
}";

const RESOLVE: &str = "\
mutation($threadId: ID!) {
  resolveReviewThread(input: { threadId: $threadId }) { thread { id isResolved } }
}";

/// A thread of review comments.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    /// GraphQL's own id, for `resolve_thread`.
    pub id: String,
    #[serde(default)]
    pub is_resolved: bool,
    /// Whether its lines have changed since.
    #[serde(default)]
    pub is_outdated: bool,
    /// A login. GraphQL leaves `[bot]` out of a bot's.
    #[serde(default, deserialize_with = "login")]
    pub resolved_by: Option<String>,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub line: Option<u32>,
    /// The first 50, oldest first.
    #[serde(default, deserialize_with = "nodes")]
    pub comments: Vec<ThreadComment>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadComment {
    /// The id that the REST API knows it by. Not GraphQL's `databaseId`, which has 32 bits and is too small for it.
    #[serde(rename = "fullDatabaseId", alias = "databaseId", default, deserialize_with = "number")]
    pub database_id: Option<u64>,
    /// A login, none when the account is gone. GraphQL leaves `[bot]` out of a bot's.
    #[serde(default, deserialize_with = "login")]
    pub author: Option<String>,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub created_at: String,
}

#[derive(Deserialize)]
struct Nodes<T> {
    #[serde(default = "Vec::new")]
    nodes: Vec<Option<T>>,
}

impl<T> Nodes<T> {
    /// Those that we may see.
    fn seen(self) -> Vec<T> {
        self.nodes.into_iter().flatten().collect()
    }
}

/// `{ "login": … }` or null.
fn login<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Actor {
        login: String,
    }
    Ok(Option::<Actor>::deserialize(from)?.map(|it| it.login))
}

/// `{ "nodes": … }`.
fn nodes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ThreadComment>, D::Error> {
    Ok(Nodes::deserialize(from)?.seen())
}

/// A `BigInt`, which GitHub writes as a string.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(digits) => digits.parse().ok(),
        other => other.as_u64(),
    })
}

impl Repo {
    /// The threads of a pull request, in GitHub's order: the first 1,000, each with its first 50 comments.
    pub async fn threads(&self, number: u64) -> Result<Vec<Thread>, Error> {
        #[derive(Deserialize)]
        struct Data {
            repository: Option<Repository>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Repository {
            pull_request: Option<PullRequest>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct PullRequest {
            review_threads: Page,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            page_info: PageInfo,
            #[serde(flatten)]
            nodes: Nodes<Thread>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct PageInfo {
            has_next_page: bool,
            end_cursor: Option<String>,
        }
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES {
            let full_name = self.name();
            let (owner, name) = full_name.split_once('/').unwrap_or_default();
            let variables = json!({ "owner": owner, "name": name, "number": number, "after": after });
            let data: Data = self.graphql(Kind::Query, Scope::Talk, THREADS, &variables).await?;
            let Some(pull) = data.repository.and_then(|it| it.pull_request) else {
                return Err(Error::NotFound(format!("pull request {number}")));
            };
            let page = pull.review_threads;
            found.extend(page.nodes.seen());
            after = page.page_info.end_cursor;
            if !page.page_info.has_next_page || after.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Resolve a thread, which may be repeated. `Error::Forbidden` where the installation did not grant
    /// `contents: write`: nothing is wrong then, and the thread stays open for people.
    pub async fn resolve_thread(&self, thread_id: &str) -> Result<(), Error> {
        let variables = json!({ "threadId": thread_id });
        self.graphql::<Value>(Kind::Mutation, Scope::Resolve, RESOLVE, &variables).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_with_gone_accounts_is_read() {
        let thread: Thread = serde_json::from_value(json!({
            "id": "PRRT_1", "isResolved": true, "isOutdated": false, "path": "a.rs", "line": null,
            "resolvedBy": { "login": "alice" },
            "comments": { "nodes": [
                { "fullDatabaseId": "4294967297", "body": "why", "createdAt": "2026-01-01T00:00:00Z", "author": null },
                null,
            ] },
        }))
        .unwrap();
        assert_eq!(thread.resolved_by.as_deref(), Some("alice"));
        assert_eq!(thread.comments.len(), 1);
        assert_eq!(thread.comments[0].database_id, Some(4_294_967_297));
        assert_eq!(thread.comments[0].author, None);
    }
}
