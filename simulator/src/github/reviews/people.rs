//! People who review: each verb does what a click would, delivers the webhooks, and returns when the bot has answered.

use super::acts::{NewInline, NewReview};
use super::{Inline, Side, Spot, Verdict};
use crate::github::look::find;
use crate::github::state::{Kind, State};
use crate::github::{Delivered, World};

impl World {
    /// Submits a review with comments `(path, line, side, text)`; line 0 means the whole file. `event` is `COMMENT`,
    /// `APPROVE` or `REQUEST_CHANGES`, `side` is `RIGHT` or `LEFT`. Delivers `pull_request_review.submitted`, then
    /// `pull_request_review_comment.created` for each comment; `comment_id` is the first comment's.
    pub async fn review(
        &self,
        who: &str,
        place: &str,
        event: &str,
        body: &str,
        comments: &[(&str, u64, &str, &str)],
    ) -> Delivered {
        let (first, events) = {
            let mut state = self.state();
            let ((repo, number), by) = (find(&state, place), state.account_id(who, Kind::User));
            let verdict = Verdict::of_event(event).expect("COMMENT, APPROVE or REQUEST_CHANGES");
            let (_, head) = self.ends(&state, repo, number);
            let comments = comments.iter().map(|(path, line, side, text)| {
                let side = Side::of(side).expect("RIGHT or LEFT");
                self.placed(&state, (repo, number), &head, (path, *line, side), text)
            });
            let new = NewReview { comments: comments.collect(), commit: head.clone(), verdict, body: body.to_owned() };
            let (id, events) = self.reviews_pull(&mut state, by, (repo, number), new);
            (state.inlines_of_review(id).next().map_or(0, |it| it.id), events)
        };
        self.deliver_all(events, first).await
    }

    /// Leaves a review of the bot's that it has not submitted, as a crash in the middle of its making does.
    pub fn leave_pending_review(&self, place: &str) {
        let mut state = self.state();
        let (repo, number) = find(&state, place);
        let (_, commit) = self.ends(&state, repo, number);
        let new = NewReview { comments: Vec::new(), commit, verdict: Verdict::Pending, body: "half".to_owned() };
        self.reviews_pull(&mut state, self.bot_id(), (repo, number), new);
    }

    /// Comments on one line of the new file, or with line 0 on the file, outside a review.
    pub async fn review_comment(&self, who: &str, place: &str, path: &str, line: u64, text: &str) -> Delivered {
        let (id, events) = {
            let mut state = self.state();
            let (at, by) = (find(&state, place), state.account_id(who, Kind::User));
            let (_, head) = self.ends(&state, at.0, at.1);
            let new = self.placed(&state, at, &head, (path, line, Side::Right), text);
            self.comments_inline(&mut state, by, at, &head, new)
        };
        self.deliver_all(events, id).await
    }

    /// Answers in the thread of a comment on a line.
    pub async fn reply(&self, who: &str, place: &str, comment_id: u64, text: &str) -> Delivered {
        let (id, events) = {
            let mut state = self.state();
            let (by, to) = (state.account_id(who, Kind::User), inline(&state, place, comment_id));
            self.replies(&mut state, by, &to, text)
        };
        self.deliver_all(events, id).await
    }

    /// Resolves the thread of a comment on a line and delivers `pull_request_review_thread.resolved`.
    pub async fn resolve_thread(&self, who: &str, place: &str, comment_id: u64) -> Delivered {
        self.set_resolved(who, place, comment_id, true).await
    }

    pub async fn unresolve_thread(&self, who: &str, place: &str, comment_id: u64) -> Delivered {
        self.set_resolved(who, place, comment_id, false).await
    }

    /// Changes a comment on a line, anybody's, and delivers `pull_request_review_comment.edited`.
    pub async fn edit_review_comment(&self, who: &str, comment_id: u64, body: &str) -> Delivered {
        let events = {
            let mut state = self.state();
            let by = state.account_id(who, Kind::User);
            self.edits_inline(&mut state, by, comment_id, body)
        };
        self.deliver_all(events, comment_id).await
    }

    /// Deletes a comment on a line and delivers `pull_request_review_comment.deleted`.
    pub async fn delete_review_comment(&self, who: &str, comment_id: u64) -> Delivered {
        let events = {
            let mut state = self.state();
            let by = state.account_id(who, Kind::User);
            self.deletes_inline(&mut state, by, comment_id)
        };
        self.deliver_all(events, comment_id).await
    }

    async fn set_resolved(&self, who: &str, place: &str, comment_id: u64, resolved: bool) -> Delivered {
        let events = {
            let mut state = self.state();
            let (by, of) = (state.account_id(who, Kind::User), inline(&state, place, comment_id));
            self.resolves(&mut state, by, of.thread(), resolved)
        };
        self.deliver_all(events, comment_id).await
    }

    /// A comment that GitHub's page would let somebody write.
    fn placed(
        &self,
        state: &State,
        (repo, number): (u64, u64),
        head: &str,
        (path, line, side): (&str, u64, Side),
        text: &str,
    ) -> NewInline {
        let spot = Spot { path: path.to_owned(), line: Some(line).filter(|it| *it > 0), side, start: None };
        let diff_hunk = self.hunk_for(state, repo, number, head, &spot, side);
        let diff_hunk = diff_hunk.unwrap_or_else(|_| panic!("{path}:{line} is not in the diff"));
        NewInline { spot, body: text.to_owned(), diff_hunk }
    }
}

fn inline(state: &State, place: &str, id: u64) -> Inline {
    let (repo, number) = find(state, place);
    let found = state.inlines.get(&id).filter(|it| it.repo == repo && it.number == number);
    found.unwrap_or_else(|| panic!("there is no comment {id} on a line of {place}")).clone()
}
