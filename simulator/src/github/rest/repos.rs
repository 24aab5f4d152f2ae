//! Repositories, what people may do in them, and their code as git knows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Call;
use crate::github::Credential;
use crate::github::answer::Answer;
use crate::github::look::Commit;
use crate::github::state::{Kind, Role};

type Result = std::result::Result<Answer, Answer>;

pub(crate) fn repository(call: &mut Call<'_>) -> Result {
    let mut repo = call.world.repository(call.state, call.repo);
    let here = call.state.repo(call.repo);
    repo["organization"] = repo["owner"].clone();
    // Of the account, whatever its token is for; of an App always this.
    let role = match call.credential {
        Credential::Person { id, .. } => call.state.role(call.repo, id),
        _ => Role::Read,
    };
    repo["permissions"] = json!({ "admin": role == Role::Admin, "push": role >= Role::Write, "pull": true });
    repo["allow_squash_merge"] = json!(here.installed);
    Ok(Answer::ok(&repo))
}

/// The role of a person, today. Unknown people and bots are 404.
pub(crate) fn permission(call: &mut Call<'_>) -> Result {
    let login = call.param("u").to_owned();
    let account = call.state.account(&login).cloned();
    let Some(account) = account.filter(|it| it.kind == Kind::User) else {
        return Err(Answer::refuse(404, &format!("{login} is not a user")));
    };
    let role = call.state.role(call.repo, account.id);
    let mut user = call.world.user(call.state, account.id);
    user["role_name"] = json!(role.name());
    Ok(Answer::ok(&json!({
        "permission": role.permission(),
        "role_name": role.name(),
        "user": user,
        "x_unknown": null,
    })))
}

pub(crate) fn branch(call: &mut Call<'_>) -> Result {
    let name = call.param("branch");
    let sha = call.bare().branch(name).ok_or_else(|| Answer::refuse(404, "Branch not found"))?;
    let commit = call.bare().commit_at(&sha).ok_or_else(Answer::not_found)?;
    let protected = patterns(call).iter().any(|it| it == name);
    Ok(Answer::ok(&json!({
        "name": name,
        "commit": commit_object(call, &commit),
        "protected": protected,
        "x_unknown": null,
    })))
}

/// The rules in force for a branch, as rulesets show them.
pub(crate) fn rules(call: &mut Call<'_>) -> Result {
    let name = call.param("branch");
    let fits = |pattern: &str| pattern == name || pattern.strip_suffix('*').is_some_and(|it| name.starts_with(it));
    let rule = json!({ "type": "pull_request", "ruleset_source_type": "Repository", "ruleset_id": 1 });
    let rules = patterns(call).iter().filter(|it| fits(it)).map(|_| rule.clone()).collect();
    Ok(call.page(rules))
}

pub(crate) fn commit(call: &mut Call<'_>) -> Result {
    let name = call.param("ref");
    if call.bare().branches().is_empty() {
        return Err(Answer::refuse(409, "Git Repository is empty."));
    }
    let none = || Answer::refuse(422, &format!("No commit found for SHA: {name}"));
    let commit = call.bare().commit_at(name).ok_or_else(none)?;
    Ok(Answer::ok(&commit_object(call, &commit)))
}

/// A file as base64 or raw, or a directory's list.
pub(crate) fn contents(call: &mut Call<'_>) -> Result {
    let path = call.param("path").to_owned();
    let bare = call.bare();
    let revision = call.asked("ref").unwrap_or(&call.state.repo(call.repo).default_branch).to_owned();
    if bare.branches().is_empty() {
        return Err(Answer::refuse(404, "This repository is empty."));
    }
    let missing = || Answer::refuse(404, &format!("No commit found for the ref {revision}"));
    bare.resolve(&revision).ok_or_else(missing)?;
    let sha = bare.object(&revision, &path).ok_or_else(Answer::not_found)?;
    let entry = |path: &str, kind: &str, sha: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        json!({ "type": kind, "name": name, "path": path, "sha": sha, "size": 0, "download_url": null })
    };
    if let Some(bytes) = bare.file(&revision, &path) {
        let accept = call.headers.get("accept").and_then(|it| it.to_str().ok()).unwrap_or_default();
        if accept.contains("raw") {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Ok(Answer::text(200, "application/vnd.github.raw+json; charset=utf-8", text));
        }
        let mut file = entry(&path, "file", &sha);
        file["size"] = json!(bytes.len());
        file["encoding"] = json!("base64");
        // GitHub breaks the text into lines, which a strict decoder must bear.
        let encoded = STANDARD.encode(&bytes);
        let lines: Vec<&str> = encoded.as_bytes().chunks(60).map(|it| std::str::from_utf8(it).unwrap()).collect();
        file["content"] = json!(format!("{}\n", lines.join("\n")));
        return Ok(Answer::ok(&file));
    }
    let list = bare.list(&revision, &path).ok_or_else(Answer::not_found)?;
    let kind = |git: &str| if git == "tree" { "dir" } else { "file" };
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    let all: Vec<Value> = list.iter().map(|(git, sha, name)| entry(&below(name), kind(git), sha)).collect();
    Ok(Answer::ok(&Value::Array(all)))
}

fn patterns(call: &Call<'_>) -> Vec<String> {
    let text = std::fs::read_to_string(call.bare().path.join("protected")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn commit_object(call: &Call<'_>, commit: &Commit) -> Value {
    let api = format!("{}/repos/{}", call.world.api_url, call.state.repo(call.repo).full_name());
    let person = json!({ "name": commit.author_name, "email": commit.author_email, "date": commit.date });
    let parents: Vec<Value> =
        commit.parents.iter().map(|it| json!({ "sha": it, "url": format!("{api}/commits/{it}") })).collect();
    json!({
        "sha": commit.sha,
        "node_id": format!("C_{}", &commit.sha[..12]),
        "url": format!("{api}/commits/{}", commit.sha),
        "commit": {
            "author": person,
            "committer": person,
            "message": commit.message,
            "tree": { "sha": commit.tree },
            "comment_count": 0,
            "verification": { "verified": false, "reason": "unsigned", "signature": null, "payload": null },
        },
        // Null when no account has the author's address.
        "author": null,
        "committer": null,
        "parents": parents,
    })
}
