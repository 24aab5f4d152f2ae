//! Tool: the only module that speaks to GitHub's API. octocrab for transport and authentication, our own narrow structs
//! for what we read: octocrab's models break when GitHub leaves a field out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use octocrab::Octocrab;
use octocrab::models::AppId;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::sync::OnceCell;

mod call;
mod checks;
mod contents;
mod error;
mod hook;
mod issues;
mod jobs;
mod pulls;
mod repo;
mod reviews;
mod since;
mod threads;
mod token;

pub use checks::{
    Action, Annotation, CheckApp, CheckOutput, CheckRun, CheckStatus, CheckUpdate, Conclusion, Level, NewCheck,
};
pub use contents::File;
pub use error::Error;
pub use hook::{Delivered, Installed};
pub use issues::{Author, Issue, Label, ReactTo, Reaction, Remark};
pub use pulls::{NewPull, Pull, PullEnd, PullRepo, PullRequest};
pub use repo::{Default, Repo};
pub use reviews::{NewLine, NewReview, Review, ReviewComment, ReviewEvent};
pub use since::{IssueNow, Labeling};
pub use threads::{Thread, ThreadComment};
pub use token::Scope;

use call::{Ask, Governor};
use token::Tokens;

/// GitHub, seen as the App.
#[derive(Clone)]
pub struct Github {
    inner: Arc<Inner>,
}

struct Inner {
    app: Octocrab,
    /// GraphQL, which on GitHub Enterprise Server is not below the REST API; no credentials of its own.
    graphql: Octocrab,
    /// For what GitHub keeps on other hosts: no credentials at all.
    plain: reqwest::Client,
    api: String,
    tokens: Tokens,
    governors: Mutex<HashMap<u64, Arc<Governor>>>,
    spacing: Duration,
    /// Names of repositories that were renamed or transferred while we knew them, by id.
    names: Mutex<HashMap<u64, String>>,
    identity: OnceCell<Identity>,
}

/// Who the App is on GitHub. Its account's id is not the App's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub app_id: u64,
    pub slug: String,
    pub bot_id: u64,
    /// `slug[bot]`.
    pub bot_login: String,
}

impl Github {
    /// Make the client; nothing is sent yet, so that a process starts while GitHub is away.
    pub fn new(config: &crate::config::Github) -> Result<Self> {
        let (app_id, pem) = config.app()?;
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes())
            .context("GITHUB_APP_PRIVATE_KEY is no RSA private key in PEM form")?;
        let api = config.api_url().as_str().trim_end_matches('/').to_owned();
        let builder = |base: &str| {
            let builder = Octocrab::builder().base_uri(base).context("GITHUB_API_URL can't be used")?;
            let builder = builder.set_connect_timeout(Some(Duration::from_secs(5)));
            anyhow::Ok(builder.set_read_timeout(Some(Duration::from_secs(15))))
        };
        let app = builder(&api)?.app(AppId(app_id), key).build().context("make the GitHub client")?;
        let graphql = builder(&graphql_base(&api))?.build().context("make the GraphQL client")?;
        let plain = jobs::plain_client(&api).context("make the client for logs")?;
        Ok(Self {
            inner: Arc::new(Inner {
                app,
                graphql,
                plain,
                api,
                tokens: Tokens::default(),
                governors: Mutex::default(),
                spacing: Duration::from_millis(config.write_spacing_ms),
                names: Mutex::default(),
                identity: OnceCell::new(),
            }),
        })
    }

    /// Who we are; asked once.
    pub async fn identity(&self) -> Result<&Identity, Error> {
        self.inner.identity.get_or_try_init(|| self.ask_identity()).await
    }

    async fn ask_identity(&self) -> Result<Identity, Error> {
        #[derive(Deserialize)]
        struct App {
            id: u64,
            slug: String,
        }
        #[derive(Deserialize)]
        struct User {
            id: u64,
            login: String,
        }
        let app: App = self.as_app("/app").await?.json()?;
        let user: User = self.as_app(&format!("/users/{}%5Bbot%5D", app.slug)).await?.json()?;
        Ok(Identity { app_id: app.id, slug: app.slug, bot_id: user.id, bot_login: user.login })
    }

    /// What the App may do and hears of, for `doctor`: permissions by name, and events.
    pub async fn powers(&self) -> Result<(HashMap<String, String>, Vec<String>), Error> {
        #[derive(Deserialize)]
        struct App {
            #[serde(default)]
            permissions: HashMap<String, String>,
            #[serde(default)]
            events: Vec<String>,
        }
        let app: App = self.as_app("/app").await?.json()?;
        Ok((app.permissions, app.events))
    }

    /// One repository, seen through its installation.
    pub fn repo(&self, installation: u64, id: u64, name: &str) -> Repo {
        Repo { github: self.clone(), installation, id, name: name.to_owned() }
    }

    async fn as_app(&self, route: &str) -> Result<call::Answer, Error> {
        call::call(&self.inner.app, None, &Ask::get(route)).await
    }

    fn known_name(&self, repository: u64) -> Option<String> {
        self.inner.names.lock().unwrap_or_else(PoisonError::into_inner).get(&repository).cloned()
    }

    fn learn_name(&self, repository: u64, name: &str) {
        self.inner.names.lock().unwrap_or_else(PoisonError::into_inner).insert(repository, name.to_owned());
    }

    fn governor(&self, installation: u64) -> Arc<Governor> {
        let mut governors = self.inner.governors.lock().unwrap_or_else(PoisonError::into_inner);
        governors.entry(installation).or_insert_with(|| Arc::new(Governor::new(self.inner.spacing))).clone()
    }
}

/// What `/graphql` is below, by the REST base: `https://HOST/api` on GitHub Enterprise Server, whose REST API is at
/// `/api/v3`; the same as REST on github.com and ghe.com, which give the API a host of its own (GitHub's documentation).
fn graphql_base(api: &str) -> String {
    match api.strip_suffix("/v3") {
        Some(base) if base.ends_with("/api") => base.to_owned(),
        _ => api.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::graphql_base;

    #[test]
    fn graphql_is_beside_rest_on_an_enterprise_server() {
        let url = |api: &str| format!("{}/graphql", graphql_base(api));
        assert_eq!(url("https://api.github.com"), "https://api.github.com/graphql");
        assert_eq!(url("https://api.octo.ghe.com"), "https://api.octo.ghe.com/graphql");
        assert_eq!(url("https://git.example.com/api/v3"), "https://git.example.com/api/graphql");
        assert_eq!(url("http://127.0.0.1:4010"), "http://127.0.0.1:4010/graphql");
    }
}
