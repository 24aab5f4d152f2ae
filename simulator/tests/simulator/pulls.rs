//! Pull requests as people treat them: drafts, forks and forced pushes, and what the bot may see and do there.

use http::StatusCode;
use serde_json::{Value, json};
use simulator::GitHub;
use simulator::github::Role;

use super::client::Client;
use super::git::git;
use super::webhooks::{Seen, bot, names};

async fn world() -> (GitHub, Seen) {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("a.txt", "1\n2\n3\n"), ("dir/b.txt", "b\n")]);
    github.person("alice", Role::Write);
    let seen = bot(&github, StatusCode::ACCEPTED).await;
    github.branch_from("octo/app", "fix", "main");
    github.push_quietly("alice", "octo/app", "fix", &[("a.txt", "1\ntwo\n3\n")], "Write two");
    (github, seen)
}

fn last(seen: &Seen) -> Value {
    seen.lock().unwrap().last().unwrap().1.clone()
}

#[tokio::test]
async fn drafts_and_pushes_are_announced() {
    let (github, seen) = world().await;
    github.subscribe(&[
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_review_thread",
    ]);
    assert_eq!(github.open_draft_pull("alice", "octo/app", "fix", "main", "Two").await, 1);
    assert_eq!(last(&seen)["pull_request"]["draft"], true);
    github.mark_ready("alice", "octo/app#1").await;
    assert_eq!(github.mark_ready("alice", "octo/app#1").await.status, 0, "it is ready");
    github.convert_to_draft("alice", "octo/app#1").await;
    let before = github.head("octo/app", "fix").unwrap();
    let after = github.force_push("alice", "octo/app", ("fix", "main"), &[("a.txt", "1\nzwei\n3\n")], "Again").await;
    let moved = last(&seen);
    assert_eq!((&moved["before"], &moved["after"]), (&json!(before), &json!(after)));
    let head = &moved["pull_request"]["head"];
    assert_eq!((&head["sha"], &head["ref"]), (&json!(after), &json!("fix")));
    assert_eq!((&head["repo"]["id"], &head["user"]["login"]), (&json!(github.repo_id("octo/app")), &json!("octo")));
    assert_eq!(moved["pull_request"]["base"]["sha"], json!(github.head("octo/app", "main").unwrap()));
    let said = github.review("bob", "octo/app#1", "APPROVE", "", &[("a.txt", 2, "RIGHT", "Zwei?")]).await;
    let (comment, review) = (last(&seen), seen.lock().unwrap()[4].1.clone());
    assert_eq!((&review["review"]["state"], &review["review"]["body"]), (&json!("approved"), &Value::Null));
    assert_eq!(comment["comment"]["pull_request_review_id"], review["review"]["id"]);
    github.resolve_thread("alice", "octo/app#1", said.comment_id).await;
    assert_eq!(last(&seen)["thread"]["comments"][0]["id"], json!(said.comment_id));
    let client = Client::of_installation(&github, json!({})).await;
    let reply = format!("/repos/octo/app/pulls/1/comments/{}/replies", said.comment_id);
    assert_eq!(client.post(&reply, json!({ "body": "Two." })).await.0, 201);
    github.quiesce().await;
    assert!(github.merge("alice", "octo/app#1").await);
    assert_eq!(
        names(&seen),
        [
            "pull_request.opened by alice",
            "pull_request.ready_for_review by alice",
            "pull_request.converted_to_draft by alice",
            "pull_request.synchronize by alice",
            "pull_request_review.submitted by bob",
            "pull_request_review_comment.created by bob",
            "pull_request_review_thread.resolved by alice",
            "pull_request_review_comment.created by cloud-agent[bot]",
            "pull_request_review.submitted by cloud-agent[bot]",
            "pull_request.closed by alice",
        ]
    );
    assert_eq!(client.get("/repos/octo/app/pulls/1/files").await.1[0]["patch"], "@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3");
    let of_commit = client.get(&format!("/repos/octo/app/commits/{after}/pulls")).await.1;
    assert_eq!((of_commit.as_array().unwrap().len(), &of_commit[0]["number"]), (1, &json!(1)));
    let main = github.head("octo/app", "main~1").unwrap();
    assert_eq!(client.get(&format!("/repos/octo/app/commits/{main}/pulls")).await.1, json!([]));
    let told = github.told();
    assert!(told.contains(&"alice turns #1 into a draft".to_owned()), "{told:#?}");
    assert!(told.contains(&"bob approves #1\n  a.txt:2: Zwei?".to_owned()), "{told:#?}");
    assert!(told.contains(&"alice resolves the thread on #1 a.txt:2".to_owned()), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forks_are_out_of_the_apps_reach() {
    let (github, seen) = world().await;
    github.subscribe(&["pull_request"]);
    github.make_public("octo/app");
    assert_eq!(github.fork("bob", "octo/app"), "bob/app");
    github.branch_from("bob/app", "patch", "main");
    github.push("bob", "bob/app", "patch", &[("a.txt", "one\n2\n3\n")], "Write one").await;
    assert!(seen.lock().unwrap().is_empty(), "the App is not installed there");
    assert_eq!(github.open_pull_from_fork("bob", "bob/app", "patch", "main", "One").await, 1);
    let opened = last(&seen);
    let head = &opened["pull_request"]["head"];
    assert_eq!((&head["label"], &head["repo"]["fork"]), (&json!("bob:patch"), &json!(true)));
    assert_eq!(opened["pull_request"]["maintainer_can_modify"], true);
    let pushed = github.push("bob", "bob/app", "patch", &[("new.txt", "x\n")], "Add").await;
    assert_eq!(last(&seen)["after"], json!(pushed));
    assert_eq!(github.head("octo/app", "refs/pull/1/head"), Some(pushed.clone()));

    let client = Client::of_installation(&github, json!({})).await;
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| git(dir.path(), &client.token, args);
    let (base, fork) = (format!("{}/octo/app.git", github.url()), format!("{}/bob/app.git", github.url()));
    assert!(run(&["init", "-q"]).0);
    assert!(run(&["fetch", "-q", &base, "refs/pull/1/head:here"]).0);
    assert!(!run(&["push", "-q", &base, "+here:refs/pull/1/head"]).0, "read-only");
    let refused = run(&["push", &fork, "here:patch"]);
    assert!(!refused.0 && refused.1.contains("Write access to repository not granted."), "{}", refused.1);
    assert_eq!(
        client.patch("/repos/octo/app/git/refs/pull/1/head", json!({ "sha": pushed, "force": true })).await.0,
        422
    );
    assert_eq!(client.get("/repos/octo/app/pulls?head=bob:patch").await.1[0]["number"], 1);
    let check = client.post("/repos/octo/app/check-runs", json!({ "name": "x", "head_sha": pushed })).await.1;
    assert_eq!(check["pull_requests"], json!([]));
    let review =
        json!({ "event": "COMMENT", "body": "x", "comments": [{ "path": "new.txt", "line": 1, "body": "y" }] });
    let reviewed = client.post("/repos/octo/app/pulls/1/reviews", review).await;
    assert_eq!(reviewed.0, 200, "{}", reviewed.1);

    github.delete_fork("bob/app");
    assert_eq!(client.get("/repos/octo/app/pulls/1").await.1["head"]["repo"], Value::Null);
    assert!(run(&["fetch", "-q", &base, "refs/pull/1/head"]).0);
    let names: Vec<Value> = client.get("/repos/octo/app/contents").await.1.as_array().unwrap().clone();
    let names: Vec<&str> = names.iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["a.txt", "dir"]);
    assert_eq!(
        github.told()[1..],
        [
            "bob pushes bob/app:patch",
            "bob opens pull #1 \"One\" bob:patch -> main\n  a.txt: -1 +one",
            "bob pushes bob/app:patch",
            "check x queued on <sha>",
            "cloud-agent[bot] reviews #1: x\n  new.txt:1: y",
        ]
    );
}
