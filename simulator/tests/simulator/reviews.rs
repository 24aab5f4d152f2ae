//! Reviews of pull requests: what may stand where, all or nothing, one pending, and where comments go after a push.

use reqwest::Method;
use serde_json::{Value, json};
use simulator::GitHub;
use simulator::github::{Fault, Role};

use super::client::Client;

const REVIEWS: &str = "/repos/octo/app/pulls/1/reviews";
const COMMENTS: &str = "/repos/octo/app/pulls/1/comments";

fn numbers(to: u32) -> String {
    (1..=to).fold(String::new(), |text, it| format!("{text}{it}\n"))
}

/// A pull request that changes line 10 of 30, deletes a file, adds one, and renames one.
async fn world() -> (GitHub, Client) {
    let github = GitHub::start().await;
    let thirty = numbers(30);
    github.create_repo("octo/app", &[("a.txt", &thirty), ("other.txt", "x\n")]);
    github.person("alice", Role::Write);
    github.branch_from("octo/app", "fix", "main");
    let files = [("a.txt", &*thirty.replace("10\n", "ten\n")), ("new.txt", "1\n2\n"), ("b c.txt", "x\n")];
    github.push_quietly("alice", "octo/app", "fix", &files, "Write ten");
    assert_eq!(github.open_pull("alice", "octo/app", "fix", "main", "Write ten").await, 1);
    github.told();
    let client = Client::of_installation(&github, json!({})).await;
    (github, client)
}

fn review(github: &GitHub, event: Option<&str>, body: &str, comments: &Value) -> Value {
    let head = github.head("octo/app", "refs/pull/1/head").unwrap();
    let mut review = json!({ "commit_id": head, "body": body, "comments": comments });
    if let Some(event) = event {
        review["event"] = json!(event);
    }
    review
}

fn at(path: &str, line: u64, side: &str) -> Value {
    json!([{ "path": path, "line": line, "side": side, "body": "Hm." }])
}

fn because(answer: &(u16, Value)) -> String {
    let error = &answer.1["errors"][0];
    format!("{} {}", answer.0, error.as_str().or(error["message"].as_str()).unwrap_or_default())
}

#[tokio::test]
async fn only_lines_of_the_diff_can_be_commented_on() {
    let (github, client) = world().await;
    let post = async |comments: Value| {
        because(&client.post(REVIEWS, review(&github, Some("COMMENT"), "Look.", &comments)).await)
    };
    let line = "422 Line could not be resolved";
    assert_eq!(post(at("a.txt", 6, "RIGHT")).await, line);
    assert_eq!(post(at("a.txt", 14, "RIGHT")).await, line);
    assert_eq!(post(at("new.txt", 1, "LEFT")).await, line);
    assert_eq!(post(json!([{ "path": "a.txt", "body": "x" }])).await, line);
    assert_eq!(post(at("other.txt", 1, "RIGHT")).await, "422 Path could not be resolved");
    assert_eq!(post(at("none.txt", 1, "RIGHT")).await, "422 Path could not be resolved");
    assert_eq!(post(json!([{ "path": "a.txt", "line": 10, "body": " " }])).await.split_once(' ').unwrap().0, "422");
    let several = |start: u64, end: u64| json!([{ "path": "a.txt", "start_line": start, "line": end, "body": "x" }]);
    for (start, end) in [(10, 10), (11, 10), (2, 10)] {
        assert!(post(several(start, end)).await.contains("start line must be part of the same hunk"));
    }
    let mut one_bad = at("a.txt", 10, "RIGHT");
    one_bad.as_array_mut().unwrap().extend(at("a.txt", 30, "RIGHT").as_array().unwrap().clone());
    assert_eq!(post(one_bad).await, line);
    assert!(github.reviews("octo/app#1").is_empty(), "all or nothing");
    let mut good = at("a.txt", 7, "RIGHT");
    for more in [at("a.txt", 10, "LEFT"), at("new.txt", 2, "RIGHT"), several(9, 11), at("b c.txt", 1, "RIGHT")] {
        good.as_array_mut().unwrap().extend(more.as_array().unwrap().clone());
    }
    assert_eq!(post(good).await, "200 ");
    let told = github.told();
    assert_eq!(
        told,
        ["cloud-agent[bot] reviews #1: Look.\n  a.txt:7: Hm.\n  a.txt:10 (old): Hm.\n  new.txt:2: Hm.\n  \
          a.txt:9-11: x\n  b c.txt:1: Hm."]
    );
    let comments = client.get(&format!("{COMMENTS}?per_page=2&page=2")).await.1;
    assert_eq!((&comments[0]["path"], &comments[1]["start_line"]), (&json!("new.txt"), &json!(9)));
    assert!(comments[1]["diff_hunk"].as_str().unwrap().ends_with("-10\n+ten\n 11"));
}

