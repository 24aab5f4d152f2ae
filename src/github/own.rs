//! A token that a person has brought for one task: it takes the place of the App's installation there. What is done with it is
//! done in the person's name, within the person's rights and limits, and what GitHub refuses it is for the person to mend.

use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::cache::Whose;
use super::call::{Answer, Ask, call};
use super::repo::encode;
use super::token::Token;
use super::{Error, Github, Repo};

/// Set in the number that stands for an installation where it is a person: GitHub's own numbers never come this far.
const PERSON: u64 = 1 << 62;

/// What is wrong with a person's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenProblem {
    /// GitHub does not know it, or no more.
    Refused,
    /// It lacks a permission, or the person does.
    Forbidden,
    /// It does not see what it is to work on.
    NoAccess,
}

impl TokenProblem {
    pub const ALL: [Self; 3] = [Self::Refused, Self::Forbidden, Self::NoAccess];

    /// Stable: how a task ends for it, and what a request is refused with.
    pub fn code(self) -> &'static str {
        match self {
            Self::Refused => "own_token_refused",
            Self::Forbidden => "own_token_forbidden",
            Self::NoAccess => "own_token_no_access",
        }
    }

    /// The problem that words begin with, and the rest of them: of a refusal that was stored only its words are left.
    pub fn read(words: &str) -> Option<(Self, &str)> {
        let (code, rest) = words.split_once(": ")?;
        Some((Self::ALL.into_iter().find(|it| it.code() == code)?, rest))
    }

    /// What to do about it.
    pub fn says(self, needs: &str) -> String {
        match self {
            Self::Refused => "bring a token that is valid".to_owned(),
            Self::Forbidden => format!("the token, and the person whose it is, need {needs} on the repository"),
            Self::NoAccess => {
                format!("the token has to be for this repository, with {needs}, and its person allowed to see it")
            }
        }
    }
}

/// A person's token.
#[derive(Clone)]
pub struct OwnToken {
    secret: SecretString,
    person: u64,
}

impl OwnToken {
    /// The token of a person who is known by what stands for the installation.
    pub fn of(installation: u64, secret: SecretString) -> Self {
        Self { secret, person: installation & !PERSON }
    }

    /// The account.
    pub fn person(&self) -> u64 {
        self.person
    }

    pub(super) fn token(&self) -> Token {
        Token::for_good(self.secret.clone())
    }

    /// What a refusal means for the token. That something is not there may be so for everybody, unless it was to be written.
    pub(super) fn refused(ask: &Ask<'_>, error: Error) -> Error {
        let (problem, said) = match error {
            Error::Unauthorized(said) => (TokenProblem::Refused, said),
            Error::Forbidden(said) => (TokenProblem::Forbidden, said),
            // The account, not an installation.
            Error::Suspended => (TokenProblem::Forbidden, "the account is suspended".to_owned()),
            Error::NotFound(said) if ask.makes_content() && ask.method == Method::POST => {
                (TokenProblem::NoAccess, said)
            }
            other => return other,
        };
        Error::Token { problem, needs: needs(ask), said }
    }

    /// The repository itself is not there for the token.
    pub fn sees_nothing(said: String) -> Error {
        Error::Token { problem: TokenProblem::NoAccess, needs: TO_FETCH, said }
    }
}

/// What git needs to fetch, and to push.
pub const TO_FETCH: &str = "`contents: read`";
pub const TO_PUSH: &str = "`contents: write`";

