//! Check runs with GitHub's limits; only the App that made a run may change it.

use serde_json::{Value, json};

use super::Call;
use crate::clock::iso;
use crate::github::APP_ID;
use crate::github::answer::Answer;
use crate::github::state::Check;

type Result = std::result::Result<Answer, Answer>;

/// What an App may set; `stale` and `startup_failure` are GitHub's own.
const CONCLUSIONS: [&str; 7] =
    ["success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required"];
const STATUSES: [&str; 3] = ["queued", "in_progress", "completed"];
/// Summary and text, in characters.
const LONGEST_OUTPUT: usize = 65_535;

pub(crate) fn create(call: &mut Call<'_>) -> Result {
    let name = call.text("name").unwrap_or_default().to_owned();
    let head_sha = call.text("head_sha").unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(missing("name"));
    }
    if head_sha.len() != 40 || call.bare().resolve(&head_sha).is_none() {
        return Err(Answer::refuse(422, &format!("No commit found for SHA: {head_sha}")));
    }
    let (repo, suite) = (call.repo, call.state.suite(call.repo, &head_sha));
    let id = 40_000_000_000 + call.state.fresh();
    let mut check = Check::new(id, repo, suite, APP_ID, name, head_sha);
    change(call, &mut check)?;
    call.state.checks.insert(check.id, check.clone());
    let events = call.world.tells_check(call.state, &check, None, "created");
    call.events.extend(events);
    Ok(Answer::created(&call.world.check_object(call.state, &check)))
}

pub(crate) fn read(call: &mut Call<'_>) -> Result {
    let check = this_check(call)?;
    Ok(Answer::ok(&call.world.check_object(call.state, &check)))
}

pub(crate) fn update(call: &mut Call<'_>) -> Result {
    let mut check = this_check(call)?;
    if check.app != APP_ID {
        let message =
            format!("Invalid app_id `{APP_ID}` - check run can only be modified by the GitHub App that created it.");
        return Err(Answer::refuse(403, &message));
    }
    let was = check.clone();
    change(call, &mut check)?;
    call.state.checks.insert(check.id, check.clone());
    let action = if check.status == "completed" && was.status != "completed" { "completed" } else { "updated" };
    let mut events = call.world.tells_check(call.state, &check, Some(&was), action);
    // Only created and completed are announced.
    events.retain(|_| action == "completed");
    call.events.extend(events);
    Ok(Answer::ok(&call.world.check_object(call.state, &check)))
}

/// The runs of a commit, newest first: of each name the latest, unless `filter=all`.
pub(crate) fn of_commit(call: &mut Call<'_>) -> Result {
    let name = call.param("ref");
    let none = || Answer::refuse(422, &format!("No commit found for SHA: {name}"));
    let sha = call.bare().resolve(name).ok_or_else(none)?;
    let all = call.asked("filter") == Some("all");
    Ok(list(call, all, |it| it.head_sha == sha))
}

/// The runs of a suite, in the same way.
pub(crate) fn of_suite(call: &mut Call<'_>) -> Result {
    let suite = call.number("id")?;
    let known = call.state.suites.iter().any(|((repo, _), it)| *repo == call.repo && *it == suite)
        || call.state.checks.values().any(|it| it.repo == call.repo && it.suite == suite);
    let all = call.asked("filter") == Some("all");
    if known { Ok(list(call, all, |it| it.suite == suite)) } else { Err(Answer::not_found()) }
}

pub(crate) fn annotations(call: &mut Call<'_>) -> Result {
    let check = this_check(call)?;
    let all = check.annotations.iter().map(|it| call.world.annotation_object(call.state, &check, it)).collect();
    Ok(call.page(all))
}

fn list(call: &Call<'_>, all: bool, among: impl Fn(&Check) -> bool) -> Answer {
    let mut seen: Vec<(u64, &str)> = Vec::new();
    let mut runs = Vec::new();
    for check in call.state.checks.values().rev().filter(|it| it.repo == call.repo && among(it)) {
        let wanted = call.asked("check_name").is_none_or(|it| it == check.name)
            && call.asked("app_id").is_none_or(|it| it == check.app.to_string())
            && call.asked("status").is_none_or(|it| it == check.status);
        if !wanted || (!all && seen.contains(&(check.suite, check.name.as_str()))) {
            continue;
        }
        seen.push((check.suite, check.name.as_str()));
        runs.push(call.world.check_object(call.state, check));
    }
    call.page_in(runs, Some("check_runs"))
}

/// The combined status: there are no commit statuses here.
pub(crate) fn status_of_commit(call: &mut Call<'_>) -> Result {
    let sha = call.bare().resolve(call.param("ref")).ok_or_else(Answer::not_found)?;
    Ok(Answer::ok(&json!({ "state": "pending", "sha": sha, "total_count": 0, "statuses": [] })))
}

