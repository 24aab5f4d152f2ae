//! What can happen on GitHub, whoever does it: each act changes the state, adds to the story, and returns the webhooks
//! that it causes. People (`people.rs`) and the REST routes call the same acts.

use serde_json::{Value, json};

use super::events::Event;
use super::reviews::words::SpotWords;
use super::shapes::{REACTIONS, label};
use super::state::{Issue, Labeling, Note, Reaction, State};
use super::told::indented;
use super::{BOT_ID, World};

impl World {
    pub(crate) fn opens_issue(
        &self,
        state: &mut State,
        by: u64,
        repo: u64,
        title: &str,
        body: Option<&str>,
    ) -> (u64, Vec<Event>) {
        let issue = self.new_issue(state, by, repo, title, body);
        let (who, place) = (state.login(by), Self::place(state, repo, issue.number));
        let said = body.map(|it| format!("\n  {}", indented(it))).unwrap_or_default();
        self.tell(state, repo, &format!("{who} opens {place}: {title}{said}"));
        let event = self.issues_event(state, repo, &issue, by, "opened", json!({}));
        (issue.number, vec![event])
    }

    pub(crate) fn comments_on(
        &self,
        state: &mut State,
        by: u64,
        repo: u64,
        number: u64,
        body: &str,
    ) -> (u64, Vec<Event>) {
        let (now, id) = (self.clock.now(), 3_000_000_000 + state.fresh());
        let (author, body) = (by, body.to_owned());
        let note = Note { id, repo, number, author, body, created_at: now, updated_at: now, reactions: Vec::new() };
        if let Some(issue) = state.issue_mut(repo, number) {
            issue.updated_at = now;
        }
        state.notes.insert(id, note.clone());
        let (who, place) = (state.login(by), Self::place(state, repo, number));
        self.tell(state, repo, &format!("{who} on {place}: {}", indented(&note.body)));
        (id, vec![self.comment_event(state, &note, by, "created", json!({}))])
    }

    /// Changes a comment; an unchanged body is no event, as on GitHub.
    pub(crate) fn edits_comment(&self, state: &mut State, by: u64, id: u64, body: &str) -> Vec<Event> {
        let now = self.clock.now();
        let Some(note) = state.notes.get_mut(&id).filter(|it| it.body != body) else { return Vec::new() };
        let before = std::mem::replace(&mut note.body, body.to_owned());
        note.updated_at = now;
        let note = note.clone();
        let (who, place) = (state.login(by), Self::place(state, note.repo, note.number));
        let whose =
            if note.author == by { String::new() } else { format!("{}'s comment on ", state.login(note.author)) };
        self.tell(state, note.repo, &format!("{who} edits {whose}{place}: {}", indented(body)));
        vec![self.comment_event(state, &note, by, "edited", json!({ "changes": { "body": { "from": before } } }))]
    }

    pub(crate) fn deletes_comment(&self, state: &mut State, by: u64, id: u64) -> Vec<Event> {
        let Some(note) = state.notes.remove(&id) else { return Vec::new() };
        let (who, place) = (state.login(by), Self::place(state, note.repo, note.number));
        self.tell(state, note.repo, &format!("{who} deletes a comment on {place}"));
        vec![self.comment_event(state, &note, by, "deleted", json!({}))]
    }

    /// Changes an issue or pull request by the keys of GitHub's PATCH body: title, body, state, labels, base.
    pub(crate) fn edits_issue(&self, state: &mut State, by: u64, repo: u64, number: u64, change: &Value) -> Vec<Event> {
        let now = self.clock.now();
        let (who, place) = (state.login(by), Self::place(state, repo, number));
        let Some(issue) = state.issue_mut(repo, number) else { return Vec::new() };
        let (mut lines, mut actions) = (Vec::new(), Vec::new());
        let (mut changes, mut rebased) = (json!({}), false);
        if let Some(title) = change["title"].as_str().filter(|it| *it != issue.title) {
            changes["title"] = json!({ "from": issue.title });
            lines.push(format!("{who} renames {place}: {title}"));
            title.clone_into(&mut issue.title);
        }
        if let Some(body) = change["body"].as_str().filter(|it| Some(*it) != issue.body.as_deref()) {
            changes["body"] = json!({ "from": issue.body });
            lines.push(format!("{who} edits the text of {place}: {}", indented(body)));
            issue.body = Some(body.to_owned());
        }
        if let (Some(base), Some(pull)) = (change["base"].as_str(), issue.pull.as_mut())
            && base != pull.base
        {
            changes["base"] = json!({ "ref": { "from": pull.base } });
            lines.push(format!("{who} moves {place} onto {base}"));
            base.clone_into(&mut pull.base);
            rebased = true;
        }
        if changes.as_object().is_some_and(|it| !it.is_empty()) {
            actions.push(("edited", json!({ "changes": changes })));
        }
        if let Some(open) = change["state"].as_str().map(|it| it == "open").filter(|it| *it != issue.open) {
            issue.open = open;
            issue.closed_at = (!open).then_some(now);
            lines.push(format!("{who} {} {place}", if open { "reopens" } else { "closes" }));
            actions.push((if open { "reopened" } else { "closed" }, json!({})));
        }
        issue.updated_at = now;
        let issue = issue.clone();
        if rebased {
            self.moves_comments(state, repo, number);
        }
        for line in lines {
            self.tell(state, repo, &line);
        }
        actions.into_iter().map(|(action, more)| self.issues_event(state, repo, &issue, by, action, more)).collect()
    }

