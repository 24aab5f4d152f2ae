//! The pages that people look at: reviews where they belong, and buttons that can be pressed.

use http::StatusCode;
use serde_json::json;
use simulator::GitHub;
use simulator::github::Role;

use super::client::Client;
use super::webhooks::{bot, names};

const PLACE: &str = "octo/app#1";

#[tokio::test]
async fn a_reviewed_pull_request_can_be_read_and_its_buttons_pressed() {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("a.txt", "1\n2\n3\n")]);
    github.person("alice", Role::Write);
    let seen = bot(&github, StatusCode::ACCEPTED).await;
    github.push_quietly("alice", "octo/app", "fix", &[("a.txt", "1\ntwo\n3\n")], "Write two");
    github.open_pull("alice", "octo/app", "fix", "main", "Two").await;
    let said = "**Not two**\n\n```suggestion\n2 < 3\n```";
    let comments = [("a.txt", 2, "RIGHT", said), ("a.txt", 0, "RIGHT", "The file & all")];
    github.review("alice", PLACE, "REQUEST_CHANGES", "Look again", &comments).await;
    let root = github.review_comments(PLACE)[0].id;
    github.reply("alice", PLACE, root, "Indeed").await;
    let client = Client::of_installation(&github, json!({})).await;
    let run = json!({
        "name": "review", "head_sha": github.head("octo/app", "fix"), "conclusion": "neutral",
        "output": { "title": "One finding", "summary": "It is *two*" },
        "actions": [{ "label": "Fix all", "identifier": "fix", "description": "Fix it" }],
    });
    let run = client.post("/repos/octo/app/check-runs", run).await.1["id"].as_u64().unwrap();
    let page = async || {
        let answer = client.http.get(format!("{}/octo/app/pull/1", github.url())).send().await.unwrap();
        answer.text().await.unwrap()
    };

    let shown = page().await;
    let parts = ["requested changes", "It is <em>two</em>", "<b>a.txt</b>", "On the whole file", "+two", "-gone"];
    let at = parts.map(|it| shown.find(it));
    assert!(at[..5].iter().all(Option::is_some) && at[..5].is_sorted() && at[5].is_none(), "{at:?}\n{shown}");
    let thread = &shown[shown.find("<tr class=\"note\">").unwrap()..];
    let parts = ["Not two", ">two</td>", ">2 &lt; 3</td>", "Indeed"].map(|it| thread.find(it));
    assert!(parts.iter().all(Option::is_some) && parts.is_sorted(), "{parts:?}\n{thread}");

    github.resolve_thread("alice", PLACE, root).await;
    github.push("alice", "octo/app", "fix", &[("a.txt", "1\nzwei\n3\n")], "Write zwei").await;
    let folded = page().await;
    assert!(folded.contains("<details class=\"thread resolved\"") && folded.contains("outdated"), "{folded}");

    let press = async |fields: &str, origin: &str| {
        let request = client.http.post(format!("{}/_control/click", github.url()));
        let answer = request.header("origin", origin).body(fields.to_owned()).send().await.unwrap();
        answer.status().as_u16()
    };
    seen.lock().unwrap().clear();
    assert_eq!(press(&format!("check={run}&action=fix"), "http://elsewhere.example").await, 403);
    assert_eq!(press(&format!("check={run}&action=stop"), github.url()).await, 404);
    assert_eq!(names(&seen), [""; 0]);
    assert_eq!(press(&format!("check={run}&action=fix&back=%2Focto%2Fapp"), github.url()).await, 303);
    assert_eq!(press(&format!("check={run}&action="), github.url()).await, 303);
    assert_eq!(names(&seen), ["check_run.requested_action by alice", "check_run.rerequested by alice"]);
}
