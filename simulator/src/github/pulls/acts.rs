//! What can happen to pull requests, and what pushes do to them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::NewPull;
use crate::github::events::Event;
use crate::github::git::ZERO;
use crate::github::state::{PullPart, State};
use crate::github::told::short_diff;
use crate::github::{BOT_ID, World};

impl World {
    pub(crate) fn opens_pull(&self, state: &mut State, by: u64, repo: u64, new: &NewPull) -> (u64, Vec<Event>) {
        let mut issue = self.new_issue(state, by, repo, new.title, new.body);
        let id = 1_500_000_000 + state.fresh();
        let from = new.fork.unwrap_or(repo);
        let head_owner = state.repo(from).owner.clone();
        issue.pull = Some(PullPart {
            id,
            head: new.head.to_owned(),
            head_repo: Some(from),
            head_owner: head_owner.clone(),
            base: new.base.to_owned(),
            draft: new.draft,
            merged_at: None,
            reviewers: Vec::new(),
            merged_onto: None,
            read_before: false,
        });
        let number = issue.number;
        state.repo_mut(repo).issues.insert(number, issue.clone());
        self.follows_head(repo, number, from, new.head);
        let (base, head) = self.ends(state, repo, number);
        assert!(self.bare(repo).merge_base(&base, &head).is_some(), "{} starts from {}", new.head, new.base);
        let place = Self::place(state, repo, number);
        let who = if by == BOT_ID { String::new() } else { format!("{} opens ", state.login(by)) };
        let draft = if new.draft { "draft " } else { "" };
        let head = new.fork.map_or_else(|| new.head.to_owned(), |_| format!("{head_owner}:{}", new.head));
        let mut line = format!("{who}{draft}pull {place} {:?} {head} -> {}", new.title, new.base);
        for more in new.body.unwrap_or_default().lines() {
            let _ = write!(line, "\n  {more}");
        }
        for file in short_diff(&self.bare(repo).diff(new.base, &format!("refs/pull/{number}/head"), 0)) {
            let _ = write!(line, "\n  {file}");
        }
        self.tell(state, repo, &line.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
        let event = self.issues_event(state, repo, &issue, by, "opened", json!({}));
        (number, vec![event])
    }

    /// Turns a draft into a pull request for review, or back; nothing happens if it is so already.
    pub(crate) fn drafts(&self, state: &mut State, by: u64, repo: u64, number: u64, draft: bool) -> Vec<Event> {
        let now = self.clock.now();
        let Some(issue) = state.issue_mut(repo, number) else { return Vec::new() };
        let Some(pull) = issue.pull.as_mut().filter(|it| it.draft != draft) else { return Vec::new() };
        pull.draft = draft;
        issue.updated_at = now;
        let issue = issue.clone();
        let (who, place) = (state.login(by), Self::place(state, repo, number));
        let line =
            if draft { format!("{who} turns {place} into a draft") } else { format!("{who} marks {place} ready") };
        self.tell(state, repo, &line);
        let action = if draft { "converted_to_draft" } else { "ready_for_review" };
        vec![self.issues_event(state, repo, &issue, by, action, json!({}))]
    }

    /// Notices what a push has moved, given the branches before it: story, pull request heads, webhooks.
    pub(crate) fn branches_moved(
        &self,
        state: &mut State,
        by: u64,
        repo: u64,
        before: &BTreeMap<String, String>,
    ) -> Vec<Event> {
        let bare = self.bare(repo);
        let after = bare.branches();
        let mut events = Vec::new();
        let who = if by == BOT_ID { "push".to_owned() } else { format!("{} pushes", state.login(by)) };
        let here = state.repo(repo);
        let fork = here.fork_of.map(|_| format!("{}:", here.full_name())).unwrap_or_default();
        for (branch, sha) in &after {
            let old = before.get(branch).map_or(ZERO, String::as_str);
            if old == sha {
                continue;
            }
            let forced = if old == ZERO || bare.is_ancestor(old, sha) { "" } else { " (forced)" };
            self.tell(state, repo, &format!("{who} {fork}{branch}{forced}"));
            events.push(self.push_event(state, repo, branch, by, old, sha));
            events.extend(self.follows_branch(state, by, repo, branch, (old, sha)));
            // Only a push to the repository itself makes a suite there.
            let suite = state.suite(repo, sha);
            events.push(self.suite_event(state, repo, suite, sha, by));
        }
        for (branch, old) in before.iter().filter(|(branch, _)| !after.contains_key(*branch)) {
            let who = if by == BOT_ID { String::new() } else { format!("{} ", state.login(by)) };
            self.tell(state, repo, &format!("{who}deletes the branch {fork}{branch}").replace("  ", " "));
            events.push(self.push_event(state, repo, branch, by, old, ZERO));
        }
        events
    }

    /// Open pull requests from this branch, in whatever repository, get the new head.
    fn follows_branch(&self, state: &mut State, by: u64, repo: u64, branch: &str, moved: (&str, &str)) -> Vec<Event> {
        let of_branch = |it: &PullPart| it.head_repo == Some(repo) && it.head == branch;
        let pulls: Vec<(u64, u64)> = (state.repos.iter())
            .flat_map(|base| base.issues.values().map(|issue| (base.id, issue)))
            .filter(|(_, issue)| issue.open && issue.pull.as_ref().is_some_and(of_branch))
            .map(|(base, issue)| (base, issue.number))
            .collect();
        let mut events = Vec::new();
        for (base, number) in pulls {
            self.follows_head(base, number, repo, branch);
            self.moves_comments(state, base, number);
            let Some(issue) = state.issue_mut(base, number) else { continue };
            issue.updated_at = self.clock.now();
            let issue = issue.clone();
            let more = json!({ "before": moved.0, "after": moved.1 });
            events.push(self.issues_event(state, base, &issue, by, "synchronize", more));
        }
        events
    }

    /// Sets `refs/pull/N/head`, from where everybody who may read the base repository can fetch a fork's code too.
    fn follows_head(&self, repo: u64, number: u64, from: u64, branch: &str) {
        let (bare, target) = (self.bare(repo), format!("refs/pull/{number}/head"));
        if from == repo {
            if let Some(sha) = bare.branch(branch) {
                bare.set(&target, Some(&sha));
            }
        } else {
            bare.take(&self.bare(from), &format!("refs/heads/{branch}"), &target);
        }
    }
}
