//! Reviews and their comments as JSON.

use serde_json::{Value, json};

use super::{Inline, Review};
use crate::clock::iso;
use crate::github::World;
use crate::github::shapes::{association, rollup};
use crate::github::state::State;

impl World {
    pub(crate) fn review_object(&self, state: &State, review: &Review) -> Value {
        let full = state.repo(review.repo).full_name();
        let page = format!("{}/{full}/pull/{}", self.url, review.number);
        let html = format!("{page}#pullrequestreview-{}", review.id);
        let pull = format!("{}/repos/{full}/pulls/{}", self.api_url, review.number);
        let mut object = json!({
            "id": review.id,
            "node_id": format!("PRR_{}", review.id),
            "user": self.user(state, review.author),
            "body": review.body,
            "state": review.verdict.state(),
            "html_url": html,
            "pull_request_url": pull,
            "author_association": association(state, review.repo, review.author),
            "_links": { "html": { "href": html }, "pull_request": { "href": pull } },
            "commit_id": review.commit,
            "x_unknown": null,
        });
        // A pending review has no such key at all.
        if let Some(at) = review.submitted_at {
            object["submitted_at"] = json!(iso(at));
        }
        object
    }

    pub(crate) fn inline_object(&self, state: &State, comment: &Inline) -> Value {
        let full = state.repo(comment.repo).full_name();
        let api = format!("{}/repos/{full}/pulls/comments/{}", self.api_url, comment.id);
        let html = format!("{}/{full}/pull/{}#discussion_r{}", self.url, comment.number, comment.id);
        let pull = format!("{}/repos/{full}/pulls/{}", self.api_url, comment.number);
        let spot = &comment.spot;
        let mut object = json!({
            "id": comment.id,
            "node_id": format!("PRRC_{}", comment.id),
            "url": api,
            "html_url": html,
            "pull_request_url": pull,
            "pull_request_review_id": comment.review,
            "diff_hunk": comment.diff_hunk,
            "path": spot.path,
            "commit_id": comment.commit,
            "original_commit_id": comment.original_commit,
            "line": comment.line,
            "original_line": spot.line,
            "start_line": comment.start,
            "original_start_line": spot.start,
            "side": spot.side.word(),
            "start_side": spot.start.map(|_| spot.side.word()),
            "subject_type": if spot.line.is_some() { "line" } else { "file" },
            "body": comment.body,
            "user": self.user(state, comment.author),
            "created_at": iso(comment.created_at),
            "updated_at": iso(comment.updated_at),
            "author_association": association(state, comment.repo, comment.author),
            "reactions": rollup(&comment.reactions, &api),
            "_links": { "self": { "href": api }, "html": { "href": html }, "pull_request": { "href": pull } },
            "x_unknown": [],
        });
        // Only replies have the key.
        if let Some(to) = comment.in_reply_to {
            object["in_reply_to_id"] = json!(to);
        }
        object
    }
}
