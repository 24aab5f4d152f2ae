//! Looking at reviews from a test.

use std::collections::BTreeSet;

use super::lines::FileDiff;
use super::{Inline, Review as Kept};
use crate::github::World;
use crate::github::look::{find, reaction_words};
use crate::github::state::State;

/// A review of a pull request; `state` is `PENDING`, `COMMENTED`, `APPROVED` or `CHANGES_REQUESTED`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Review {
    pub id: u64,
    pub author: String,
    pub state: String,
    /// The word that the request used, empty for a pending review.
    pub event: String,
    pub body: String,
    pub commit_id: String,
    pub comments: Vec<ReviewComment>,
}

/// A comment on a line or a file of a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewComment {
    pub id: u64,
    pub path: String,
    /// None for a whole file, and for a line that has left the diff.
    pub line: Option<u64>,
    pub original_line: Option<u64>,
    pub start_line: Option<u64>,
    /// `RIGHT` or `LEFT`.
    pub side: String,
    pub body: String,
    /// The comment that began the thread, if it is not this one.
    pub in_reply_to: Option<u64>,
    pub author: String,
    /// `line` or `file`.
    pub subject_type: String,
    /// Whether its thread is resolved.
    pub resolved: bool,
    /// `login content`.
    pub reactions: Vec<String>,
}

/// A thread of comments, with the first one first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thread {
    pub path: String,
    pub line: Option<u64>,
    /// Who resolved it.
    pub resolved_by: Option<String>,
    pub outdated: bool,
    pub comments: Vec<ReviewComment>,
}

impl World {
    /// All reviews at `octo/app#1`, oldest first, also pending ones and those of single comments and replies.
    pub fn reviews(&self, place: &str) -> Vec<Review> {
        let state = self.state();
        let (repo, number) = find(&state, place);
        let here = state.reviews.values().filter(|it| it.repo == repo && it.number == number);
        here.map(|it| review(&state, it)).collect()
    }

    /// All comments on lines and files that people can see, oldest first.
    pub fn review_comments(&self, place: &str) -> Vec<ReviewComment> {
        let state = self.state();
        let (repo, number) = find(&state, place);
        state.inlines_of(repo, number).map(|it| comment(&state, it)).collect()
    }

    /// The same comments by thread.
    pub fn threads(&self, place: &str) -> Vec<Thread> {
        let state = self.state();
        let (repo, number) = find(&state, place);
        let mut roots: Vec<u64> = state.inlines_of(repo, number).map(Inline::thread).collect();
        roots.dedup();
        roots.sort_unstable();
        roots.dedup();
        let thread = |root: u64| {
            let comments: Vec<&Inline> = state.inlines_of(repo, number).filter(|it| it.thread() == root).collect();
            let first = comments.first()?;
            Some(Thread {
                path: first.spot.path.clone(),
                line: first.line,
                resolved_by: state.resolved.get(&root).map(|it| state.login(*it)),
                outdated: first.outdated(),
                comments: comments.iter().map(|it| comment(&state, it)).collect(),
            })
        };
        roots.into_iter().filter_map(thread).collect()
    }

    /// Every place that a comment can stand on at the head of a pull request, as path, side (`RIGHT` or `LEFT`) and
    /// line: those that git's diff shows, with three lines around each change.
    pub fn commentable(&self, place: &str) -> BTreeSet<(String, &'static str, u64)> {
        let state = self.state();
        let (repo, number) = find(&state, place);
        let (base, head) = self.ends(&state, repo, number);
        let changes = self.bare(repo).changes(&base, &head);
        let lines = |file: &FileDiff| -> Vec<_> {
            file.lines().map(|(side, line)| (file.path.clone(), side.word(), line)).collect()
        };
        changes.iter().flat_map(lines).collect()
    }

    /// The bot's review that it has not submitted.
    pub fn pending_review_of_bot(&self, place: &str) -> Option<Review> {
        let state = self.state();
        let (repo, number) = find(&state, place);
        state.pending_review(self.bot_id(), repo, number).map(|it| review(&state, it))
    }
}

fn review(state: &State, kept: &Kept) -> Review {
    Review {
        id: kept.id,
        author: state.login(kept.author),
        state: kept.verdict.state().to_owned(),
        event: kept.verdict.event().to_owned(),
        body: kept.body.clone(),
        commit_id: kept.commit.clone(),
        comments: state.inlines_of_review(kept.id).map(|it| comment(state, it)).collect(),
    }
}

fn comment(state: &State, kept: &Inline) -> ReviewComment {
    ReviewComment {
        id: kept.id,
        path: kept.spot.path.clone(),
        line: kept.line,
        original_line: kept.spot.line,
        start_line: kept.start,
        side: kept.spot.side.word().to_owned(),
        body: kept.body.clone(),
        in_reply_to: kept.in_reply_to,
        author: state.login(kept.author),
        subject_type: if kept.spot.line.is_some() { "line" } else { "file" }.to_owned(),
        resolved: state.resolved.contains_key(&kept.thread()),
        reactions: reaction_words(state, &kept.reactions),
    }
}
