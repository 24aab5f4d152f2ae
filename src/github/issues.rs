//! Issues and their conversation: comments and reactions. A pull request's conversation is the same thing.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Error, Repo};

/// A comment as we read it. The author is absent when the account is gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Remark {
    pub id: u64,
    #[serde(default)]
    pub body: Option<String>,
    pub user: Option<Author>,
    #[serde(default)]
    pub created_at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Author {
    pub id: u64,
    pub login: String,
}

/// What carries a reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReactTo {
    Issue(u64),
    Comment(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    Eyes,
    Rocket,
    Confused,
}

impl Reaction {
    pub fn name(self) -> &'static str {
        match self {
            Self::Eyes => "eyes",
            Self::Rocket => "rocket",
            Self::Confused => "confused",
        }
    }
}

impl Repo {
    /// React. GitHub answers 200 instead of 201 when we did so before, so this may be repeated.
    pub async fn react(&self, to: ReactTo, reaction: Reaction) -> Result<(), Error> {
        let path = match to {
            ReactTo::Issue(number) => format!("issues/{number}/reactions"),
            ReactTo::Comment(id) => format!("issues/comments/{id}/reactions"),
        };
        self.post::<Value>(&path, &json!({ "content": reaction.name() })).await.map(drop)
    }

    /// Comment; the comment's id.
    pub async fn comment(&self, number: u64, body: &str) -> Result<u64, Error> {
        let made: Remark = self.post(&format!("issues/{number}/comments"), &json!({ "body": body })).await?;
        Ok(made.id)
    }

    pub async fn edit_comment(&self, id: u64, body: &str) -> Result<(), Error> {
        self.patch::<Value>(&format!("issues/comments/{id}"), &json!({ "body": body })).await.map(drop)
    }

    /// The comments of a thread, oldest first.
    pub async fn comments(&self, number: u64) -> Result<Vec<Remark>, Error> {
        self.list(&format!("issues/{number}/comments?per_page=100"), |page: Vec<Remark>| page).await
    }

    /// Our own comment with this marker. Anybody can write the marker, so the author counts too.
    pub async fn find_comment(&self, number: u64, marker: &str) -> Result<Option<u64>, Error> {
        let us = self.github.identity().await?.bot_id;
        let found = self.comments(number).await?.into_iter().find(|remark| {
            remark.user.as_ref().is_some_and(|user| user.id == us)
                && remark.body.as_deref().is_some_and(|body| body.contains(marker))
        });
        Ok(found.map(|remark| remark.id))
    }

    /// Title, body, author and labels of an issue as they are now.
    pub async fn issue(&self, number: u64) -> Result<Issue, Error> {
        self.get(&format!("issues/{number}")).await
    }
}

/// An issue as it is now.
#[derive(Debug, Clone, Deserialize)]
pub struct Issue {
    pub title: String,
    #[serde(default)]
    pub body: Option<String>,
    pub user: Option<Author>,
    #[serde(default)]
    pub labels: Vec<Label>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    pub name: String,
}
