//! Tool: the only module that speaks to GitHub's API. octocrab for transport and authentication, our own narrow structs
//! for what we read: octocrab's models break when GitHub leaves a field out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use octocrab::Octocrab;
use octocrab::models::AppId;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

mod about;
mod cache;
mod call;
mod checks;
mod contents;
mod error;
mod governor;
mod hook;
mod installation;
mod issues;
mod jobs;
mod line;
mod own;
mod pace;
mod pulls;
mod repo;
mod reviews;
mod since;
mod threads;
mod token;

pub use about::{About, Default};
pub use checks::{
    Action, Annotation, CheckApp, CheckOutput, CheckRun, CheckStatus, CheckUpdate, Conclusion, Level, NewCheck,
};
pub use contents::File;
pub use error::Error;
pub use hook::{Delivered, Installed};
pub use installation::{Installation, moment};
pub use issues::{Author, Issue, Label, ReactTo, Reaction, Remark};
pub use line::{Limit, Line};
pub use own::{OwnToken, TO_FETCH, TO_PUSH, TokenProblem};
pub use pace::Pace;
pub use pulls::{NewPull, Pull, PullEnd, PullRepo, PullRequest};
pub use repo::Repo;
pub use reviews::{NewLine, NewReview, Review, ReviewComment, ReviewEvent};
pub use since::{IssueNow, Labeling};
pub use threads::{Thread, ThreadComment};
pub use token::Scope;

use cache::{Cache, Whose};
use call::Ask;
use governor::Governor;
use pace::Alone;
use token::Tokens;

/// Whose governor paces the calls that carry no installation's token.
const THE_APP: u64 = 0;

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
    cache: Cache,
    governors: Mutex<HashMap<u64, Arc<Governor>>>,
    pace: OnceLock<Arc<dyn Pace>>,
    spacing: Duration,
    /// Repositories that were renamed or transferred while we knew them, by id.
    known: Mutex<HashMap<u64, Known>>,
    identity: OnceCell<Identity>,
}

/// What a repository has become since somebody told us of it.
#[derive(Debug, Clone, Default)]
struct Known {
    name: Option<String>,
    installation: Option<u64>,
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
                cache: Cache::default(),
                governors: Mutex::default(),
                pace: OnceLock::new(),
                spacing: Duration::from_millis(config.write_spacing_ms),
                known: Mutex::default(),
                identity: OnceCell::new(),
            }),
        })
    }

    /// Share the pace with other processes: to be said before the first call.
    #[must_use]
    pub fn paced_by(self, pace: Arc<dyn Pace>) -> Self {
        let _ = self.inner.pace.set(pace);
        self
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
        let app: App = self.get_as_app("/app").await?;
        let user: User = self.get_as_app(&format!("/users/{}%5Bbot%5D", app.slug)).await?;
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
        let app: App = self.get_as_app("/app").await?;
        Ok((app.permissions, app.events))
    }

    /// One repository, seen through its installation.
    pub fn repo(&self, installation: u64, id: u64, name: &str) -> Repo {
        Repo { github: self.clone(), installation, id, name: name.to_owned(), own: None }
    }

    async fn get_as_app<T: DeserializeOwned>(&self, route: &str) -> Result<T, Error> {
        self.as_app(&Ask::get(route)).await?.json()
    }

    /// A call that carries the App's own credentials.
    async fn as_app(&self, ask: &Ask<'_>) -> Result<call::Answer, Error> {
        call::call(&self.inner.app, &self.governor(THE_APP), (&self.inner.cache, Whose::APP), ask).await
    }

    fn known(&self, repository: u64) -> Option<Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner).get(&repository).cloned()
    }

    /// Keep what a repository has become.
    pub fn learn(&self, repository: u64, name: Option<&str>, installation: Option<u64>) {
        let mut all = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(repository).or_default();
        known.name = name.map(str::to_owned).or(known.name.take());
        known.installation = installation.or(known.installation);
    }

    fn governor(&self, installation: u64) -> Arc<Governor> {
        let pace = self.inner.pace.get_or_init(|| Arc::new(Alone::default())).clone();
        let mut governors = self.inner.governors.lock().unwrap_or_else(PoisonError::into_inner);
        let governor = governors.entry(installation);
        governor.or_insert_with(|| Arc::new(Governor::new(installation, pace, self.inner.spacing))).clone()
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
