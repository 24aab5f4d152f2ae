//! What can happen to reviews and their threads, whoever does it.

use serde_json::{Value, json};

use super::words::SpotWords;
use super::{Inline, Review, Side, Spot, Verdict};
use crate::github::World;
use crate::github::events::Event;
use crate::github::state::State;
use crate::github::told::indented;

/// A comment about to be made, its place already checked.
#[derive(Clone, Debug)]
pub(crate) struct NewInline {
    pub spot: Spot,
    pub body: String,
    pub diff_hunk: String,
}

/// A review about to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewReview {
    pub commit: String,
    pub verdict: Verdict,
    pub body: String,
    pub comments: Vec<NewInline>,
}

/// Why a comment cannot stand where it is meant to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Misplaced {
    Path,
    Line,
    /// The first of several lines.
    Start,
}

impl World {
    /// The commits between which a pull request's diff is taken. After the merge, the base is what it was before.
    pub(crate) fn ends(&self, state: &State, repo: u64, number: u64) -> (String, String) {
        let bare = self.bare(repo);
        let pull = state.issue(repo, number).and_then(|it| it.pull.as_ref());
        let base = pull.and_then(|it| it.merged_onto.clone().or_else(|| bare.branch(&it.base))).unwrap_or_default();
        (base, bare.resolve(&format!("refs/pull/{number}/head")).unwrap_or_default())
    }

    /// Whether a commit is one of the pull request's.
    pub(crate) fn is_of_pull(&self, state: &State, repo: u64, number: u64, commit: &str) -> bool {
        let (base, head) = self.ends(state, repo, number);
        let bare = self.bare(repo);
        bare.resolve(commit).is_some() && bare.is_ancestor(commit, &head) && !bare.is_ancestor(commit, &base)
    }

    /// The piece of the diff above a comment, if its lines are in the diff of that very commit.
    pub(crate) fn hunk_for(
        &self,
        state: &State,
        repo: u64,
        number: u64,
        commit: &str,
        spot: &Spot,
        start_side: Side,
    ) -> Result<String, Misplaced> {
        let (base, _) = self.ends(state, repo, number);
        let changes = self.bare(repo).changes(&base, commit);
        let file = changes.iter().find(|it| it.path == spot.path).ok_or(Misplaced::Path)?;
        let Some(line) = spot.line else { return Ok(file.patch().unwrap_or_default()) };
        let end = file.find(spot.side, line).ok_or(Misplaced::Line)?;
        if let Some(start) = spot.start {
            let begin = file.find(start_side, start).ok_or(Misplaced::Start)?;
            // On different sides the numbers cannot be compared, the rows can.
            if begin.0 != end.0 || begin.1 >= end.1 || (start_side == spot.side && start >= line) {
                return Err(Misplaced::Start);
            }
        }
        Ok(file.excerpt(end))
    }

    /// Writes a review with all its comments; a pending one is heard of by nobody.
    pub(crate) fn reviews_pull(
        &self,
        state: &mut State,
        by: u64,
        place: (u64, u64),
        new: NewReview,
    ) -> (u64, Vec<Event>) {
        let ((repo, number), verdict) = (place, new.verdict);
        let id = self.new_review(state, by, place, &new.commit, verdict, &new.body);
        for comment in new.comments {
            self.new_inline(state, by, id, None, comment);
        }
        if verdict == Verdict::Pending {
            let line = Self::review_words(state, &state.reviews[&id]);
            self.tell(state, repo, &line);
            return (id, Vec::new());
        }
        if let Some(issue) = state.issue_mut(repo, number) {
            issue.updated_at = self.clock.now();
        }
        (id, self.announces(state, id, by))
    }

    /// Submits a pending review.
    pub(crate) fn submits(
        &self,
        state: &mut State,
        by: u64,
        id: u64,
        verdict: Verdict,
        body: Option<&str>,
    ) -> Vec<Event> {
        let now = self.clock.now();
        let Some(review) = state.reviews.get_mut(&id) else { return Vec::new() };
        (review.verdict, review.submitted_at) = (verdict, Some(now));
        if let Some(body) = body {
            body.clone_into(&mut review.body);
        }
        self.announces(state, id, by)
    }

    /// The story and the webhooks of a review that everybody can see from now on.
    fn announces(&self, state: &mut State, id: u64, by: u64) -> Vec<Event> {
        let review = state.reviews[&id].clone();
        let line = Self::review_words(state, &review);
        self.tell(state, review.repo, &line);
        let mut events = vec![self.review_event(state, &review, by, "submitted", json!({}))];
        let comments: Vec<Inline> = state.inlines_of_review(id).cloned().collect();
        events.extend(comments.iter().map(|it| self.inline_event(state, it, by, "created", json!({}))));
        events
    }

