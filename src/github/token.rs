//! Installation tokens: narrowed to one repository and what a step needs, minted once, kept until shortly before they
//! expire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Sync, PoisonError};

use http::Method;
use octocrab::Octocrab;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tracing::debug;

use super::Error;
use super::call::{Ask, call};
use crate::clock::{self, Millis};
use crate::text;

/// Tokens live for an hour; one with less left than this is not handed out.
const MARGIN: Millis = 5 * 60 * 1000;
const LIFE: Millis = 60 * 60 * 1000;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Read the repository, talk on issues and pull requests, write checks.
    Talk,
    /// Fetch with git.
    Fetch,
    /// Push branches and nothing else.
    Push,
    /// Resolve review threads. GitHub wants `contents: write` for it although nothing is written (github/gh-aw#35726),
    /// which no other call through the API should be able to do.
    Resolve,
}

impl Scope {
    /// What it can't do without.
    fn needs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Talk => {
                &[("metadata", "read"), ("contents", "read"), ("issues", "write"), ("pull_requests", "write")]
            }
            Self::Fetch => &[("contents", "read")],
            Self::Push => &[("contents", "write")],
            Self::Resolve => &[("metadata", "read"), ("contents", "write"), ("pull_requests", "write")],
        }
    }

    /// What it goes without where it was not granted: an installation keeps its old permissions until its owner accepts
    /// those that the App asks for since.
    fn wishes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Talk => &[("checks", "write"), ("actions", "read")],
            Self::Fetch | Self::Push | Self::Resolve => &[],
        }
    }
}

/// Whether these permissions include `name` at `level`.
fn grants(granted: &HashMap<String, String>, name: &str, level: &str) -> bool {
    granted.get(name).is_some_and(|has| has == level || has == "write" || has == "admin")
}

type Key = (u64, u64, Scope);
type Slot = Arc<Mutex<Option<(Token, Millis)>>>;

/// A token, and whether it is so young that GitHub's replicas may not know it yet.
#[derive(Clone)]
pub(super) struct Token {
    pub secret: SecretString,
    pub minted_at: Millis,
}

/// The tokens in use.
#[derive(Default)]
pub(super) struct Tokens {
    slots: Sync<HashMap<Key, Slot>>,
}

impl Tokens {
    /// A token for one repository; concurrent callers share one minting.
    pub async fn get(&self, app: &Octocrab, installation: u64, repository: u64, scope: Scope) -> Result<Token, Error> {
        let slot = self.slot((installation, repository, scope));
        let mut held = slot.lock().await;
        if let Some((token, expires_at)) = &*held
            && *expires_at > clock::now() + MARGIN
        {
            return Ok(token.clone());
        }
        let token = mint(app, installation, repository, scope).await?;
        *held = Some((token.clone(), token.minted_at + LIFE));
        Ok(token)
    }

    /// Forget a token that GitHub no longer takes.
    pub async fn forget(&self, installation: u64, repository: u64, scope: Scope) {
        *self.slot((installation, repository, scope)).lock().await = None;
    }

    fn slot(&self, key: Key) -> Slot {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }
}

/// Mint with everything the scope knows. GitHub refuses (422) to give more than was granted; then what was granted is
/// asked for, and only a need is missed.
async fn mint(app: &Octocrab, installation: u64, repository: u64, scope: Scope) -> Result<Token, Error> {
    let all: Vec<_> = scope.needs().iter().chain(scope.wishes()).copied().collect();
    let refused = match ask(app, installation, repository, &all).await {
        Err(Error::Invalid(said)) => said,
        other => return other,
    };
    let granted = granted(app, installation).await?;
    let missing: Vec<_> = all.iter().filter(|(name, level)| !grants(&granted, name, level)).collect();
    if let Some((name, level)) = missing.iter().find(|it| scope.needs().contains(it)) {
        return Err(Error::Forbidden(format!("the installation lacks the permission {name}: {level}")));
    }
    if missing.is_empty() {
        return Err(Error::Invalid(refused));
    }
    debug!(github.installation = installation, ?missing, "Going on without what was not granted");
    let rest: Vec<_> = all.iter().filter(|it| !missing.contains(it)).copied().collect();
    ask(app, installation, repository, &rest).await
}

async fn ask(app: &Octocrab, installation: u64, repository: u64, permissions: &[(&str, &str)]) -> Result<Token, Error> {
    #[derive(Deserialize)]
    struct Minted {
        token: SecretString,
    }
    let route = format!("/app/installations/{installation}/access_tokens");
    let permissions: HashMap<_, _> = permissions.iter().copied().collect();
    let body = json!({ "repository_ids": [repository], "permissions": permissions });
    let minted: Minted = call(app, None, &Ask::write(Method::POST, &route, Some(&body))).await?.json()?;
    text::hold_for_now(&minted.token);
    Ok(Token { secret: minted.token, minted_at: clock::now() })
}

/// What the owner of the installation has granted.
async fn granted(app: &Octocrab, installation: u64) -> Result<HashMap<String, String>, Error> {
    #[derive(Deserialize)]
    struct Installation {
        #[serde(default)]
        permissions: HashMap<String, String>,
    }
    let route = format!("/app/installations/{installation}");
    let found: Installation = call(app, None, &Ask::get(&route)).await?.json()?;
    Ok(found.permissions)
}
