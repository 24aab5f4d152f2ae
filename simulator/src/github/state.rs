//! Everything GitHub knows apart from code: plain Rust, one lock. Code lives in bare repositories (`git.rs`).

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::Value;

use super::checks::logs::{Job, Ticket};
use super::deliveries::Delivery;
use super::faults::Rule;
use super::journal::Request;
use super::lag::Lag;
use super::reviews::{Inline, Review};

/// Permission names and levels, as in `{"issues": "write"}`.
pub type Permissions = BTreeMap<String, String>;

/// What someone may do in a repository. GitHub's permission endpoint folds these into four words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    None,
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

impl Role {
    /// `role_name` of the permission endpoint.
    pub fn name(self) -> &'static str {
        match self {
            Role::None => "none",
            Role::Read => "read",
            Role::Triage => "triage",
            Role::Write => "write",
            Role::Maintain => "maintain",
            Role::Admin => "admin",
        }
    }

    /// `permission` of the same endpoint: maintain counts as write, triage as read.
    pub fn permission(self) -> &'static str {
        match self {
            Role::None => "none",
            Role::Read | Role::Triage => "read",
            Role::Write | Role::Maintain => "write",
            Role::Admin => "admin",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    User,
    Bot,
    Organization,
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub id: u64,
    pub login: String,
    pub kind: Kind,
    /// In every repository that does not say otherwise.
    pub role: Role,
}

#[derive(Debug)]
pub(crate) struct Repo {
    pub id: u64,
    pub owner: String,
    pub name: String,
    /// Full names this repository had before; they redirect.
    pub former: Vec<String>,
    pub private: bool,
    /// The repository that this one was forked from.
    pub fork_of: Option<u64>,
    /// Whether the installation covers it.
    pub installed: bool,
    pub default_branch: String,
    pub roles: BTreeMap<u64, Role>,
    pub issues: BTreeMap<u64, Issue>,
    pub archived: bool,
    pub created_at: u64,
}

impl Repo {
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    pub id: u64,
    pub user: u64,
    pub content: String,
}

/// An issue, or a pull request when `pull` is there: GitHub numbers them together.
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    pub id: u64,
    pub number: u64,
    pub author: u64,
    pub title: String,
    pub body: Option<String>,
    pub labels: Vec<String>,
    pub assignees: Vec<u64>,
    pub open: bool,
    pub locked: bool,
    pub created_at: u64,
    pub updated_at: u64,
    pub closed_at: Option<u64>,
    pub reactions: Vec<Reaction>,
    pub pull: Option<PullPart>,
}

#[derive(Clone, Debug)]
pub(crate) struct PullPart {
    pub id: u64,
    pub head: String,
    /// Where the head branch is: here, in a fork, or nowhere any more.
    pub head_repo: Option<u64>,
    /// Whose repository that is or was.
    pub head_owner: String,
    pub base: String,
    pub draft: bool,
    pub merged_at: Option<u64>,
    pub reviewers: Vec<u64>,
    /// The base branch's head before the merge; the diff of a merged pull request stays what it was.
    pub merged_onto: Option<String>,
    /// `mergeable` is null on the first read, as GitHub computes it in the background.
    pub read_before: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub id: u64,
    pub repo: u64,
    pub number: u64,
    pub author: u64,
    pub body: String,
    pub created_at: u64,
    pub updated_at: u64,
    pub reactions: Vec<Reaction>,
}

/// That somebody set a label.
#[derive(Clone, Debug)]
pub(crate) struct Labeling {
    pub id: u64,
    pub repo: u64,
    pub number: u64,
    pub name: String,
    pub by: u64,
    pub at: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub id: u64,
    pub repo: u64,
    pub suite: u64,
    /// The App that made it; only that App may change it.
    pub app: u64,
    pub name: String,
    pub head_sha: String,
    pub external_id: Option<String>,
    pub details_url: Option<String>,
    pub status: String,
    pub conclusion: Option<String>,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    pub title: Option<String>,
    pub summary: Option<String>,
    pub text: Option<String>,
    pub annotations: Vec<Value>,
    pub actions: Vec<Value>,
}

