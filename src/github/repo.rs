//! One repository seen through its installation, or with a person's own token: how calls are made for it, and what it says of
//! itself.

use std::time::Duration;

use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::cache::Whose;
use super::call::{Answer, Ask, Kind, call};
use super::governor::SHORT_WAIT;
use super::token::Token;
use super::{Error, Github, OwnToken, Scope};
use crate::clock;
use crate::task::{Account, Role};

/// For this long after a token was minted a 401 or 403 may only mean that GitHub's replicas don't know it yet
/// (octokit/auth-app.js#65).
const YOUNG: clock::Millis = 5_000;
/// Reading again changes nothing, so it is done here; a write that failed is the outbox's business.
const READ_TRIES: u32 = 2;
/// How often a short limit is waited for.
const LIMITED_TRIES: u32 = 3;
/// Most pages that a listing is followed for.
const PAGES: usize = 10;

/// One repository, seen through its installation or with a person's own token.
#[derive(Clone)]
pub struct Repo {
    pub(super) github: Github,
    pub(super) installation: u64,
    pub(super) id: u64,
    pub(super) name: String,
    /// Takes the place of the installation.
    pub(super) own: Option<OwnToken>,
}

impl Repo {
    /// `owner/name`, as far as is known.
    pub fn name(&self) -> String {
        self.github.known(self.id).and_then(|known| known.name).unwrap_or_else(|| self.name.clone())
    }

    /// Installation, id and name, as far as they are known now.
    pub fn place(&self) -> (u64, u64, String) {
        (self.installation(), self.id, self.name())
    }

