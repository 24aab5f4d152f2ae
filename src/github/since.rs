//! What happened in a repository since a moment, and how things stand now that somebody asked about earlier. Payloads
//! of deliveries are made of these, so they stay as GitHub gives them.

use serde::Deserialize;
use serde_json::Value;

use super::issues::{Author, Label, ReactTo};
use super::repo::OrAbsent as _;
use super::{Error, Remark, Repo};

/// An issue or pull request as it is now.
#[derive(Debug, Clone, Deserialize)]
pub struct IssueNow {
    pub state: String,
    pub closed_at: Option<String>,
    #[serde(default)]
    pub labels: Vec<Label>,
}

/// A label that somebody set.
#[derive(Debug, Clone)]
pub struct Labeling {
    pub id: u64,
    pub at: String,
    pub label: Value,
    pub by: Value,
}

impl Repo {
    /// Comments in conversations, changed since then, oldest first.
    pub async fn comments_since(&self, since: &str) -> Result<Vec<Value>, Error> {
        self.all_since("issues/comments", since).await
    }

    /// Comments on lines, changed since then, oldest first.
    pub async fn review_comments_since(&self, since: &str) -> Result<Vec<Value>, Error> {
        self.all_since("pulls/comments", since).await
    }

    /// Open issues and pull requests, changed since then, oldest first.
    pub async fn open_issues_since(&self, since: &str) -> Result<Vec<Value>, Error> {
        self.all_since("issues", since).await
    }

    /// A listing is followed for a thousand items at most, so it is begun anew behind them.
    async fn all_since(&self, path: &str, since: &str) -> Result<Vec<Value>, Error> {
        let mut found: Vec<Value> = Vec::new();
        let mut since = since.to_owned();
        loop {
            let route = format!("{path}?since={since}&sort=updated&direction=asc&per_page=100");
            let part: Vec<Value> = self.list(&route, |page: Vec<Value>| page).await?;
            let last = part.last().and_then(|it| it["updated_at"].as_str()).unwrap_or_default().to_owned();
            let full = part.len() >= 1000 && last > since;
            found.extend(part.into_iter().filter(|it| it["id"].is_u64()));
            if !full {
                break;
            }
            since = last;
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|it| seen.insert(it["id"].as_u64()));
        Ok(found)
    }

    /// An issue, whole.
    pub async fn whole_issue(&self, number: u64) -> Result<Value, Error> {
        self.get(&format!("issues/{number}")).await
    }

    /// A pull request, whole.
    pub async fn whole_pull(&self, number: u64) -> Result<Value, Error> {
        self.get(&format!("pulls/{number}")).await
    }

    /// Who set which labels on an issue or pull request, oldest first.
    pub async fn labelings(&self, number: u64) -> Result<Vec<Labeling>, Error> {
        let events: Vec<Value> = self.list(&format!("issues/{number}/events?per_page=100"), |page| page).await?;
        let labeled = events.into_iter().filter(|it| it["event"] == "labeled" && it["actor"].is_object());
        Ok(labeled
            .filter_map(|it| {
                let (id, at) = (it["id"].as_u64()?, it["created_at"].as_str()?.to_owned());
                Some(Labeling { id, at, label: it["label"].clone(), by: it["actor"].clone() })
            })
            .collect())
    }

    /// How an issue or pull request stands; none when it is gone.
    pub async fn issue_now(&self, number: u64) -> Result<Option<IssueNow>, Error> {
        self.get(&format!("issues/{number}")).await.or_absent()
    }

    /// Whether a comment is still there.
    pub async fn has_comment(&self, of: ReactTo) -> Result<bool, Error> {
        let path = match of {
            ReactTo::Issue(_) => return Ok(true),
            ReactTo::Comment(id) => format!("issues/comments/{id}"),
            ReactTo::ReviewComment(id) => format!("pulls/comments/{id}"),
        };
        Ok(self.get::<Value>(&path).await.or_absent()?.is_some())
    }

    /// What was said in a conversation since then, oldest first.
    pub async fn said_since(&self, number: u64, since: &str) -> Result<Vec<Remark>, Error> {
        self.list(&format!("issues/{number}/comments?since={since}&per_page=100"), |page: Vec<Remark>| page).await
    }

    /// Whether we have reacted here, as far as the first hundred reactions show.
    pub async fn have_reacted(&self, to: ReactTo) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Reaction {
            user: Option<Author>,
        }
        let path = match to {
            ReactTo::Issue(number) => format!("issues/{number}/reactions"),
            ReactTo::Comment(id) => format!("issues/comments/{id}/reactions"),
            ReactTo::ReviewComment(id) => format!("pulls/comments/{id}/reactions"),
        };
        let us = self.us().await?;
        let reactions: Vec<Reaction> = self.get(&format!("{path}?per_page=100")).await?;
        Ok(reactions.iter().any(|it| it.user.as_ref().is_some_and(|user| user.id == us)))
    }
}
