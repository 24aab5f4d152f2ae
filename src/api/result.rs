//! What came of a task, or why nothing did.

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::app::App;
use crate::report;
use crate::store::StoredTask;
use crate::task::{Kind, State};

/// What came of a task.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskResult {
    pub summary: String,
    pub artifacts: Artifacts,
    /// What is different from other tasks, in Markdown: where to look instead of at a check run, where GitHub takes none.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Where the work stands.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Artifacts {
    /// The pull request that it has opened or worked on.
    pub pr_url: Option<String>,
    pub branch: Option<String>,
    /// The newest commit on it.
    pub head: Option<String>,
    /// What was committed, oldest first; of a patch that nobody has taken over, only `commits.bundle` has them.
    #[serde(default)]
    pub commits: Vec<CommitView>,
    /// The review that it has posted.
    #[serde(default)]
    pub review_url: Option<String>,
    pub files: Vec<ChangedFile>,
}

/// A commit.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CommitView {
    pub sha: String,
    /// The first line of its message.
    pub subject: String,
}

/// A changed file.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangedFile {
    pub path: String,
    pub added: u64,
    pub deleted: u64,
}

/// Why a task has failed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskError {
    /// Stable; the same as `ending`.
    pub code: String,
    /// What happened and what to do about it, for people, in Markdown.
    pub message: String,
}

/// What came of a task, once it is completed.
pub(super) fn of(app: &App, task: &StoredTask) -> Option<TaskResult> {
    if task.state != State::Completed {
        return None;
    }
    let (work, published) = (task.progress.work.as_ref(), task.progress.published.as_ref());
    let ending = task.ending.as_ref();
    let said = ending.map(|it| it.says.clone()).unwrap_or_default();
    let pull = ending.and_then(|it| it.pull).or_else(|| published.and_then(|it| it.pull));
    let pull = pull.or_else(|| (task.kind != Kind::Issue).then_some(task.place.number));
    let review = ending.and_then(|it| it.review);
    Some(TaskResult {
        notes: ending.and_then(|ending| report::no_check(task, ending)).into_iter().collect(),
        summary: work.map(|work| work.summary.clone()).filter(|it| !it.is_empty()).unwrap_or(said),
        artifacts: Artifacts {
            pr_url: pull.and_then(|number| address(app, task, number)).map(String::from),
            branch: published.map(|it| it.branch.clone()),
            head: published.map(|it| it.head.clone()),
            commits: work
                .iter()
                .flat_map(|work| &work.commits)
                .map(|it| CommitView { sha: it.sha.clone(), subject: it.subject.clone() })
                .collect(),
            review_url: review.and_then(|id| {
                let mut url = address(app, task, task.place.number)?;
                url.set_fragment(Some(&format!("pullrequestreview-{id}")));
                Some(url.into())
            }),
            files: work
                .iter()
                .flat_map(|work| &work.files)
                .map(|it| ChangedFile { path: it.path.clone(), added: it.added, deleted: it.deleted })
                .collect(),
        },
    })
}

/// Why nothing came of a task, once it has failed: the words that people read on GitHub.
pub(super) fn error(app: &App, task: &StoredTask) -> Option<TaskError> {
    let ending = task.ending.as_ref().filter(|_| task.state == State::Failed)?;
    Some(TaskError { code: ending.code.clone(), message: report::told_ending(&app.config, task, ending) })
}

/// A pull request on GitHub.
fn address(app: &App, task: &StoredTask, number: u64) -> Option<Url> {
    app.config.github.url.join(&format!("{}/pull/{number}", task.place.repository)).ok()
}
