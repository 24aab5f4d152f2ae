//! A task whose installation or repository is no longer there for us, or that has no token any more, ends with the reason, and
//! nothing is told on GitHub: there is nobody to tell.

use tracing::info;

use super::{Pause, own_token};
use crate::app::App;
use crate::github;
use crate::queue::Job;
use crate::report::Undone;
use crate::sandbox;
use crate::store::NewEvent;
use crate::task::Ending;

/// The ending, if this is what is behind an error.
pub fn found(error: &anyhow::Error) -> Option<Ending> {
    let gone = match error.downcast_ref::<Undone>() {
        Some(Undone::Gone(gone)) => Some(*gone),
        _ => error.downcast_ref::<github::Error>().and_then(github::Error::gone),
    };
    gone.map(|gone| Ending::new(gone.code(), "")).or_else(|| own_token::found(error))
}

/// End the task under its claim. What an earlier attempt has concluded stays.
pub async fn end(app: &App, job: &Job, ending: Ending) -> Result<(), Pause> {
    let lease = job.lease();
    info!(ending = ending.code, "Ended: {}", ending.code);
    if app.store.conclude(lease, &ending).await? {
        let body =
            serde_json::json!({ "step": "ended", "message": ending.code, "text": format!("ended {}", ending.code) });
        let event = NewEvent { kind: "run".to_owned(), body: body.to_string() };
        app.store.append_events(&lease.job_id, &[event]).await?;
    }
    let state = match app.store.task(&lease.job_id).await? {
        Some(task) => task.ending.unwrap_or(ending).state(),
        None => ending.state(),
    };
    // Of an attempt on this machine; there may have been none.
    let _ = sandbox::remove_tree(&app.config.store.data_dir.join("runs").join(&lease.job_id)).await;
    match app.store.end(lease, state).await? {
        true => Ok(()),
        false => Err(Pause::Lost),
    }
}
