//! Routes of the App itself: who it is, its installation, its tokens, its webhook and the deliveries.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Call;
use crate::clock::iso;
use crate::github::answer::Answer;
use crate::github::auth::{allows, token_text};
use crate::github::state::{Permissions, Token};
use crate::github::{Credential, INSTALLATION_ID, shapes};

type Result = std::result::Result<Answer, Answer>;

/// How long deliveries can be seen and repeated, in seconds: three days on github.com.
const DELIVERY_LIFE: u64 = 3 * 86_400;

pub(crate) fn meta(_: &mut Call<'_>) -> Result {
    Ok(Answer::ok(&json!({
        "verifiable_password_authentication": false,
        "hooks": ["127.0.0.0/8", "::1/128"],
        "web": ["127.0.0.0/8"],
        "api": ["127.0.0.0/8"],
        "git": ["127.0.0.0/8"],
    })))
}

pub(crate) fn rate_limit(call: &mut Call<'_>) -> Result {
    let who = if matches!(call.credential, Credential::None) { "nobody" } else { "installation" };
    let budget = crate::github::limits::spend(call.world, call.state, who, 0);
    let core = json!({
        "limit": budget.limit, "used": budget.used, "remaining": budget.remaining(), "reset": budget.reset,
    });
    Ok(Answer::ok(&json!({ "resources": { "core": core }, "rate": core })))
}

pub(crate) fn user(call: &mut Call<'_>) -> Result {
    let id = call.state.account(call.param("login")).map(|it| it.id).ok_or_else(Answer::not_found)?;
    let mut user = call.world.user(call.state, id);
    user["name"] = Value::Null;
    user["created_at"] = json!(iso(1_767_225_600));
    Ok(Answer::ok(&user))
}

/// Whose token it is.
pub(crate) fn me(call: &mut Call<'_>) -> Result {
    let mut me = call.world.user(call.state, call.by);
    me["name"] = Value::Null;
    Ok(Answer::ok(&me))
}

pub(crate) fn app(call: &mut Call<'_>) -> Result {
    Ok(Answer::ok(&call.world.app(call.state)))
}

pub(crate) fn installations(call: &mut Call<'_>) -> Result {
    let there = !call.state.installation.gone;
    let all = if there { vec![call.world.installation(call.state)] } else { Vec::new() };
    Ok(call.page(all))
}

pub(crate) fn installation(call: &mut Call<'_>) -> Result {
    this_installation(call)?;
    Ok(Answer::ok(&call.world.installation(call.state)))
}

pub(crate) fn installation_of_repo(call: &mut Call<'_>) -> Result {
    if call.state.installation.gone || !call.state.repo(call.repo).installed {
        return Err(Answer::not_found());
    }
    Ok(Answer::ok(&call.world.installation(call.state)))
}

fn this_installation(call: &Call<'_>) -> std::result::Result<(), Answer> {
    let known = call.number("id")? == INSTALLATION_ID && !call.state.installation.gone;
    if known { Ok(()) } else { Err(Answer::not_found()) }
}

/// `POST /app/installations/{id}/access_tokens`: never more than was granted.
pub(crate) fn mint(call: &mut Call<'_>) -> Result {
    this_installation(call)?;
    if call.state.installation.suspended_at.is_some() {
        return Err(Answer::refuse(403, "This installation has been suspended"));
    }
    let permissions = narrowed_permissions(call)?;
    let repositories = narrowed_repositories(call)?;
    let expires_at = call.now + call.world.options.token_life;
    let serial = call.state.fresh();
    let enabled = call.headers.get("x-github-stateless-s2s-token").is_some_and(|it| it == "enabled");
    let format = if enabled { crate::github::TokenFormat::Long } else { call.world.options.token_format };
    let text = token_text(format);
    let mut answer = json!({
        "token": text,
        "expires_at": iso(expires_at),
        "permissions": shapes::permission_words(&permissions),
        "repository_selection": "selected",
        "x_unknown": null,
    });
    if let Some(ids) = &repositories {
        answer["repositories"] = ids.iter().map(|it| call.world.repository(call.state, *it)).collect();
    }
    call.state.tokens.insert(text, Token { serial, permissions, repositories, expires_at });
    Ok(Answer::created(&answer))
}

fn narrowed_permissions(call: &Call<'_>) -> std::result::Result<Permissions, Answer> {
    let granted = &call.state.installation.permissions;
    let Some(asked) = call.body["permissions"].as_object() else { return Ok(granted.clone()) };
    let mut permissions = Permissions::new();
    for (name, level) in asked {
        let level = level.as_str().unwrap_or("?");
        if !allows(granted, name, level) || !["read", "write", "admin"].contains(&level) {
            return Err(Answer::refuse(422, "The permissions requested are not granted to this installation."));
        }
        permissions.insert(name.clone(), level.to_owned());
    }
    // Metadata comes with every permission of a repository.
    permissions.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
    Ok(permissions)
}

