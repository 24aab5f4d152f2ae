//! REST: one table of routes, each with the permission it needs; what is not in the table is a 404 naming the path.
#![expect(clippy::unnecessary_wraps, reason = "every route has one signature, also those that refuse nothing")]

mod app;
mod call;
mod checks;
mod comments;
mod door;
mod gate;
mod git_data;
mod issues;
mod jobs;
mod person;
mod pulls;
mod reactions;
mod repos;
mod review_comments;
mod reviews;

pub(crate) use call::Call;
pub(crate) use door::front_door;
pub(crate) use person::{fetches, may as person_may, pushes};

use super::answer::Answer;

/// What a caller must show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    /// Nothing, or anything that is valid.
    Nothing,
    /// The App's JWT; an installation token is refused with 401.
    Jwt,
    /// Any installation token.
    Token,
    /// A token, an installation's or a person's.
    AnyToken,
    /// A person's own token.
    Person,
    /// A token covering `{o}/{r}` with one of these permissions.
    Repo(&'static [(&'static str, &'static str)]),
}

type Handler = fn(&mut Call<'_>) -> Result<Answer, Answer>;

pub(crate) struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub needs: Needs,
    pub run: Handler,
}

use Needs::{AnyToken, Jwt, Nothing, Person, Repo, Token};

const METADATA: Needs = Repo(&[("metadata", "read")]);
const CODE: Needs = Repo(&[("contents", "read")]);
const CODE_WRITE: Needs = Repo(&[("contents", "write")]);
const ISSUES: Needs = Repo(&[("issues", "read"), ("pull_requests", "read")]);
const ISSUES_WRITE: Needs = Repo(&[("issues", "write"), ("pull_requests", "write")]);
const PULLS: Needs = Repo(&[("pull_requests", "read")]);
const PULLS_WRITE: Needs = Repo(&[("pull_requests", "write")]);
const ACTIONS: Needs = Repo(&[("actions", "read")]);
const CHECKS: Needs = Repo(&[("checks", "read")]);
const CHECKS_WRITE: Needs = Repo(&[("checks", "write")]);

const fn route(method: &'static str, path: &'static str, needs: Needs, run: Handler) -> Route {
    Route { method, path, needs, run }
}

