//! The installation and its repositories come and go: tasks that have lost their ground end with a reason, those whose
//! repository has another name follow it, and what was kept for the old state is dropped.

use serde::Deserialize;
use tracing::info;

use super::event::{Heard, NOT_READ};
use super::handle::{Trouble, done, refused_is_fine};
use super::payload::{Id, RepositoryName};
use crate::app::App;
use crate::clock;
use crate::github::{self, Error};
use crate::queue::Job;
use crate::report::{Board, Money, Outbox, View};
use crate::store::{self, Decided, DeliveryState, StoredTask};
use crate::task::Gone;

/// Tasks that a suspension has stopped longer ago than this are not told of its end: nobody waits for them.
pub(super) const LATE: clock::Millis = 14 * 24 * 3_600_000;

const EVENTS: [&str; 4] = ["installation", "installation_repositories", "installation_target", "repository"];

/// Something about an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub installation: u64,
    pub what: What,
    /// Of a suspension: when it began.
    pub since: Option<clock::Millis>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The whole installation, or these repositories.
    Gone(Gone, Option<Vec<u64>>),
    /// It was granted more, covers more, or is active again.
    More { again: bool },
    /// A repository has another name, or another owner, whose installation this is.
    Named { repository: u64, was: Option<String>, name: String },
    /// An account has another name.
    Owner { from: String, to: String },
}

/// Whether this is told of an installation or a repository as a whole.
pub fn is_change(event: &str, action: &str) -> bool {
    matches!(
        (event, action),
        ("installation", "deleted" | "suspend" | "unsuspend" | "new_permissions_accepted")
            | ("installation_repositories", "added" | "removed")
            | ("installation_target", "renamed")
            | ("repository", "deleted" | "archived" | "renamed" | "transferred")
    )
}

#[derive(Deserialize)]
struct Event {
    action: String,
    installation: Option<Suspendable>,
    #[serde(default)]
    repositories_removed: Vec<Id>,
    repository: Option<Repository>,
    account: Option<Account>,
    #[serde(default)]
    changes: Changes,
}

#[derive(Deserialize)]
struct Suspendable {
    id: u64,
    #[serde(default)]
    suspended_at: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
    #[serde(flatten)]
    name: RepositoryName,
}

#[derive(Deserialize)]
struct Account {
    login: String,
}

#[derive(Default, Deserialize)]
struct Changes {
    login: Option<From>,
    repository: Option<Renamed>,
    owner: Option<Transferred>,
}

#[derive(Deserialize)]
struct Renamed {
    name: From,
}

/// The account that had it before, a person's or an organisation's.
#[derive(Deserialize)]
struct Transferred {
    from: Owners,
}

#[derive(Deserialize)]
struct Owners {
    user: Option<Account>,
    organization: Option<Account>,
}

impl Changes {
    /// What a repository was called before it was renamed, or given to somebody else.
    fn name_before(self, name: &str) -> Option<String> {
        let (owner, short) = name.split_once('/')?;
        if let Some(renamed) = self.repository {
            return Some(format!("{owner}/{}", renamed.name.from));
        }
        let from = self.owner?.from;
        Some(format!("{}/{short}", from.organization.or(from.user)?.login))
    }
}

#[derive(Deserialize)]
struct From {
    from: String,
}

/// Read a delivery of such an event.
pub fn hear(event: &str, payload: &[u8]) -> Result<Heard, serde_json::Error> {
    const NOTHING: Heard = Heard::Nothing("it names nothing that could have changed");
    if !EVENTS.contains(&event) {
        return Ok(Heard::Nothing(NOT_READ));
    }
    let it: Event = serde_json::from_slice(payload)?;
    if !is_change(event, &it.action) {
        return Ok(Heard::Nothing(NOT_READ));
    }
    let Some(Suspendable { id: installation, suspended_at }) = it.installation else { return Ok(NOTHING) };
    let since = suspended_at.as_ref().and_then(github::moment);
    let what = match (event, it.action.as_str(), it.repository) {
        ("installation", "deleted", _) => What::Gone(Gone::Uninstalled, None),
        ("installation", "suspend", _) => What::Gone(Gone::Suspended, None),
        ("installation", action, _) => What::More { again: action == "unsuspend" },
        ("installation_repositories", "removed", _) => {
            What::Gone(Gone::Uncovered, Some(it.repositories_removed.iter().map(|it| it.id).collect()))
        }
        ("installation_repositories", ..) => What::More { again: false },
        ("repository", "deleted", Some(at)) => What::Gone(Gone::Deleted, Some(vec![at.id])),
        ("repository", "archived", Some(at)) => What::Gone(Gone::Archived, Some(vec![at.id])),
        ("repository", _, Some(at)) => {
            let was = it.changes.name_before(&at.name.full_name);
            What::Named { repository: at.id, was, name: at.name.full_name }
        }
        ("installation_target", ..) => match (it.changes.login, it.account) {
            (Some(old), Some(account)) => What::Owner { from: old.from, to: account.login },
            _ => return Ok(NOTHING),
        },
        _ => return Ok(NOTHING),
    };
    Ok(Heard::Installation(Change { installation, what, since }))
}