fn narrowed_repositories(call: &Call<'_>) -> std::result::Result<Option<Vec<u64>>, Answer> {
    let no = || {
        Answer::refuse(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
    };
    let installed = |id: u64| call.state.repos.iter().any(|it| it.id == id && it.installed);
    let by_name = |name: &str| call.state.repos.iter().find(|it| it.name.eq_ignore_ascii_case(name)).map(|it| it.id);
    let asked: Vec<Option<u64>> = match (&call.body["repository_ids"], &call.body["repositories"]) {
        (Value::Array(ids), _) => ids.iter().map(Value::as_u64).collect(),
        (_, Value::Array(names)) => names.iter().map(|it| it.as_str().and_then(by_name)).collect(),
        _ => return Ok(None),
    };
    if asked.len() > 500 {
        return Err(Answer::refuse(422, "No more than 500 repositories can be named."));
    }
    let ids: Option<Vec<u64>> = asked.into_iter().map(|it| it.filter(|id| installed(*id))).collect();
    ids.map(Some).ok_or_else(no)
}

pub(crate) fn revoke(call: &mut Call<'_>) -> Result {
    call.state.tokens.remove(&call.token);
    Ok(Answer::nothing())
}

pub(crate) fn repositories(call: &mut Call<'_>) -> Result {
    let Credential::Installation { repository_ids, .. } = &call.credential else { return Err(Answer::not_found()) };
    let within = |id: u64| repository_ids.as_ref().is_none_or(|it| it.contains(&id));
    let ids = call.state.repos.iter().filter(|it| it.installed && within(it.id)).map(|it| it.id);
    let all = ids.map(|it| call.world.repository(call.state, it)).collect();
    Ok(call.page_in(all, Some("repositories")))
}

pub(crate) fn hook_config(call: &mut Call<'_>) -> Result {
    let hook = &call.state.hook;
    Ok(Answer::ok(&json!({
        "url": hook.url, "content_type": hook.content_type, "insecure_ssl": "0", "secret": "********",
    })))
}

pub(crate) fn change_hook_config(call: &mut Call<'_>) -> Result {
    let changed = ["url", "content_type", "secret"].map(|it| call.text(it).map(str::to_owned));
    let [url, content_type, secret] = changed;
    if content_type.as_ref().is_some_and(|it| it != "json" && it != "form") {
        return Err(Answer::invalid_field("Hook", "content_type", "invalid"));
    }
    let hook = &mut call.state.hook;
    hook.url = url.unwrap_or_else(|| hook.url.clone());
    hook.content_type = content_type.unwrap_or_else(|| hook.content_type.clone());
    hook.secret = secret.unwrap_or_else(|| hook.secret.clone());
    hook_config(call)
}

/// Newest first; the next page only through `Link`, by cursor.
pub(crate) fn deliveries(call: &mut Call<'_>) -> Result {
    let per_page = call.asked("per_page").and_then(|it| it.parse().ok()).unwrap_or(30_usize).clamp(1, 100);
    let cursor: Option<u64> = call.asked("cursor").map(|it| it.trim_start_matches("v1_").parse().unwrap_or(0));
    let wanted = |status: u16| match call.asked("status") {
        Some("success") => (200..400).contains(&status),
        Some("failure") => (400..600).contains(&status),
        _ => true,
    };
    let oldest = call.now.saturating_sub(DELIVERY_LIFE);
    let rows: Vec<_> = call
        .state
        .deliveries
        .iter()
        .rev()
        .filter(|it| it.at >= oldest && wanted(it.status) && cursor.is_none_or(|at| it.id <= at))
        .collect();
    let shown: Vec<Value> = rows.iter().take(per_page).map(|it| it.row()).collect();
    let answer = Answer::ok(&Value::Array(shown));
    match rows.get(per_page) {
        Some(next) => {
            let next = call.url_with(&[("cursor", &format!("v1_{}", next.id))]);
            Ok(answer.with("link", format!("<{next}>; rel=\"next\"")))
        }
        None => Ok(answer),
    }
}

pub(crate) fn delivery(call: &mut Call<'_>) -> Result {
    let id = call.number("id")?;
    let found = call.state.deliveries.iter().find(|it| it.id == id && it.at + DELIVERY_LIFE > call.now);
    let delivery = found.ok_or_else(Answer::not_found)?;
    let mut row = delivery.row();
    let headers: serde_json::Map<String, Value> =
        delivery.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    row["url"] = json!(call.state.hook.url);
    row["request"] = json!({ "headers": headers, "payload": delivery.payload });
    row["response"] = json!({ "headers": {}, "payload": delivery.answer });
    Ok(Answer::ok(&row))
}

/// Sends the event again, in the background, with its old GUID.
pub(crate) fn redeliver(call: &mut Call<'_>) -> Result {
    let id = call.number("id")?;
    let found = call.state.deliveries.iter().find(|it| it.id == id && it.at + DELIVERY_LIFE > call.now);
    let guid = found.map(|it| it.guid.clone()).ok_or_else(Answer::not_found)?;
    let world = Arc::clone(call.world);
    call.world.in_flight.send_modify(|it| *it += 1);
    call.world.runtime.spawn(async move {
        world.redeliver(&guid).await;
        world.in_flight.send_modify(|it| *it -= 1);
    });
    Ok(Answer::json(202, &json!({})))
}
