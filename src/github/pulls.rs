//! Pull requests: opened once for a head branch and found again by it; read as they are now; found by a commit.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::repo::encode;
use super::{Author, Error, Label, Repo};

/// A pull request to open.
#[derive(Debug, Clone)]
pub struct NewPull<'a> {
    pub title: &'a str,
    pub body: &'a str,
    pub head: &'a str,
    pub base: &'a str,
    /// Not yet asking for review. GitHub refuses (422) drafts where the owner's plan has none.
    pub draft: bool,
}

/// A pull request, as much of it as names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pull {
    pub number: u64,
    #[serde(default)]
    pub html_url: String,
    /// `open` or `closed`; a merged one is closed.
    #[serde(default)]
    pub state: String,
    /// Once it is merged.
    #[serde(default)]
    pub merged_at: Option<String>,
}

impl Pull {
    /// What has become of it, where it is not open any more: `merged` or `closed`.
    pub fn fate(&self) -> Option<&'static str> {
        match (self.state.as_str(), &self.merged_at) {
            (_, Some(_)) => Some("merged"),
            ("closed", None) => Some("closed"),
            _ => None,
        }
    }
}

/// A pull request as it is now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullRequest {
    pub number: u64,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub body: Option<String>,
    /// `open` or `closed`; a merged one is closed.
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub draft: bool,
    /// Always false in listings, which leave it out.
    #[serde(default)]
    pub merged: bool,
    pub user: Option<Author>,
    pub head: PullEnd,
    pub base: PullEnd,
    #[serde(default)]
    pub labels: Vec<Label>,
    #[serde(default)]
    pub html_url: String,
    /// Left out by listings. Even if true it gives an App no right to push to a fork that it is not installed on.
    #[serde(default)]
    pub maintainer_can_modify: bool,
}

impl PullRequest {
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }

    /// Whether the code comes from another repository; also when that one was deleted since.
    pub fn is_from_fork(&self) -> bool {
        let id = |end: &PullEnd| end.repo.as_ref().map(|it| it.id);
        id(&self.head).is_none() || id(&self.head) != id(&self.base)
    }
}

/// One end of a pull request: a branch, and the commit at its tip.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullEnd {
    #[serde(rename = "ref")]
    pub branch: String,
    pub sha: String,
    /// None when the repository, a fork, was deleted.
    pub repo: Option<PullRepo>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullRepo {
    pub id: u64,
    #[serde(default)]
    pub full_name: String,
}

impl Repo {
    /// A pull request as it is now.
    pub async fn pull(&self, number: u64) -> Result<PullRequest, Error> {
        self.get(&format!("pulls/{number}")).await
    }

    /// Whether a pull request changes a file whose name comes early in the alphabet, which is how GitHub lists them: only
    /// the first hundred are looked at.
    pub async fn pull_touches(&self, number: u64, path: &str) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Changed {
            filename: String,
        }
        let files: Vec<Changed> = self.get(&format!("pulls/{number}/files?per_page=100")).await?;
        Ok(files.iter().any(|file| file.filename == path))
    }

    /// The pull requests that GitHub associates with a commit, open and closed. It may know of none for the head of a
    /// fork's; `open_pulls_with_head` does.
    pub async fn pulls_of_commit(&self, sha: &str) -> Result<Vec<PullRequest>, Error> {
        self.list(&format!("commits/{}/pulls?per_page=100", encode(sha)), |page: Vec<PullRequest>| page).await
    }

    /// The open pull requests with this commit at their head, looked for among all open ones.
    pub async fn open_pulls_with_head(&self, sha: &str) -> Result<Vec<PullRequest>, Error> {
        let mut pulls = self.list("pulls?state=open&per_page=100", |page: Vec<PullRequest>| page).await?;
        pulls.retain(|pull| pull.head.sha == sha);
        Ok(pulls)
    }

    pub async fn open_pull(&self, new: &NewPull<'_>) -> Result<Pull, Error> {
        let body = json!({
            "title": new.title, "body": new.body, "head": new.head, "base": new.base, "draft": new.draft,
            "maintainer_can_modify": true,
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

    /// The pull request from one of this repository's branches: the open one, of which there is one at most, or one with
    /// this marker that somebody has closed or merged.
    pub async fn find_pull(&self, head: &str, marker: &str) -> Result<Option<Pull>, Error> {
        #[derive(Deserialize)]
        struct Listed {
            #[serde(flatten)]
            pull: Pull,
            body: Option<String>,
        }
        let name = self.name();
        let owner = name.split('/').next().unwrap_or_default();
        let route = format!("pulls?state=all&per_page=100&head={}", encode(&format!("{owner}:{head}")));
        let mut found: Vec<Listed> = self.get(&route).await?;
        found.retain(|it| it.pull.fate().is_none() || it.body.as_deref().is_some_and(|body| body.contains(marker)));
        found.sort_by_key(|it| it.pull.fate().is_some());
        Ok(found.into_iter().next().map(|it| it.pull))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_request_of_a_deleted_fork_is_read() {
        let pull = |repo: serde_json::Value| -> PullRequest {
            serde_json::from_value(json!({
                "number": 7, "title": "x", "body": null, "state": "open", "user": null,
                "head": { "ref": "x", "sha": "a1", "repo": repo, "user": null, "label": null },
                "base": { "ref": "main", "sha": "b2", "repo": { "id": 1, "full_name": "octo/app" } },
            }))
            .unwrap()
        };
        assert!(pull(serde_json::Value::Null).is_from_fork());
        assert!(pull(json!({ "id": 2, "full_name": "eve/app" })).is_from_fork());
        let own = pull(json!({ "id": 1, "full_name": "octo/app" }));
        assert!(own.is_open() && !own.is_from_fork() && own.head.branch == "x");
    }
}
