//! Reviews of pull requests: what there is of them. A review holds comments on lines or files; a comment without a
//! review of its own does not exist, so a single comment or a reply makes one.

pub(crate) mod acts;
pub(crate) mod events;
pub(crate) mod lines;
pub(crate) mod look;
mod people;
pub(crate) mod shapes;
pub(crate) mod words;

use super::state::{Reaction, State};
pub(crate) use lines::Side;

/// A review: written at one go, or pending until its author submits it.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    pub id: u64,
    pub repo: u64,
    pub number: u64,
    pub author: u64,
    pub body: String,
    pub verdict: Verdict,
    /// The commit that was looked at.
    pub commit: String,
    /// None while it is pending.
    pub submitted_at: Option<u64>,
}

/// What a review says about the whole pull request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Not submitted: nobody but the author can see it.
    Pending,
    Comment,
    Approve,
    RequestChanges,
}

impl Verdict {
    /// The `event` of a request.
    pub fn of_event(event: &str) -> Option<Self> {
        match event {
            "COMMENT" => Some(Self::Comment),
            "APPROVE" => Some(Self::Approve),
            "REQUEST_CHANGES" => Some(Self::RequestChanges),
            _ => None,
        }
    }

    /// The `event` that leads here; a pending review has none.
    pub fn event(self) -> &'static str {
        match self {
            Self::Pending => "",
            Self::Comment => "COMMENT",
            Self::Approve => "APPROVE",
            Self::RequestChanges => "REQUEST_CHANGES",
        }
    }

    /// The `state` of the API's objects; webhooks have it in small letters.
    pub fn state(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Comment => "COMMENTED",
            Self::Approve => "APPROVED",
            Self::RequestChanges => "CHANGES_REQUESTED",
        }
    }
}

/// Where a comment stands in a diff; without a line it is about the whole file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Spot {
    pub path: String,
    pub line: Option<u64>,
    pub side: Side,
    /// The first line of several.
    pub start: Option<u64>,
}

/// A comment on a line or a file. The first of a thread names no other.
#[derive(Clone, Debug)]
pub(crate) struct Inline {
    pub id: u64,
    pub repo: u64,
    pub number: u64,
    pub review: u64,
    pub author: u64,
    pub body: String,
    /// As it was written, in the diff of `original_commit`.
    pub spot: Spot,
    pub original_commit: String,
    pub diff_hunk: String,
    /// Where that line is now: None once a push has taken it out of the diff.
    pub line: Option<u64>,
    pub start: Option<u64>,
    /// The head for which `line` holds.
    pub commit: String,
    pub in_reply_to: Option<u64>,
    pub created_at: u64,
    pub updated_at: u64,
    pub reactions: Vec<Reaction>,
}

impl Inline {
    /// The comment that began the thread.
    pub fn thread(&self) -> u64 {
        self.in_reply_to.unwrap_or(self.id)
    }

    /// Whether its line has gone from the diff.
    pub fn outdated(&self) -> bool {
        self.spot.line.is_some() && self.line.is_none()
    }
}

impl State {
    /// Submitted reviews of a pull request, and this person's pending one.
    pub fn reviews_seen_by(&self, who: u64, repo: u64, number: u64) -> impl Iterator<Item = &Review> {
        let here = self.reviews.values().filter(move |it| it.repo == repo && it.number == number);
        here.filter(move |it| it.verdict != Verdict::Pending || it.author == who)
    }

    pub fn pending_review(&self, who: u64, repo: u64, number: u64) -> Option<&Review> {
        self.reviews_seen_by(who, repo, number).find(|it| it.author == who && it.verdict == Verdict::Pending)
    }

    /// Comments of a pull request that everybody can see, oldest first.
    pub fn inlines_of(&self, repo: u64, number: u64) -> impl Iterator<Item = &Inline> {
        let submitted = |it: &&Inline| self.reviews.get(&it.review).is_some_and(|it| it.verdict != Verdict::Pending);
        self.inlines.values().filter(move |it| it.repo == repo && it.number == number).filter(submitted)
    }

    pub fn inlines_of_review(&self, review: u64) -> impl Iterator<Item = &Inline> {
        self.inlines.values().filter(move |it| it.review == review)
    }
}