    /// Changes the text above a review.
    pub(crate) fn edits_review(&self, state: &mut State, by: u64, id: u64, body: &str) -> Vec<Event> {
        let Some(review) = state.reviews.get_mut(&id).filter(|it| it.body != body) else { return Vec::new() };
        let before = std::mem::replace(&mut review.body, body.to_owned());
        let review = review.clone();
        if review.verdict == Verdict::Pending {
            return Vec::new();
        }
        let (who, place) = (state.login(by), Self::place(state, review.repo, review.number));
        self.tell(state, review.repo, &format!("{who} edits a review of {place}: {}", indented(body)));
        vec![self.review_event(state, &review, by, "edited", json!({ "changes": { "body": { "from": before } } }))]
    }

    /// Throws a pending review away.
    pub(crate) fn drops_review(&self, state: &mut State, id: u64) -> Option<Review> {
        let gone = state.reviews.remove(&id)?;
        state.inlines.retain(|_, it| it.review != id);
        let (who, place) = (state.login(gone.author), Self::place(state, gone.repo, gone.number));
        self.tell(state, gone.repo, &format!("{who} drops the pending review of {place}"));
        Some(gone)
    }

    /// One comment outside any review of several: GitHub makes a review of it alone.
    pub(crate) fn comments_inline(
        &self,
        state: &mut State,
        by: u64,
        place: (u64, u64),
        commit: &str,
        new: NewInline,
    ) -> (u64, Vec<Event>) {
        let review = self.new_review(state, by, place, commit, Verdict::Comment, "");
        let id = self.new_inline(state, by, review, None, new);
        (id, self.announces_single(state, id, by))
    }

    /// An answer in a thread, which is a review of its own as well.
    pub(crate) fn replies(&self, state: &mut State, by: u64, to: &Inline, body: &str) -> (u64, Vec<Event>) {
        let place = (to.repo, to.number);
        let review = self.new_review(state, by, place, &to.original_commit, Verdict::Comment, "");
        let new = NewInline { spot: to.spot.clone(), body: body.to_owned(), diff_hunk: to.diff_hunk.clone() };
        let id = self.new_inline(state, by, review, Some(to.thread()), new);
        if let Some(reply) = state.inlines.get_mut(&id) {
            (reply.line, reply.start) = (to.line, to.start);
            reply.commit.clone_from(&to.commit);
        }
        (id, self.announces_single(state, id, by))
    }

    fn announces_single(&self, state: &mut State, id: u64, by: u64) -> Vec<Event> {
        let comment = state.inlines[&id].clone();
        let (who, place) = (state.login(by), Self::place(state, comment.repo, comment.number));
        let verb = if comment.in_reply_to.is_some() { "replies" } else { "comments" };
        let said = indented(&comment.body);
        self.tell(state, comment.repo, &format!("{who} {verb} on {place} {}: {said}", SpotWords(&comment.spot)));
        let review = state.reviews[&comment.review].clone();
        vec![
            self.inline_event(state, &comment, by, "created", json!({})),
            self.review_event(state, &review, by, "submitted", json!({})),
        ]
    }

    pub(crate) fn edits_inline(&self, state: &mut State, by: u64, id: u64, body: &str) -> Vec<Event> {
        let now = self.clock.now();
        let Some(comment) = state.inlines.get_mut(&id).filter(|it| it.body != body) else { return Vec::new() };
        let before = std::mem::replace(&mut comment.body, body.to_owned());
        comment.updated_at = now;
        let comment = comment.clone();
        let whose = if comment.author == by { "its".to_owned() } else { format!("{}'s", state.login(comment.author)) };
        let (who, place) = (state.login(by), Self::place(state, comment.repo, comment.number));
        let spot = SpotWords(&comment.spot);
        self.tell(state, comment.repo, &format!("{who} edits {whose} comment on {place} {spot}: {}", indented(body)));
        vec![self.inline_event(state, &comment, by, "edited", json!({ "changes": { "body": { "from": before } } }))]
    }

    /// Deletes a comment, and with the last one a review that has no text of its own.
    pub(crate) fn deletes_inline(&self, state: &mut State, by: u64, id: u64) -> Vec<Event> {
        let Some(comment) = state.inlines.remove(&id) else { return Vec::new() };
        let (who, place) = (state.login(by), Self::place(state, comment.repo, comment.number));
        let spot = SpotWords(&comment.spot);
        self.tell(state, comment.repo, &format!("{who} deletes a comment on {place} {spot}"));
        let event = self.inline_event(state, &comment, by, "deleted", json!({}));
        if state.inlines_of_review(comment.review).next().is_none() {
            let empty = |it: &Review| it.body.is_empty() && it.verdict == Verdict::Comment;
            state.reviews.retain(|id, it| *id != comment.review || !empty(it));
        }
        vec![event]
    }

