//! `POST /api/v1/tasks`: work in words, on a repository or on what stands on an issue or pull request.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address::{self, Address};
use super::again::{self, Terms};
use super::auth::{Caller, May, TasksWrite};
use super::brought::{self, Brought};
use super::problem::{Body, Problem};
use super::refused;
use super::secret::Given;
use crate::app::App;
use crate::clock::{self, Millis};
use crate::store::{Brings, Once, Order, StoredTask};
use crate::task::{self, Place, Refusal};
use crate::text;
use crate::webhook::order::{self, Made, No, Wanted};

/// Longest request, in characters.
const LONGEST: usize = 65_536;
/// The least that a task may be given, in US dollars.
const LEAST: f64 = 0.01;

/// What is to be done.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// In words. The address of an issue or pull request in it says what it is about: that is read, and answered there too.
    #[schema(min_length = 1, max_length = 65_536, example = "Greet the world")]
    pub prompt: String,
    /// `owner/name`; not needed where the prompt names an issue or pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "octo/app")]
    pub repo: Option<String>,
    /// The same as an address, which may be that of an issue or pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_url: Option<String>,
    /// The branch to begin with and to go into; the default branch when absent.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The most that it may cost; what any run may cost when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.01, maximum = 1_000_000, example = 1.5)]
    pub budget_usd: Option<f64>,
    /// A task that has ended and that this one goes on from, as `POST /tasks/{id}/resume` does: with its conversation, where it
    /// is kept, on the pull request that it has opened or was about. `repo` is not needed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Who works on it: `claude-code`, also when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// A key of the caller's own for the model API: used for this task alone, kept sealed until its end, never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anthropic_api_key: Option<Given>,
    /// A token of the caller's own for GitHub, where the App is not installed, or instead of it: what the task reads, pushes, opens
    /// and says there it does with this, in the name and with the rights of the person whose it is. Used for this task alone, kept
    /// sealed until its end, never shown. GitHub takes check runs from Apps alone, so none is made; reviews are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_token: Option<Given>,
    /// Called with the task as `GET /tasks/{id}` shows it when it has ended; the key needs `tasks:read` for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// What the callback is signed with: 16 to 255 characters of the caller's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_secret: Option<Given>,
}

impl NewOrder {
    pub fn brought(&self) -> Brought<'_> {
        Brought {
            words: &self.prompt,
            anthropic_api_key: self.anthropic_api_key.as_ref(),
            github_token: self.github_token.as_ref(),
            callback_url: self.callback_url.as_deref(),
            callback_secret: self.callback_secret.as_ref(),
        }
    }
}

/// A task that was made, or asked to change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    pub task_id: String,
    pub status: String,
    /// UTC milliseconds.
    pub created_at: Millis,
    /// Where the API shows it.
    pub url: String,
}

impl Accepted {
    pub fn new(app: &App, task_id: &str, status: &str, created_at: Millis) -> (StatusCode, Json<Self>) {
        let base = app.config.server.public_url.as_str().trim_end_matches('/');
        let accepted = Self {
            task_id: task_id.to_owned(),
            status: status.to_owned(),
            created_at,
            url: format!("{base}/api/v1/tasks/{task_id}"),
        };
        (StatusCode::ACCEPTED, Json(accepted))
    }

    /// What was made begins by waiting; the same ask has the same answer.
    pub fn made(app: &App, made: &Made) -> (StatusCode, Json<Self>) {
        Self::new(app, &made.task_id, task::State::Queued.name(), made.created_at)
    }
}

