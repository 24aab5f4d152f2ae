//! The repository of an order: found by its name, through the App's installation or with the token that the caller brings.

use secrecy::SecretString;

use super::No;
use crate::app::App;
use crate::github::Repo;
use crate::task::Place;
use crate::webhook::handle::Trouble;

/// A repository by its name, as far as the caller may know of it.
pub async fn find(
    app: &App,
    name: &str,
    token: Option<&SecretString>,
    may_see: impl Fn(Option<u64>, &str) -> bool,
) -> Result<Place, No> {
    if !may_see(None, name) {
        return Err(No::NoRepository);
    }
    let found = match token {
        None => app.github.find(name).await.map_err(Trouble::from)?,
        Some(token) => {
            let (id, name) = app.github.find_with(token, name).await.map_err(Trouble::from)?;
            Some((0, id, name))
        }
    };
    // Under its present name it may be another one's.
    let Some((installation_id, repository_id, repository)) = found.filter(|it| may_see(Some(it.1), &it.2)) else {
        return Err(No::NoRepository);
    };
    Ok(Place { installation_id, repository_id, repository, number: 0 })
}

/// The repository, seen through the App or with the token that the caller brings.
pub(super) async fn repo(app: &App, at: &Place, token: Option<SecretString>) -> Result<Repo, No> {
    Ok(match token {
        None => app.github.repo(at.installation_id, at.repository_id, &at.repository),
        Some(token) => {
            let own = app.github.own_token(token).await.map_err(Trouble::from)?;
            app.github.repo_with(own, at.repository_id, &at.repository)
        }
    })
}
