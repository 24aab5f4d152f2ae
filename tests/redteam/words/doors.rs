//! Deliveries that GitHub did not send, did not send now, or did not send like this.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use simulator::github::Signature;

use super::world;
use crate::world::World;

/// alice asks for work, in a comment of this id.
fn asks(world: &World, id: u64) -> Value {
    let alice = json!({ "id": world.person("alice"), "login": "alice", "type": "User" });
    json!({
        "action": "created",
        "comment": { "id": id, "body": "@cloud-agent fix this", "user": alice, "created_at": "2026-01-01T00:00:00Z" },
        "issue": { "number": 1, "title": "T", "body": null, "user": null, "comments": 0 },
        "repository": { "id": world.github.repo_id("octo/app"), "full_name": "octo/app", "default_branch": "main" },
        "installation": { "id": world.github.installation_id() },
        "sender": alice,
    })
}

/// A comment that is there, of which the bot has not heard.
fn comment(world: &World) -> u64 {
    world.github.comment_quietly("alice", "octo/app#1", "@cloud-agent fix this")
}

fn signed(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// Knock at the door by hand; the status of the answer.
async fn knock(world: &World, guid: &str, headers: &[(&str, &str)], body: Vec<u8>) -> u16 {
    let url = format!("http://{}/webhooks/github", world.address());
    let mut request = reqwest::Client::builder().no_proxy().build().unwrap().post(url);
    for (name, value) in
        [("x-github-event", "issue_comment"), ("x-github-delivery", guid), ("content-type", "application/json")]
    {
        request = request.header(name, value);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).send().await.unwrap().status().as_u16()
}

const SIGNATURE: &str = "x-hub-signature-256";

/// A forged delivery: what is wrong with it, its headers and its body.
type Forgery = (&'static str, Vec<(&'static str, String)>, Vec<u8>);

fn forgeries(world: &World) -> Vec<Forgery> {
    let secret = world.github.webhook_secret();
    let body = asks(world, 4711).to_string().into_bytes();
    let good = signed(&secret, &body);
    let other = asks(world, 4711).to_string().replace("fix this", "delete it").into_bytes();
    let forged = signed("guess", &body);
    let large = [body.clone(), vec![b' '; 26 << 20]].concat();
    vec![
        ("no-signature", vec![], body.clone()),
        ("another-secret", vec![(SIGNATURE, forged.clone())], body.clone()),
        ("no-secret", vec![(SIGNATURE, signed("", &body))], body.clone()),
        ("another-body", vec![(SIGNATURE, good.clone())], other),
        ("a-byte-more", vec![(SIGNATURE, good.clone())], [&body[..], b" "].concat()),
        ("truncated", vec![(SIGNATURE, good.clone())], body[..body.len() - 9].to_vec()),
        ("sha1-alone", vec![("x-hub-signature", good.replace("sha256=", "sha1="))], body.clone()),
        ("sha1-in-its-place", vec![(SIGNATURE, format!("sha1={}", &good[7..47]))], body.clone()),
        ("half-a-signature", vec![(SIGNATURE, good[..39].to_owned())], body.clone()),
        ("empty", vec![(SIGNATURE, String::new())], body.clone()),
        ("only-the-scheme", vec![(SIGNATURE, "sha256=".to_owned())], body.clone()),
        ("two-first-is-bad", vec![(SIGNATURE, forged.clone()), (SIGNATURE, good.clone())], body.clone()),
        ("two-in-one", vec![(SIGNATURE, format!("{forged}, {good}"))], body),
        ("too-large", vec![(SIGNATURE, signed(&secret, &large))], large),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn class_25_what_github_did_not_sign_is_nothing() {
    let world = World::running(crate::world::Database::sqlite()).await;
    world.issue("The greeting is short", "");
    let mut told = Vec::new();
    for (what, headers, body) in forgeries(&world) {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let status = knock(&world, what, &headers, body).await;
        let stored = world.store().delivery_decision(what).await.unwrap().is_some();
        told.push(format!("{what}: {status}{}", if stored { " stored" } else { "" }));
    }
    world.settle().await;
    insta::assert_snapshot!(told.join("\n"), @"
    no-signature: 401
    another-secret: 401
    no-secret: 401
    another-body: 401
    a-byte-more: 401
    truncated: 401
    sha1-alone: 401
    sha1-in-its-place: 401
    half-a-signature: 401
    empty: 401
    only-the-scheme: 401
    two-first-is-bad: 401
    two-in-one: 401
    too-large: 413
    ");
    assert_eq!(world.told(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn class_25_a_delivery_played_again_is_no_second_task() {
    let mut world = world().await;
    world.claude_will("echo more >> README.md");
    world.start().await;
    world.issue("The greeting is short", "");
    let body = asks(&world, comment(&world)).to_string().into_bytes();
    let signature = signed(&world.github.webhook_secret(), &body);
    assert_eq!(knock(&world, "first", &[(SIGNATURE, &signature)], body.clone()).await, 202);
    world.settle().await;
    // The id is not signed: whoever has seen a delivery can send it under another. It is the same comment all the same.
    let again = knock(&world, "first", &[(SIGNATURE, &signature)], body.clone()).await;
    let renamed = knock(&world, "second", &[(SIGNATURE, &signature)], body.clone()).await;
    // And as another event than it was.
    let other = knock(&world, "third", &[(SIGNATURE, &signature), ("x-github-event", "issues")], body).await;
    world.settle().await;
    assert_eq!((again, renamed), (200, 202));
    assert!([202, 400].contains(&other), "{other}");
    assert_eq!(world.told().matches("\npush ").count(), 1);
    assert_eq!(world.sql("select count(*) from task").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_25_the_same_delivery_with_githubs_signature_is_obeyed() {
    let mut world = world().await;
    world.claude_will("echo more >> README.md");
    // A secret that everybody knows is as good as none: the forger's signature is GitHub's.
    world.set("GITHUB_WEBHOOK_SECRET", &format!("guess,{}", world.github.webhook_secret()));
    world.start().await;
    world.issue("The greeting is short", "");
    let body = asks(&world, comment(&world)).to_string();
    let (status, _) = world
        .github
        .deliver_raw("issue_comment", "forged", body.as_bytes(), Signature::OtherSecret("guess"), "application/json")
        .await;
    world.settle().await;
    assert_eq!(status, 202);
    world.told();
    assert_eq!(world.github.pulls("octo/app").len(), 1);
}