impl Check {
    /// A queued run without output.
    pub fn new(id: u64, repo: u64, suite: u64, app: u64, name: String, head_sha: String) -> Self {
        Self {
            id,
            repo,
            suite,
            app,
            name,
            head_sha,
            external_id: None,
            details_url: Some("http://localhost".to_owned()),
            status: "queued".to_owned(),
            conclusion: None,
            started_at: None,
            completed_at: None,
            title: None,
            summary: None,
            text: None,
            annotations: Vec::new(),
            actions: Vec::new(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// Names the token in the journal, where its text must not stand.
    pub serial: u64,
    pub permissions: Permissions,
    /// None: every repository of the installation.
    pub repositories: Option<Vec<u64>>,
    pub expires_at: u64,
}

/// A person's own token: classic, or narrowed to repositories and permissions.
#[derive(Clone, Debug)]
pub(crate) struct PersonalToken {
    pub person: u64,
    pub permissions: Permissions,
    /// None: every repository that the person has a role in.
    pub repositories: Option<Vec<u64>>,
}

#[derive(Debug)]
pub(crate) struct Installation {
    pub permissions: Permissions,
    pub suspended_at: Option<u64>,
    pub gone: bool,
}

#[derive(Debug)]
pub(crate) struct Hook {
    pub url: String,
    pub secret: String,
    pub content_type: String,
    pub events: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub next: u64,
    pub accounts: Vec<Account>,
    pub repos: Vec<Repo>,
    pub notes: BTreeMap<u64, Note>,
    pub labelings: Vec<Labeling>,
    pub reviews: BTreeMap<u64, Review>,
    pub inlines: BTreeMap<u64, Inline>,
    /// Resolved threads, by their first comment, and who resolved them.
    pub resolved: BTreeMap<u64, u64>,
    /// Hidden comments and reviews by node id, and why.
    pub minimized: BTreeMap<String, String>,
    pub checks: BTreeMap<u64, Check>,
    pub suites: BTreeMap<(u64, String), u64>,
    /// GitHub Actions jobs by id, which is also the id of their check run.
    pub jobs: BTreeMap<u64, Job>,
    /// One-time addresses of logs.
    pub tickets: HashMap<String, Ticket>,
    pub tokens: HashMap<String, Token>,
    pub personal_tokens: HashMap<String, PersonalToken>,
    pub installation: Installation,
    pub hook: Hook,
    pub deliveries: Vec<Delivery>,
    pub side_effects: bool,
    pub story: Vec<String>,
    pub told: usize,
    pub journal: Vec<Request>,
    /// Requests that were let through and should not have been sent.
    pub violations: Vec<String>,
    pub faults: Vec<Rule>,
    /// In a cell, since reading a list counts.
    pub lag: RefCell<Lag>,
    /// Primary limit: requests used in the window that started at this second, per token or address.
    pub used: HashMap<String, (u64, u64)>,
    /// When an account created content, newest last.
    pub created: HashMap<u64, VecDeque<u64>>,
    pub served: u64,
}

impl State {
    /// A number never given out before.
    pub fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn repo(&self, id: u64) -> &Repo {
        self.repos.iter().find(|repo| repo.id == id).expect("a repository id")
    }

    pub fn repo_mut(&mut self, id: u64) -> &mut Repo {
        self.repos.iter_mut().find(|repo| repo.id == id).expect("a repository id")
    }

    /// By today's name, whatever the case of its letters.
    pub fn repo_named(&self, full: &str) -> Option<&Repo> {
        self.repos.iter().find(|repo| repo.full_name().eq_ignore_ascii_case(full))
    }

    /// By a name it had before.
    pub fn repo_formerly(&self, full: &str) -> Option<&Repo> {
        self.repos.iter().find(|repo| repo.former.iter().any(|it| it.eq_ignore_ascii_case(full)))
    }

    pub fn issue(&self, repo: u64, number: u64) -> Option<&Issue> {
        self.repo(repo).issues.get(&number)
    }

    pub fn issue_mut(&mut self, repo: u64, number: u64) -> Option<&mut Issue> {
        self.repo_mut(repo).issues.get_mut(&number)
    }

    pub fn account(&self, login: &str) -> Option<&Account> {
        self.accounts.iter().find(|it| it.login.eq_ignore_ascii_case(login))
    }

    pub fn account_by_id(&self, id: u64) -> Option<&Account> {
        self.accounts.iter().find(|it| it.id == id)
    }

    /// The account's id; a login nobody has used becomes a new account without any role.
    pub fn account_id(&mut self, login: &str, kind: Kind) -> u64 {
        if let Some(known) = self.account(login) {
            return known.id;
        }
        let id = 20_000 + self.fresh();
        self.accounts.push(Account { id, login: login.to_owned(), kind, role: Role::None });
        id
    }

    pub fn login(&self, id: u64) -> String {
        self.account_by_id(id).map_or_else(|| "ghost".to_owned(), |it| it.login.clone())
    }

    /// What this account may do here; on a public repository everybody may read.
    pub fn role(&self, repo: u64, account: u64) -> Role {
        let repo = self.repo(repo);
        let everywhere = self.account_by_id(account).map_or(Role::None, |it| it.role);
        let role = repo.roles.get(&account).copied().unwrap_or(everywhere);
        if repo.private { role } else { role.max(Role::Read) }
    }

    /// The check suite of a commit: one per App and commit, made when first needed.
    pub fn suite(&mut self, repo: u64, sha: &str) -> u64 {
        let fresh = 30_000_000_000 + self.fresh();
        *self.suites.entry((repo, sha.to_owned())).or_insert(fresh)
    }
}
