//! Reviews of pull requests, and the comments on lines and files that belong to them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::issues::is_ours;
use super::{Author, Error, Repo};
use crate::task::review::Side;

/// A review to make. All or nothing: GitHub refuses (422) the whole of it for one line outside the diff, and while a
/// pending review of ours is there.
#[derive(Debug, Clone)]
pub struct NewReview<'a> {
    /// The commit whose diff the lines are of; not the newest by chance.
    pub commit_id: &'a str,
    /// GitHub wants one unless it is an approval.
    pub body: &'a str,
    pub event: ReviewEvent,
    pub comments: &'a [NewLine],
}

/// What a review says of the whole. Never absent: that would make a pending review, which only we can see and which
/// stands in the way of every later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewEvent {
    Comment,
    Approve,
    RequestChanges,
}

impl ReviewEvent {
    pub fn name(self) -> &'static str {
        match self {
            Self::Comment => "COMMENT",
            Self::Approve => "APPROVE",
            Self::RequestChanges => "REQUEST_CHANGES",
        }
    }
}

/// A comment on a line of the diff, or on several up to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLine {
    pub path: String,
    pub body: String,
    /// The last line, counted from 1 in the file as it is on this side.
    pub line: u32,
    pub side: Side,
    /// The first line, on the same side and in the same hunk. Left out where it is not before the last: GitHub refuses
    /// a range of one line (ubuntu/WSL#244).
    pub start_line: Option<u32>,
}

impl NewLine {
    fn json(&self) -> Value {
        let mut json = json!({ "path": self.path, "body": self.body, "line": self.line, "side": self.side });
        if let Some(start) = self.start_line.filter(|start| *start < self.line) {
            json["start_line"] = json!(start);
            json["start_side"] = json!(self.side);
        }
        json
    }
}

/// A review as we read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Review {
    pub id: u64,
    /// `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED`, `DISMISSED` or `PENDING`.
    #[serde(default)]
    pub state: String,
    pub user: Option<Author>,
    #[serde(default)]
    pub body: Option<String>,
    /// None when the commit is gone.
    #[serde(default)]
    pub commit_id: Option<String>,
    #[serde(default)]
    pub html_url: String,
}

impl Review {
    /// Whether it was never submitted; only its author sees such a one.
    pub fn is_pending(&self) -> bool {
        self.state == "PENDING"
    }
}

/// A comment on a line or file of a pull request, as we read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReviewComment {
    pub id: u64,
    #[serde(default)]
    pub node_id: String,
    #[serde(default)]
    pub pull_request_review_id: Option<u64>,
    /// The comment that begins the thread; none for that one itself.
    #[serde(default)]
    pub in_reply_to_id: Option<u64>,
    #[serde(default)]
    pub path: String,
    /// Where it is in the newest diff; none when the line is no longer part of it, and for a comment on a file.
    #[serde(default)]
    pub line: Option<u32>,
    /// Where it was in the diff that it was made on.
    #[serde(default)]
    pub original_line: Option<u32>,
    #[serde(default)]
    pub start_line: Option<u32>,
    #[serde(default)]
    pub side: Option<Side>,
    #[serde(default)]
    pub body: Option<String>,
    pub user: Option<Author>,
    #[serde(default)]
    pub created_at: String,
    #[serde(default)]
    pub updated_at: String,
    #[serde(default)]
    pub diff_hunk: String,
    #[serde(default)]
    pub commit_id: String,
    #[serde(default)]
    pub html_url: String,
}

impl ReviewComment {
    /// The comment that begins its thread, which is what replies are made to.
    pub fn top(&self) -> u64 {
        self.in_reply_to_id.unwrap_or(self.id)
    }
}

impl Repo {
    /// Review a pull request: one call and one notification, however many comments.
    pub async fn create_review(&self, number: u64, new: &NewReview<'_>) -> Result<Review, Error> {
        let comments: Vec<Value> = new.comments.iter().map(NewLine::json).collect();
        let mut body = json!({ "commit_id": new.commit_id, "event": new.event.name(), "comments": comments });
        if !new.body.is_empty() {
            body["body"] = json!(new.body);
        }
        self.post(&format!("pulls/{number}/reviews"), &body).await
    }