    /// Ask GitHub for the present name, by the id that survives a renaming or transfer. False if it is as it was.
    pub async fn follow(&self) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Named {
            full_name: String,
        }
        let before = self.name();
        let route = format!("/repositories/{}", self.id);
        let found = match self.send_once(&Ask::get(&route), Scope::Talk).await {
            Err(Error::NotFound(said)) if self.own.is_some() => Err(OwnToken::sees_nothing(said)),
            Err(Error::NotFound(said)) => {
                // Perhaps the token is for what has been taken away from it: a new one is refused with the reason.
                self.github.inner.tokens.forget(self.installation(), self.id, Scope::Talk).await;
                self.token(Scope::Talk).await?;
                Err(Error::NotFound(said))
            }
            other => other,
        };
        let found: Named = found?.json()?;
        self.github.learn(self.id, Some(&found.full_name), None);
        Ok(before != found.full_name)
    }

    /// What keys of stored effects start with: the repository's id, which survives a renaming.
    pub fn key(&self) -> String {
        format!("repository-{}", self.id)
    }

    /// A token for git, narrowed to this repository. Never enters a sandbox.
    pub async fn git_token(&self, scope: Scope) -> Result<SecretString, Error> {
        Ok(self.token(scope).await?.secret)
    }

    /// git was refused with the kept token, for the so-manieth time: wait while GitHub may not know it yet, else forget it,
    /// so that the next is a fresh one. False when that has been tried enough.
    pub async fn git_may_try_again(&self, scope: Scope, refusals: u32) -> bool {
        // The first token was old or young; what follows is young.
        const WAITS: [u64; 4] = [1, 1, 2, 4];
        if self.own.is_some() {
            return false;
        }
        let Some(wait) = WAITS.get(refusals as usize) else { return false };
        let tokens = &self.github.inner.tokens;
        // The last try is always with a new one: whoever was taken the right away is refused it, with the reason.
        let last = refusals as usize + 1 == WAITS.len();
        if last || !tokens.is_young(self.installation(), self.id, scope, YOUNG).await {
            tokens.forget(self.installation(), self.id, scope).await;
        }
        tokio::time::sleep(Duration::from_secs(*wait)).await;
        true
    }

    /// Whether edits that nobody would miss should be left out: what GitHub takes in an hour is nearly used up.
    pub async fn is_pressed(&self) -> bool {
        self.github.governor(self.installation()).is_pressed().await
    }

    /// The installation that covers the repository, as far as is known: a transfer may have made it another's.
    fn installation(&self) -> u64 {
        let moved = || self.github.known(self.id).and_then(|known| known.installation);
        self.own.is_none().then(moved).flatten().unwrap_or(self.installation)
    }

    /// A token of the installation that covers the repository.
    async fn token(&self, scope: Scope) -> Result<Token, Error> {
        if let Some(own) = &self.own {
            return Ok(own.token());
        }
        let installation = self.installation();
        let tokens = &self.github.inner.tokens;
        let error = match tokens.get(&self.github, installation, self.id, scope).await {
            Err(error @ (Error::Uninstalled | Error::Uncovered)) => error,
            other => return other,
        };
        // After a transfer it is the new owner's installation that covers it, if there is one.
        match self.github.installation_of(self.id).await? {
            Some(other) if other != installation => {
                self.github.learn(self.id, None, Some(other));
                tokens.get(&self.github, other, self.id, scope).await
            }
            // GitHub contradicts itself: right after an installation not all of its servers know of it.
            Some(same) if tokens.ask_again(same, self.id) => {
                Err(Error::Unreachable(format!("no token ({error}), although the App is installed")))
            }
            _ => Err(error),
        }
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
        let Some(found) = self.get::<Permission>(&route).await.or_absent()? else { return Ok(Role::None) };
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

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.send(&Ask::get(&self.route(path)), Scope::Talk).await?.json()
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        self.write(Method::POST, path, Some(body)).await?.json()
    }

    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        self.write(Method::PATCH, path, Some(body)).await?.json()
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), Error> {
        self.write(Method::DELETE, path, None).await.map(drop)
    }

    async fn write(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Error> {
        self.send(&Ask::write(method, &self.route(path), body), Scope::Talk).await
    }

    /// Where GitHub keeps what is behind this path: the target of its 302.
    pub(super) async fn elsewhere(&self, path: &str) -> Result<Option<String>, Error> {
        let answer = self.send(&Ask::elsewhere(&self.route(path)), Scope::Talk).await?;
        Ok(answer.location().map(str::to_owned))
    }

    /// Ask GraphQL; the `data` of its answer.
    pub(super) async fn graphql<T: DeserializeOwned>(
        &self,
        kind: Kind,
        scope: Scope,
        query: &str,
        variables: &Value,
    ) -> Result<T, Error> {
        #[derive(Deserialize)]
        struct Whole<T> {
            data: T,
        }
        let body = json!({ "query": query, "variables": variables });
        let whole: Whole<T> = self.send_once(&Ask::graphql(kind, &body), scope).await?.json()?;
        Ok(whole.data)
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
            let answer = self.send(&Ask::get(&this), Scope::Talk).await?;
            found.extend(items(answer.json()?));
            route = answer.next(&self.github.inner.api);
        }
        Ok(found)
    }

    /// The items of a listing that has the oldest first, from its newest end: what we have made ourselves a moment ago is
    /// there, however long the listing.
    pub(super) async fn list_newest<P: DeserializeOwned, T>(
        &self,
        path: &str,
        items: impl Fn(P) -> Vec<T>,
    ) -> Result<Vec<T>, Error> {
        let base = &self.github.inner.api;
        let first = self.send(&Ask::get(&self.route(path)), Scope::Talk).await?;
        let mut route = first.link(base, "last");
        let mut found = items(first.json()?);
        for _ in 1..PAGES {
            let Some(this) = route else { break };
            let answer = self.send(&Ask::get(&this), Scope::Talk).await?;
            found.extend(items(answer.json()?));
            route = answer.link(base, "prev");
        }
        Ok(found)
    }

    fn route(&self, path: &str) -> String {
        format!("/repos/{}/{path}", self.name())
    }

    /// Send, and follow the repository if it has another name: a redirect is told, and what was redirected not done.
    pub(super) async fn send(&self, ask: &Ask<'_>, scope: Scope) -> Result<Answer, Error> {
        let name = self.name();
        match self.send_once(ask, scope).await {
            Err(Error::Moved) => {
                // Somebody else may have learned the name meanwhile.
                self.follow().await?;
                let route = ask.route.replacen(&name, &self.name(), 1);
                if route == ask.route {
                    return Err(Error::Moved);
                }
                self.send_once(&ask.to(&route), scope).await
            }
            other => other,
        }
    }

    /// Send with a token that GitHub takes: a fresh one if the kept one has died, the same again while it is young.
    pub(super) async fn send_once(&self, ask: &Ask<'_>, scope: Scope) -> Result<Answer, Error> {
        let inner = &self.github.inner;
        let mut waits = [1, 2, 4].into_iter();
        let mut renewed = false;
        let mut tries = 0;
        let mut limited = 0;
        loop {
            let token = self.token(scope).await?;
            let installation = self.installation();
            let base = if ask.kind.is_graphql() { &inner.graphql } else { &inner.app };
            let client = base
                .user_access_token(token.secret.expose_secret().to_owned())
                .map_err(|error| Error::Ours(error.to_string()))?;
            let governor = self.github.governor(installation);
            let whose = Whose { installation, repository: self.id, scope: Some(scope) };
            let error = match call(&client, &governor, (&inner.cache, whose), ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) if self.own.is_some() => OwnToken::refused(ask, error),
                Err(error) => error,
            };
            inner.tokens.note(installation, self.id, &error);
            let unknown = match &error {
                Error::Unauthorized(_) => true,
                Error::Forbidden(said) => said.contains("replicated"),
                _ => false,
            };
            // It was refused, so nothing has happened yet; what is short is waited for before it is sent again.
            let soon = matches!(&error, Error::Limited { until, .. } if until - clock::now() <= SHORT_WAIT);
            let young = clock::now() - token.minted_at < YOUNG;
            if unknown && !renewed && !young {
                renewed = true;
                inner.tokens.forget(installation, self.id, scope).await;
            } else if unknown
                && young
                && let Some(seconds) = waits.next()
            {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            } else if ask.kind.reads() && matches!(error, Error::Unreachable(_)) && tries < READ_TRIES {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(250 << tries)).await;
            } else if soon && limited < LIMITED_TRIES {
                limited += 1;
            } else {
                return Err(error);
            }
        }
    }
}

/// For things that may not be there.
pub(super) trait OrAbsent<T> {
    /// None instead of a 404.
    fn or_absent(self) -> Result<Option<T>, Error>;
}

impl<T> OrAbsent<T> for Result<T, Error> {
    fn or_absent(self) -> Result<Option<T>, Error> {
        match self {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
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
