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
    pub review: Option<Body>,
    pub pull_request: Option<Body>,
}

#[derive(Debug, Deserialize)]
pub struct RepositoryName {
    pub full_name: String,
}

#[derive(Debug, Deserialize)]
pub struct Body {
    pub body: Option<String>,
    pub user: Option<User>,
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

/// What every event of a repository has.
#[derive(Debug, Deserialize)]
pub struct Common {
    pub action: String,
    pub repository: Repository,
    pub installation: Option<Id>,
    pub sender: User,
}

/// `issue_comment` and `issues`.
#[derive(Debug, Deserialize)]
pub struct IssueEvent {
    #[serde(flatten)]
    pub common: Common,
    pub issue: Issue,
    pub comment: Option<Comment>,
    pub label: Option<Label>,
}

/// `pull_request`, `pull_request_review` and `pull_request_review_comment`.
#[derive(Debug, Deserialize)]
pub struct PullEvent {
    #[serde(flatten)]
    pub common: Common,
    pub pull_request: Pull,
    pub label: Option<Label>,
    pub review: Option<Review>,
    pub comment: Option<LineComment>,
}

/// `check_run` and `check_suite`.
#[derive(Debug, Deserialize)]
pub struct CheckEvent {
    #[serde(flatten)]
    pub common: Common,
    pub check_run: Option<Check>,
    pub check_suite: Option<Check>,
    pub requested_action: Option<RequestedAction>,
}

/// `merge_group`.
#[derive(Debug, Deserialize)]
pub struct MergeGroupEvent {
    #[serde(flatten)]
    pub common: Common,
    pub merge_group: MergeGroup,
}

#[derive(Debug, Deserialize)]
pub struct MergeGroup {
    pub head_sha: String,
}

#[derive(Debug, Deserialize)]
pub struct RequestedAction {
    pub identifier: String,
}

/// A check run, or the suite that holds the runs of one App on one commit.
#[derive(Debug, Deserialize)]
pub struct Check {
    pub id: u64,
    pub head_sha: String,
    /// Of runs; ours is the task's id.
    pub external_id: Option<String>,
    pub app: Option<Id>,
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
    #[serde(default)]
    pub updated_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Pull {
    pub number: u64,
    #[serde(default)]
    pub title: String,
    pub body: Option<String>,
    pub user: Option<User>,
    #[serde(default)]
    pub labels: Vec<Label>,
    #[serde(default)]
    pub updated_at: Option<String>,
    pub head: Option<Head>,
}

#[derive(Debug, Deserialize)]
pub struct Head {
    pub sha: String,
}

/// What an `edited` delivery says of the text before; a title alone may have changed.
#[derive(Debug, Default, Deserialize)]
pub struct Changes {
    pub body: Option<From>,
    pub title: Option<From>,
}

#[derive(Debug, Deserialize)]
pub struct From {
    pub from: Option<String>,
}

/// `edited` of any of the events that carry a text.
#[derive(Debug, Deserialize)]
pub struct EditedEvent {
    #[serde(flatten)]
    pub common: Common,
    #[serde(default)]
    pub changes: Changes,
    pub issue: Option<Subject>,
    pub pull_request: Option<Subject>,
    pub comment: Option<Subject>,
    pub review: Option<Subject>,
}

/// Something with a text, as little of it as names it.
#[derive(Debug, Deserialize)]
pub struct Subject {
    #[serde(default)]
    pub id: u64,
    #[serde(default)]
    pub number: u64,
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default)]
    pub updated_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Review {
    pub id: u64,
    pub body: Option<String>,
    pub user: Option<User>,
    /// `commented`, `approved`, `changes_requested`, in either case.
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub submitted_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Comment {
    pub id: u64,
    pub body: Option<String>,
    pub user: Option<User>,
    #[serde(default)]
    pub created_at: String,
}

/// A comment on a line of a pull request.
#[derive(Debug, Deserialize)]
pub struct LineComment {
    pub id: u64,
    pub body: Option<String>,
    pub user: Option<User>,
    #[serde(default)]
    pub created_at: String,
    /// The first comment of the thread, in a reply.
    pub in_reply_to_id: Option<u64>,
    /// Each comment belongs to a review, be it one of its own.
    pub pull_request_review_id: Option<u64>,
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