#[tokio::test]
async fn reviews_are_refused_for_the_right_reasons() {
    let (github, client) = world().await;
    let post = async |event: Option<&str>, body: &str, comments: Value| {
        because(&client.post(REVIEWS, review(&github, event, body, &comments)).await)
    };
    assert!(post(Some("MAYBE"), "x", json!([])).await.contains("invalid value"));
    assert_eq!(post(Some("COMMENT"), "", json!([])).await, "422 Body can't be blank");
    assert_eq!(post(Some("REQUEST_CHANGES"), "", at("a.txt", 10, "RIGHT")).await, "422 Body can't be blank");
    assert!(post(Some("COMMENT"), &"x".repeat(65_537), json!([])).await.contains("too long"));
    let main = github.head("octo/app", "main").unwrap();
    let elsewhere = json!({ "commit_id": main, "body": "x", "event": "COMMENT" });
    assert_eq!(because(&client.post(REVIEWS, elsewhere).await), "422 Commit is not part of the pull request");
    github.branch_from("octo/app", "own", "fix");
    let own = json!({ "title": "Own", "head": "own", "base": "main" });
    assert_eq!(client.post("/repos/octo/app/pulls", own).await.0, 201);
    let own = async |event: &str| {
        because(&client.post("/repos/octo/app/pulls/2/reviews", json!({ "event": event, "body": "x" })).await)
    };
    assert_eq!(own("APPROVE").await, "422 Can not approve your own pull request");
    assert_eq!(own("REQUEST_CHANGES").await, "422 Can not request changes on your own pull request");
    assert_eq!(own("COMMENT").await, "200 ");
    assert_eq!(client.post("/repos/octo/app/pulls/9/reviews", json!({ "event": "COMMENT", "body": "x" })).await.0, 404);
    let reader = Client::of_installation(&github, json!({ "permissions": { "pull_requests": "read" } })).await;
    assert_eq!(reader.post(REVIEWS, json!({ "event": "COMMENT", "body": "x" })).await.0, 403);
    assert_eq!(post(Some("COMMENT"), "", at("a.txt", 10, "RIGHT")).await, "200 ", "comments are enough");
    assert_eq!(post(Some("APPROVE"), "", json!([])).await, "200 ");
    let states: Vec<String> = github.reviews("octo/app#1").into_iter().map(|it| it.state).collect();
    assert_eq!(states, ["COMMENTED", "APPROVED"]);
}

#[tokio::test]
async fn one_review_may_be_pending() {
    let (github, client) = world().await;
    let (status, pending) = client.post(REVIEWS, review(&github, None, "", &at("a.txt", 10, "RIGHT"))).await;
    assert_eq!((status, &pending["state"], pending.get("submitted_at")), (200, &json!("PENDING"), None));
    let words = "422 User can only have one pending review per pull request";
    for event in [None, Some("COMMENT")] {
        assert_eq!(because(&client.post(REVIEWS, review(&github, event, "x", &json!([]))).await), words);
    }
    let head = github.head("octo/app", "fix").unwrap();
    let single = json!({ "path": "a.txt", "line": 10, "commit_id": head, "body": "x" });
    assert!(because(&client.post(COMMENTS, single).await).contains("one pending review"));
    assert_eq!(client.get(COMMENTS).await.1, json!([]), "nobody sees it");
    github.make_public("octo/app");
    let public = reqwest::Client::new().get(format!("{}{REVIEWS}", github.api_url())).header("user-agent", "x");
    assert_eq!(public.send().await.unwrap().json::<Value>().await.unwrap(), json!([]));
    assert_eq!(client.get(REVIEWS).await.1.as_array().unwrap().len(), 1);
    let one = format!("{REVIEWS}/{}", pending["id"]);
    assert_eq!(client.get(&format!("{one}/comments")).await.1.as_array().unwrap().len(), 1);
    assert_eq!(client.delete(&one).await.0, 200);
    assert_eq!(client.delete(&one).await.0, 404);
    let second = client.post(REVIEWS, review(&github, None, "x", &json!([]))).await.1;
    assert_eq!(github.pending_review_of_bot("octo/app#1").unwrap().body, "x");
    let one = format!("{REVIEWS}/{}", second["id"]);
    assert_eq!(client.post(&format!("{one}/events"), json!({ "event": "COMMENT", "body": "Done." })).await.0, 200);
    assert_eq!(client.post(&format!("{one}/events"), json!({ "event": "COMMENT", "body": "Done." })).await.0, 422);
    assert_eq!(client.delete(&one).await.1["message"], "Can not delete a non-pending pull request review");
    assert_eq!(client.send(Method::PUT, &one, &json!({ "body": "Really done." })).await.1["body"], "Really done.");
    assert_eq!(
        github.told(),
        [
            "cloud-agent[bot] begins a review of #1 that nobody can see\n  a.txt:10: Hm.",
            "cloud-agent[bot] drops the pending review of #1",
            "cloud-agent[bot] begins a review of #1 that nobody can see: x",
            "cloud-agent[bot] reviews #1: Done.",
            "cloud-agent[bot] edits a review of #1: Really done.",
        ]
    );
}

