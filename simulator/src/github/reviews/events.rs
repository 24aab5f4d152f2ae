//! Webhooks about reviews, their comments and their threads.

use serde_json::{Value, json};

use super::{Inline, Review};
use crate::github::World;
use crate::github::events::{Event, merge};
use crate::github::state::State;

impl World {
    /// `pull_request_review.{action}`. Its state is in small letters, and an empty text is null.
    pub(crate) fn review_event(&self, state: &State, review: &Review, by: u64, action: &str, more: Value) -> Event {
        let mut payload = self.of_pull(state, review.repo, review.number, by, action);
        payload["review"] = self.review_object(state, review);
        payload["review"]["state"] = json!(review.verdict.state().to_lowercase());
        if review.body.is_empty() {
            payload["review"]["body"] = Value::Null;
        }
        merge(&mut payload, more);
        Event { name: "pull_request_review", repo: Some(review.repo), payload }
    }

    /// `pull_request_review_comment.{action}`.
    pub(crate) fn inline_event(&self, state: &State, comment: &Inline, by: u64, action: &str, more: Value) -> Event {
        let mut payload = self.of_pull(state, comment.repo, comment.number, by, action);
        payload["comment"] = self.inline_object(state, comment);
        merge(&mut payload, more);
        Event { name: "pull_request_review_comment", repo: Some(comment.repo), payload }
    }

    /// `pull_request_review_thread.{action}`; `root` is any comment of the thread.
    pub(crate) fn thread_event(&self, state: &State, root: &Inline, by: u64, action: &str) -> Event {
        let mut payload = self.of_pull(state, root.repo, root.number, by, action);
        let comments = state.inlines_of(root.repo, root.number).filter(|it| it.thread() == root.thread());
        let comments: Vec<Value> = comments.map(|it| self.inline_object(state, it)).collect();
        payload["thread"] = json!({ "node_id": format!("PRRT_{}", root.thread()), "comments": comments });
        Event { name: "pull_request_review_thread", repo: Some(root.repo), payload }
    }

    /// These events carry the short form of the pull request.
    fn of_pull(&self, state: &State, repo: u64, number: u64, by: u64, action: &str) -> Value {
        let mut payload = self.envelope(state, repo, by, action);
        if let Some(issue) = state.issue(repo, number) {
            payload["pull_request"] = self.pull(state, repo, issue, false);
        }
        payload
    }
}