    /// The reviews of a pull request, oldest first; among them our own pending one.
    pub async fn reviews(&self, number: u64) -> Result<Vec<Review>, Error> {
        self.list(&format!("pulls/{number}/reviews?per_page=100"), |page: Vec<Review>| page).await
    }

    /// Our own review with this marker, once it is submitted.
    pub async fn find_review(&self, number: u64, marker: &str) -> Result<Option<Review>, Error> {
        let us = self.us().await?;
        let reviews =
            self.list_newest(&format!("pulls/{number}/reviews?per_page=100"), |page: Vec<Review>| page).await?;
        let ours = |it: &Review| !it.is_pending() && is_ours(us, it.user.as_ref(), it.body.as_deref(), marker);
        Ok(reviews.into_iter().find(ours))
    }

    /// Delete our own pending review, if one was left behind: there can be only one, and while it is there GitHub
    /// refuses every other. Whether there was one.
    pub async fn delete_pending_review(&self, number: u64) -> Result<bool, Error> {
        let us = self.us().await?;
        let reviews =
            self.list_newest(&format!("pulls/{number}/reviews?per_page=100"), |page: Vec<Review>| page).await?;
        let ours = |it: &Review| it.is_pending() && it.user.as_ref().is_some_and(|user| user.id == us);
        let Some(review) = reviews.into_iter().find(ours) else { return Ok(false) };
        match self.delete(&format!("pulls/{number}/reviews/{}", review.id)).await {
            Ok(()) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The comments made with one review. GitHub may leave their `line` out here; `review_comments` has it.
    pub async fn review_comments_of(&self, number: u64, review_id: u64) -> Result<Vec<ReviewComment>, Error> {
        let route = format!("pulls/{number}/reviews/{review_id}/comments?per_page=100");
        self.list(&route, |page: Vec<ReviewComment>| page).await
    }

    /// All comments on lines and files of a pull request, oldest first.
    pub async fn review_comments(&self, number: u64) -> Result<Vec<ReviewComment>, Error> {
        self.list(&format!("pulls/{number}/comments?per_page=100"), |page: Vec<ReviewComment>| page).await
    }

    /// Our own comment on a line or file with this marker.
    pub async fn find_review_comment(&self, number: u64, marker: &str) -> Result<Option<u64>, Error> {
        let us = self.us().await?;
        let path = format!("pulls/{number}/comments?per_page=100");
        let comments = self.list_newest(&path, |page: Vec<ReviewComment>| page).await?;
        let found = comments.into_iter().find(|it| is_ours(us, it.user.as_ref(), it.body.as_deref(), marker));
        Ok(found.map(|it| it.id))
    }

    /// Comment on a file as a whole; the comment's id. The file has to be part of the diff.
    pub async fn file_comment(&self, number: u64, commit_id: &str, path: &str, body: &str) -> Result<u64, Error> {
        let body = json!({ "commit_id": commit_id, "path": path, "body": body, "subject_type": "file" });
        let made: ReviewComment = self.post(&format!("pulls/{number}/comments"), &body).await?;
        Ok(made.id)
    }

    /// Reply in the thread that this comment begins; the reply's id. GitHub takes only the first of a thread.
    pub async fn reply(&self, number: u64, top_comment_id: u64, body: &str) -> Result<u64, Error> {
        let path = format!("pulls/{number}/comments/{top_comment_id}/replies");
        let made: ReviewComment = self.post(&path, &json!({ "body": body })).await?;
        Ok(made.id)
    }

    pub async fn edit_review_comment(&self, id: u64, body: &str) -> Result<(), Error> {
        self.patch::<Value>(&format!("pulls/comments/{id}"), &json!({ "body": body })).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_one_line_is_a_line() {
        let line = |start_line| {
            NewLine { path: "a.rs".into(), body: "why".into(), line: 7, side: Side::Right, start_line }.json()
        };
        assert_eq!(line(None), json!({ "path": "a.rs", "body": "why", "line": 7, "side": "RIGHT" }));
        assert_eq!(line(Some(7)), line(None));
        assert_eq!(line(Some(9)), line(None));
        let range = line(Some(5));
        assert_eq!((&range["start_line"], &range["start_side"]), (&json!(5), &json!("RIGHT")));
    }
}
