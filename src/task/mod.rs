//! Stage 2: what was asked: the task, its states, who may ask, what a comment says. Pure: no async, no I/O.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod admit;
mod blocked;
pub mod breaker;
mod command;
mod digest;
mod gone;
mod lane;
mod progress;
mod pull;
pub mod rules;
pub mod review;
mod slug;
mod state;
mod waiting;

pub use admit::{Admission, Facts, PullFacts, Refusal, Role, Wants, admit, may_press, review_asked};
pub use blocked::{Blocked, BlockedHost, NAMED as BLOCKED_NAMED, OTHERS as BLOCKED_OTHERS};
pub use command::{Command, parse, speaks};
pub use digest::{digest, words_digest};
pub use gone::Gone;
pub use lane::{Approval, Asker, Ground, Lane, NotThis, Standing, lane, names_head};
pub use progress::{
    AgentStep, CommitLine, FileLine, LARGEST_ARTIFACT, Pass, Progress, Published, ThreadLine, TodoLine, Work,
};
pub use pull::{FailedCheck, LinkedIssue, PullSnapshot, Thread, ThreadRemark, closes};
pub use slug::{branch, own_branch, pull_branch};
pub use state::{Ending, State};
pub use waiting::{Wait, Waiting, WaitsFor};

/// A task's id: UUIDv7, so that ids sort by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub Uuid);

impl TaskId {
    /// A new id, later than all before it.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TaskId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// A person, an App or a bot on GitHub. Logins change; the id does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: u64,
    pub login: String,
}

impl Account {
    /// Whoever holds a key of the API, by the key's id and name. No login has a colon, and no account of GitHub's such an id.
    pub fn of_key(key_id: &str, name: &str) -> Self {
        let digits = digest([key_id]);
        let id = u64::from_str_radix(&digits[..15], 16).unwrap_or_default() | Self::KEYS;
        Self { id, login: format!("api:{name}") }
    }

    /// Whether GitHub knows it.
    pub fn is_on_github(&self) -> bool {
        self.id < Self::KEYS
    }

    const KEYS: u64 = 1 << 62;
}

/// The issue or pull request that a task belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub installation_id: u64,
    pub repository_id: u64,
    /// `owner/name` as of the delivery.
    pub repository: String,
    pub number: u64,
}

impl Place {
    /// From here on numbers are of our own making: GitHub never comes this far, and JSON's readers can count to it.
    const OWN: u64 = 1 << 52;

    /// The number of a task that belongs to nothing on GitHub: it and those that go on from it are a thread of their own.
    pub fn own_number(id: TaskId) -> u64 {
        (id.0.as_u128() as u64 % Self::OWN) | Self::OWN
    }

    /// Whether there is something on GitHub that people can talk on.
    pub fn has_thread(&self) -> bool {
        self.number < Self::OWN
    }

    /// The number, where it is GitHub's.
    pub fn thread(&self) -> Option<u64> {
        self.has_thread().then_some(self.number)
    }
}

/// Who stops the tasks of a pull request that is closed: no login has brackets.
pub const CLOSED: &str = "(closed)";

/// What a task makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// From an issue: a new branch and a pull request.
    Issue,
    /// On a pull request: commits on its branch, or an answer.
    Pull,
    /// Of a pull request: a review of one commit.
    Review,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Issue, Self::Pull, Self::Review];

    /// The word in the database and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Pull => "pull",
            Self::Review => "review",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What asked, and so where the reaction goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Trigger {
    /// A comment that mentions the bot, in the conversation of an issue or pull request.
    Comment { id: u64 },
    /// The issue's or pull request's own text mentions the bot.
    Opened,
    /// Somebody set the label.
    Labeled,
    /// A comment on a line of a pull request; `thread` is the first comment of its thread.
    ReviewComment { id: u64, thread: u64 },
    /// A submitted review with what it says in its body and on lines.
    Review { id: u64 },
    /// The pull request itself: opened, made ready, pushed to, as the repository's settings say.
    Pull,
    /// A button on a check run: *Fix all* or *Re-run*.
    Button,
    /// Somebody with a key of the API.
    Api,
}

impl Trigger {
    /// Whether a person said something and so waits for an answer; the others look at the check run.
    pub fn is_said(&self) -> bool {
        !matches!(self, Self::Pull | Self::Button)
    }
}

