//! Somebody asks through the API. The facts, the decision, the snapshot and its lane are those of a mention by somebody who
//! may write; what differs is that the answer is given at once, and to the caller alone.

mod find;
mod no;

pub use find::find;
pub use no::No;

use super::ask::{Order, pull_facts};
use super::breaker;
use super::event::Ask;
use super::handle::{Desk, Trouble};
use super::snapshot::{self, Setting};
use crate::app::App;
use crate::clock::{self, Millis};
use crate::github::{self, Error, OwnToken, PullRequest, Repo};
use crate::report::Outbox;
use crate::run;
use crate::store::{self, Breaker, Lease, NewTask, Ordered, StoredTask, Within};
use crate::task::breaker::{Cause, Weighed, weigh};
use crate::task::{
    Account, Admission, Asker, Command, Facts, Ground, Kind, Lane, Place, Refusal, Role, Snapshot, TaskId, Trigger,
    admit, parse,
};
use crate::text;

const HOUR: Millis = 3_600_000;
/// Characters of the request that name its branch.
const TITLE: usize = 80;

/// What the caller wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub words: String,
    /// The issue or pull request that it is about.
    pub number: Option<u64>,
    /// The field whose address says that this is a pull request.
    pub pull_in: Option<&'static str>,
    /// The branch to begin with, where that is not the default one.
    pub branch: Option<String>,
    /// An earlier task, and whether this goes on from it or does the same again.
    pub earlier: Option<(Box<StoredTask>, Again)>,
    /// In whose name.
    pub by: Account,
    pub order: store::Order,
}

/// What is done with an earlier task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    Retry,
    Resume,
}

/// What was made, now or by the same ask before.
#[derive(Debug)]
pub struct Made {
    pub task_id: String,
    pub created_at: Millis,
}

/// What the same ask has made before, whatever has become of the repository since.
pub async fn before(app: &App, order: &store::Order) -> Result<Option<Made>, No> {
    let Some(once) = &order.once else { return Ok(None) };
    match app.store.ordered_before(&order.key_id, once).await.map_err(Trouble::from)? {
        Some(ordered) => made(app, ordered).await.map(Some),
        None => Ok(None),
    }
}

/// Whether somebody may ask for one task more within the hour, as far as the database knows: GitHub is not asked for those
/// who may not.
pub async fn has_room(app: &App, by: &Account) -> Result<(), No> {
    let made = app.store.made_for(by.id, clock::now() - HOUR).await.map_err(Trouble::from)?;
    if made < breaker::caps(app).person { Ok(()) } else { Err(No::TooMuch) }
}

/// Make the task, or say why not.
pub async fn make(
    app: &App,
    at: Place,
    wanted: Wanted,
    may_see: impl Fn(Option<u64>, &str) -> bool,
) -> Result<Made, No> {
    // A desk without a claim: it looks, and could write nothing.
    let lease = Lease { job_id: String::new(), owner: String::new(), epoch: 0 };
    let desk = Desk {
        app,
        repo: find::repo(app, &at, wanted.order.brings.github_token.clone()).await?,
        outbox: Outbox { store: &app.store, lease: &lease, task_id: None },
        delivery_id: "",
        dry: false,
        us: app.github.identity().await.map_err(Trouble::from)?.bot_id,
    };
    let about = match desk.repo.about().await {
        Err(Error::NotFound(said)) if desk.repo.is_own() => {
            return Err(No::refused(&OwnToken::sees_nothing(said)));
        }
        Err(Error::NotFound(_)) => return Err(No::NoRepository),
        other => other.map_err(Trouble::from)?,
    };
    // It may have been given to somebody else since.
    if !may_see(Some(at.repository_id), &about.full_name) {
        return Err(No::NoRepository);
    }
    if about.archived {
        return Err(No::Archived);
    }
    let id = TaskId::fresh();
    let number = wanted.number.unwrap_or_else(|| Place::own_number(id));
    let (installation_id, repository_id, repository) = desk.repo.place();
    let place = Place { installation_id, repository_id, repository, number };
    let (subject, setting) = tokio::join!(subject(&desk.repo, &place), Setting::of(&desk, &about.default_branch));
    let (subject, setting) = (subject?, setting?);
    if let (Some(field), None) = (wanted.pull_in, subject.pull()) {
        return Err(No::IsIssue(field));
    }
    let tasks = app.store.tasks_of_thread(place.repository_id, number).await.map_err(Trouble::from)?;
    // An App may write where it is installed; a person may not everywhere.
    let writes = !desk.repo.is_own() || about.permissions.push;
    let order = order(&desk, &wanted, &subject, &setting, &tasks, writes)?;
    let within = within(&desk, &place, &wanted.by).await?;
    let ask = ask(&wanted, place, &subject, &setting);
    let snapshot = snapshot::take(&desk, &ask, &setting, subject.pull(), &order, Vec::new()).await?;
    let snapshot = begin(&desk, &wanted, &subject, snapshot).await?;
    let new = NewTask {
        id,
        place: ask.place,
        requester: wanted.by,
        trigger: Trigger::Api,
        prompt: order.prompt,
        snapshot,
        kind: order.kind,
        origin: None,
        within: Some(within),
    };
    let most = app.config.runs.budget_run_usd.micros;
    match app.store.order_task(&new, &wanted.order, most).await.map_err(Trouble::from)? {
        Ordered::Made { created_at, superseded } => {
            if let Some(old) = superseded {
                // Whoever asks need not wait for it; the sweep of check runs does what this can't.
                let app = app.clone();
                tokio::spawn(async move { run::end_check(&app, &old).await });
            }
            // From here on no text of ours may contain it. Before this it stands in none: what is refused repeats no key, and
            // leaves nothing behind.
            let brings = &wanted.order.brings;
            let own = brings.model_key.iter().chain(&brings.github_token);
            own.for_each(|key| text::hold_brought(key, app.config.runs.longest_life()));
            Ok(Made { task_id: id.to_string(), created_at })
        }
        Ordered::Busy if new.kind == Kind::Review => Err(No::Refused(Refusal::AlreadyReviewing)),
        other => made(app, other).await,
    }
}

