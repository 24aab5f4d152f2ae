//! Installation tokens: narrowed to one repository and what a step needs, minted once, kept until shortly before they
//! expire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Sync, PoisonError};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tracing::debug;

use super::call::Ask;
use super::error::ahead;
use super::{Error, Github};
use crate::clock::{self, Millis};
use crate::text;

/// A token with less left than this is not handed out; of a short life, half.
pub(super) const MARGIN: Millis = 5 * 60 * 1000;
/// How long tokens live where GitHub does not say.
pub(super) const LIFE: Millis = 60 * 60 * 1000;
/// Most tokens that are kept, besides those in use.
const MOST: usize = 500;
/// For so long an installation that is gone is not asked for tokens again.
const GONE: Millis = 60_000;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Read the repository, talk on issues and pull requests, write checks.
    Talk,
    /// Fetch with git.
    Fetch,
    /// Push branches and nothing else.
    Push,
    /// The same with files below `.github/workflows`, which GitHub takes from no App without this permission.
    PushWorkflows,
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
            Self::PushWorkflows => &[("contents", "write"), ("workflows", "write")],
            Self::Resolve => &[("metadata", "read"), ("contents", "write"), ("pull_requests", "write")],
        }
    }

    /// What it goes without where it was not granted: an installation keeps its old permissions until its owner accepts
    /// those that the App asks for since.
    fn wishes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Talk => &[("checks", "write"), ("actions", "read")],
            Self::Fetch | Self::Push | Self::PushWorkflows | Self::Resolve => &[],
        }
    }
}

/// Whether these permissions include `name` at `level`.
pub(super) fn grants(granted: &HashMap<String, String>, name: &str, level: &str) -> bool {
    granted.get(name).is_some_and(|has| has == level || has == "write" || has == "admin")
}

/// Installation, repository, what it may do.
type Key = (u64, u64, Scope);
type Slot = Arc<Mutex<Option<Token>>>;

/// A token, and when it was made: while it is young, GitHub's replicas may not know it yet.
#[derive(Clone)]
pub(super) struct Token {
    pub secret: SecretString,
    pub minted_at: Millis,
    /// From then on another is made.
    good_until: Millis,
}

impl Token {
    /// One that nobody makes anew.
    pub fn for_good(secret: SecretString) -> Self {
        Self { secret, minted_at: 0, good_until: Millis::MAX }
    }

    fn is_good(&self) -> bool {
        self.good_until > clock::now()
    }
}

/// The tokens in use.
#[derive(Default)]
pub(super) struct Tokens {
    slots: Sync<HashMap<Key, Slot>>,
    /// Installations, and repositories of them, that GitHub gives no tokens for.
    gone: Sync<HashMap<(u64, u64), (Error, Millis)>>,
    /// How often in a row GitHub has contradicted itself about them.
    doubted: Sync<HashMap<(u64, u64), u32>>,
}

impl Tokens {
    /// A token for one repository; concurrent callers share one minting.
    pub async fn get(&self, github: &Github, installation: u64, repository: u64, scope: Scope) -> Result<Token, Error> {
        let slot = self.slot((installation, repository, scope));
        let mut held = slot.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.is_good()) {
            return Ok(token.clone());
        }
        self.is_there(installation, repository)?;
        match mint(github, installation, repository, scope).await {
            Ok(token) => {
                self.doubted.lock().unwrap_or_else(PoisonError::into_inner).remove(&(installation, repository));
                *held = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                self.note(installation, repository, &error);
                Err(error)
            }
        }
    }

    /// The token that is kept, if it was made just now.
    pub async fn is_young(&self, installation: u64, repository: u64, scope: Scope, age: Millis) -> bool {
        let slot = self.slot((installation, repository, scope));
        let held = slot.lock().await;
        held.as_ref().is_some_and(|token| clock::now() - token.minted_at < age)
    }

    /// Forget a token that GitHub no longer takes.
    pub async fn forget(&self, installation: u64, repository: u64, scope: Scope) {
        *self.slot((installation, repository, scope)).lock().await = None;
    }

    /// Forget all that is known of an installation: what it was granted has changed, or it is gone, or back.
    pub fn forget_all(&self, installation: u64) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| key.0 != installation);
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| key.0 != installation);
    }

    pub fn forget_everything(&self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// There are said to be no tokens for this repository, although the App is installed there. Whether to ask again: that is
    /// believed a few times.
    pub fn ask_again(&self, installation: u64, repository: u64) -> bool {
        const TIMES: u32 = 3;
        let mut doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        let times = doubted.entry((installation, repository)).or_default();
        *times += 1;
        if *times > TIMES {
            doubted.remove(&(installation, repository));
            return false;
        }
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|key, _| *key != (installation, 0) && *key != (installation, repository));
        true
    }

    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            let in_use = |slot: &Slot| Arc::strong_count(slot) > 1;
            let good = |slot: &Slot| slot.try_lock().is_ok_and(|it| it.as_ref().is_some_and(Token::is_good));
            slots.retain(|_, slot| in_use(slot) || good(slot));
            if slots.len() >= MOST {
                // They are made anew when they are needed.
                slots.retain(|_, slot| in_use(slot));
            }
        }
        slots.entry(key).or_default().clone()
    }

    fn is_there(&self, installation: u64, repository: u64) -> Result<(), Error> {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|_, (_, until)| *until > clock::now());
        let found = gone.get(&(installation, 0)).or_else(|| gone.get(&(installation, repository)));
        found.map_or(Ok(()), |(error, _)| Err(error.clone()))
    }

    /// There is nobody any more who gives tokens: those that are kept are of no use either.
    pub fn note(&self, installation: u64, repository: u64, error: &Error) {
        let what = match error {
            Error::Suspended | Error::Uninstalled => 0,
            Error::Uncovered => repository,
            _ => return,
        };
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.insert((installation, what), (error.clone(), clock::now() + GONE));
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|key, _| key.0 != installation || (what != 0 && key.1 != what));
    }
}

