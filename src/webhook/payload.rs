//! The parts of GitHub's payloads that we read. Narrow and tolerant: GitHub adds actions, fields and nulls without
//! notice, and accounts vanish (`user: null`).

use serde::Deserialize;

/// What every delivery may have, read while it is accepted.
#[derive(Debug, Default, Deserialize)]
pub struct Envelope {
    pub action: Option<String>,
    pub installation: Option<Id>,
    pub repository: Option<RepositoryName>,
    pub sender: Option<User>,
    pub comment: Option<Body>,
    pub issue: Option<Body>,
    pub label: Option<Label>,
}

#[derive(Debug, Deserialize)]
pub struct RepositoryName {
    pub full_name: String,
}

#[derive(Debug, Deserialize)]
pub struct Body {
    pub body: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Id {
    pub id: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub id: u64,
    pub login: String,
    #[serde(rename = "type", default)]
    pub kind: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    pub name: String,
}

/// `issue_comment` and `issues`.
#[derive(Debug, Deserialize)]
pub struct IssueEvent {
    pub action: String,
    pub issue: Issue,
    pub comment: Option<Comment>,
    pub label: Option<Label>,
    pub repository: Repository,
    pub installation: Option<Id>,
    pub sender: User,
}

#[derive(Debug, Deserialize)]
pub struct Issue {
    pub number: u64,
    #[serde(default)]
    pub title: String,
    pub body: Option<String>,
    pub user: Option<User>,
    #[serde(default)]
    pub labels: Vec<Label>,
    /// Present when the issue is a pull request.
    pub pull_request: Option<serde_json::Value>,
    #[serde(default)]
    pub comments: u64,
}

#[derive(Debug, Deserialize)]
pub struct Comment {
    pub id: u64,
    pub body: Option<String>,
    pub user: Option<User>,
    #[serde(default)]
    pub created_at: String,
}

#[derive(Debug, Deserialize)]
pub struct Repository {
    pub id: u64,
    pub full_name: String,
    #[serde(default = "main")]
    pub default_branch: String,
}

fn main() -> String {
    "main".to_owned()
}