async fn made(app: &App, ordered: Ordered) -> Result<Made, No> {
    match ordered {
        Ordered::Made { .. } | Ordered::Busy => Err(No::Refused(Refusal::AlreadyRunning)),
        Ordered::Reused => Err(No::Reused),
        Ordered::TooMuch => Err(No::TooMuch),
        Ordered::OverBudget { spent } => Err(No::OverBudget { spent }),
        Ordered::Before(task_id) => {
            let task = app.store.task(&task_id).await.map_err(Trouble::from)?;
            // Tasks are kept for longer than what made them.
            let task = task.ok_or_else(|| No::Ours(anyhow::anyhow!("task {task_id} is gone")))?;
            Ok(Made { task_id, created_at: task.created_at })
        }
    }
}

/// What a task is about.
enum Subject {
    Nothing,
    Issue(Box<github::Issue>),
    Pull(Box<github::Issue>, Box<PullRequest>),
}

impl Subject {
    fn issue(&self) -> Option<&github::Issue> {
        match self {
            Self::Nothing => None,
            Self::Issue(issue) | Self::Pull(issue, _) => Some(issue),
        }
    }

    fn pull(&self) -> Option<&PullRequest> {
        match self {
            Self::Pull(_, pull) => Some(pull),
            _ => None,
        }
    }
}

async fn subject(repo: &Repo, place: &Place) -> Result<Subject, No> {
    let Some(number) = place.thread() else { return Ok(Subject::Nothing) };
    let issue = match repo.issue(number).await {
        Err(Error::NotFound(_) | Error::Moved) => return Err(No::NoThread),
        other => Box::new(other.map_err(Trouble::from)?),
    };
    match issue.pull_request {
        Some(_) => Ok(Subject::Pull(issue, Box::new(repo.pull(number).await.map_err(Trouble::from)?))),
        None => Ok(Subject::Issue(issue)),
    }
}

/// Decide as for somebody who may write: whoever runs the server has given them the key.
fn order(
    desk: &Desk<'_>,
    wanted: &Wanted,
    subject: &Subject,
    setting: &Setting,
    tasks: &[StoredTask],
    writes: bool,
) -> Result<Order, No> {
    let pull = subject.pull();
    let mention = &desk.app.config.github.mention;
    let earlier = wanted.earlier.as_ref();
    // Of all the commands only this one makes a task; the others have routes of their own.
    let said = without_address(&wanted.words);
    let review = match earlier {
        Some((task, Again::Retry)) => task.kind == Kind::Review,
        Some((_, Again::Resume)) => false,
        None => pull.is_some() && parse(&format!("@{mention} {said}"), mention) == Some(Command::Review),
    };
    let facts = Facts {
        role: Role::Write,
        who: setting.rules.ask.who,
        pull: pull.map(|pull| pull_facts(pull, tasks)),
        open_task: tasks.iter().any(|task| task.kind != Kind::Review && !task.state.is_final()),
        ended_task: false,
        has_commits: setting.default.head.is_some() || pull.is_some(),
        broken: false,
    };
    let command = if review { Command::Review } else { Command::Do(wanted.words.clone()) };
    // What others have asked for is worth no more than it was then.
    let asker = match earlier {
        Some((task, Again::Retry)) if !task.snapshot.asker_writes() => Asker::Other,
        // Strangers' code, for whom the token is a reader's.
        _ if !writes => Asker::Other,
        _ => Asker::Writer,
    };
    let goes_on = pull.is_some() || earlier.is_some_and(|(_, again)| *again == Again::Resume);
    match admit(&command, false, &facts) {
        Admission::Review if desk.repo.is_own() => Err(No::TokenForReview),
        Admission::Review => {
            Ok(Order { kind: Kind::Review, asker, prompt: String::new(), goes_on: false, origin: None })
        }
        Admission::Start { prompt } => {
            let kind = if pull.is_some() { Kind::Pull } else { Kind::Issue };
            Ok(Order { kind, asker, prompt, goes_on, origin: None })
        }
        Admission::Refuse(refusal) => Err(No::Refused(refusal)),
        other => Err(No::Ours(anyhow::anyhow!("{other:?} is no answer to an order"))),
    }
}

