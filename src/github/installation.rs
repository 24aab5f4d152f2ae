//! Installations of the App: who has it, what was granted, which of them covers a repository.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::call::Ask;
use super::repo::{OrAbsent as _, encode};
use super::token::grants;
use super::{Error, Github};

/// One account's installation.
#[derive(Debug, Clone, Deserialize)]
pub struct Installation {
    pub id: u64,
    #[serde(default)]
    pub account: Option<Owner>,
    /// By name; what was granted may be less than what the App asks for since.
    #[serde(default)]
    pub permissions: HashMap<String, String>,
    #[serde(default)]
    pub suspended_at: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Owner {
    pub login: String,
}

impl Installation {
    /// Whose it is, for people.
    pub fn owner(&self) -> &str {
        self.account.as_ref().map_or("?", |owner| &owner.login)
    }

    pub fn is_suspended(&self) -> bool {
        self.suspended_at.as_ref().is_some_and(|at| !at.is_null())
    }

    pub fn grants(&self, name: &str, level: &str) -> bool {
        grants(&self.permissions, name, level)
    }
}

impl Github {
    /// All installations, in the order of their ids.
    pub async fn installations(&self) -> Result<Vec<Installation>, Error> {
        let (mut all, mut next) = (Vec::new(), Some("/app/installations?per_page=100".to_owned()));
        while let Some(route) = next {
            let answer = self.as_app(&Ask::get(&route)).await?;
            all.extend(answer.json::<Vec<Installation>>()?);
            next = answer.next(&self.inner.api);
        }
        all.sort_unstable_by_key(|it| it.id);
        Ok(all)
    }

    /// One installation as it is now. Suspended ones answer too; `NotFound` when it is gone.
    pub async fn installation(&self, id: u64) -> Result<Installation, Error> {
        self.get_as_app(&format!("/app/installations/{id}")).await
    }

    /// The installation that covers a repository, if any does.
    pub async fn installation_of(&self, repository: u64) -> Result<Option<u64>, Error> {
        let route = format!("/repositories/{repository}/installation");
        let found = self.as_app(&Ask::get(&route)).await.or_absent()?;
        found.map(|answer| answer.json::<Installation>().map(|it| it.id)).transpose()
    }

    /// A repository by its name: the installation that covers it, its id and its name as GitHub writes it. None when there is
    /// no such repository, or the App is not installed there, which GitHub tells nobody apart.
    pub async fn find(&self, name: &str) -> Result<Option<(u64, u64, String)>, Error> {
        #[derive(Deserialize)]
        struct Narrowed {
            #[serde(default)]
            repositories: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            id: u64,
            full_name: String,
        }
        let Some((owner, short)) = name.split_once('/') else { return Ok(None) };
        let route = format!("/repos/{}/{}/installation", encode(owner), encode(short));
        // Of a repository that was renamed the old name is none.
        let found = match self.as_app(&Ask::get(&route)).await {
            Err(Error::NotFound(_) | Error::Moved) => return Ok(None),
            other => other?.json::<Installation>()?,
        };
        if found.is_suspended() {
            return Err(Error::Suspended);
        }
        // A name alone opens nothing but a token for it, whose answer tells the id that all else goes by.
        let route = format!("/app/installations/{}/access_tokens", found.id);
        let body = json!({ "repositories": [short], "permissions": { "metadata": "read" } });
        let narrowed: Narrowed = match self.as_app(&Ask::token(&route, &body)).await {
            Err(Error::Invalid(_) | Error::NotFound(_)) => return Ok(None),
            other => other?.json()?,
        };
        let named = narrowed.repositories.into_iter().find(|it| it.full_name.eq_ignore_ascii_case(name));
        Ok(named.map(|it| (found.id, it.id, it.full_name)))
    }

    /// The same for all of them: it is not known which have changed.
    pub fn forget_installations(&self) {
        self.inner.tokens.forget_everything();
        self.inner.cache.forget_everything();
    }

    /// Drop tokens and what was read for an installation.
    pub fn forget_installation(&self, id: u64) {
        self.inner.tokens.forget_all(id);
        self.inner.cache.forget(id);
    }
}
