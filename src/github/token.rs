//! Installation tokens: narrowed to one repository and what a step needs, minted once, kept until shortly before they
//! expire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Sync, PoisonError};

use http::Method;
use octocrab::Octocrab;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Error;
use super::call::call;
use crate::clock::{self, Millis};

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
}

impl Scope {
    fn permissions(self) -> Value {
        match self {
            Self::Talk => json!({
                "metadata": "read", "contents": "read", "issues": "write", "pull_requests": "write", "checks": "write",
            }),
            Self::Fetch => json!({ "contents": "read" }),
            Self::Push => json!({ "contents": "write" }),
        }
    }
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

async fn mint(app: &Octocrab, installation: u64, repository: u64, scope: Scope) -> Result<Token, Error> {
    #[derive(Deserialize)]
    struct Minted {
        token: SecretString,
    }
    let route = format!("/app/installations/{installation}/access_tokens");
    let ask = json!({ "repository_ids": [repository], "permissions": scope.permissions() });
    let minted: Minted = call(app, None, Method::POST, &route, Some(&ask)).await?.json()?;
    Ok(Token { secret: minted.token, minted_at: clock::now() })
}
