//! Check runs beyond their limits: annotations, buttons, suites, jobs with logs on another host, and the merge queue.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use simulator::GitHub;
use simulator::github::Role;

use super::client::Client;
use super::webhooks::{Seen, bot, names};

const CHECKS: &str = "/repos/octo/app/check-runs";

async fn world() -> (GitHub, Seen, Client) {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("a.txt", "1\n2\n3\n")]);
    github.person("alice", Role::Write);
    let seen = bot(&github, StatusCode::ACCEPTED).await;
    github.branch_from("octo/app", "fix", "main");
    github.push_quietly("alice", "octo/app", "fix", &[("a.txt", "1\ntwo\n3\n")], "Write two");
    github.open_pull("alice", "octo/app", "fix", "main", "Two").await;
    github.told();
    seen.lock().unwrap().clear();
    let client = Client::of_installation(&github, json!({})).await;
    (github, seen, client)
}

fn note(line: u64) -> Value {
    json!({ "path": "a.txt", "start_line": line, "end_line": line, "annotation_level": "warning", "message": "Hm." })
}

#[tokio::test]
async fn annotations_add_up_and_buttons_are_pressed() {
    let (github, seen, client) = world().await;
    let head = github.head("octo/app", "fix").unwrap();
    let new = json!({ "name": "review", "head_sha": head, "external_id": "task-1", "status": "in_progress" });
    let run = client.post(CHECKS, new).await.1;
    let one = format!("{CHECKS}/{}", run["id"]);
    let output = |notes: &[Value]| json!({ "output": { "title": "t", "summary": "s", "annotations": notes } });
    assert_eq!(client.patch(&one, output(&vec![note(1); 50])).await.0, 200);
    assert_eq!(client.patch(&one, output(&[note(2)])).await.1["output"]["annotations_count"], 51);
    assert_eq!(client.patch(&one, output(&vec![note(1); 51])).await.0, 422);
    let mut wide = note(1);
    (wide["end_line"], wide["start_column"]) = (json!(2), json!(1));
    assert_eq!(client.patch(&one, output(&[wide])).await.0, 422, "columns over several lines");
    let page = client.get(&format!("{one}/annotations?per_page=50&page=2")).await.1;
    assert_eq!(
        (page.as_array().unwrap().len(), &page[0]["start_line"], &page[0]["title"]),
        (1, &json!(2), &Value::Null)
    );
    assert_eq!(client.patch(&one, json!({ "output": { "title": "t" } })).await.0, 422);
    let button = |label: &str| json!({ "label": label, "identifier": "fix", "description": "Fix it" });
    assert_eq!(client.patch(&one, json!({ "actions": vec![button("Fix"); 4] })).await.0, 422);
    let done = json!({ "conclusion": "neutral", "actions": [button("Fix"), button("Ignore")] });
    assert_eq!(client.patch(&one, done).await.1["status"], "completed");
    let back = client.patch(&one, json!({ "status": "in_progress" })).await.1;
    assert_eq!((&back["status"], &back["conclusion"]), (&json!("completed"), &json!("neutral")), "no way back");
    let kept = &github.check_runs("octo/app")[0];
    assert_eq!((kept.annotations.len(), &kept.annotations[50].message[..]), (51, "Hm."));
    assert_eq!(kept.actions[1].label, "Ignore");

    github.quiesce().await;
    seen.lock().unwrap().clear();
    github.click_action("alice", kept.id, "fix").await;
    github.rerun_check("alice", kept.id).await;
    github.rerun_suite("alice", kept.id).await;
    let said = names(&seen);
    assert_eq!(
        said,
        ["check_run.requested_action by alice", "check_run.rerequested by alice", "check_suite.rerequested by alice"]
    );
    let (clicked, suite) = {
        let all = seen.lock().unwrap();
        (all[0].1.clone(), all[2].1["check_suite"].clone())
    };
    let pressed = &clicked["check_run"];
    assert_eq!(clicked["requested_action"], json!({ "identifier": "fix" }));
    assert_eq!((&pressed["external_id"], &pressed["head_sha"]), (&json!("task-1"), &json!(head)));
    for app in [&pressed["app"], &pressed["check_suite"]["app"], &suite["app"]] {
        assert_eq!(app["id"], json!(github.app_id()));
    }
    assert_eq!((&pressed["pull_requests"][0]["number"], &suite["pull_requests"][0]["number"]), (&json!(1), &json!(1)));
    let runs = client.get(&format!("/repos/octo/app/check-suites/{}/check-runs", suite["id"])).await.1;
    assert_eq!((&runs["total_count"], &runs["check_runs"][0]["id"]), (&json!(1), &json!(kept.id)));
    assert_eq!(client.get("/repos/octo/app/check-suites/1/check-runs").await.0, 404);
    let told = github.told();
    assert!(told[1].ends_with("\n  … and 40 more annotations"), "{told:#?}");
    assert_eq!(told[2], "check review in_progress on fix: t\n  a.txt:2 warning Hm.");
    assert_eq!(told[3], "check review completed neutral on fix: t\n  [Fix] [Ignore]");
}

