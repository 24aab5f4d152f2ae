//! People and their doings. Each verb changes the state as a click would, delivers the webhook, and returns when the
//! bot has answered; the `_quietly` ones send nothing, as if the webhook had been lost.

use serde_json::{Value, json};

use super::acts::Target;
use super::events::Event;
use super::git::Bare;
use super::look::find;
use super::pulls::NewPull;
use super::state::{Kind, Repo};
use super::{Delivered, Role, World};

/// Seed commits have this date, so that their SHAs are the same in every run: 2026-01-01.
pub(crate) const SEEDED_AT: u64 = 1_767_225_600;

impl World {
    /// Creates a private repository with one commit on `main`.
    pub fn create_repo(&self, full_name: &str, files: &[(&str, &str)]) {
        self.create_empty_repo(full_name);
        let bare = self.bare(self.repo_id(full_name));
        bare.commit("main", ("Seed", "seed@example.com"), "Start", files, SEEDED_AT);
    }

    /// Creates a private repository without commits.
    pub fn create_empty_repo(&self, full_name: &str) {
        let (owner, name) = full_name.split_once('/').expect("a name like octo/app");
        let mut state = self.state();
        assert!(state.repo_named(full_name).is_none(), "{full_name} exists already");
        state.account_id(owner, Kind::Organization);
        let id = 500_000_000 + state.fresh();
        Bare::create(self.bare(id).path, "main");
        state.repos.push(Repo {
            id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            former: Vec::new(),
            private: true,
            fork_of: None,
            installed: true,
            default_branch: "main".to_owned(),
            roles: std::collections::BTreeMap::new(),
            issues: std::collections::BTreeMap::new(),
            archived: false,
            created_at: SEEDED_AT,
        });
    }

    /// Everybody may read it.
    pub fn make_public(&self, repo: &str) {
        let id = self.repo_id(repo);
        self.state().repo_mut(id).private = false;
    }

    /// Everybody may still read it, and nobody write.
    pub fn archive_repo(&self, repo: &str) {
        let id = self.repo_id(repo);
        self.state().repo_mut(id).archived = true;
    }

    /// Renames a repository; the old name redirects.
    pub fn rename_repo(&self, repo: &str, new_name: &str) {
        let id = self.repo_id(repo);
        let mut state = self.state();
        let here = state.repo_mut(id);
        here.former.push(here.full_name());
        new_name.clone_into(&mut here.name);
    }

    /// Refuses pushes to branches that fit the shell pattern, as a ruleset does.
    pub fn protect(&self, repo: &str, pattern: &str) {
        let path = self.bare(self.repo_id(repo)).path.join("protected");
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{old}{pattern}\n")).unwrap();
    }

    /// A person with the same role in every repository. Naming somebody again changes the role.
    pub fn person(&self, login: &str, role: Role) -> u64 {
        let mut state = self.state();
        let id = state.account_id(login, Kind::User);
        if let Some(account) = state.accounts.iter_mut().find(|it| it.id == id) {
            account.role = role;
        }
        id
    }

    /// A role that holds in one repository only.
    pub fn role_in(&self, login: &str, repo: &str, role: Role) {
        let repo = self.repo_id(repo);
        let mut state = self.state();
        let id = state.account_id(login, Kind::User);
        state.repo_mut(repo).roles.insert(id, role);
    }

    /// Opens an issue and delivers `issues.opened`; its number.
    pub async fn open_issue(&self, who: &str, repo: &str, title: &str, body: &str) -> u64 {
        let (number, events) = self.opened(who, repo, title, body);
        self.deliver_all(events, 0).await;
        number
    }

    pub fn open_issue_quietly(&self, who: &str, repo: &str, title: &str, body: &str) -> u64 {
        self.opened(who, repo, title, body).0
    }

    /// Comments at `octo/app#1` and delivers `issue_comment.created`.
    pub async fn comment(&self, who: &str, place: &str, text: &str) -> Delivered {
        let (id, events) = self.commented(who, place, text);
        self.deliver_all(events, id).await
    }

    pub fn comment_quietly(&self, who: &str, place: &str, text: &str) -> u64 {
        self.commented(who, place, text).0
    }

    /// Labels and delivers `issues.labeled` or `pull_request.labeled`.
    pub async fn label(&self, who: &str, place: &str, name: &str) -> Delivered {
        let events = self.labelled(who, place, name);
        self.deliver_all(events, 0).await
    }

    pub fn label_quietly(&self, who: &str, place: &str, name: &str) {
        self.labelled(who, place, name);
    }

