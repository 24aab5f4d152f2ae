//! What a repository says of itself: its names, its branches, what one may do there.

use serde::Deserialize;

use super::call::Ask;
use super::repo::{OrAbsent as _, encode};
use super::{Error, Repo, Scope};

/// The default branch and its head; no head when the repository is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Default {
    pub branch: String,
    pub head: Option<String>,
}

/// What a repository says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct About {
    pub full_name: String,
    pub default_branch: String,
    /// Nobody can write there any more.
    #[serde(default)]
    pub archived: bool,
    /// What the account behind the token may do; of an App this says nothing.
    #[serde(default)]
    pub permissions: Permissions,
}

/// Of an account, whatever its token is for.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Permissions {
    #[serde(default)]
    pub push: bool,
}

impl Repo {
    /// Whether nobody can write here any more, asked by the id.
    pub async fn is_archived(&self) -> Result<bool, Error> {
        Ok(self.about().await?.archived)
    }

    /// What the repository says of itself, asked by the id.
    pub async fn about(&self) -> Result<About, Error> {
        let route = format!("/repositories/{}", self.id);
        self.send_once(&Ask::get(&route), Scope::Talk).await?.json()
    }

    /// The default branch and where it stands.
    pub async fn default_branch(&self, branch: &str) -> Result<Default, Error> {
        #[derive(Deserialize)]
        struct Named {
            default_branch: String,
        }
        if let Some(head) = self.branch_head(branch).await? {
            return Ok(Default { branch: branch.to_owned(), head: Some(head) });
        }
        // Empty, or the default branch has another name since the event.
        let named: Named = self.send(&Ask::get(&format!("/repos/{}", self.name())), Scope::Talk).await?.json()?;
        let head = self.branch_head(&named.default_branch).await?;
        Ok(Default { branch: named.default_branch, head })
    }

    /// The commit at the tip of a branch; none when there is no such branch.
    pub async fn branch_head(&self, branch: &str) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Branch {
            commit: Commit,
        }
        #[derive(Deserialize)]
        struct Commit {
            sha: String,
        }
        let found: Option<Branch> = self.get(&format!("branches/{}", encode(branch))).await.or_absent()?;
        Ok(found.map(|it| it.commit.sha))
    }
}