/// The words without the address of what they are about.
fn without_address(words: &str) -> String {
    words.split_whitespace().filter(|it| !it.contains("://")).collect::<Vec<_>>().join(" ")
}

/// Hold the ask against the caps, as for a mention. No breaker opens for it: the caller hears of it, and can wait.
async fn within(desk: &Desk<'_>, place: &Place, by: &Account) -> Result<Within, No> {
    let (store, caps) = (&desk.app.store, breaker::caps(desk.app));
    let known = store.breaker(place).await.map_err(Trouble::from)?;
    let is_open = |it: &Breaker| it.resumed_at.is_none() && it.why.stops(false);
    if known.as_ref().is_some_and(is_open) {
        return Err(No::Paused);
    }
    let lately = clock::now() - HOUR;
    let since = lately.max(known.and_then(|it| it.resumed_at).unwrap_or_default());
    let tally = store.tally(place, since, by.id, lately).await.map_err(Trouble::from)?;
    match weigh(caps, tally, Cause::Asked) {
        Weighed::Fine => Ok(Within { caps, cause: Cause::Asked, since, lately }),
        Weighed::Trips(_) => Err(No::TooMuchThere),
        Weighed::TooMuchOfOne => Err(No::TooMuch),
    }
}

/// The same as of a mention, with the request itself as what it is about where there is nothing else.
fn ask(wanted: &Wanted, place: Place, subject: &Subject, setting: &Setting) -> Ask {
    let issue = subject.issue();
    let account = |user: &github::Author| Account { id: user.id, login: user.login.clone() };
    let author = match issue {
        Some(issue) => issue.user.as_ref().map(account),
        None => Some(wanted.by.clone()),
    };
    Ask {
        place,
        asker: wanted.by.clone(),
        trigger: Trigger::Api,
        command: Command::Do(wanted.words.clone()),
        label: None,
        on_pull: subject.pull().is_some(),
        default_branch: setting.default.branch.clone(),
        title: issue.map_or_else(|| text::line(&wanted.words, TITLE), |issue| issue.title.clone()),
        body: issue.and_then(|issue| issue.body.clone()).unwrap_or_default(),
        author,
        labels: issue.map(|it| it.labels.iter().map(|it| it.name.clone()).collect()).unwrap_or_default(),
        has_comments: issue.is_some(),
        comment: None,
        review: None,
        unnamed: false,
        asked_at: clock::iso(clock::now()),
    }
}

/// Begin with the branch that was asked for, or that an earlier task began with.
async fn begin(desk: &Desk<'_>, wanted: &Wanted, subject: &Subject, snapshot: Snapshot) -> Result<Snapshot, No> {
    if subject.pull().is_some() {
        return if wanted.branch.is_some() { Err(No::BranchOfPull) } else { Ok(snapshot) };
    }
    let before = wanted.earlier.as_ref().map(|it| &it.0.snapshot.base_branch);
    let Some(branch) = wanted.branch.as_ref().or(before).filter(|it| **it != snapshot.base_branch) else {
        return Ok(snapshot);
    };
    let head = desk.repo.branch_head(branch).await.map_err(Trouble::from)?;
    let head = head.ok_or_else(|| match &wanted.branch {
        Some(_) => No::NoBranch,
        None => No::BranchGone(branch.clone()),
    })?;
    let (lane, ground) = match snapshot.lane {
        Lane::Trusted if is_led(desk, branch, &head).await? => (Lane::Guarded, Some(Ground::Inherited)),
        lane => (lane, snapshot.ground),
    };
    Ok(Snapshot { base_branch: branch.clone(), base_sha: head, lane, ground, ..snapshot })
}

/// Whether what stands on a branch may have been led by a stranger's words: our own work that nobody has merged, and what a
/// pull request holds on which guarded work was done.
async fn is_led(desk: &Desk<'_>, branch: &str, head: &str) -> Result<bool, No> {
    if branch.starts_with("cloud-agent/") {
        return Ok(true);
    }
    let (store, id) = (&desk.app.store, desk.repo.place().1);
    for pull in desk.repo.pulls_of_commit(head).await.map_err(Trouble::from)? {
        let opener = store.task_that_opened(id, pull.number).await.map_err(Trouble::from)?;
        let on_it = store.tasks_of_thread(id, pull.number).await.map_err(Trouble::from)?;
        if opener.iter().chain(&on_it).any(|task| task.snapshot.lane == Lane::Guarded) {
            return Ok(true);
        }
    }
    Ok(false)
}