    /// Takes a label off and delivers `unlabeled`.
    pub async fn unlabel(&self, who: &str, place: &str, name: &str) -> Delivered {
        let events = {
            let mut state = self.state();
            let ((repo, number), by) = (find(&state, place), state.account_id(who, Kind::User));
            self.unlabels_issue(&mut state, by, repo, number, name)
        };
        self.deliver_all(events, 0).await
    }

    /// Changes the text of an issue or pull request and delivers `edited`.
    pub async fn edit_issue(&self, who: &str, place: &str, body: &str) -> Delivered {
        let events = self.changed(who, place, &json!({ "body": body }));
        self.deliver_all(events, 0).await
    }

    pub fn edit_issue_quietly(&self, who: &str, place: &str, body: &str) {
        self.changed(who, place, &json!({ "body": body }));
    }

    /// Changes a comment, anybody's, and delivers `issue_comment.edited`.
    pub async fn edit_comment(&self, who: &str, comment_id: u64, body: &str) -> Delivered {
        let events = {
            let mut state = self.state();
            let by = state.account_id(who, Kind::User);
            self.edits_comment(&mut state, by, comment_id, body)
        };
        self.deliver_all(events, comment_id).await
    }

    pub fn edit_comment_quietly(&self, who: &str, comment_id: u64, body: &str) {
        let mut state = self.state();
        let by = state.account_id(who, Kind::User);
        self.edits_comment(&mut state, by, comment_id, body);
    }

    /// Deletes a comment and delivers `issue_comment.deleted`.
    pub async fn delete_comment(&self, who: &str, comment_id: u64) -> Delivered {
        let events = {
            let mut state = self.state();
            let by = state.account_id(who, Kind::User);
            self.deletes_comment(&mut state, by, comment_id)
        };
        self.deliver_all(events, comment_id).await
    }

    /// Closes an issue or pull request.
    pub async fn close(&self, who: &str, place: &str) -> Delivered {
        let events = self.changed(who, place, &json!({ "state": "closed" }));
        self.deliver_all(events, 0).await
    }

    pub fn close_quietly(&self, who: &str, place: &str) {
        self.changed(who, place, &json!({ "state": "closed" }));
    }

    pub async fn reopen(&self, who: &str, place: &str) -> Delivered {
        let events = self.changed(who, place, &json!({ "state": "open" }));
        self.deliver_all(events, 0).await
    }

    /// Reacts to an issue; GitHub sends no webhook for it.
    pub fn react(&self, who: &str, place: &str, content: &str) {
        let mut state = self.state();
        let ((repo, number), by) = (find(&state, place), state.account_id(who, Kind::User));
        self.reacts(&mut state, by, repo, Target::Issue(number), content);
    }

    /// Commits files to a branch as a person, and delivers `push` and `pull_request.synchronize`. A new branch starts
    /// from the default one. The commit.
    pub async fn push(&self, who: &str, repo: &str, branch: &str, files: &[(&str, &str)], message: &str) -> String {
        let (sha, events) = self.pushed(who, repo, branch, files, message);
        self.deliver_all(events, 0).await;
        sha
    }

    pub fn push_quietly(&self, who: &str, repo: &str, branch: &str, files: &[(&str, &str)], message: &str) -> String {
        self.pushed(who, repo, branch, files, message).0
    }

    /// Makes a branch where another one stands, without a webhook.
    pub fn branch_from(&self, repo: &str, new: &str, from: &str) {
        let bare = self.bare(self.repo_id(repo));
        let sha = bare.resolve(from).expect("a branch to start from");
        bare.set(&format!("refs/heads/{new}"), Some(&sha));
    }

    /// Deletes a branch, without a webhook.
    pub fn delete_branch_quietly(&self, repo: &str, name: &str) {
        assert!(self.bare(self.repo_id(repo)).set(&format!("refs/heads/{name}"), None), "a branch to delete");
    }

    /// Opens a pull request as a person and delivers `pull_request.opened`; its number.
    pub async fn open_pull(&self, who: &str, repo: &str, head: &str, base: &str, title: &str) -> u64 {
        let (number, events) = {
            let repo = self.repo_id(repo);
            let mut state = self.state();
            let by = state.account_id(who, Kind::User);
            self.opens_pull(&mut state, by, repo, &NewPull { title, head, base, ..NewPull::default() })
        };
        self.deliver_all(events, 0).await;
        number
    }

