//! Looks at everything that a run needs, all the time, so that none begins that can't be done.

use std::time::Duration;

use tokio::time::Instant;

use crate::agent;
use crate::app::App;
use crate::config;
use crate::gateway::NoModel;
use crate::health::{self, Wrong};
use crate::sandbox::Grade;

/// How often everything is looked at; sooner while something is wrong.
const WELL: Duration = Duration::from_mins(1);
const UNWELL: Duration = Duration::from_secs(5);
/// How often a sandbox is made to see whether one can be. Runs make them all the time, and tell when they can't.
const PROOF: Duration = Duration::from_mins(10);

/// Look for ever.
pub async fn watch(app: &App) {
    let mut proved: Option<Instant> = None;
    loop {
        let doubt = app.health.take_suspicion() || app.health.all().get("sandbox").is_some_and(Option::is_some);
        let (github, model, database) = tokio::join!(app.github.powers(), app.gateway.reach(), app.store.ping());
        let seen = [
            ("github", github.err().map(|it| Wrong::new(it.of_app()))),
            ("model", model.err().as_ref().map(unreached)),
            ("database", database.err().map(|it| Wrong::new(it.to_string()))),
            ("disk", health::disk(&app.config.store.data_dir, app.config.store.disk_free_mb).map(Wrong::new)),
            ("claude", claude(app).map(Wrong::new)),
        ];
        for (part, wrong) in seen {
            app.health.note(part, wrong);
        }
        if doubt || proved.is_none_or(|at| at.elapsed() > PROOF) {
            app.health.note("sandbox", sandbox(app).await.map(Wrong::new));
            proved = Some(Instant::now());
        }
        let well = app.health.all().values().all(Option::is_none);
        tokio::select! {
            () = tokio::time::sleep(if well { WELL } else { UNWELL }) => (),
            () = app.health.wanted() => (),
        }
    }
}

fn unreached(why: &NoModel) -> Wrong {
    match why {
        NoModel::NoKey | NoModel::KeyRefused(_) => Wrong::refused(why.to_string()),
        NoModel::Away(_) => Wrong::new(why.to_string()),
    }
}

/// Why sandboxes can't be made here.
async fn sandbox(app: &App) -> Option<String> {
    let findings = app.provider.preflight().await;
    let bad: Vec<String> = findings.into_iter().filter(|it| it.grade == Grade::Bad).map(|it| it.says).collect();
    (!bad.is_empty()).then(|| bad.join(" "))
}

/// Why Claude Code can't be started.
fn claude(app: &App) -> Option<String> {
    let found = agent::locate(&app.config.model.claude_bin, config::search_path().as_deref());
    found.err().map(|error| error.to_string())
}