pub(super) async fn decide(app: &App, job: &Job, it: &Change) -> Result<Decided, Trouble> {
    let installation = it.installation;
    match &it.what {
        What::Gone(gone, repositories) => {
            changed(app, installation).await?;
            // Also when it is over by now: whoever brings this late does not bring what happened meanwhile.
            if *gone == Gone::Suspended {
                let since = it.since.unwrap_or_else(clock::now);
                app.store.note_suspension(app_id(app), installation, since).await?;
            }
            let stopped = stop(app, installation, *gone, repositories.as_deref()).await?;
            Ok(done(DeliveryState::Done, &format!("{}, stopped {stopped} tasks", gone.says())))
        }
        What::More { again } => {
            changed(app, installation).await?;
            let told = if *again { tell_stopped(app, job, installation).await? } else { 0 };
            let kept = if *again { take_up_kept(app, installation, clock::now()).await? } else { 0 };
            let says = format!("asks for new tokens from now on, told {told} stopped tasks, took up {kept} deliveries");
            Ok(done(DeliveryState::Done, &says))
        }
        What::Named { repository, was, name } => {
            app.store.rename_in_keys(*repository, was.as_deref(), name).await?;
            app.github.learn(*repository, Some(name), Some(installation));
            let moved = app.store.move_repository(*repository, name, installation).await?;
            Ok(done(DeliveryState::Done, &format!("the repository is {name} now, {moved} open tasks follow")))
        }
        What::Owner { from, to } => {
            app.store.rename_owner_in_keys(from, to).await?;
            let renamed = app.store.rename_owner(installation, from, to).await?;
            Ok(done(DeliveryState::Done, &format!("{from} is {to} now, {renamed} open tasks follow")))
        }
    }
}

/// Drop what was kept for the old state, here and in the other processes.
async fn changed(app: &App, installation: u64) -> Result<(), Trouble> {
    app.github.forget_installation(installation);
    Ok(app.store.tell_of_installation(installation).await?)
}

/// What was put aside because of a suspension is judged now, against how things stand now: as far back as GitHub itself
/// would still deliver it, or as the suspension began.
pub(super) async fn take_up_kept(app: &App, installation: u64, began: clock::Millis) -> Result<u64, store::Error> {
    let window = app.config.github.keeps_deliveries_for().as_millis() as clock::Millis;
    let since = began.min(clock::now() - window);
    app.store.take_up_put_aside(installation, Gone::Suspended.says(), since).await
}

fn app_id(app: &App) -> i64 {
    app.config.github.app_id.unwrap_or_default() as i64
}

/// Whether it is still suspended: a process may not have heard yet that it is active again. That it is is noted before
/// anything is put aside, so that the search for what was missed takes it up, whatever happens in between.
pub(super) async fn is_suspended(app: &App, installation: u64) -> Result<bool, Trouble> {
    let now = match app.github.installation(installation).await {
        Err(Error::NotFound(_)) => return Ok(true),
        other => other?,
    };
    if now.is_suspended() {
        let since = now.suspended_since().unwrap_or_else(clock::now);
        app.store.note_suspension(app_id(app), installation, since).await?;
    } else {
        app.github.forget_installation(installation);
    }
    Ok(now.is_suspended())
}

/// Ask the open tasks there to stop; how many there are. Events come late and out of order: what GitHub says now counts.
async fn stop(app: &App, installation: u64, gone: Gone, repositories: Option<&[u64]>) -> Result<usize, Trouble> {
    let open = app.store.open_tasks_of(installation, repositories).await?;
    let mut stopped = 0;
    for (id, repository) in open {
        if !is_so(app, installation, repository, gone).await? {
            info!(task.id = id, "Leaving a task alone, for it is not so any more that {}", gone.says());
            continue;
        }
        stopped += usize::from(app.store.request_cancel(&id, &gone.stopper()).await?);
    }
    Ok(stopped)
}