/// Puts the body's fields into the run, or says what is wrong with them.
fn change(call: &Call<'_>, check: &mut Check) -> std::result::Result<(), Answer> {
    let text = |name: &str| call.text(name).map(str::to_owned);
    if let Some(name) = text("name") {
        check.name = name;
    }
    check.external_id = text("external_id").or(check.external_id.take());
    check.details_url = text("details_url").or(check.details_url.take());
    check.started_at = text("started_at").or(check.started_at.take());
    if let Some(status) = text("status") {
        if !STATUSES.contains(&status.as_str()) {
            return Err(invalid("status"));
        }
        // There is no way back from completed; the rest of such a request holds.
        if check.status != "completed" {
            check.status = status;
        }
    }
    if let Some(conclusion) = text("conclusion") {
        if !CONCLUSIONS.contains(&conclusion.as_str()) {
            return Err(invalid("conclusion"));
        }
        // A conclusion completes the run, whatever status was given.
        "completed".clone_into(&mut check.status);
        check.conclusion = Some(conclusion);
        check.completed_at = Some(text("completed_at").unwrap_or_else(|| iso(call.now)));
    }
    if check.status == "completed" && check.conclusion.is_none() {
        return Err(missing("conclusion"));
    }
    if check.started_at.is_none() && check.status != "queued" {
        check.started_at = Some(iso(call.now));
    }
    output(call, check)?;
    if let Some(actions) = call.body["actions"].as_array() {
        let too_long = |action: &Value, field: &str, most: usize| {
            action[field].as_str().is_none_or(|it| it.chars().count() > most)
        };
        if actions.len() > 3 {
            return Err(invalid("actions"));
        }
        for action in actions {
            for (field, most) in [("label", 20), ("identifier", 20), ("description", 40)] {
                if too_long(action, field, most) {
                    return Err(invalid(&format!("actions.{field}")));
                }
            }
        }
        check.actions.clone_from(actions);
    }
    Ok(())
}

fn output(call: &Call<'_>, check: &mut Check) -> std::result::Result<(), Answer> {
    let output = &call.body["output"];
    if output.is_null() {
        return Ok(());
    }
    let field = |name: &str| output[name].as_str().map(str::to_owned);
    let (Some(title), Some(summary)) = (field("title"), field("summary")) else {
        return Err(missing(if output["title"].is_string() { "output.summary" } else { "output.title" }));
    };
    for (name, value) in [("title", Some(&title)), ("summary", Some(&summary)), ("text", field("text").as_ref())] {
        if value.is_some_and(|it| it.chars().count() > LONGEST_OUTPUT) {
            return Err(Answer::invalid(&[json!({
                "resource": "CheckRun", "code": "custom", "field": name,
                "message": format!("{name} exceeds a maximum character size of {LONGEST_OUTPUT}"),
            })]));
        }
    }
    let annotations = output["annotations"].as_array().cloned().unwrap_or_default();
    if annotations.len() > 50 {
        return Err(Answer::invalid_custom("CheckRun", "annotations exceeds a maximum quantity of 50"));
    }
    if !annotations.iter().all(is_right) {
        return Err(invalid("output.annotations"));
    }
    check.title = Some(title);
    check.summary = Some(summary);
    check.text = field("text").or(check.text.take());
    // Annotations of several requests add up.
    check.annotations.extend(annotations);
    Ok(())
}

/// GitHub's rules for one annotation. Columns make sense only within one line.
fn is_right(annotation: &Value) -> bool {
    let at_most = |name: &str, most: usize| annotation[name].as_str().is_none_or(|it| it.len() <= most);
    let texts = annotation["path"].is_string() && annotation["message"].as_str().is_some_and(|it| !it.is_empty());
    let (start, end) = (annotation["start_line"].as_u64(), annotation["end_line"].as_u64());
    let lines = start.zip(end).is_some_and(|(start, end)| 0 < start && start <= end);
    let columns = annotation["start_column"].is_null() && annotation["end_column"].is_null();
    let level = matches!(annotation["annotation_level"].as_str(), Some("notice" | "warning" | "failure"));
    let lengths = at_most("message", 65_536) && at_most("raw_details", 65_536) && at_most("title", 255);
    texts && lines && (columns || start == end) && level && lengths
}

fn this_check(call: &Call<'_>) -> std::result::Result<Check, Answer> {
    let id = call.number("id")?;
    call.state.checks.get(&id).filter(|it| it.repo == call.repo).cloned().ok_or_else(Answer::not_found)
}

fn missing(field: &str) -> Answer {
    Answer::invalid_field("CheckRun", field, "missing_field")
}

fn invalid(field: &str) -> Answer {
    Answer::invalid_field("CheckRun", field, "invalid")
}
