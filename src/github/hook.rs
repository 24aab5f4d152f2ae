//! The App's own deliveries as GitHub keeps them for some days, and where the App is installed.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cache::Whose;
use super::call::{Ask, call};
use super::repo::OrAbsent as _;
use super::token::{LIFE, MARGIN};
use super::{Error, Github};
use crate::clock::{self, Millis};
use crate::text;

/// One attempt of GitHub to deliver an event. The payload is not among it.
#[derive(Debug, Clone, Deserialize)]
pub struct Delivered {
    pub id: u64,
    /// Of the event: attempts to deliver it again have the same.
    pub guid: String,
    pub delivered_at: String,
    pub status_code: Option<u16>,
    pub event: String,
    pub action: Option<String>,
    pub installation_id: Option<u64>,
}

impl Delivered {
    pub fn at(&self) -> Option<Millis> {
        clock::read_iso(&self.delivered_at)
    }

    /// Whether somebody has taken it.
    pub fn was_taken(&self) -> bool {
        self.status_code.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A repository that the App is installed on.
#[derive(Debug, Clone, Deserialize)]
pub struct Installed {
    pub id: u64,
    pub full_name: String,
    #[serde(default)]
    pub default_branch: String,
    #[serde(default)]
    pub archived: bool,
}

impl Github {
    /// A page of the attempts to deliver, newest first, and the route of the next page.
    pub async fn deliveries(&self, page: Option<&str>) -> Result<(Vec<Delivered>, Option<String>), Error> {
        let answer = self.as_app(&Ask::get(page.unwrap_or("/app/hook/deliveries?per_page=100"))).await?;
        Ok((answer.json()?, answer.next(&self.inner.api)))
    }

    /// The payload of an attempt; none when GitHub does not keep it any more.
    pub async fn payload(&self, id: u64) -> Result<Option<Value>, Error> {
        #[derive(Deserialize)]
        struct Whole {
            request: Request,
        }
        #[derive(Deserialize)]
        struct Request {
            payload: Option<Value>,
        }
        let found = self.as_app(&Ask::get(&format!("/app/hook/deliveries/{id}"))).await.or_absent()?;
        Ok(found.map(|answer| answer.json::<Whole>()).transpose()?.and_then(|whole| whole.request.payload))
    }

    /// The repositories of an installation, by their ids in order. The token for this one question may read nothing else,
    /// and is not kept.
    pub async fn repositories(&self, installation: u64) -> Result<Vec<Installed>, Error> {
        #[derive(Deserialize)]
        struct Minted {
            token: SecretString,
        }
        #[derive(Deserialize)]
        struct Page {
            repositories: Vec<Installed>,
        }
        let inner = &self.inner;
        let route = format!("/app/installations/{installation}/access_tokens");
        let body = json!({ "permissions": { "metadata": "read" } });
        let minted: Minted = self.as_app(&Ask::token(&route, &body)).await?.json()?;
        text::hold_until(&minted.token, clock::now() + LIFE + MARGIN);
        let client = inner.app.user_access_token(minted.token.expose_secret().to_owned());
        let client = client.map_err(|error| Error::Ours(error.to_string()))?;
        let governor = self.governor(installation);
        let whose = Whose { installation, repository: 0, scope: None };
        let (mut found, mut next) = (Vec::new(), Some("/installation/repositories?per_page=100".to_owned()));
        while let Some(route) = next {
            let answer = call(&client, &governor, (&inner.cache, whose), &Ask::get(&route)).await?;
            found.extend(answer.json::<Page>()?.repositories);
            next = answer.next(&inner.api);
        }
        found.sort_unstable_by_key(|it| it.id);
        Ok(found)
    }
}
