//! What dead processes left: sandboxes and directories of runs whose task has ended, here or on another machine, and check
//! runs that nobody has completed. What an open task has left is kept: it may go on with it.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{info, warn};

use crate::app::App;
use crate::clock::{self, Millis};
use crate::report::review::Stranded;
use crate::store::StoredTask;
use crate::{github, report, sandbox};

/// How often all of it is looked after. Unfinished check runs would stand on the pull request for two weeks.
const EVERY: Duration = Duration::from_mins(5);

/// After this time, in milliseconds, a check run that is not there will not come any more.
const LATE: Millis = 3_600_000;

/// Sweep for as long as the process lives.
pub async fn sweep(app: &App) {
    loop {
        sandboxes(app).await;
        directories(app).await;
        checks(app).await;
        doubts(app).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Remove the sandboxes of runs that will not go on.
async fn sandboxes(app: &App) {
    let labels = BTreeMap::from([("app".to_owned(), "cloud-agent".to_owned())]);
    let found = match app.provider.list(&labels).await {
        Ok(found) => found,
        Err(error) => return warn!("Could not look for sandboxes that were left: {error}"),
    };
    for sandbox in found {
        let Ok(labels) = app.provider.labels(&sandbox).await else { continue };
        let Some(run) = labels.get("run") else { continue };
        if is_over(app, run).await {
            match app.provider.destroy(&sandbox).await {
                Ok(()) => info!(task.id = run, "Removed a sandbox that was left of run {run}"),
                Err(error) => warn!(task.id = run, "Could not remove a sandbox that was left: {error}"),
            }
        }
    }
}

/// Whether a task will not go on, on any machine.
async fn is_over(app: &App, task_id: &str) -> bool {
    match app.store.task(task_id).await {
        Ok(task) => task.is_none_or(|task| task.state.is_final()),
        Err(_) => false,
    }
}

/// Remove the directories of runs that will not go on.
async fn directories(app: &App) {
    let Ok(mut runs) = tokio::fs::read_dir(app.config.store.data_dir.join("runs")).await else {
        return; // Nothing has run here yet.
    };
    while let Ok(Some(entry)) = runs.next_entry().await {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_over(app, &name).await {
            match sandbox::remove_tree(&entry.path()).await {
                Ok(()) => info!(task.id = name, "Removed what was left of run {name}"),
                Err(error) => warn!("Could not remove {}: {error}", entry.path().display()),
            }
        }
    }
}

/// Complete the check runs of reviews that have ended and could not say so.
async fn checks(app: &App) {
    let stranded = match app.store.stranded_reviews().await {
        Ok(stranded) => stranded,
        Err(error) => return warn!("Could not look for check runs that were left open: {error:#}"),
    };
    for task in stranded {
        match complete(app, &task).await {
            Ok(true) => info!(task.id = %task.id, "Completed a check run that was left open"),
            Ok(false) => (),
            Err(error) => warn!(task.id = %task.id, "Could not complete a check run that was left open: {error:#}"),
        }
    }
}

/// Complete the check run of a review that another one has just taken the place of.
pub async fn end_check(app: &App, task_id: &str) {
    let ended = async {
        match app.store.task(task_id).await? {
            Some(task) => complete(app, &task).await,
            None => Ok(false),
        }
    };
    match ended.await {
        Ok(true) => info!(task.id = task_id, "Completed the check run of a review that was replaced"),
        Ok(false) => (),
        Err(error) => {
            warn!(task.id = task_id, "Could not complete the check run of a review that was replaced: {error:#}");
        }
    }
}

/// Whether a check run was completed. One that may come yet is looked for again.
async fn complete(app: &App, task: &StoredTask) -> anyhow::Result<bool> {
    let place = &task.place;
    let repo = app.github.repo(place.installation_id, place.repository_id, &place.repository);
    let completed = match report::review::complete_stranded(&repo, task).await {
        // It may come back.
        Err(github::Error::Suspended) => return Ok(false),
        // The repository or the installation is gone, and its check runs with it.
        Err(error) if error.is_final() => {
            warn!(task.id = %task.id, "GitHub does not let us complete a check run that was left open: {error}");
            false
        }
        // Whoever makes it may still be about to.
        Ok(Stranded::NotThere) if task.ended_at.is_none_or(|ended| ended + LATE > clock::now()) => return Ok(false),
        other => other? == Stranded::Completed,
    };
    app.store.note_effect(&report::review::end_key(task), &task.id.to_string()).await?;
    Ok(completed)
}

/// Complete the check runs, and delete the comments, that GitHub has made a second time.
async fn doubts(app: &App) {
    let doubts = match app.store.doubts().await {
        Ok(doubts) => doubts,
        Err(error) => return warn!("Could not look for what may be there twice: {error}"),
    };
    for (doubt, known) in doubts {
        let repo = app.github.repo(doubt.installation_id, doubt.repository_id, &doubt.repository);
        let ended = match doubt.number {
            0 => report::check_run::end_twins(&repo, &doubt, known.as_deref()).await,
            _ => report::comment::end_twins(&repo, &doubt, known.as_deref()).await,
        };
        let ended = match ended {
            Ok(ended) => ended,
            // It may come back.
            Err(github::Error::Suspended) => doubt.age() > report::check_run::STALE,
            Err(error) => {
                warn!(effect = doubt.key, "Could not look whether it is there twice: {error}");
                error.is_final()
            }
        };
        if ended && let Err(error) = app.store.end_doubt(&doubt.key).await {
            warn!("Could not forget a doubt: {error}");
        }
    }
}