/// The issue or pull request as it was when somebody asked; the agent reads this and never the live one (invariant 7).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    pub title: String,
    pub body: String,
    pub author: String,
    /// Whether the author may write to the repository; `None` when nobody asked GitHub.
    #[serde(default)]
    pub author_trusted: Option<bool>,
    pub labels: Vec<String>,
    /// The conversation before the comment that asked, oldest first.
    pub thread: Vec<Said>,
    /// The comment that asked, if one did.
    pub comment: Option<Said>,
    /// Nobody's work is pushed onto this one, pull request or not.
    #[serde(default)]
    pub default_branch: String,
    /// The default branch for an issue, the branch that a pull request goes into.
    pub base_branch: String,
    pub base_sha: String,
    #[serde(default)]
    pub lane: Lane,
    /// What the lane rests on; tasks of older versions don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<Ground>,
    /// Whether the person whose request this is may write; tasks of older versions don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asker_writes: Option<bool>,
    /// The approval that holds for the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// The newest approval of an earlier commit, when none holds for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<Approval>,
    /// When somebody asked, by GitHub's clock, ISO 8601; empty when the delivery does not say.
    #[serde(default)]
    pub asked_at: String,
    /// The agent goes on with the conversation of an earlier task of the thread, where there is one.
    #[serde(default)]
    pub goes_on: bool,
    /// The repository's own settings, as its default branch had them.
    #[serde(default)]
    pub rules: String,
    /// The commit of the default branch that the settings are of.
    #[serde(default)]
    pub rules_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullSnapshot>,
}

impl Snapshot {
    /// Whether the agent reads words of people who may not write, or of whom nobody knows. `us` is the bot's login.
    pub fn has_strangers_words(&self, us: &str) -> bool {
        self.strangers_words(us).next().is_some()
    }

    /// Whether there are such words that nobody had seen who approved the commit: said or changed since.
    pub fn has_unseen_words(&self, us: &str) -> bool {
        let Some(approval) = &self.approval else { return self.has_strangers_words(us) };
        let unseen = |written: Written<'_>| match written {
            Written::Subject => approval.words != words_digest(&self.title, &self.body),
            // GitHub's times are whole seconds: nobody knows what was seen in that very one.
            Written::Said(said) => said.touched() >= approval.at.as_str(),
            // An issue that is closed by it is not what was approved.
            Written::Linked => true,
        };
        self.strangers_words(us).any(unseen)
    }

    fn strangers_words<'s>(&'s self, us: &'s str) -> impl Iterator<Item = Written<'s>> {
        let pull = self.pull.as_ref();
        let by_us = pull.is_some_and(|pull| pull.by_us);
        let subject = (!by_us && self.author_trusted != Some(true)).then_some(Written::Subject);
        let threads = pull.into_iter().flat_map(|pull| &pull.threads).flat_map(|thread| &thread.said);
        let said = self.thread.iter().chain(threads).filter(move |it| {
            // An App speaks where an admin has installed it.
            it.author != us && !it.author.ends_with("[bot]") && it.trusted != Some(true)
        });
        let linked = pull.into_iter().flat_map(|pull| &pull.linked).filter(|issue| issue.trusted != Some(true));
        subject.into_iter().chain(said.map(Written::Said)).chain(linked.map(|_| Written::Linked))
    }

    /// Whether the person whose request this is may write to the repository.
    pub fn asker_writes(&self) -> bool {
        self.asker_writes.unwrap_or(self.lane == Lane::Trusted)
    }

    /// What is wrong with the repository's settings, if they can't be read; the defaults hold then, and people are told.
    pub fn rules_mistake(&self) -> Option<rules::Mistake> {
        rules::read(&self.rules).err()?.into_iter().next()
    }

    /// What the repository asks for. A file that can't be read counts as none.
    pub fn rules(&self) -> rules::Rules {
        rules::read(&self.rules).unwrap_or_default()
    }
}

/// One contribution to a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub author: String,
    /// Whether the author may write to the repository; `None` when nobody asked GitHub.
    pub trusted: Option<bool>,
    pub body: String,
    /// As GitHub gives it, ISO 8601.
    pub at: String,
    /// When it was last changed, where that is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub changed: String,
}

impl Said {
    /// The last moment at which anything was written here.
    fn touched(&self) -> &str {
        self.changed.as_str().max(self.at.as_str())
    }
}

/// Somebody's words in a snapshot.
enum Written<'s> {
    Subject,
    Said(&'s Said),
    Linked,
}
