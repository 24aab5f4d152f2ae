//! A check run is made once, as far as that can be known. GitHub takes any number of one name and external id, and may carry
//! a call out after we have given up on its answer.
//!
//! So after a doubt it is looked for twice (`Outbox::once_or_twice`); then another is made, and the doubt is written down before. While
//! it stands, `end_twins` gives a second one the end of the first. What is left: until then both are shown.

use serde_json::json;
use tracing::info;

use super::{Outbox, Undone};
use crate::clock::{self, Millis};
use crate::github::{CheckRun, CheckStatus, CheckUpdate, Conclusion, Error, NewCheck, Repo};
use crate::store::Doubt;
use crate::text;

/// After this time, in milliseconds, what is not there will not come any more.
pub const LATE: Millis = 3_600_000;
/// After this time GitHub itself gives up on a check run that was never completed: two weeks.
pub const STALE: Millis = 14 * 24 * 3_600_000;

/// Make a check run once.
pub async fn make(outbox: &Outbox<'_>, repo: &Repo, key: &str, new: &NewCheck<'_>) -> Result<CheckRun, Undone> {
    let (installation_id, repository_id, repository) = repo.place();
    let doubt = Doubt {
        key: key.to_owned(),
        installation_id,
        repository_id,
        repository,
        head_sha: new.head.to_owned(),
        name: new.name.to_owned(),
        external_id: new.external_id.to_owned(),
        number: 0,
        created_at: clock::now(),
    };
    let look = || repo.find_check(new.head, new.name, new.external_id);
    outbox.once_or_twice(&doubt, look, || repo.create_check(new)).await
}

/// Whether a doubt has come to its end. A second check run ends as the first has ended, whichever GitHub shows.
pub async fn end_twins(repo: &Repo, doubt: &Doubt, known: Option<&str>) -> Result<bool, Error> {
    let known = known.and_then(|json| serde_json::from_str::<CheckRun>(json).ok()).map(|it| it.id);
    // Refused in the end, or not tried again yet, which would be written down anew.
    let Some(known) = known else { return Ok(doubt.age() > LATE) };
    let all = repo.find_checks(&doubt.head_sha, &doubt.name, &doubt.external_id).await?;
    let (ours, twins): (Vec<_>, Vec<_>) = all.into_iter().partition(|run| run.id == known);
    let Some(ours) = ours.into_iter().next().filter(|run| run.status == "completed") else {
        return Ok(doubt.age() > STALE);
    };
    let conclusion = ours.conclusion.and_then(|it| serde_json::from_value(json!(it)).ok());
    for twin in twins.iter().filter(|run| run.status != "completed") {
        let update = CheckUpdate {
            status: CheckStatus::Completed,
            conclusion: Some(conclusion.unwrap_or(Conclusion::Neutral)),
            title: ours.output.title.as_deref().unwrap_or(&doubt.name),
            summary: &text::render("report/twin.md", &json!({})),
            annotations: &[],
            actions: &[],
        };
        repo.update_check(twin.id, &update).await?;
        info!(github.check_run = twin.id, "Completed a check run that GitHub has made a second time");
    }
    Ok(doubt.age() > LATE)
}