/// Everything served. More specific paths stand first.
pub(crate) const ROUTES: &[Route] = &[
    route("POST", "/graphql", AnyToken, super::graphql::answer),
    route("GET", "/user", Person, app::me),
    route("GET", "/meta", Nothing, app::meta),
    route("GET", "/rate_limit", Nothing, app::rate_limit),
    route("GET", "/users/{login}", Nothing, app::user),
    route("GET", "/app", Jwt, app::app),
    route("GET", "/app/installations", Jwt, app::installations),
    route("GET", "/app/installations/{id}", Jwt, app::installation),
    route("POST", "/app/installations/{id}/access_tokens", Jwt, app::mint),
    route("GET", "/repos/{o}/{r}/installation", Jwt, app::installation_of_repo),
    route("GET", "/app/hook/config", Jwt, app::hook_config),
    route("PATCH", "/app/hook/config", Jwt, app::change_hook_config),
    route("GET", "/app/hook/deliveries", Jwt, app::deliveries),
    route("GET", "/app/hook/deliveries/{id}", Jwt, app::delivery),
    route("POST", "/app/hook/deliveries/{id}/attempts", Jwt, app::redeliver),
    route("DELETE", "/installation/token", Token, app::revoke),
    route("GET", "/installation/repositories", Token, app::repositories),
    route("GET", "/repos/{o}/{r}", METADATA, repos::repository),
    route("GET", "/repos/{o}/{r}/collaborators/{u}/permission", METADATA, repos::permission),
    route("GET", "/repos/{o}/{r}/branches/{branch}", CODE, repos::branch),
    route("GET", "/repos/{o}/{r}/rules/branches/{branch}", METADATA, repos::rules),
    route("GET", "/repos/{o}/{r}/commits/{ref}/check-runs", CHECKS, checks::of_commit),
    route("GET", "/repos/{o}/{r}/commits/{ref}/status", Repo(&[("statuses", "read")]), checks::status_of_commit),
    route("GET", "/repos/{o}/{r}/commits/{ref}/pulls", PULLS, pulls::of_commit),
    route("GET", "/repos/{o}/{r}/commits/{ref}", CODE, repos::commit),
    route("GET", "/repos/{o}/{r}/contents", CODE, repos::contents),
    route("GET", "/repos/{o}/{r}/contents/{*path}", CODE, repos::contents),
    route("GET", "/repos/{o}/{r}/git/ref/{*ref}", CODE, git_data::read),
    route("GET", "/repos/{o}/{r}/git/matching-refs/{*ref}", CODE, git_data::matching),
    route("POST", "/repos/{o}/{r}/git/refs", CODE_WRITE, git_data::create),
    route("PATCH", "/repos/{o}/{r}/git/refs/{*ref}", CODE_WRITE, git_data::update),
    route("DELETE", "/repos/{o}/{r}/git/refs/{*ref}", CODE_WRITE, git_data::delete),
    route("GET", "/repos/{o}/{r}/issues/comments", ISSUES, comments::of_repo),
    route("GET", "/repos/{o}/{r}/issues/comments/{id}", ISSUES, comments::read),
    route("PATCH", "/repos/{o}/{r}/issues/comments/{id}", ISSUES_WRITE, comments::edit),
    route("DELETE", "/repos/{o}/{r}/issues/comments/{id}", ISSUES_WRITE, comments::delete),
    route("GET", "/repos/{o}/{r}/issues/comments/{id}/reactions", ISSUES, reactions::of_comment),
    route("POST", "/repos/{o}/{r}/issues/comments/{id}/reactions", ISSUES_WRITE, reactions::to_comment),
    route("DELETE", "/repos/{o}/{r}/issues/comments/{id}/reactions/{reaction}", ISSUES_WRITE, reactions::off_comment),
    route("GET", "/repos/{o}/{r}/issues", ISSUES, issues::list),
    route("GET", "/repos/{o}/{r}/issues/{n}", ISSUES, issues::read),
    route("PATCH", "/repos/{o}/{r}/issues/{n}", ISSUES_WRITE, issues::edit),
    route("GET", "/repos/{o}/{r}/issues/{n}/comments", ISSUES, comments::list),
    route("POST", "/repos/{o}/{r}/issues/{n}/comments", ISSUES_WRITE, comments::create),
    route("GET", "/repos/{o}/{r}/issues/{n}/events", ISSUES, issues::events),
    route("GET", "/repos/{o}/{r}/issues/{n}/reactions", ISSUES, reactions::of_issue),
    route("POST", "/repos/{o}/{r}/issues/{n}/reactions", ISSUES_WRITE, reactions::to_issue),
    route("DELETE", "/repos/{o}/{r}/issues/{n}/reactions/{reaction}", ISSUES_WRITE, reactions::off_issue),
    route("GET", "/repos/{o}/{r}/issues/{n}/labels", ISSUES, issues::labels),
    route("POST", "/repos/{o}/{r}/issues/{n}/labels", ISSUES_WRITE, issues::add_labels),
    route("DELETE", "/repos/{o}/{r}/issues/{n}/labels/{name}", ISSUES_WRITE, issues::remove_label),
    route("GET", "/repos/{o}/{r}/pulls", PULLS, pulls::list),
    route("POST", "/repos/{o}/{r}/pulls", PULLS_WRITE, pulls::create),
    route("GET", "/repos/{o}/{r}/pulls/comments", PULLS, review_comments::of_repo),
    route("GET", "/repos/{o}/{r}/pulls/comments/{id}", PULLS, review_comments::read),
    route("PATCH", "/repos/{o}/{r}/pulls/comments/{id}", PULLS_WRITE, review_comments::edit),
    route("DELETE", "/repos/{o}/{r}/pulls/comments/{id}", PULLS_WRITE, review_comments::delete),
    route("GET", "/repos/{o}/{r}/pulls/comments/{id}/reactions", PULLS, reactions::of_inline),
    route("POST", "/repos/{o}/{r}/pulls/comments/{id}/reactions", PULLS_WRITE, reactions::to_inline),
    route("DELETE", "/repos/{o}/{r}/pulls/comments/{id}/reactions/{reaction}", PULLS_WRITE, reactions::off_inline),
    route("GET", "/repos/{o}/{r}/pulls/{n}", PULLS, pulls::read),
    route("PATCH", "/repos/{o}/{r}/pulls/{n}", PULLS_WRITE, pulls::edit),
    route("GET", "/repos/{o}/{r}/pulls/{n}/files", PULLS, pulls::files),
    route("POST", "/repos/{o}/{r}/pulls/{n}/requested_reviewers", PULLS_WRITE, pulls::request_review),
    route("GET", "/repos/{o}/{r}/pulls/{n}/reviews", PULLS, reviews::list),
    route("POST", "/repos/{o}/{r}/pulls/{n}/reviews", PULLS_WRITE, reviews::create),
    route("GET", "/repos/{o}/{r}/pulls/{n}/reviews/{id}", PULLS, reviews::read),
    route("PUT", "/repos/{o}/{r}/pulls/{n}/reviews/{id}", PULLS_WRITE, reviews::edit),
    route("DELETE", "/repos/{o}/{r}/pulls/{n}/reviews/{id}", PULLS_WRITE, reviews::delete),
    route("POST", "/repos/{o}/{r}/pulls/{n}/reviews/{id}/events", PULLS_WRITE, reviews::submit),
    route("GET", "/repos/{o}/{r}/pulls/{n}/reviews/{id}/comments", PULLS, reviews::comments),
    route("GET", "/repos/{o}/{r}/pulls/{n}/comments", PULLS, review_comments::list),
    route("POST", "/repos/{o}/{r}/pulls/{n}/comments", PULLS_WRITE, review_comments::create),
    route("POST", "/repos/{o}/{r}/pulls/{n}/comments/{id}/replies", PULLS_WRITE, review_comments::reply),
    route("POST", "/repos/{o}/{r}/check-runs", CHECKS_WRITE, checks::create),
    route("GET", "/repos/{o}/{r}/check-runs/{id}", CHECKS, checks::read),
    route("GET", "/repos/{o}/{r}/check-runs/{id}/annotations", CHECKS, checks::annotations),
    route("GET", "/repos/{o}/{r}/check-suites/{id}/check-runs", CHECKS, checks::of_suite),
    route("GET", "/repos/{o}/{r}/actions/runs/{id}/jobs", ACTIONS, jobs::of_run),
    route("GET", "/repos/{o}/{r}/actions/jobs/{id}", ACTIONS, jobs::read),
    route("GET", "/repos/{o}/{r}/actions/jobs/{id}/logs", ACTIONS, jobs::logs),
    route("PATCH", "/repos/{o}/{r}/check-runs/{id}", CHECKS_WRITE, checks::update),
];