    /// Resolves a thread, or opens it again; nothing happens if it is so already.
    pub(crate) fn resolves(&self, state: &mut State, by: u64, thread: u64, resolved: bool) -> Vec<Event> {
        let Some(root) = state.inlines.values().find(|it| it.thread() == thread).cloned() else { return Vec::new() };
        if state.resolved.contains_key(&thread) == resolved {
            return Vec::new();
        }
        if resolved {
            state.resolved.insert(thread, by);
        } else {
            state.resolved.remove(&thread);
        }
        let (who, place) = (state.login(by), Self::place(state, root.repo, root.number));
        let verb = if resolved { "resolves" } else { "reopens" };
        let spot = SpotWords(&root.spot);
        self.tell(state, root.repo, &format!("{who} {verb} the thread on {place} {spot}"));
        vec![self.thread_event(state, &root, by, if resolved { "resolved" } else { "unresolved" })]
    }

    /// Finds the lines of all comments again after the head or the base has moved.
    pub(crate) fn moves_comments(&self, state: &mut State, repo: u64, number: u64) {
        let all: Vec<Inline> =
            state.inlines.values().filter(|it| it.repo == repo && it.number == number).cloned().collect();
        if all.is_empty() {
            return;
        }
        let bare = self.bare(repo);
        let (base, head) = self.ends(state, repo, number);
        let changes = bare.changes(&base, &head);
        for old in all {
            let (from, to) = match old.spot.side {
                Side::Right => (Some(old.original_commit.clone()), Some(head.clone())),
                Side::Left => (bare.merge_base(&base, &old.original_commit), bare.merge_base(&base, &head)),
            };
            let shown = |line: u64| {
                let line = bare.line_later(from.as_deref()?, to.as_deref()?, &old.spot.path, line)?;
                let file = changes.iter().find(|it| it.path == old.spot.path)?;
                file.find(old.spot.side, line).map(|_| line)
            };
            let line = old.spot.line.and_then(shown);
            let start = line.and(old.spot.start).and_then(shown);
            let Some(comment) = state.inlines.get_mut(&old.id) else { continue };
            (comment.line, comment.start) = (line, start);
            if line.is_some() || comment.spot.line.is_none() {
                comment.commit.clone_from(&head);
            }
        }
    }

    fn new_review(
        &self,
        state: &mut State,
        by: u64,
        (repo, number): (u64, u64),
        commit: &str,
        verdict: Verdict,
        body: &str,
    ) -> u64 {
        let id = 2_900_000_000 + state.fresh();
        let submitted_at = (verdict != Verdict::Pending).then(|| self.clock.now());
        let (author, body, commit) = (by, body.to_owned(), commit.to_owned());
        state.reviews.insert(id, Review { id, repo, number, author, body, verdict, commit, submitted_at });
        id
    }

    pub(crate) fn new_inline(
        &self,
        state: &mut State,
        by: u64,
        review: u64,
        in_reply_to: Option<u64>,
        new: NewInline,
    ) -> u64 {
        let (id, now) = (1_800_000_000 + state.fresh(), self.clock.now());
        let Review { repo, number, commit, .. } = state.reviews[&review].clone();
        let comment = Inline {
            id,
            repo,
            number,
            review,
            author: by,
            body: new.body,
            line: new.spot.line,
            start: new.spot.start,
            spot: new.spot,
            original_commit: commit.clone(),
            diff_hunk: new.diff_hunk,
            commit,
            in_reply_to,
            created_at: now,
            updated_at: now,
            reactions: Vec::new(),
        };
        state.inlines.insert(id, comment);
        // A comment on an older commit is at once shown where its line is now.
        if in_reply_to.is_none() && self.ends(state, repo, number).1 != state.inlines[&id].commit {
            self.moves_comments(state, repo, number);
        }
        id
    }
}

/// Keys of a request that say where a comment stands: path, line, `side` and the start. Sides are RIGHT unless said.
pub(crate) fn spot_of(from: &Value) -> Option<(Spot, Side)> {
    let side = |name: &str| match &from[name] {
        Value::Null => Some(None),
        word => word.as_str().and_then(Side::of).map(Some),
    };
    let end = side("side")?.unwrap_or(Side::Right);
    let start_side = side("start_side")?.unwrap_or(end);
    let path = from["path"].as_str()?.to_owned();
    Some((Spot { path, line: from["line"].as_u64(), side: end, start: from["start_line"].as_u64() }, start_side))
}
