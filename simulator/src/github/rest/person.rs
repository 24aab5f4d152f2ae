//! What a person's own token opens: what it was given, in the repositories that it is for, and never more than the person
//! may do there.

use http::Method;

use super::{Needs, Route};
use crate::github::Credential;
use crate::github::answer::Answer;
use crate::github::auth::allows;
use crate::github::state::{Role, State};

/// Whether the token has this permission in a repository.
pub(crate) fn may(state: &State, credential: &Credential, repo: u64, name: &str, level: &str) -> bool {
    let Credential::Person { id, permissions, repository_ids } = credential else { return false };
    let role = state.role(repo, *id);
    let within = repository_ids.as_ref().is_none_or(|it| it.contains(&repo));
    within && role >= least(name, level) && allows(permissions, name, level)
}

/// The role that a permission is of use with. On GitHub whoever may read may also comment and open pull requests.
fn least(name: &str, level: &str) -> Role {
    match (name, level) {
        ("contents" | "workflows" | "statuses" | "actions", "write") => Role::Write,
        _ => Role::Read,
    }
}

/// Whether git gives the code to it.
pub(crate) fn fetches(state: &State, credential: &Credential, repo: u64) -> bool {
    may(state, credential, repo, "contents", "read")
}

/// Whether git takes a push with it.
pub(crate) fn pushes(state: &State, credential: &Credential, repo: u64) -> bool {
    may(state, credential, repo, "contents", "write")
}

pub(super) fn permit(
    state: &State,
    route: &Route,
    method: &Method,
    repo: u64,
    credential: &Credential,
) -> Result<(), Answer> {
    let accepted = match route.needs {
        Needs::Nothing | Needs::AnyToken | Needs::Person => return Ok(()),
        Needs::Jwt => return Err(Answer::refuse(401, "A JSON web token could not be decoded")),
        Needs::Token => return Err(no_app()),
        Needs::Repo(accepted) => accepted,
    };
    let sees = !state.repo(repo).private || may(state, credential, repo, "metadata", "read");
    if !sees {
        return Err(Answer::not_found());
    }
    let writes_checks = *method != Method::GET && accepted.iter().any(|(name, _)| *name == "checks");
    if writes_checks {
        return Err(no_app());
    }
    if route.path.ends_with("/collaborators/{u}/permission") && !pushes_as_person(state, credential, repo) {
        return Err(Answer::refuse(403, "Must have push access to view collaborator permission."));
    }
    let reading = *method == Method::GET && !state.repo(repo).private;
    if reading || accepted.iter().any(|(name, level)| may(state, credential, repo, name, level)) {
        return Ok(());
    }
    let wanted: Vec<String> = accepted.iter().map(|(name, level)| format!("{name}={level}")).collect();
    Err(Answer::refuse(403, "Resource not accessible by personal access token")
        .with("x-accepted-github-permissions", wanted.join("; ")))
}

/// Whether the person may push, whatever the token is for.
fn pushes_as_person(state: &State, credential: &Credential, repo: u64) -> bool {
    matches!(credential, Credential::Person { id, .. } if state.role(repo, *id) >= Role::Write)
}

fn no_app() -> Answer {
    Answer::refuse(403, "You must authenticate via a GitHub App.")
}
