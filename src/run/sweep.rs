//! What dead processes left on this machine: directories of runs whose task has ended, removed at the start.

use tracing::{info, warn};

use crate::app::App;

/// Remove the directories of runs that will not go on.
pub async fn sweep(app: &App) {
    let Ok(mut runs) = tokio::fs::read_dir(app.config.store.data_dir.join("runs")).await else {
        return; // Nothing has run here yet.
    };
    while let Ok(Some(entry)) = runs.next_entry().await {
        let name = entry.file_name().to_string_lossy().into_owned();
        let over = match app.store.task(&name).await {
            Ok(task) => task.is_none_or(|task| task.state.is_final()),
            Err(_) => false,
        };
        if over {
            match tokio::fs::remove_dir_all(entry.path()).await {
                Ok(()) => info!(task.id = name, "Removed what was left of run {name}"),
                Err(error) => warn!("Could not remove {}: {error}", entry.path().display()),
            }
        }
    }
}
