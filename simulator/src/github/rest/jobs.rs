//! Jobs of GitHub Actions by REST; their logs are on another host.

use serde_json::{Value, json};

use super::Call;
use crate::github::Credential;
use crate::github::answer::Answer;
use crate::github::auth::allows;
use crate::github::state::Check;

type Result = std::result::Result<Answer, Answer>;

pub(crate) fn read(call: &mut Call<'_>) -> Result {
    let check = this_job(call)?;
    Ok(Answer::ok(&object(call, &check)))
}

pub(crate) fn of_run(call: &mut Call<'_>) -> Result {
    let run = call.number("id")?;
    let of_run = |it: &&Check| it.repo == call.repo && call.state.jobs.get(&it.id).is_some_and(|job| job.run == run);
    let all: Vec<Value> = call.state.checks.values().filter(of_run).map(|it| object(call, it)).collect();
    if all.is_empty() { Err(Answer::not_found()) } else { Ok(call.page_in(all, Some("jobs"))) }
}

/// 302 to an address that works once for a minute. Even of a public repository only those may read logs who have the
/// permission.
pub(crate) fn logs(call: &mut Call<'_>) -> Result {
    let job = this_job(call)?.id;
    match &call.credential {
        Credential::Installation { permissions, .. } | Credential::Person { permissions, .. }
            if allows(permissions, "actions", "read") => {}
        Credential::Installation { .. } => {
            let refusal = Answer::refuse(403, "Resource not accessible by integration");
            return Err(refusal.with("x-accepted-github-permissions", "actions=read"));
        }
        _ => return Err(Answer::refuse(403, "Must have admin rights to Repository.")),
    }
    let address = call.world.log_address(&mut call.state.tickets, job);
    Ok(Answer { status: 302, headers: Vec::new(), body: bytes::Bytes::new() }.with("location", address))
}

fn this_job(call: &Call<'_>) -> std::result::Result<Check, Answer> {
    let id = call.number("id")?;
    let known = call.state.jobs.contains_key(&id);
    let check = call.state.checks.get(&id).filter(|it| known && it.repo == call.repo);
    check.cloned().ok_or_else(Answer::not_found)
}

fn object(call: &Call<'_>, check: &Check) -> Value {
    let api = format!("{}/repos/{}", call.world.api_url, call.state.repo(call.repo).full_name());
    let run = call.state.jobs[&check.id].run;
    json!({
        "id": check.id,
        "run_id": run,
        "run_url": format!("{api}/actions/runs/{run}"),
        "run_attempt": 1,
        "node_id": format!("CR_{}", check.id),
        "head_sha": check.head_sha,
        "url": format!("{api}/actions/jobs/{}", check.id),
        "html_url": check.details_url,
        "status": check.status,
        "conclusion": check.conclusion,
        "started_at": check.started_at,
        "completed_at": check.completed_at,
        "name": check.name,
        "workflow_name": "CI",
        "steps": [],
        "check_run_url": format!("{api}/check-runs/{}", check.id),
        "labels": [],
        "runner_id": null,
        "x_unknown": null,
    })
}
