//! Looking at the world from a test: comments, pull requests, check runs, files and commits as plain values.

use super::World;
use super::git::Bare;
use super::state::{Note, State};

/// A comment in an issue's or pull request's conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comment {
    pub id: u64,
    pub author: String,
    pub body: String,
    /// `login content`, for example `cloud-agent[bot] eyes`.
    pub reactions: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pull {
    pub number: u64,
    pub title: String,
    pub body: String,
    pub head: String,
    /// `owner/name` of the repository with the head branch; None once a fork is deleted.
    pub head_repo: Option<String>,
    pub base: String,
    pub draft: bool,
    pub author: String,
    pub open: bool,
    pub merged: bool,
    pub reviewers: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    pub sha: String,
    pub author_name: String,
    pub author_email: String,
    pub tree: String,
    pub parents: Vec<String>,
    /// ISO 8601 with offset.
    pub date: String,
    pub message: String,
}

impl Commit {
    /// From git's fields, separated by 0x1f.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split('\u{1f}').map(str::to_owned);
        Some(Self {
            sha: parts.next().filter(|it| !it.is_empty())?,
            author_name: parts.next()?,
            author_email: parts.next()?,
            tree: parts.next()?,
            parents: parts.next()?.split_whitespace().map(str::to_owned).collect(),
            date: parts.next()?,
            message: parts.next()?.trim_end().to_owned(),
        })
    }
}

impl World {
    /// The conversation at `octo/app#1`, oldest first.
    pub fn comments(&self, place: &str) -> Vec<Comment> {
        let state = self.state();
        let (repo, number) = find(&state, place);
        let notes = state.notes.values().filter(|it| it.repo == repo && it.number == number);
        notes.map(|it| comment(&state, it)).collect()
    }

    /// The newest comment at `octo/app#1`.
    pub fn last_comment(&self, place: &str) -> Option<Comment> {
        self.comments(place).pop()
    }

    /// Reactions on the issue itself, as `login content`.
    pub fn reactions(&self, place: &str) -> Vec<String> {
        let state = self.state();
        let (repo, number) = find(&state, place);
        state.issue(repo, number).map(|it| reaction_words(&state, &it.reactions)).unwrap_or_default()
    }

    /// Names of the labels at `octo/app#1`.
    pub fn labels(&self, place: &str) -> Vec<String> {
        let state = self.state();
        let (repo, number) = find(&state, place);
        state.issue(repo, number).map(|it| it.labels.clone()).unwrap_or_default()
    }

    /// All pull requests of a repository, oldest first.
    pub fn pulls(&self, repo: &str) -> Vec<Pull> {
        let state = self.state();
        let repo = state.repo_named(repo).expect("a repository");
        let with_pull = repo.issues.values().filter_map(|issue| Some((issue, issue.pull.as_ref()?)));
        with_pull
            .map(|(issue, pull)| Pull {
                number: issue.number,
                title: issue.title.clone(),
                body: issue.body.clone().unwrap_or_default(),
                head: pull.head.clone(),
                head_repo: pull.head_repo.map(|it| state.repo(it).full_name()),
                base: pull.base.clone(),
                draft: pull.draft,
                author: state.login(issue.author),
                open: issue.open,
                merged: pull.merged_at.is_some(),
                reviewers: pull.reviewers.iter().map(|it| state.login(*it)).collect(),
            })
            .collect()
    }

    /// A unified diff from where `head` left `base`.
    pub fn diff(&self, repo: &str, base: &str, head: &str) -> String {
        self.bare_named(repo).diff(base, head, 3)
    }

    /// A file's text at a branch, tag or SHA.
    pub fn file_at(&self, repo: &str, revision: &str, path: &str) -> Option<String> {
        let bytes = self.bare_named(repo).file(revision, path)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Commits in `head` that are not in `base`, oldest first.
    pub fn commits(&self, repo: &str, base: &str, head: &str) -> Vec<Commit> {
        self.bare_named(repo).commits(base, head)
    }

    /// Names of all branches.
    pub fn branches(&self, repo: &str) -> Vec<String> {
        self.bare_named(repo).branches().into_keys().collect()
    }

    /// The commit a branch, tag or SHA means.
    pub fn head(&self, repo: &str, revision: &str) -> Option<String> {
        self.bare_named(repo).resolve(revision)
    }

    pub fn repo_id(&self, repo: &str) -> u64 {
        self.state().repo_named(repo).expect("a repository").id
    }

    pub(crate) fn bare(&self, repo: u64) -> Bare {
        Bare { path: self.root.path().join(format!("{repo}.git")) }
    }

    fn bare_named(&self, repo: &str) -> Bare {
        self.bare(self.repo_id(repo))
    }
}

/// Repository id and number behind `octo/app#1`.
pub(crate) fn find(state: &State, place: &str) -> (u64, u64) {
    let (repo, number) = place.split_once('#').expect("a place like octo/app#1");
    let repo = state.repo_named(repo).unwrap_or_else(|| panic!("no repository {repo}")).id;
    (repo, number.parse().expect("a number after #"))
}

fn comment(state: &State, note: &Note) -> Comment {
    Comment {
        id: note.id,
        author: state.login(note.author),
        body: note.body.clone(),
        reactions: reaction_words(state, &note.reactions),
    }
}

pub(crate) fn reaction_words(state: &State, reactions: &[super::state::Reaction]) -> Vec<String> {
    reactions.iter().map(|it| format!("{} {}", state.login(it.user), it.content)).collect()
}