/// Mint with everything the scope knows. GitHub refuses (422) to give more than was granted; then what was granted is
/// asked for, and only a need is missed.
async fn mint(github: &Github, installation: u64, repository: u64, scope: Scope) -> Result<Token, Error> {
    let all: Vec<_> = scope.needs().iter().chain(scope.wishes()).copied().collect();
    let refused = match ask(github, installation, repository, &all).await {
        // "There is at least one repository that does not exist or is not accessible to the parent installation."
        Err(Error::Invalid(said)) if said.contains("parent installation") => return Err(Error::Uncovered),
        Err(Error::Invalid(said)) => said,
        Err(Error::NotFound(_)) => return Err(Error::Uninstalled),
        other => return other,
    };
    let granted = github.installation(installation).await?.permissions;
    let missing: Vec<_> = all.iter().filter(|(name, level)| !grants(&granted, name, level)).collect();
    if let Some((name, level)) = missing.iter().find(|it| scope.needs().contains(it)) {
        return Err(Error::Forbidden(format!("the installation lacks the permission {name}: {level}")));
    }
    if missing.is_empty() {
        return Err(Error::Invalid(refused));
    }
    debug!(github.installation = installation, ?missing, "Going on without what was not granted");
    let rest: Vec<_> = all.iter().filter(|it| !missing.contains(it)).copied().collect();
    ask(github, installation, repository, &rest).await
}

async fn ask(
    github: &Github,
    installation: u64,
    repository: u64,
    permissions: &[(&str, &str)],
) -> Result<Token, Error> {
    #[derive(Deserialize)]
    struct Minted {
        token: SecretString,
        expires_at: Option<String>,
    }
    let route = format!("/app/installations/{installation}/access_tokens");
    let permissions: HashMap<_, _> = permissions.iter().copied().collect();
    let body = json!({ "repository_ids": [repository], "permissions": permissions });
    let answer = github.as_app(&Ask::token(&route, &body)).await?;
    let minted: Minted = answer.json()?;
    let now = clock::now();
    // By GitHub's clock, so that it does not matter what ours says.
    let left = |text: &str| Some(clock::read_iso(text)? - now - ahead(&answer.headers));
    let life = minted.expires_at.as_deref().and_then(left).unwrap_or(LIFE);
    // A little longer than GitHub says: its servers have clocks of their own.
    text::hold_until(&minted.token, now + life.max(0) + MARGIN);
    Ok(Token { secret: minted.token, minted_at: now, good_until: now + life - MARGIN.min(life / 2) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_what_is_in_use_stays() {
        let tokens = Tokens::default();
        let used = tokens.slot((1, 1, Scope::Talk));
        for repository in 2..3 * MOST as u64 {
            tokens.slot((1, repository, Scope::Talk));
        }
        assert!(tokens.slots.lock().unwrap().len() <= MOST);
        assert!(Arc::ptr_eq(&used, &tokens.slot((1, 1, Scope::Talk))));
        tokens.forget_all(1);
        assert!(tokens.slots.lock().unwrap().is_empty());
    }
}
