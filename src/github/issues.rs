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
    #[serde(default)]
    pub updated_at: String,
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
    /// A comment on a line or file of a pull request.
    ReviewComment(u64),
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
            ReactTo::ReviewComment(id) => format!("pulls/comments/{id}/reactions"),
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

    /// Our own comment with this marker.
    pub async fn find_comment(&self, number: u64, marker: &str) -> Result<Option<u64>, Error> {
        Ok(self.find_comments(number, marker).await?.first().copied())
    }

    /// All of our own that begin with it, as far as the newest hundreds show. Anybody can write the marker, so the author counts
    /// too; and we quote what others wrote, so its place does.
    pub async fn find_comments(&self, number: u64, marker: &str) -> Result<Vec<u64>, Error> {
        let us = self.us().await?;
        let path = format!("issues/{number}/comments?per_page=100");
        let comments = self.list_newest(&path, |page: Vec<Remark>| page).await?;
        let begins = |it: &Remark| it.body.as_deref().is_some_and(|body| body.starts_with(marker));
        let ours = comments.into_iter().filter(|it| it.user.as_ref().is_some_and(|user| user.id == us) && begins(it));
        Ok(ours.map(|remark| remark.id).collect())
    }

    pub async fn delete_comment(&self, id: u64) -> Result<(), Error> {
        self.delete(&format!("issues/comments/{id}")).await
    }

    /// The id of our own account, or of the person in whose name this is done.
    pub(super) async fn us(&self) -> Result<u64, Error> {
        if let Some(own) = &self.own {
            return Ok(own.person());
        }
        Ok(self.github.identity().await?.bot_id)
    }

    /// Title, body, author and labels of an issue as they are now.
    pub async fn issue(&self, number: u64) -> Result<Issue, Error> {
        self.get(&format!("issues/{number}")).await
    }
}

/// Whether something was written by us and carries this marker.
pub(super) fn is_ours(us: u64, user: Option<&Author>, body: Option<&str>, marker: &str) -> bool {
    user.is_some_and(|user| user.id == us) && body.is_some_and(|body| body.contains(marker))
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
    #[serde(default)]
    pub updated_at: String,
    /// There where it is a pull request.
    #[serde(default)]
    pub pull_request: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Label {
    pub name: String,
}