/// Make a task. With an `idempotency-key` the same request makes no second one, for a week.
#[utoipa::path(post, path = "/api/v1/tasks", operation_id = "create_task", tag = "tasks", request_body = NewOrder,
    params(("idempotency-key" = Option<String>, Header, min_length = 1, max_length = 255, description = "Up to 255 ASCII characters of your own choice")),
    responses((status = 202, body = Accepted), (status = "4XX", body = Problem, content_type = "application/problem+json"),
              (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn create(
    State(app): State<App>,
    may: May<TasksWrite>,
    headers: HeaderMap,
    Body(new): Body<NewOrder>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    order(&app, &may.0, &headers, "tasks", new).await
}

/// The same for every route that makes a task of words; `route` keeps their idempotency keys apart.
pub async fn order(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    route: &str,
    new: NewOrder,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    // Without secrets: a digest is no place for them, and the same ask with another one is still the same.
    let told = NewOrder { anthropic_api_key: None, github_token: None, callback_secret: None, ..new.clone() };
    let once = once(headers, route, &told)?;
    let budget = budget(new.budget_usd)?;
    check_prompt(&new.prompt)?;
    brought::check_agent(new.agent.as_deref())?;
    brought::may_hear(caller, new.callback_url.as_deref())?;
    let branch = branch(new.branch.as_deref())?;
    if let Some(parent) = &new.parent_id {
        let parent = again::ended(app, caller, parent).await?;
        is_about(app, &new, &parent)?;
        let brings = new.brought().read(app, Some(&parent))?;
        let terms = Terms { branch, budget: budget.or(parent.budget_asked), brings, once };
        return Box::pin(again::go_on(app, caller, parent, new.prompt, terms)).await;
    }
    let (about, named_in) = about(app, &new)?;
    let brings = new.brought().read(app, None)?;
    let wanted = Wanted {
        words: new.prompt,
        number: about.number,
        pull_in: about.pull.then_some(named_in),
        branch,
        earlier: None,
        by: caller.account(),
        order: of(caller, budget, None, brings, once),
    };
    let says = |no| problem(no, caller);
    // Boxed: looking at what it is about is a large future.
    if let Some(made) = order::before(app, &wanted.order).await.map_err(says)? {
        return Ok(Accepted::made(app, &made));
    }
    refused::check(caller)?;
    order::has_room(app, &wanted.by).await.map_err(says)?;
    let token = wanted.order.brings.github_token.as_ref();
    let may_see = |id, name: &str| caller.may_see(id, name);
    let at = order::find(app, &about.repository, token, may_see).await.inspect_err(|no| refused::note(caller, no));
    let at = at.map_err(says)?;
    make(app, caller, at, wanted).await
}

/// Make the task, or answer as for the one that the same ask has made meanwhile.
pub async fn make(
    app: &App,
    caller: &Caller,
    at: Place,
    wanted: Wanted,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let order = wanted.order.clone();
    // Boxed: looking at what it is about is a large future.
    let made = match Box::pin(order::make(app, at, wanted, |id, name| caller.may_see(id, name))).await {
        Ok(made) => made,
        Err(no) => match order::before(app, &order).await {
            Ok(Some(made)) => made,
            _ => {
                refused::note(caller, &no);
                return Err(problem(no, caller));
            }
        },
    };
    Ok(Accepted::made(app, &made))
}

/// What the order is besides the words.
pub fn of(
    caller: &Caller,
    budget: Option<i64>,
    parent_id: Option<String>,
    brings: Brings,
    once: Option<Once>,
) -> Order {
    Order {
        key_id: caller.key_id().to_owned(),
        budget_per_day: caller.key.as_ref().and_then(|key| key.budget_micros_per_day),
        budget,
        parent_id,
        brings,
        once,
    }
}

/// The `Idempotency-Key`, with the digest of what it stands for.
pub fn once(headers: &HeaderMap, route: &str, body: &impl Serialize) -> Result<Option<Once>, Problem> {
    const NAME: &str = "idempotency-key";
    let Some(given) = headers.get(NAME) else { return Ok(None) };
    let key = given.to_str().ok().filter(|it| (1..=255).contains(&it.len()));
    let key = key.ok_or_else(|| Problem::invalid(NAME, "give 1 to 255 ASCII characters"))?;
    let body = serde_json::to_string(body).map_err(anyhow::Error::from)?;
    Ok(Some(Once { key: key.to_owned(), digest: task::digest([route, body.as_str()]) }))
}

pub fn check_prompt(prompt: &str) -> Result<(), Problem> {
    match prompt.trim().is_empty() || prompt.chars().count() > LONGEST {
        true => Err(Problem::invalid("prompt", format!("say what is to be done, in 1 to {LONGEST} characters"))),
        false => Ok(()),
    }
}

fn budget(usd: Option<f64>) -> Result<Option<i64>, Problem> {
    match usd {
        Some(usd) if !(LEAST..=1e6).contains(&usd) => {
            Err(Problem::invalid("budget_usd", format!("give {LEAST} to 1000000 US dollars")))
        }
        usd => Ok(usd.map(|usd| (usd * 1e6).round() as i64)),
    }
}

fn branch(given: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let name = given.strip_prefix("refs/heads/").unwrap_or(given);
    match name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        true => Err(no_branch()),
        false => Ok(Some(name.to_owned())),
    }
}

fn no_branch() -> Problem {
    Problem::invalid("ref", "give the name of a branch of the repository")
}

/// The repository, and the issue or pull request on it; and the field that names it.
fn about(app: &App, new: &NewOrder) -> Result<(Address, &'static str), Problem> {
    let github = &app.config.github.url;
    let read = |field: &str, given: Option<&String>| match given {
        None => Ok(None),
        Some(given) => match address::read(given, github) {
            Some(found) => Ok(Some(found)),
            None => {
                let host = github.host_str().unwrap_or_default();
                Err(Problem::invalid(field, format!("give `owner/name` or an address on {host}")))
            }
        },
    };
    let (repo, url) = (read("repo", new.repo.as_ref())?, read("repository_url", new.repository_url.as_ref())?);
    if let (Some(repo), Some(url)) = (&repo, &url)
        && !repo.repository.eq_ignore_ascii_case(&url.repository)
    {
        return Err(Problem::invalid("repository_url", "it is another repository than `repo`; give one of the two"));
    }
    let url = url.filter(|it| it.number.is_some() || repo.is_none()).map(|it| (it, "repository_url"));
    let given = url.or(repo.map(|it| (it, "repo")));
    if let Some(whole @ (Address { number: Some(_), .. }, _)) = given {
        return Ok(whole);
    }
    let named = address::named(&new.prompt, github, given.as_ref().map(|it| it.0.repository.as_str()));
    named.map(|it| (it, "prompt")).or(given).ok_or_else(|| {
        Problem::invalid("repo", "give `owner/name`, or name an issue or pull request by its address in the prompt")
    })
}

/// Where a request names what it is about besides its parent, it has to be the same.
fn is_about(app: &App, new: &NewOrder, parent: &StoredTask) -> Result<(), Problem> {
    if new.repo.is_none() && new.repository_url.is_none() {
        return Ok(());
    }
    let (about, named_in) = about(app, new)?;
    if !about.repository.eq_ignore_ascii_case(&parent.place.repository) {
        return Err(Problem::invalid("parent_id", "that task is of another repository than this one"));
    }
    let same = |number: u64| [again::subject(parent), parent.place.number].contains(&number);
    // Other addresses in the words are words.
    if named_in != "prompt" && about.number.is_some_and(|number| !same(number)) {
        return Err(Problem::invalid("parent_id", "that task is about another issue or pull request than this one"));
    }
    Ok(())
}

/// Why nothing was made, and what to do about it.
pub fn problem(no: No, caller: &Caller) -> Problem {
    let conflict = |code: &str, says: &str| Problem::new(StatusCode::CONFLICT, code, says);
    let later = |code: &str, says: &str| {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, code, says);
        Problem { retry_after: Some(600), ..problem }
    };
    match no {
        No::NoRepository => {
            Problem::no_such("repository", "the App has to be installed on it, and the key has to be for it")
        }
        No::NoThread => Problem::no_such("issue", "look at the number"),
        No::IsIssue(field) => {
            Problem::invalid(field, "that number is an issue and no pull request; give its address with `/issues/`")
        }
        No::NoBranch => no_branch(),
        No::BranchGone(name) => {
            let name = text::line(&name, 100);
            let says = format!(
                "the branch `{name}` that the task began with is gone; put it back, or make a task with another `ref`"
            );
            conflict("branch_gone", &says)
        }
        No::BranchOfPull => Problem::invalid("ref", "leave it out: a pull request is worked on where it is"),
        No::Suspended => {
            conflict("installation_suspended", "the App's installation is suspended; its owner has to take that back")
        }
        No::Archived => conflict("repository_archived", "the repository is archived: nothing can be changed there"),
        No::Refused(refusal) => conflict(refusal.code(), refusal_says(refusal)),
        No::Paused => conflict(
            "paused",
            "too much was asked on this issue or pull request within an hour; somebody who may write has to say `resume` there",
        ),
        No::TooMuchThere => later(
            "too_many_tasks",
            "as many tasks as may be were made on this issue or pull request within the last hour; wait",
        ),
        No::TooMuch => later("too_many_tasks", "this key has made as many tasks as it may within the last hour; wait"),
        No::OverBudget { spent } => {
            let day = caller.key.as_ref().and_then(|key| key.budget_micros_per_day).unwrap_or_default();
            let says = format!(
                "this key's tasks may cost ${} within 24 hours, and have cost or may still cost ${}; wait, or ask for less \
                 with `budget_usd`",
                text::dollars(day),
                text::dollars(spent)
            );
            Problem::new(StatusCode::PAYMENT_REQUIRED, "over_budget", says)
        }
        No::Reused => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "something else was asked for under this `idempotency-key`; take a new one for a new request",
        ),
        No::Later { at, why } => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "github_away", why);
            Problem { retry_after: Some((at - clock::now()).clamp(1_000, 3_600_000) as u32 / 1000), ..problem }
        }
        No::Token(problem, why) => {
            let says = format!("GitHub does not let the task begin with this token: {why}");
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, problem.code(), says);
            Problem { field: Some("github_token".to_owned()), ..problem }
        }
        No::TokenForReview => Problem::invalid(
            "github_token",
            "a review is posted in the App's name, with a check run: leave the token out, or ask for something else",
        ),
        No::Github(why) => Problem::new(StatusCode::BAD_GATEWAY, "github_refused", why),
        No::Ours(error) => error.into(),
    }
}

fn refusal_says(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::AlreadyRunning => "a task of this issue or pull request has not ended; wait for it, or cancel it",
        Refusal::AlreadyReviewing => "a review of this pull request waits or runs already; wait for it",
        Refusal::PullClosed => "the pull request is closed; reopen it first",
        Refusal::EmptyRepository => "the repository has no commit to begin with; push one first",
        _ => "this can't be done there",
    }
}
