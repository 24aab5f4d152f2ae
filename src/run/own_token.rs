//! A token for GitHub that whoever asked has brought: all that their task does there, it does with this and in their name. What
//! GitHub refuses it is theirs to mend; the App's installation, if there is one, takes nothing over.

use super::checkout::git_trouble;
use super::{Halt, Pause, Run};
use crate::app::App;
use crate::github::{self, OwnToken, Repo, TokenProblem};
use crate::report::Undone;
use crate::sandbox::git::GitError;
use crate::store::{Secret, StoredTask};
use crate::task::Ending;
use crate::text;

/// The repository of a task, seen through the App or with the token that was brought.
pub async fn repo(app: &App, task: &StoredTask) -> Result<Repo, Halt> {
    let place = &task.place;
    if !task.own_token {
        return Ok(app.github.repo(place.installation_id, place.repository_id, &place.repository));
    }
    match app.store.secret_of(&task.id.to_string(), Secret::GithubToken).await {
        Ok(Some(token)) => {
            text::hold_until(&token, app.config.runs.longest_life());
            let own = OwnToken::of(place.installation_id, token);
            Ok(app.github.repo_with(own, place.repository_id, &place.repository))
        }
        Err(error) if error.chain().any(|it| it.downcast_ref::<crate::store::Error>().is_some()) => {
            Err(Halt::Pause(Pause::from(error)))
        }
        // Wiped, or sealed with a key that is gone.
        _ => Err(Halt::End(Ending::new("own_token_gone", ""))),
    }
}

/// The ending that these words of a refusal stand for, if they are about the token.
pub fn ending(refused: &str) -> Option<Ending> {
    TokenProblem::read(refused).map(|(problem, says)| Ending::new(problem.code(), says))
}

/// The same of what is behind an error.
pub fn found(error: &anyhow::Error) -> Option<Ending> {
    match error.downcast_ref::<Undone>() {
        Some(Undone::Refused(why)) => ending(why),
        _ => ending(&error.downcast_ref::<github::Error>()?.to_string()),
    }
}

impl Run<'_> {
    /// What it means for the task that git could not fetch or push: `code` names the step in the ending, unless it is the
    /// token's trouble, which then lacks what is `needed`.
    pub fn remote_trouble(&self, code: &str, needed: &str, error: GitError) -> Halt {
        match problem(&error).filter(|_| self.task.own_token) {
            Some(problem) => {
                let says = format!("{error} ({})", problem.says(needed));
                Halt::End(Ending::new(problem.code(), says))
            }
            None => git_trouble(code, error),
        }
    }
}

/// What is wrong with the token, if git's words are about that.
fn problem(error: &GitError) -> Option<TokenProblem> {
    let any = |said: &str, words: &[&str]| words.iter().any(|it| said.contains(it));
    match error {
        GitError::Auth(said) if any(said, &["error: 403", "Permission to ", "Write access to repository"]) => {
            Some(TokenProblem::Forbidden)
        }
        GitError::Auth(_) => Some(TokenProblem::Refused),
        GitError::Rejected { reason } if names_scope(reason) => Some(TokenProblem::Forbidden),
        GitError::NotFound(said) if any(said, &["Repository not found", "error: 404", "' not found"]) => {
            Some(TokenProblem::NoAccess)
        }
        _ => None,
    }
}

/// GitHub's words about what a token is not for, such as workflows.
pub fn names_scope(reason: &str) -> bool {
    reason.contains("refusing to allow")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_of_a_token_is_told_from_what_it_says_of_a_commit() {
        let auth = |said: &str| problem(&GitError::Auth(said.to_owned()));
        let not_found = |said: &str| problem(&GitError::NotFound(said.to_owned()));
        assert_eq!(auth("git fetch: fatal: Authentication failed for 'https://…'"), Some(TokenProblem::Refused));
        assert_eq!(
            auth("git push: remote: Write access to repository not granted.; fatal: unable to access"),
            Some(TokenProblem::Forbidden)
        );
        assert_eq!(auth("git push: The requested URL returned error: 403"), Some(TokenProblem::Forbidden));
        assert_eq!(not_found("git fetch: remote: Repository not found."), Some(TokenProblem::NoAccess));
        assert_eq!(not_found("git fetch: fatal: remote error: upload-pack: not our ref 0123"), None);
        let rejected = |reason: &str| problem(&GitError::Rejected { reason: reason.to_owned() });
        let words = "refusing to allow a Personal Access Token to create or update workflow without `workflow` scope";
        assert_eq!(rejected(words), Some(TokenProblem::Forbidden));
        assert_eq!(rejected("push declined due to repository rule violations"), None);
    }
}
