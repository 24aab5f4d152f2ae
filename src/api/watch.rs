//! Looks at everything that a run needs, all the time, so that none begins that can't be done.

use std::time::Duration;

use tokio::time::Instant;

use crate::agent;
use crate::app::App;
use crate::config;
use crate::health;
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
        let proof = doubt || proved.is_none_or(|at| at.elapsed() > PROOF);
        let (github, model, database, sandbox) =
            tokio::join!(app.github.powers(), app.gateway.reach(), app.store.ping(), async {
                if proof { Some(sandbox(app).await) } else { None }
            });
        let mut seen = vec![
            ("github", github.err().map(|it| it.to_string())),
            ("model", model.err()),
            ("database", database.err().map(|it| it.to_string())),
            ("disk", health::disk(&app.config.store.data_dir, app.config.store.disk_free_mb)),
            ("claude", claude(app)),
        ];
        if let Some(sandbox) = sandbox {
            proved = Some(Instant::now());
            seen.push(("sandbox", sandbox));
        }
        let pause = if seen.iter().all(|(_, wrong)| wrong.is_none()) { WELL } else { UNWELL };
        for (part, wrong) in seen {
            app.health.note(part, wrong.as_deref());
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => (),
            () = app.health.suspected() => (),
        }
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