async fn is_so(app: &App, installation: u64, repository: u64, gone: Gone) -> Result<bool, Error> {
    match gone {
        Gone::Suspended => match app.github.installation(installation).await {
            Ok(now) => Ok(now.is_suspended()),
            Err(Error::NotFound(_)) => Ok(true),
            Err(error) => Err(error),
        },
        Gone::Uncovered => Ok(app.github.installation_of(repository).await? != Some(installation)),
        Gone::Archived => match app.github.repo(installation, repository, "").is_archived().await {
            Err(error) if error.is_final() => Ok(true),
            other => other,
        },
        // These don't come back under the same id.
        Gone::Uninstalled | Gone::Deleted => Ok(true),
    }
}

/// The installation is active again: people see that their tasks were stopped, and what to do.
async fn tell_stopped(app: &App, job: &Job, installation: u64) -> Result<usize, Trouble> {
    let stopped = app.store.stopped_tasks_of(installation, Gone::Suspended, clock::now() - LATE).await?;
    let mut told = 0;
    for task in &stopped {
        told += usize::from(tell(app, job, task).await?);
    }
    Ok(told)
}

async fn tell(app: &App, job: &Job, task: &StoredTask) -> Result<bool, Trouble> {
    let Some(ending) = task.ending.as_ref().filter(|_| task.place.has_thread()) else { return Ok(false) };
    let (id, place) = (task.id.to_string(), &task.place);
    let repo = app.github.repo(place.installation_id, place.repository_id, &place.repository);
    let outbox = Outbox { store: &app.store, lease: job.lease(), task_id: Some(&id) };
    let view = View {
        state: task.state.name().to_owned(),
        step: "checkout",
        money: Money { micros: task.spent_micros, turns: task.turns },
        work: task.progress.work.clone(),
        reviewed: task.progress.reviewed.clone(),
        elapsed: task.ended_at.unwrap_or_else(clock::now) - task.created_at,
        ..View::default()
    };
    let said = async {
        let board = Board::open(&outbox, &app.config, &repo, task, &view).await?;
        board.close(&outbox, &view, ending).await
    };
    said.await.or_else(refused_is_fine)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(event: &str, payload: &serde_json::Value) -> Heard {
        hear(event, payload.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn only_what_is_read_is_taken_in() {
        let repository = serde_json::json!({ "id": 7, "full_name": "new/app", "default_branch": "main" });
        let event = |action: &str| {
            serde_json::json!({ "action": action, "installation": { "id": 3 }, "repository": repository,
                "repositories_removed": [{ "id": 7, "full_name": "o/r" }, { "id": 8, "full_name": "o/s" }],
                "account": { "login": "new" }, "changes": { "login": { "from": "old" } }, "sender": null })
        };
        let change = |what| Heard::Installation(Change { installation: 3, what, since: None });
        let name = || What::Named { repository: 7, was: None, name: "new/app".to_owned() };
        for (kind, action, what) in [
            ("installation", "deleted", What::Gone(Gone::Uninstalled, None)),
            ("installation", "suspend", What::Gone(Gone::Suspended, None)),
            ("installation", "unsuspend", What::More { again: true }),
            ("installation", "new_permissions_accepted", What::More { again: false }),
            ("installation_repositories", "removed", What::Gone(Gone::Uncovered, Some(vec![7, 8]))),
            ("installation_repositories", "added", What::More { again: false }),
            ("repository", "deleted", What::Gone(Gone::Deleted, Some(vec![7]))),
            ("repository", "archived", What::Gone(Gone::Archived, Some(vec![7]))),
            ("repository", "renamed", name()),
            ("repository", "transferred", name()),
            ("installation_target", "renamed", What::Owner { from: "old".to_owned(), to: "new".to_owned() }),
        ] {
            assert!(is_change(kind, action), "{kind}.{action}");
            assert_eq!(heard(kind, &event(action)), change(what), "{kind}.{action}");
        }
        let before = |changes: serde_json::Value| {
            let told = serde_json::json!({ "changes": changes, "repository": repository, "action": "renamed", "installation": { "id": 3 } });
            match heard("repository", &told) {
                Heard::Installation(Change { what: What::Named { was, .. }, .. }) => was,
                other => panic!("{other:?}"),
            }
        };
        let owner = |kind: &str| serde_json::json!({ "owner": { "from": { kind: { "login": "me" } } } });
        assert_eq!(before(serde_json::json!({ "repository": { "name": { "from": "old" } } })).unwrap(), "new/old");
        assert_eq!(before(owner("user")).unwrap(), "me/app");
        assert_eq!(before(owner("organization")).unwrap(), "me/app");
        assert!(!is_change("repository", "edited") && !is_change("installation", "created"));
        // Of a repository's own webhook, which no App sends.
        let bare = serde_json::json!({ "action": "deleted", "repository": repository });
        assert!(matches!(heard("repository", &bare), Heard::Nothing(_)));
    }
}
