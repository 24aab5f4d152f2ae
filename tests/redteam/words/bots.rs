//! Names that claim trust: `…[bot]` at the end of a login, markers that only the bot writes, the agent's own `git push`.

use cloud_agent::github::{Github, Repo, Scope};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use simulator::github::Signature;
use std::process::Command;

use super::{ask, world};
use crate::world::World;

/// A comment that asks for work, by whoever is given; GitHub has one of that id.
fn comment(world: &World, user: &Value) -> Value {
    let id = world.github.comment_quietly("rita", "octo/app#1", "@cloud-agent fix this");
    json!({
        "action": "created",
        "comment": { "id": id, "body": "@cloud-agent fix this", "user": user, "created_at": "2026-01-01T00:00:00Z" },
        "issue": { "number": 1, "title": "T", "body": null, "user": null, "comments": 0 },
        "repository": { "id": world.github.repo_id("octo/app"), "full_name": "octo/app", "default_branch": "main" },
        "installation": { "id": world.github.installation_id() },
        "sender": user,
    })
}

/// Deliver it, and let it come to rest; why nothing came of it.
async fn deliver(world: &World, guid: &str, body: &Value) -> String {
    let body = body.to_string();
    let (status, _) =
        world.github.deliver_raw("issue_comment", guid, body.as_bytes(), Signature::Good, "application/json").await;
    assert_eq!(status, 202);
    world.settle().await;
    world.store().delivery_decision(guid).await.unwrap().and_then(|(_, why)| why).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn class_07_a_bots_name_gives_no_trust() {
    let mut world = world().await;
    world.claude_will("echo more >> README.md");
    world.start().await;
    world.issue("The greeting is short", "");
    let mut told = Vec::new();
    for (login, kind) in [
        ("cloud-agent[bot]", "User"),
        ("cloud-agent[bot]", "Bot"),
        ("dependabot[bot]", "Bot"),
        ("dependabot[bot]", "User"),
        ("github-actions[bot]", "User"),
        ("alice", "User"),
    ] {
        // An account of the attacker's, whatever it is called; what GitHub knows alice by is another id.
        let user = json!({ "id": 666, "login": login, "type": kind });
        told.push(format!(
            "{login} {kind}: {}",
            deliver(&world, &format!("{login}-{kind}"), &comment(&world, &user)).await
        ));
    }
    world.told();
    assert_eq!(world.github.pulls("octo/app"), []);
    assert!(world.last_task(1).await.is_none());
    insta::assert_snapshot!(told.join("\n"), @"
    cloud-agent[bot] User: refused: not_a_writer
    cloud-agent[bot] Bot: bots are not listened to
    dependabot[bot] Bot: bots are not listened to
    dependabot[bot] User: refused: not_a_writer
    github-actions[bot] User: refused: not_a_writer
    alice User: refused: not_a_writer
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_07_the_same_comment_by_a_writer_is_obeyed() {
    let mut world = world().await;
    world.claude_will("echo more >> README.md");
    world.start().await;
    world.issue("The greeting is short", "");
    let alice = json!({ "id": world.person("alice"), "login": "alice", "type": "User" });
    assert_eq!(deliver(&world, "alice", &comment(&world, &alice)).await, "made a task");
    world.told();
    assert_eq!(world.github.pulls("octo/app").len(), 1);
}

/// Push what is in the present directory by all means that there may be.
fn push(github: &str) -> String {
    format!(
        "git push -q {github}/octo/app.git HEAD:refs/heads/stolen; git push -q origin HEAD:refs/heads/stolen; \
         gh pr create --title stolen --body x; \
         curl -s -X POST -d '{{\"title\":\"stolen\"}}' {github}/api/v3/repos/octo/app/issues"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn class_07_the_agent_has_nothing_to_push_with() {
    let mut world = world().await;
    let script = push(world.github.url());
    world.claude_will(&format!("echo more >> README.md; git commit -qam Greet; ({script}) >&2; true"));
    world.start().await;
    ask(&world, "fix this").await;
    world.told();
    let branches = world.github.branches("octo/app");
    assert_eq!(branches, ["cloud-agent/issue-1-the-greeting-is-short", "main"]);
    // Nothing came as far as GitHub without the bot's credential, not even to be refused.
    let journal = world.github.journal();
    assert!(journal.iter().all(|it| it.credential != simulator::github::Credential::None), "{journal:#?}");
}

/// The bot's own client of GitHub.
fn bot(world: &World) -> Repo {
    let settings = [
        ("GITHUB_API_URL", world.github.api_url()),
        ("GITHUB_APP_ID", &world.github.app_id().to_string()),
        ("GITHUB_APP_PRIVATE_KEY", world.github.private_key_pem()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let github = Github::new(&cloud_agent::cli::config_of(&settings).unwrap().github).unwrap();
    github.repo(world.github.installation_id(), world.github.repo_id("octo/app"), "octo/app")
}

#[tokio::test(flavor = "multi_thread")]
async fn control_07_with_the_bots_token_the_same_push_succeeds() {
    let world = world().await;
    let token = bot(&world).git_token(Scope::Push).await.unwrap();
    let url = world.github.url().replace("http://", &format!("http://x-access-token:{}@", token.expose_secret()));
    let dir = tempfile::tempdir().unwrap();
    let script =
        format!("git init -q .; git -c user.name=x -c user.email=x@x commit -q --allow-empty -m x; {}", push(&url));
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(dir.path());
    tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    assert!(world.github.branches("octo/app").contains(&"stolen".to_owned()));
    world.told();
}
