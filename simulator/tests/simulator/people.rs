//! What people see and do: the story, the control endpoints, the pages.

use serde_json::{Value, json};
use simulator::GitHub;
use simulator::github::Role;

use super::client::Client;

#[tokio::test]
async fn the_story_is_told_in_order_and_without_accidents() {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("README.md", "hello\n")]);
    github.person("alice", Role::Write);
    github.open_issue("alice", "octo/app", "Greet", "Say more.\nPlease.").await;
    let comment = github.comment("alice", "octo/app#1", "@cloud-agent fix this").await.comment_id;
    let client = Client::of_installation(&github, json!({})).await;
    client.post(&format!("/repos/octo/app/issues/comments/{comment}/reactions"), json!({ "content": "eyes" })).await;
    let head = github.head("octo/app", "main").unwrap();
    let run = json!({ "name": "cloud-agent", "head_sha": head, "status": "in_progress",
                      "output": { "title": "Working", "summary": "…" } });
    client.post("/repos/octo/app/check-runs", run).await;
    let text = format!("On it, from {} ({}), see {}/x", &head[..7], "0".repeat(40), github.url());
    let said = client.post("/repos/octo/app/issues/1/comments", json!({ "body": text })).await.1;
    let edited = json!({ "body": "Done.\n\n- [x] greet" });
    client.patch(&format!("/repos/octo/app/issues/comments/{}", said["id"]), edited).await;
    assert_eq!(
        github.told(),
        [
            "alice opens #1: Greet\n  Say more.\n  Please.",
            "alice on #1: @cloud-agent fix this",
            "👀 on alice's comment on #1",
            "check cloud-agent in_progress on main: Working",
            "cloud-agent[bot] on #1: On it, from main (<sha>), see http://github/x",
            "cloud-agent[bot] edits #1: Done.\n\n  - [x] greet",
        ]
    );
    assert_eq!(github.told(), Vec::<String>::new());
    assert_eq!(github.story().len(), 6);
    assert_eq!(github.comments("octo/app#1")[0].reactions, ["cloud-agent[bot] eyes"]);
}

#[tokio::test]
async fn a_person_with_curl_can_play() {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("README.md", "hello\n")]);
    let http = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        let answer = http.post(format!("{}/_control/{path}", github.url())).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(post("issue", json!({ "repo": "octo/none", "title": "x" })).await.0, 404);
    assert_eq!(post("issue", json!({ "repo": "octo/app", "title": "<b>Bug</b>", "body": "**b**" })).await.0, 200);
    assert_eq!(post("comment", json!({ "where": "octo/app#9", "text": "x" })).await.0, 404);
    assert_eq!(post("comment", json!({ "who": "bob", "where": "octo/app#1", "text": "hi" })).await.0, 200);
    assert_eq!(post("label", json!({ "where": "octo/app#1", "name": "bug" })).await.0, 200);
    let get =
        async |path: &str| http.get(format!("{}{path}", github.url())).send().await.unwrap().text().await.unwrap();
    assert_eq!(
        get("/_control/story").await,
        "alice opens #1: <b>Bug</b>\n  **b**\nbob on #1: hi\nalice labels #1: bug\n"
    );
    let page = get("/octo/app/issues/1").await;
    assert!(page.contains("&lt;b&gt;Bug&lt;/b&gt;") && page.contains("<strong>b</strong>"), "{page}");
    assert!(get("/").await.contains("/octo/app/issues/1"));
    github.branch_from("octo/app", "fix", "main");
    github.push("bob", "octo/app", "fix", &[("README.md", "hello, <world>\n")], "Greet").await;
    github.open_pull("bob", "octo/app", "fix", "main", "Greet").await;
    let page = get("/octo/app/pull/2").await;
    assert!(page.contains("<tr class=\"add\"") && page.contains("+hello, &lt;world&gt;"), "{page}");
}