#[tokio::test]
async fn single_comments_and_replies_are_reviews_of_their_own() {
    let (github, client) = world().await;
    let head = github.head("octo/app", "fix").unwrap();
    let post = async |more: Value| {
        let mut body = json!({ "commit_id": head, "path": "a.txt", "body": "One." });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post(COMMENTS, body).await
    };
    assert!(because(&post(json!({ "line": 1 })).await).contains("line must be part of the diff"));
    assert_eq!(post(json!({ "path": "other.txt", "subject_type": "file" })).await.0, 422);
    assert_eq!(post(json!({ "commit_id": null, "line": 10 })).await.1["errors"][0]["field"], "commit_id");
    let (status, file) = post(json!({ "subject_type": "file" })).await;
    assert_eq!((status, &file["subject_type"], &file["line"]), (201, &json!("file"), &Value::Null));
    let line = post(json!({ "line": 10 })).await.1;
    let replies = |id: &Value| format!("{COMMENTS}/{id}/replies");
    let (status, reply) = client.post(&replies(&line["id"]), json!({ "body": "Two." })).await;
    assert_eq!((status, &reply["in_reply_to_id"], &reply["line"]), (201, &line["id"], &json!(10)));
    assert_eq!(client.post(&replies(&reply["id"]), json!({ "body": "x" })).await.0, 404, "no answers to answers");
    let reviews: Vec<Value> =
        [&file, &line, &reply].into_iter().map(|it| it["pull_request_review_id"].clone()).collect();
    let listed = client.get(REVIEWS).await.1;
    assert_eq!(listed.as_array().unwrap().iter().map(|it| it["id"].clone()).collect::<Vec<_>>(), reviews);
    let one = format!("/repos/octo/app/pulls/comments/{}", reply["id"]);
    assert_eq!(client.post(&format!("{one}/reactions"), json!({ "content": "eyes" })).await.0, 201);
    assert_eq!(client.post(&format!("{one}/reactions"), json!({ "content": "eyes" })).await.0, 200);
    assert_eq!(client.patch(&one, json!({ "body": "Three." })).await.1["body"], "Three.");
    assert_eq!(client.patch(&one, json!({ "body": "x".repeat(65_537) })).await.0, 422);
    let thread = github.threads("octo/app#1").remove(1);
    assert_eq!((thread.comments.len(), &thread.comments[1].reactions[0][..]), (2, "cloud-agent[bot] eyes"));
    assert_eq!(client.delete(&one).await.0, 204);
    assert_eq!(client.get(&one).await.0, 404);
    assert_eq!(
        github.told(),
        [
            "cloud-agent[bot] comments on #1 a.txt: One.",
            "cloud-agent[bot] comments on #1 a.txt:10: One.",
            "cloud-agent[bot] replies on #1 a.txt:10: Two.",
            "👀 on cloud-agent[bot]'s comment on #1 a.txt:10",
            "cloud-agent[bot] edits its comment on #1 a.txt:10: Three.",
            "cloud-agent[bot] deletes a comment on #1 a.txt:10",
        ]
    );
}

#[tokio::test]
async fn comments_follow_their_lines_until_these_are_gone() {
    let (github, client) = world().await;
    github
        .review("alice", "octo/app#1", "COMMENT", "", &[("a.txt", 10, "RIGHT", "A"), ("a.txt", 10, "LEFT", "B")])
        .await;
    let file = github.review_comment("alice", "octo/app#1", "new.txt", 0, "C").await.comment_id;
    github.reply("alice", "octo/app#1", file, "D").await;
    github.resolve_thread("alice", "octo/app#1", file).await;
    let thread = github.threads("octo/app#1").pop().unwrap();
    assert_eq!((thread.comments.len(), thread.resolved_by.as_deref()), (2, Some("alice")));
    let old = github.head("octo/app", "fix").unwrap();
    let push = |text: &str| github.push_quietly("alice", "octo/app", "fix", &[("a.txt", text)], "More");
    let lines = || github.review_comments("octo/app#1").into_iter().take(2).map(|it| it.line).collect::<Vec<_>>();
    push(&format!("0\n{}", numbers(30).replace("10\n", "ten\n")));
    assert_eq!(lines(), [Some(11), Some(10)]);
    let first = client.get(COMMENTS).await.1[0].clone();
    assert_eq!((&first["original_line"], &first["original_commit_id"]), (&json!(10), &json!(old)));
    assert_eq!(first["commit_id"], json!(github.head("octo/app", "fix").unwrap()));
    let on_old = json!({ "commit_id": old, "path": "a.txt", "line": 9, "body": "x" });
    assert_eq!(client.post(COMMENTS, on_old).await.1["line"], 10, "an older commit of the pull request");
    push(&numbers(30));
    assert_eq!(lines(), [None, None]);
    assert!(github.threads("octo/app#1")[0].outdated);
    push(&numbers(30).replace("10\n", "ten\n"));
    assert_eq!(lines(), [Some(10), Some(10)], "back again");
}

#[tokio::test]
async fn a_review_can_be_made_behind_a_bad_gateway() {
    let (github, client) = world().await;
    github.faults().on("POST", "/repos/{o}/{r}/pulls/{n}/reviews").answer(Fault::BadGatewayAfterApply);
    assert_eq!(client.post(REVIEWS, review(&github, Some("COMMENT"), "x", &json!([]))).await.0, 502);
    assert_eq!(github.reviews("octo/app#1").len(), 1);
}