#[tokio::test]
async fn logs_are_fetched_once_and_without_a_token() {
    let (github, seen, client) = world().await;
    let job = github.actions_job("octo/app", "fix", "test", "failure", "error: two\n").await;
    assert_eq!(
        names(&seen),
        ["check_run.completed by github-actions[bot]", "check_suite.completed by github-actions[bot]"]
    );
    let run = client.get(&format!("{CHECKS}/{job}")).await.1;
    assert_eq!(run["app"]["slug"], "github-actions");
    assert!(run["details_url"].as_str().unwrap().ends_with(&format!("/job/{job}")));
    assert_eq!(client.patch(&format!("{CHECKS}/{job}"), json!({ "conclusion": "success" })).await.0, 403);
    let path = format!("/repos/octo/app/actions/jobs/{job}");
    let listed =
        client.get(&format!("/repos/octo/app/actions/runs/{}/jobs", client.get(&path).await.1["run_id"])).await;
    assert_eq!(listed.1["jobs"][0]["conclusion"], "failure");
    let logs = format!("{path}/logs");
    let address = async || {
        let answer = client.request(reqwest::Method::GET, &logs).send().await.unwrap();
        assert_eq!(answer.status(), 302);
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    let fetch = async |url: &str| {
        let answer = client.http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let first = address().await;
    assert!(first.starts_with(github.logs_url()) && github.logs_url() != github.url());
    assert_eq!(client.http.get(&first).bearer_auth(&client.token).send().await.unwrap().status(), 400);
    assert_eq!(fetch(&first).await, (200, "error: two\n".to_owned()));
    assert_eq!(fetch(&first).await.0, 403, "once");
    let late = address().await;
    github.advance(Duration::from_secs(61));
    assert_eq!(fetch(&late).await.0, 403, "for a minute");
    let without = Client::of_installation(&github, json!({ "permissions": { "checks": "read" } })).await;
    assert_eq!(without.get(&logs).await.0, 403);
    github.make_public("octo/app");
    assert_eq!(without.get(&logs).await.0, 403, "reading is not enough, even here");
    assert!(
        github
            .journal()
            .iter()
            .any(|it| it.path.starts_with("/logs/") && it.headers.iter().any(|it| it.0 == "authorization"))
    );
    assert_eq!(github.told(), ["check test completed failure on fix"]);
}

#[tokio::test]
async fn the_merge_queue_asks_for_checks() {
    let (github, seen, client) = world().await;
    let (sha, delivered) = github.queue_for_merge("octo/app#1").await;
    assert_eq!(delivered.status, 202);
    let event = seen.lock().unwrap().last().unwrap().1.clone();
    let main = github.head("octo/app", "main").unwrap();
    let group = &event["merge_group"];
    assert_eq!(
        (&event["action"], &group["head_sha"], &group["base_sha"]),
        (&json!("checks_requested"), &json!(sha), &json!(main))
    );
    assert_eq!(group["head_ref"], format!("refs/heads/gh-readonly-queue/main/pr-1-{main}"));
    assert_eq!(github.file_at("octo/app", &sha, "a.txt").unwrap(), "1\ntwo\n3\n");
    let check = client.post(CHECKS, json!({ "name": "x", "head_sha": sha, "conclusion": "neutral" })).await;
    assert_eq!((check.0, &check.1["pull_requests"]), (201, &json!([])));
    assert_eq!(github.told()[0], "github-merge-queue[bot] pushes gh-readonly-queue/main/pr-1-main");
}