/// The permission that GitHub wants for a call, by the names that a fine-grained token is made with.
fn needs(ask: &Ask<'_>) -> &'static str {
    let said = |word: &str| ask.route.split(['/', '?']).any(|it| it == word);
    let writes = !ask.kind.reads();
    if said("check-runs") {
        return "an App";
    }
    match (said("pulls") || ask.kind.is_graphql(), said("issues"), writes) {
        (true, _, true) => "`pull_requests: write`",
        (true, _, false) => "`pull_requests: read`",
        (_, true, true) => "`issues: write`",
        (_, true, false) => "`issues: read`",
        (_, _, true) => TO_PUSH,
        (_, _, false) => TO_FETCH,
    }
}

impl Github {
    /// One repository, seen with a person's token. `installation` is what stands for one.
    pub fn repo_with(&self, own: OwnToken, id: u64, name: &str) -> Repo {
        Repo { github: self.clone(), installation: PERSON | own.person, id, name: name.to_owned(), own: Some(own) }
    }

    /// Whose token this is.
    pub async fn own_token(&self, secret: SecretString) -> Result<OwnToken, Error> {
        #[derive(Deserialize)]
        struct Person {
            id: u64,
        }
        let person: Person = self.ask_with(&secret, &Ask::get("/user")).await?.json()?;
        Ok(OwnToken { secret, person: person.id })
    }

    /// A repository by its name, as far as the token sees it: its id and its name as GitHub writes it.
    pub async fn find_with(&self, secret: &SecretString, name: &str) -> Result<(u64, String), Error> {
        #[derive(Deserialize)]
        struct Named {
            id: u64,
            full_name: String,
        }
        let Some((owner, short)) = name.split_once('/') else { return Err(Error::NotFound(name.to_owned())) };
        let route = format!("/repos/{}/{}", encode(owner), encode(short));
        match self.ask_with(secret, &Ask::get(&route)).await {
            // Of a repository that was renamed the old name is none.
            Err(Error::NotFound(said)) => Err(OwnToken::sees_nothing(said)),
            Err(Error::Moved) => Err(OwnToken::sees_nothing("it has another name now".to_owned())),
            other => other?.json::<Named>().map(|it| (it.id, it.full_name)),
        }
    }

    /// A call with a token whose person is not known yet.
    async fn ask_with(&self, secret: &SecretString, ask: &Ask<'_>) -> Result<Answer, Error> {
        let client = self.inner.app.user_access_token(secret.expose_secret().to_owned());
        let client = client.map_err(|error| Error::Ours(error.to_string()))?;
        let whose = Whose { installation: PERSON, repository: 0, scope: None };
        let answer = call(&client, &self.governor(PERSON), (&self.inner.cache, whose), ask).await;
        answer.map_err(|error| OwnToken::refused(ask, error))
    }
}

impl Repo {
    /// Whether what is done here is done in a person's name.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_permission_is_missing() {
        let of = |method: Method, route: &str| {
            let ask = if method == Method::GET { Ask::get(route) } else { Ask::write(method, route, None) };
            OwnToken::refused(&ask, Error::Forbidden("403 no".to_owned())).to_string()
        };
        let check = |method, route: &str, needs: &str| {
            let says = of(method, &format!("/repos/o/r/{route}"));
            assert!(says.starts_with("own_token_forbidden: 403 no (") && says.contains(needs), "{route}: {says}");
        };
        check(Method::POST, "pulls", "`pull_requests: write`");
        check(Method::GET, "pulls/1", "`pull_requests: read`");
        check(Method::POST, "issues/1/comments", "`issues: write`");
        check(Method::GET, "issues/1", "`issues: read`");
        check(Method::GET, "branches/main", "`contents: read`");
    }

    #[test]
    fn what_was_stored_of_a_refusal_is_read_again() {
        let ask = Ask::get("/repos/o/r");
        let error = OwnToken::refused(&ask, Error::Unauthorized("401 Bad credentials".to_owned()));
        assert!(error.is_final());
        let words = error.to_string();
        let (problem, rest) = TokenProblem::read(&words).unwrap();
        assert_eq!((problem, rest), (TokenProblem::Refused, "401 Bad credentials (bring a token that is valid)"));
        assert!(TokenProblem::read("GitHub does not allow it: 403").is_none());
        // What is not there may be missing for everybody.
        assert!(matches!(OwnToken::refused(&ask, Error::NotFound(String::new())), Error::NotFound(_)));
    }
}
