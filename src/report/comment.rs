//! A comment in a conversation is made once, as far as that can be known: GitHub may carry a call out long after we have given
//! up on its answer. While that can be, a second one is looked for, and deleted.

use tracing::info;

use super::check_run::LATE;
use super::{Outbox, Undone};
use crate::clock;
use crate::github::{Error, Repo};
use crate::store::Doubt;

/// Comment once; the comment's id. It is found again by its marker.
pub async fn make(
    outbox: &Outbox<'_>,
    repo: &Repo,
    number: u64,
    key: &str,
    marker: &str,
    body: &str,
) -> Result<u64, Undone> {
    let (installation_id, repository_id, repository) = repo.place();
    let doubt = Doubt {
        key: key.to_owned(),
        installation_id,
        repository_id,
        repository,
        head_sha: String::new(),
        name: String::new(),
        external_id: marker.to_owned(),
        number,
        created_at: clock::now(),
    };
    outbox.once_or_twice(&doubt, || repo.find_comment(number, marker), || repo.comment(number, body)).await
}

/// Whether a doubt has come to its end. The comment that is known stays, be it the older or the newer.
pub async fn end_twins(repo: &Repo, doubt: &Doubt, known: Option<&str>) -> Result<bool, Error> {
    if let Some(known) = known.and_then(|json| serde_json::from_str::<u64>(json).ok()) {
        let all = repo.find_comments(doubt.number, &doubt.external_id).await?;
        // Unless somebody has deleted the one that is known.
        for twin in all.iter().filter(|id| **id != known && all.contains(&known)) {
            repo.delete_comment(*twin).await?;
            info!(github.comment = twin, "Deleted a comment that GitHub has made a second time");
        }
    }
    Ok(doubt.age() > LATE)
}
