//! Pull requests: opened once for a head branch, found again by it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::repo::encode;
use super::{Error, Repo};

/// A pull request to open.
#[derive(Debug, Clone)]
pub struct NewPull<'a> {
    pub title: &'a str,
    pub body: &'a str,
    pub head: &'a str,
    pub base: &'a str,
}

/// A pull request as we read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pull {
    pub number: u64,
    #[serde(default)]
    pub html_url: String,
}

impl Repo {
    pub async fn open_pull(&self, new: &NewPull<'_>) -> Result<Pull, Error> {
        let body = json!({
            "title": new.title, "body": new.body, "head": new.head, "base": new.base, "maintainer_can_modify": true,
        });
        let mut waits = [1, 2, 4].into_iter();
        loop {
            match self.post("pulls", &body).await {
                // Right after the push, not every server of GitHub's knows the branch.
                Err(Error::Invalid(said))
                    if said.contains("head invalid")
                        && let Some(seconds) = waits.next() =>
                {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                }
                other => return other,
            }
        }
    }

    /// The open pull request from one of this repository's branches, if there is one.
    pub async fn find_pull(&self, head: &str) -> Result<Option<Pull>, Error> {
        let name = self.name();
        let owner = name.split('/').next().unwrap_or_default();
        let route = format!("pulls?state=open&head={}", encode(&format!("{owner}:{head}")));
        Ok(self.get::<Vec<Pull>>(&route).await?.into_iter().next())
    }
}