    /// Adds labels; one event for each that was not there.
    pub(crate) fn labels_issue(
        &self,
        state: &mut State,
        by: u64,
        repo: u64,
        number: u64,
        names: &[String],
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for name in names {
            let Some(issue) = state.issue_mut(repo, number) else { return events };
            if issue.labels.contains(name) {
                continue;
            }
            issue.labels.push(name.clone());
            issue.updated_at = self.clock.now();
            let issue = issue.clone();
            let (id, at) = (8_000_000 + state.labelings.len() as u64, issue.updated_at);
            state.labelings.push(Labeling { id, repo, number, name: name.clone(), by, at });
            let (who, place) = (state.login(by), Self::place(state, repo, number));
            self.tell(state, repo, &format!("{who} labels {place}: {name}"));
            events.push(self.issues_event(state, repo, &issue, by, "labeled", json!({ "label": label(name) })));
        }
        events
    }

    pub(crate) fn unlabels_issue(&self, state: &mut State, by: u64, repo: u64, number: u64, name: &str) -> Vec<Event> {
        let Some(issue) = state.issue_mut(repo, number) else { return Vec::new() };
        let before = issue.labels.len();
        issue.labels.retain(|it| it != name);
        if issue.labels.len() == before {
            return Vec::new();
        }
        let issue = issue.clone();
        let (who, place) = (state.login(by), Self::place(state, repo, number));
        self.tell(state, repo, &format!("{who} takes the label {name} off {place}"));
        vec![self.issues_event(state, repo, &issue, by, "unlabeled", json!({ "label": label(name) }))]
    }

    /// Reacts to a comment, or to the issue itself. The reaction and whether it is new; reactions cause no webhook.
    pub(crate) fn reacts(
        &self,
        state: &mut State,
        by: u64,
        repo: u64,
        on: Target,
        content: &str,
    ) -> Option<(Reaction, bool)> {
        let fresh = state.fresh();
        let (place, whose) = Self::target_words(state, repo, on)?;
        let there = reactions_mut(state, repo, on)?;
        if let Some(old) = there.iter().find(|it| it.user == by && it.content == content) {
            return Some((old.clone(), false));
        }
        let reaction = Reaction { id: 2_000_000 + fresh, user: by, content: content.to_owned() };
        there.push(reaction.clone());
        let who = if by == BOT_ID { String::new() } else { format!("{} ", state.login(by)) };
        self.tell(state, repo, &format!("{who}{} on {whose}{place}", emoji(content)));
        Some((reaction, true))
    }

    /// Takes a reaction back; false if there is none with this id.
    pub(crate) fn unreacts(&self, state: &mut State, repo: u64, on: Target, id: u64) -> bool {
        let Some((place, whose)) = Self::target_words(state, repo, on) else { return false };
        let Some(there) = reactions_mut(state, repo, on) else { return false };
        let Some(index) = there.iter().position(|it| it.id == id) else { return false };
        let gone = there.remove(index);
        self.tell(state, repo, &format!("{} taken off {whose}{place}", emoji(&gone.content)));
        true
    }

    pub(crate) fn new_issue(&self, state: &mut State, by: u64, repo: u64, title: &str, body: Option<&str>) -> Issue {
        let (now, id) = (self.clock.now(), 2_400_000_000 + state.fresh());
        let issues = &mut state.repo_mut(repo).issues;
        let number = issues.keys().next_back().map_or(1, |it| it + 1);
        let issue = Issue {
            id,
            number,
            author: by,
            title: title.to_owned(),
            // An empty text is null afterwards, as on GitHub.
            body: body.filter(|it| !it.is_empty()).map(str::to_owned),
            labels: Vec::new(),
            assignees: Vec::new(),
            open: true,
            locked: false,
            created_at: now,
            updated_at: now,
            closed_at: None,
            reactions: Vec::new(),
            pull: None,
        };
        issues.insert(number, issue.clone());
        issue
    }

    fn target_words(state: &State, repo: u64, on: Target) -> Option<(String, String)> {
        match on {
            Target::Issue(number) => Some((Self::place(state, repo, number), String::new())),
            Target::Comment(id) => {
                let note = state.notes.get(&id).filter(|it| it.repo == repo)?;
                Some((Self::place(state, repo, note.number), format!("{}'s comment on ", state.login(note.author))))
            }
            Target::Inline(id) => {
                let comment = state.inlines.get(&id).filter(|it| it.repo == repo)?;
                let place = format!("{} {}", Self::place(state, repo, comment.number), SpotWords(&comment.spot));
                Some((place, format!("{}'s comment on ", state.login(comment.author))))
            }
        }
    }
}

/// What a reaction is on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Issue(u64),
    Comment(u64),
    Inline(u64),
}

fn reactions_mut(state: &mut State, repo: u64, on: Target) -> Option<&mut Vec<Reaction>> {
    match on {
        Target::Issue(number) => state.issue_mut(repo, number).map(|it| &mut it.reactions),
        Target::Comment(id) => state.notes.get_mut(&id).filter(|it| it.repo == repo).map(|it| &mut it.reactions),
        Target::Inline(id) => state.inlines.get_mut(&id).filter(|it| it.repo == repo).map(|it| &mut it.reactions),
    }
}

fn emoji(content: &str) -> &str {
    REACTIONS.iter().find(|(word, _)| *word == content).map_or(content, |it| it.1)
}