    /// Merges a pull request; false if it conflicts. An issue that its text fixes is closed.
    pub async fn merge(&self, who: &str, place: &str) -> bool {
        let Some(events) = self.merged(who, place) else { return false };
        self.deliver_all(events, 0).await;
        true
    }

    fn merged(&self, who: &str, place: &str) -> Option<Vec<Event>> {
        let now = self.clock.now();
        let mut state = self.state();
        let ((repo, number), by) = (find(&state, place), state.account_id(who, Kind::User));
        let issue = state.issue(repo, number)?.clone();
        let pull = issue.pull.as_ref()?;
        let bare = self.bare(repo);
        let before = bare.branches();
        let message = format!("Merge pull request #{number}\n\n{}", issue.title);
        bare.merge(&pull.base, &format!("refs/pull/{number}/head"), &message, now)?;
        let place = Self::place(&state, repo, number);
        self.tell(&mut state, repo, &format!("{who} merges {place}"));
        if let Some(issue) = state.issue_mut(repo, number) {
            (issue.open, issue.closed_at) = (false, Some(now));
            if let Some(pull) = &mut issue.pull {
                pull.merged_at = Some(now);
                pull.merged_onto = before.get(&pull.base).cloned();
            }
        }
        let mut events = self.branches_moved(&mut state, by, repo, &before);
        let issue = state.issue(repo, number)?.clone();
        events.push(self.issues_event(&state, repo, &issue, by, "closed", json!({})));
        for fixed in fixes(issue.body.as_deref().unwrap_or_default()) {
            events.extend(self.edits_issue(&mut state, by, repo, fixed, &json!({ "state": "closed" })));
        }
        Some(events)
    }

    fn opened(&self, who: &str, repo: &str, title: &str, body: &str) -> (u64, Vec<Event>) {
        let repo = self.repo_id(repo);
        let mut state = self.state();
        let by = state.account_id(who, Kind::User);
        self.opens_issue(&mut state, by, repo, title, Some(body).filter(|it| !it.is_empty()))
    }

    fn commented(&self, who: &str, place: &str, text: &str) -> (u64, Vec<Event>) {
        let mut state = self.state();
        let ((repo, number), by) = (find(&state, place), state.account_id(who, Kind::User));
        assert!(state.issue(repo, number).is_some(), "there is no {place}");
        self.comments_on(&mut state, by, repo, number, text)
    }

    fn labelled(&self, who: &str, place: &str, name: &str) -> Vec<Event> {
        let mut state = self.state();
        let ((repo, number), by) = (find(&state, place), state.account_id(who, Kind::User));
        self.labels_issue(&mut state, by, repo, number, &[name.to_owned()])
    }

    fn changed(&self, who: &str, place: &str, change: &Value) -> Vec<Event> {
        let mut state = self.state();
        let ((repo, number), by) = (find(&state, place), state.account_id(who, Kind::User));
        self.edits_issue(&mut state, by, repo, number, change)
    }

    fn pushed(
        &self,
        who: &str,
        repo: &str,
        branch: &str,
        files: &[(&str, &str)],
        message: &str,
    ) -> (String, Vec<Event>) {
        let repo = self.repo_id(repo);
        let mut state = self.state();
        let by = state.account_id(who, Kind::User);
        let bare = self.bare(repo);
        let before = bare.branches();
        if let (None, Some(start)) = (before.get(branch), before.get(&state.repo(repo).default_branch)) {
            bare.set(&format!("refs/heads/{branch}"), Some(start));
        }
        let email = format!("{who}@example.com");
        let sha = bare.commit(branch, (who, &email), message, files, SEEDED_AT + 60);
        (sha, self.branches_moved(&mut state, by, repo, &before))
    }

    /// Delivers in order; the report is about the first.
    pub(crate) async fn deliver_all(&self, events: Vec<Event>, comment_id: u64) -> Delivered {
        let mut report = Delivered { status: 0, guid: String::new(), comment_id };
        for event in events {
            let (status, guid) = self.deliver(event).await;
            if report.guid.is_empty() {
                (report.status, report.guid) = (status, guid);
            }
        }
        report
    }
}

/// Numbers after closing words: `Fixes #12`.
fn fixes(text: &str) -> Vec<u64> {
    const WORDS: [&str; 9] = ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| -> Option<u64> {
        word.strip_prefix('#')?.trim_end_matches(|it: char| !it.is_ascii_digit()).parse().ok()
    };
    let pairs = words.windows(2).filter(|it| WORDS.contains(&it[0].to_lowercase().trim_end_matches(':')));
    pairs.filter_map(|it| number(it[1])).collect()
}
