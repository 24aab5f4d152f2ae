//! Pull requests as people treat them: drafts, forks, and pushes that rewrite.

use std::collections::BTreeMap;

use super::NewPull;
use crate::github::git::Bare;
use crate::github::look::find;
use crate::github::people::SEEDED_AT;
use crate::github::state::{Kind, Repo};
use crate::github::{Delivered, Role, World};

impl World {
    /// Opens a draft pull request and delivers `pull_request.opened`; its number.
    pub async fn open_draft_pull(&self, who: &str, repo: &str, head: &str, base: &str, title: &str) -> u64 {
        self.opened_pull(who, repo, &NewPull { title, head, base, draft: true, ..NewPull::default() }).await
    }

    /// Opens a pull request with a text and delivers `pull_request.opened`; its number.
    pub async fn open_pull_saying(&self, who: &str, repo: &str, ends: (&str, &str), title: &str, body: &str) -> u64 {
        let (head, base) = ends;
        self.opened_pull(who, repo, &NewPull { title, head, base, body: Some(body), ..NewPull::default() }).await
    }

    /// Opens a pull request from a fork in the repository it was forked from; its number there.
    pub async fn open_pull_from_fork(&self, who: &str, fork: &str, branch: &str, base: &str, title: &str) -> u64 {
        let (from, parent) = {
            let state = self.state();
            let fork = state.repo_named(fork).expect("a fork");
            (fork.id, state.repo(fork.fork_of.expect("a fork")).full_name())
        };
        let new = NewPull { title, head: branch, base, fork: Some(from), ..NewPull::default() };
        self.opened_pull(who, &parent, &new).await
    }

    async fn opened_pull(&self, who: &str, repo: &str, new: &NewPull<'_>) -> u64 {
        let (number, events) = {
            let repo = self.repo_id(repo);
            let mut state = self.state();
            let by = state.account_id(who, Kind::User);
            self.opens_pull(&mut state, by, repo, new)
        };
        self.deliver_all(events, 0).await;
        number
    }

    /// Ends the draft and delivers `pull_request.ready_for_review`.
    pub async fn mark_ready(&self, who: &str, place: &str) -> Delivered {
        self.set_draft(who, place, false).await
    }

    /// Makes it a draft again and delivers `pull_request.converted_to_draft`.
    pub async fn convert_to_draft(&self, who: &str, place: &str) -> Delivered {
        self.set_draft(who, place, true).await
    }

    async fn set_draft(&self, who: &str, place: &str, draft: bool) -> Delivered {
        let events = {
            let mut state = self.state();
            let ((repo, number), by) = (find(&state, place), state.account_id(who, Kind::User));
            self.drafts(&mut state, by, repo, number, draft)
        };
        self.deliver_all(events, 0).await
    }

    /// Commits to a branch without telling anybody: `commands` are those of git fast-import, such as `R old new` or
    /// `D gone`, a line each.
    pub fn rearrange(&self, who: &str, repo: &str, branch: &str, commands: &str) -> String {
        let repo = self.repo_id(repo);
        let mut state = self.state();
        let (by, bare) = (state.account_id(who, Kind::User), self.bare(repo));
        let before = bare.branches();
        let author = (who, format!("{who}@example.com"));
        let sha = bare.commit_with(branch, (author.0, &author.1), "Rearrange", &[], commands, SEEDED_AT + 90);
        self.branches_moved(&mut state, by, repo, &before);
        sha
    }

    /// Replaces a branch by one commit on top of `onto`, for example `main` or `fix~1`. The commit.
    pub async fn force_push(
        &self,
        who: &str,
        repo: &str,
        (branch, onto): (&str, &str),
        files: &[(&str, &str)],
        message: &str,
    ) -> String {
        let (sha, events) = {
            let repo = self.repo_id(repo);
            let mut state = self.state();
            let (by, bare) = (state.account_id(who, Kind::User), self.bare(repo));
            let before = bare.branches();
            let onto = bare.resolve(onto).expect("a commit to start from");
            bare.set(&format!("refs/heads/{branch}"), Some(&onto));
            let sha = bare.commit(branch, (who, &format!("{who}@example.com")), message, files, SEEDED_AT + 120);
            (sha, self.branches_moved(&mut state, by, repo, &before))
        };
        self.deliver_all(events, 0).await;
        sha
    }

    /// Forks a repository to `who`'s account; the fork's full name. The App is not installed there: it can fetch a
    /// public fork, push to none, and does not see a private one, as the fork of a private repository is.
    pub fn fork(&self, who: &str, repo: &str) -> String {
        let parent = self.repo_id(repo);
        let mut state = self.state();
        let (by, id) = (state.account_id(who, Kind::User), 500_000_000 + state.fresh());
        let of = state.repo(parent);
        let (name, private, default_branch) = (of.name.clone(), of.private, of.default_branch.clone());
        let full = format!("{who}/{name}");
        assert!(state.repo_named(&full).is_none(), "{full} exists already");
        let bare = Bare::create(self.bare(id).path, &default_branch);
        assert!(bare.take(&self.bare(parent), "refs/heads/*", "refs/heads/*"));
        state.repos.push(Repo {
            id,
            owner: who.to_owned(),
            name,
            former: Vec::new(),
            private,
            fork_of: Some(parent),
            installed: false,
            default_branch,
            roles: BTreeMap::from([(by, Role::Admin)]),
            issues: BTreeMap::new(),
            archived: false,
            created_at: SEEDED_AT,
        });
        full
    }

    /// Deletes a fork. Its pull requests stay, with `head.repo` null and their commits in the base repository.
    pub fn delete_fork(&self, fork: &str) {
        let mut state = self.state();
        let gone = state.repo_named(fork).filter(|it| it.fork_of.is_some()).expect("a fork").id;
        state.repos.retain(|it| it.id != gone);
        let pulls = state.repos.iter_mut().flat_map(|it| it.issues.values_mut()).filter_map(|it| it.pull.as_mut());
        for pull in pulls.filter(|it| it.head_repo == Some(gone)) {
            pull.head_repo = None;
        }
        std::fs::remove_dir_all(self.bare(gone).path).unwrap();
    }
}
