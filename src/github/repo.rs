//! One repository seen through its installation: how calls are made for it, and what it says of itself.

use std::time::Duration;

use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::call::{Answer, call};
use super::{Error, Github, Scope};
use crate::clock;
use crate::task::{Account, Role};

/// For this long after a token was minted a 401 or 403 may only mean that GitHub's replicas don't know it yet
/// (octokit/auth-app.js#65).
const YOUNG: clock::Millis = 5_000;
/// Reading again changes nothing, so it is done here; a write that failed is the outbox's business.
const READ_TRIES: u32 = 2;
/// Most pages that a listing is followed for.
const PAGES: usize = 10;

/// One repository, seen through its installation.
#[derive(Clone)]
pub struct Repo {
    pub(super) github: Github,
    pub(super) installation: u64,
    pub(super) id: u64,
    pub(super) name: String,
}

/// The default branch and its head; no head when the repository is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Default {
    pub branch: String,
    pub head: Option<String>,
}

impl Repo {
    /// `owner/name`, as far as is known.
    pub fn name(&self) -> String {
        self.github.known_name(self.id).unwrap_or_else(|| self.name.clone())
    }

    /// Ask GitHub for the present name, by the id that survives a renaming or transfer. False if it is as it was.
    pub async fn follow(&self) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Named {
            full_name: String,
        }
        let before = self.name();
        let found: Named = self.send_once(Method::GET, &format!("/repositories/{}", self.id), None).await?.json()?;
        self.github.learn_name(self.id, &found.full_name);
        Ok(before != found.full_name)
    }

    /// What keys of stored effects start with: the repository's id, which survives a renaming.
    pub fn key(&self) -> String {
        format!("repository-{}", self.id)
    }

    /// A token for git, narrowed to this repository. Never enters a sandbox.
    pub async fn git_token(&self, scope: Scope) -> Result<SecretString, Error> {
        let tokens = &self.github.inner.tokens;
        Ok(tokens.get(&self.github.inner.app, self.installation, self.id, scope).await?.secret)
    }

    /// Forget a token that git was refused with, so that the next one is fresh.
    pub async fn forget_token(&self, scope: Scope) {
        self.github.inner.tokens.forget(self.installation, self.id, scope).await;
    }

    /// What an account may do here. Asked of GitHub each time: `author_association` in payloads is wrong for private
    /// members and says nothing of rights. An id that differs means the login has changed hands.
    pub async fn role_of(&self, account: &Account) -> Result<Role, Error> {
        #[derive(Deserialize)]
        struct Permission {
            #[serde(rename = "permission")]
            level: String,
            #[serde(default)]
            role_name: String,
            user: Option<User>,
        }
        #[derive(Deserialize)]
        struct User {
            id: u64,
        }
        let route = format!("collaborators/{}/permission", encode(&account.login));
        let found: Permission = match self.get(&route).await {
            Ok(found) => found,
            Err(Error::NotFound(_)) => return Ok(Role::None),
            Err(error) => return Err(error),
        };
        if found.user.is_none_or(|user| user.id != account.id) {
            return Ok(Role::None);
        }
        // `permission` folds maintain into write and triage into read, and maps custom roles onto their base.
        Ok(match (found.role_name.as_str(), found.level.as_str()) {
            (_, "admin") => Role::Admin,
            ("maintain", "write") => Role::Maintain,
            (_, "write") => Role::Write,
            ("triage", "read") => Role::Triage,
            (_, "read") => Role::Read,
            _ => Role::None,
        })
    }

    /// The default branch and where it stands.
    pub async fn default_branch(&self, branch: &str) -> Result<Default, Error> {
        #[derive(Deserialize)]
        struct Branch {
            commit: Commit,
        }
        #[derive(Deserialize)]
        struct Commit {
            sha: String,
        }
        #[derive(Deserialize)]
        struct Named {
            default_branch: String,
        }
        let head = |branch: String| async move { self.get::<Branch>(&format!("branches/{}", encode(&branch))).await };
        match head(branch.to_owned()).await {
            Ok(found) => return Ok(Default { branch: branch.to_owned(), head: Some(found.commit.sha) }),
            Err(Error::NotFound(_)) => (),
            Err(error) => return Err(error),
        }
        // Empty, or the default branch has another name since the event.
        let named: Named = self.send(Method::GET, &format!("/repos/{}", self.name()), None).await?.json()?;
        match head(named.default_branch.clone()).await {
            Ok(found) => Ok(Default { branch: named.default_branch, head: Some(found.commit.sha) }),
            Err(Error::NotFound(_)) => Ok(Default { branch: named.default_branch, head: None }),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.send(Method::GET, &self.route(path), None).await?.json()
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        self.send(Method::POST, &self.route(path), Some(body)).await?.json()
    }

    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        self.send(Method::PATCH, &self.route(path), Some(body)).await?.json()
    }

    /// All items of a listing, page after page; `items` takes them out of one page.
    pub(super) async fn list<P: DeserializeOwned, T>(
        &self,
        path: &str,
        items: impl Fn(P) -> Vec<T>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        let mut route = Some(self.route(path));
        for _ in 0..PAGES {
            let Some(this) = route else { break };
            let answer = self.send(Method::GET, &this, None).await?;
            found.extend(items(answer.json()?));
            route = answer.next(&self.github.inner.api);
        }
        Ok(found)
    }

    fn route(&self, path: &str) -> String {
        format!("/repos/{}/{path}", self.name())
    }

    /// Send, and follow the repository if it has another name: a redirected write is refused with nothing done.
    async fn send(&self, method: Method, route: &str, body: Option<&Value>) -> Result<Answer, Error> {
        let name = self.name();
        match self.send_once(method.clone(), route, body).await {
            Err(Error::Moved) if self.follow().await? => {
                let route = route.replacen(&name, &self.name(), 1);
                self.send_once(method, &route, body).await
            }
            other => other,
        }
    }

    /// Send with a token that GitHub takes: a fresh one if the kept one has died, the same again while it is young.
    async fn send_once(&self, method: Method, route: &str, body: Option<&Value>) -> Result<Answer, Error> {
        let inner = &self.github.inner;
        let governor = self.github.governor(self.installation);
        let mut waits = [1, 2, 4].into_iter();
        let mut renewed = false;
        let mut tries = 0;
        loop {
            let token = inner.tokens.get(&inner.app, self.installation, self.id, Scope::Talk).await?;
            let client = inner
                .app
                .user_access_token(token.secret.expose_secret().to_owned())
                .map_err(|error| Error::Ours(error.to_string()))?;
            let error = match call(&client, Some(&governor), method.clone(), route, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let unknown = match &error {
                Error::Unauthorized(_) => true,
                Error::Forbidden(said) => said.contains("replicated"),
                _ => false,
            };
            let young = clock::now() - token.minted_at < YOUNG;
            if unknown && !renewed && !young {
                renewed = true;
                inner.tokens.forget(self.installation, self.id, Scope::Talk).await;
            } else if unknown
                && young
                && let Some(seconds) = waits.next()
            {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            } else if method == Method::GET && matches!(error, Error::Unreachable(_)) && tries < READ_TRIES {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(250 << tries)).await;
            } else {
                return Err(error);
            }
        }
    }
}

/// Percent-encode a path segment: logins hold `[` and `]`, branches hold `/`.
pub(super) fn encode(segment: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
