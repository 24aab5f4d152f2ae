//! Refs by REST: read, create, move, delete.

use serde_json::{Value, json};

use super::Call;
use crate::github::answer::Answer;

type Result = std::result::Result<Answer, Answer>;

pub(crate) fn read(call: &mut Call<'_>) -> Result {
    empty(call)?;
    let name = format!("refs/{}", call.param("ref"));
    let sha = call.bare().refs(&name).remove(&name).ok_or_else(Answer::not_found)?;
    Ok(Answer::ok(&object(call, &name, &sha)))
}

pub(crate) fn matching(call: &mut Call<'_>) -> Result {
    let found = call.bare().refs(&format!("refs/{}", call.param("ref")));
    let all = found.iter().map(|(name, sha)| object(call, name, sha)).collect();
    Ok(call.page(all))
}

pub(crate) fn create(call: &mut Call<'_>) -> Result {
    empty(call)?;
    let name = call.text("ref").unwrap_or_default().to_owned();
    let sha = call.text("sha").unwrap_or_default().to_owned();
    if name.matches('/').count() < 2 || !name.starts_with("refs/") || name.starts_with("refs/pull/") {
        return Err(Answer::refuse(422, "Reference name must start with 'refs/' and have at least two slashes."));
    }
    if call.bare().refs(&name).contains_key(&name) {
        return Err(Answer::refuse(422, "Reference already exists"));
    }
    if sha.len() != 40 || call.bare().resolve(&sha).is_none() {
        return Err(Answer::refuse(422, "Object does not exist"));
    }
    set(call, &name, Some(&sha))?;
    Ok(Answer::created(&object(call, &name, &sha)))
}

pub(crate) fn update(call: &mut Call<'_>) -> Result {
    let name = format!("refs/{}", call.param("ref"));
    let sha = call.text("sha").unwrap_or_default().to_owned();
    let missing = || Answer::refuse(422, "Reference does not exist");
    let old = call.bare().refs(&name).remove(&name).ok_or_else(missing)?;
    if call.bare().resolve(&sha).is_none() {
        return Err(Answer::refuse(422, "Object does not exist"));
    }
    if call.body["force"] != json!(true) && !call.bare().is_ancestor(&old, &sha) {
        return Err(Answer::refuse(422, "Update is not a fast forward"));
    }
    set(call, &name, Some(&sha))?;
    Ok(Answer::ok(&object(call, &name, &sha)))
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result {
    let name = format!("refs/{}", call.param("ref"));
    if !call.bare().refs(&name).contains_key(&name) {
        return Err(Answer::refuse(422, "Reference does not exist"));
    }
    set(call, &name, None)?;
    Ok(Answer::nothing())
}

fn set(call: &mut Call<'_>, name: &str, sha: Option<&str>) -> std::result::Result<(), Answer> {
    let before = call.bare().branches();
    if name.starts_with("refs/pull/") {
        return Err(Answer::refuse(422, "Reference cannot be updated"));
    }
    if !call.bare().set(name, sha) {
        return Err(Answer::refuse(422, "Reference could not be updated"));
    }
    let events = call.world.branches_moved(call.state, call.by, call.repo, &before);
    call.events.extend(events);
    Ok(())
}

fn empty(call: &Call<'_>) -> std::result::Result<(), Answer> {
    if call.bare().branches().is_empty() { Err(Answer::refuse(409, "Git Repository is empty.")) } else { Ok(()) }
}

fn object(call: &Call<'_>, name: &str, sha: &str) -> Value {
    let api = format!("{}/repos/{}/git", call.world.api_url, call.state.repo(call.repo).full_name());
    json!({
        "ref": name,
        "node_id": format!("REF_{}", sha.get(..12).unwrap_or(sha)),
        "url": format!("{api}/{name}"),
        "object": { "type": "commit", "sha": sha, "url": format!("{api}/commits/{sha}") },
    })
}
