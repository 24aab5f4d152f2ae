//! REST: who may do what, and the refusals a bot meets.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use simulator::github::{Fault, Role, TokenFormat};
use simulator::{GitHub, Options};

use super::client::{Client, good_jwt, jwt};

async fn world() -> GitHub {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("README.md", "hello\n"), ("dir/a.txt", "a\n")]);
    github.create_repo("octo/other", &[("README.md", "other\n")]);
    github.person("alice", Role::Write);
    github.open_issue("alice", "octo/app", "Broken", "It is broken.").await;
    github
}

#[tokio::test]
async fn a_jwt_must_be_ours_and_short_lived() {
    let github = world().await;
    let ask = |token: String| {
        let client = Client::with_token(&github, &token);
        async move { client.get("/app").await }
    };
    assert_eq!(ask(good_jwt(&github)).await.0, 200);
    assert_eq!(ask(jwt(&github, -60, 540, &json!(github.client_id()))).await.0, 200);
    assert_eq!(ask(jwt(&github, -60, 540, &json!(github.app_id()))).await.0, 200);
    let far = ask(jwt(&github, -60, 700, &json!(github.app_id()))).await;
    assert_eq!(
        (far.0, far.1["message"].as_str().unwrap()),
        (401, "'Expiration time' claim ('exp') is too far in the future")
    );
    assert_eq!(ask(jwt(&github, -60, -10, &json!(github.app_id()))).await.0, 401);
    assert_eq!(ask(jwt(&github, 60, 540, &json!(github.app_id()))).await.0, 401);
    assert_eq!(ask(jwt(&github, -60, 540, &json!("12345"))).await.0, 401);
    let mut forged = good_jwt(&github);
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    assert_eq!(ask(forged).await.1["message"], "A JSON web token could not be decoded");
}

#[tokio::test]
async fn tokens_are_long_narrow_and_mortal() {
    let github = world().await;
    let (app, other) = (github.repo_id("octo/app"), github.repo_id("octo/other"));
    let narrow = json!({ "repository_ids": [app], "permissions": { "issues": "write" } });
    let client = Client::of_installation(&github, narrow).await;
    assert!(client.token.len() > 500 && client.token.matches('.').count() == 2, "{}", client.token);
    assert_eq!(client.get("/repos/octo/app/issues/1").await.0, 200);
    assert_eq!(client.get("/repos/octo/other/issues/1").await.0, 404, "another repository does not exist");
    assert_eq!(client.get("/app").await.0, 401, "App routes want the JWT");
    let refused = client.request(Method::GET, "/repos/octo/app/branches/main").send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.headers()["x-accepted-github-permissions"], "contents=read");

    let as_app = Client::with_token(&github, &good_jwt(&github));
    let mint = format!("/app/installations/{}/access_tokens", github.installation_id());
    assert_eq!(as_app.post(&mint, json!({ "permissions": { "workflows": "write" } })).await.0, 422);
    assert_eq!(as_app.post(&mint, json!({ "repository_ids": [app, 1] })).await.0, 422);
    assert_eq!(as_app.post(&mint, json!({ "repositories": ["app", "other"] })).await.0, 201);
    assert_eq!(as_app.post("/app/installations/1/access_tokens", json!({})).await.0, 404);
    assert_eq!(as_app.get("/repos/octo/app/issues/1").await.0, 404, "the JWT reads no repository");
    github.suspend_installation();
    assert_eq!(as_app.post(&mint, json!({})).await.1["message"], "This installation has been suspended");
    github.unsuspend_installation();

    github.advance(Duration::from_secs(3601));
    let expired = client.get("/repos/octo/app/issues/1").await;
    assert_eq!((expired.0, expired.1["message"].as_str().unwrap()), (401, "Bad credentials"));
    github.set_installed("octo/other", false);
    assert_eq!(as_app.get(&format!("/repositories/{other}/installation")).await.0, 401, "so is the old JWT");
}

#[tokio::test]
async fn requests_follow_the_conventions() {
    let github = world().await;
    let client = Client::of_installation(&github, json!({})).await;
    let anonymous = reqwest::Client::new().get(format!("{}/meta", github.api_url())).send().await.unwrap();
    assert_eq!(anonymous.status(), 403, "no User-Agent");
    let get = |path: &str| client.request(Method::GET, path);
    let future = get("/repos/octo/app").header("x-github-api-version", "2031-01-01").send().await.unwrap();
    assert_eq!(future.status(), 400);
    assert_eq!(client.get("/repos/octo/app/").await.0, 404, "trailing slash");
    let unknown = client.get("/repos/octo/app/nonsense").await;
    assert_eq!(unknown.0, 404);
    assert!(unknown.1["message"].as_str().unwrap().contains("/repos/octo/app/nonsense"));
    let bad = get("/x").body("").send().await.unwrap();
    assert!(bad.headers().contains_key("x-ratelimit-remaining") && bad.headers().contains_key("x-github-request-id"));
    let broken = client.request(Method::POST, "/repos/octo/app/issues/1/comments").body("{").send().await.unwrap();
    assert_eq!(broken.status(), 400);

    let first = get("/repos/octo/app").send().await.unwrap();
    let (etag, left) = (first.headers()["etag"].clone(), first.headers()["x-ratelimit-remaining"].clone());
    let again = get("/repos/octo/app").header("if-none-match", etag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), &again.headers()["x-ratelimit-remaining"]), (304, &left));

    github.rename_repo("octo/app", "renamed");
    let moved = get("/repos/octo/app/issues/1?x=1").send().await.unwrap();
    let location = format!("{}/repositories/{}/issues/1?x=1", github.api_url(), github.repo_id("octo/renamed"));
    assert_eq!((moved.status().as_u16(), moved.headers()["location"].to_str().unwrap()), (301, location.as_str()));
    assert_eq!(client.post("/repos/octo/app/issues/1/comments", json!({ "body": "x" })).await.0, 307);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let github = world().await;
    for nth in 0..45 {
        github.comment_quietly("alice", "octo/app#1", &format!("comment {nth}"));
    }
    let client = Client::of_installation(&github, json!({})).await;
    let first = client.request(Method::GET, "/repos/octo/app/issues/1/comments").send().await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    assert_eq!(first.json::<Vec<Value>>().await.unwrap().len(), 30);
    let next = link.split_once('<').unwrap().1.split_once(">; rel=\"next\"").unwrap().0;
    assert!(next.contains(&format!("/repositories/{}/issues/1/comments?page=2", github.repo_id("octo/app"))), "{next}");
    let second = client.http.get(next).bearer_auth(&client.token).send().await.unwrap();
    let second: Vec<Value> = second.json().await.unwrap();
    assert_eq!((second.len(), &second[14]["body"]), (15, &json!("comment 44")));
    let all = client.request(Method::GET, "/repos/octo/app/issues/1/comments?per_page=100").send().await.unwrap();
    assert!(!all.headers().contains_key("link"));
}

#[tokio::test]
async fn roles_are_told_as_github_tells_them() {
    let github = world().await;
    for (login, role) in [("mona", Role::Maintain), ("tri", Role::Triage), ("nobody", Role::None), ("adm", Role::Admin)]
    {
        github.person(login, role);
    }
    github.role_in("alice", "octo/other", Role::Read);
    let client = Client::of_installation(&github, json!({})).await;
    let ask = async |repo: &str, login: &str| {
        let (status, answer) = client.get(&format!("/repos/octo/{repo}/collaborators/{login}/permission")).await;
        format!(
            "{status} {} {}",
            answer["permission"].as_str().unwrap_or("-"),
            answer["role_name"].as_str().unwrap_or("-")
        )
    };
    assert_eq!(ask("app", "alice").await, "200 write write");
    assert_eq!(ask("other", "alice").await, "200 read read");
    assert_eq!(ask("app", "mona").await, "200 write maintain");
    assert_eq!(ask("app", "tri").await, "200 read triage");
    assert_eq!(ask("app", "nobody").await, "200 none none");
    assert_eq!(ask("app", "adm").await, "200 admin admin");
    assert_eq!(ask("app", "who").await, "404 - -");
    assert_eq!(ask("app", "cloud-agent%5Bbot%5D").await, "404 - -");
    github.make_public("octo/app");
    assert_eq!(ask("app", "nobody").await, "200 read read");
    let bot = client.get("/users/cloud-agent%5Bbot%5D").await.1;
    assert_eq!((&bot["id"], &bot["type"]), (&json!(github.bot_id()), &json!("Bot")));
}

#[tokio::test]
async fn pull_requests_are_refused_for_the_right_reasons() {
    let github = world().await;
    let client = Client::of_installation(&github, json!({})).await;
    let open = async |head: &str, base: &str| {
        let body = json!({ "title": "Repair", "head": head, "base": base, "body": "Fixes #1" });
        let (status, answer) = client.post("/repos/octo/app/pulls", body).await;
        let error = &answer["errors"][0];
        format!("{status} {}", error["message"].as_str().or(error["field"].as_str()).unwrap_or_default())
    };
    assert_eq!(open("nowhere", "main").await, "422 head");
    github.branch_from("octo/app", "same", "main");
    assert_eq!(open("same", "main").await, "422 No commits between main and same");
    github.branch_from("octo/app", "fix", "main");
    github.push_quietly("alice", "octo/app", "fix", &[("README.md", "hello, world\n")], "Greet");
    assert_eq!(open("fix", "trunk").await, "422 base");
    assert_eq!(open("fix", "main").await, "201 ");
    assert_eq!(open("octo:fix", "main").await, "422 A pull request already exists for octo:fix.");
    let listed = client.get("/repos/octo/app/pulls?head=octo:fix&state=open").await.1;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["number"]), (1, &json!(2)));
    assert_eq!(client.get("/repos/octo/app/pulls?head=octo:same").await.1, json!([]));
    assert_eq!(client.get("/repos/octo/app/pulls/2").await.1["mergeable"], Value::Null);
    assert_eq!(client.get("/repos/octo/app/pulls/2").await.1["mergeable"], json!(true));
    let long = "x".repeat(65_537);
    assert_eq!(client.patch("/repos/octo/app/pulls/2", json!({ "body": long })).await.0, 422);
    assert_eq!(
        client.post("/repos/octo/app/pulls/2/requested_reviewers", json!({ "reviewers": ["who"] })).await.0,
        422
    );
    assert_eq!(
        client.post("/repos/octo/app/pulls/2/requested_reviewers", json!({ "reviewers": ["alice"] })).await.0,
        201
    );
    let told = github.told();
    assert!(
        told.contains(&"pull #2 \"Repair\" fix -> main\n  Fixes #1\n  README.md: -hello +hello, world".to_owned()),
        "{told:#?}"
    );
    assert!(github.merge("alice", "octo/app#2").await);
    assert_eq!(client.get("/repos/octo/app/issues/1").await.1["state"], "closed");
}

#[tokio::test]
async fn check_runs_have_limits() {
    let github = world().await;
    let client = Client::of_installation(&github, json!({})).await;
    let head = github.head("octo/app", "main").unwrap();
    let create = async |more: Value| {
        let mut body = json!({ "name": "cloud-agent", "head_sha": head });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post("/repos/octo/app/check-runs", body).await
    };
    assert_eq!(create(json!({ "head_sha": "1234567890123456789012345678901234567890" })).await.0, 422);
    assert_eq!(create(json!({ "status": "completed" })).await.0, 422, "completed without conclusion");
    assert_eq!(create(json!({ "conclusion": "stale" })).await.0, 422);
    let action = json!({ "label": "a label longer than twenty", "identifier": "x", "description": "x" });
    assert_eq!(create(json!({ "actions": [action] })).await.0, 422);
    let note = json!({ "path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m" });
    let output = json!({ "title": "t", "summary": "s", "annotations": vec![note; 51] });
    assert_eq!(create(json!({ "output": output })).await.0, 422);
    assert_eq!(create(json!({ "output": { "title": "t", "summary": "s".repeat(65_536) } })).await.0, 422);
    let (status, run) = create(json!({ "status": "in_progress", "external_id": "task-1" })).await;
    assert_eq!((status, &run["status"]), (201, &json!("in_progress")));
    let path = format!("/repos/octo/app/check-runs/{}", run["id"]);
    let done =
        client.patch(&path, json!({ "conclusion": "neutral", "output": { "title": "Done", "summary": "ok" } })).await;
    assert_eq!((done.0, &done.1["status"]), (200, &json!("completed")));
    let foreign = github.check_by_other_app("octo/app", "main", "ci", "success");
    assert_eq!(
        client.patch(&format!("/repos/octo/app/check-runs/{foreign}"), json!({ "status": "queued" })).await.0,
        403
    );
    let ours = format!("/repos/octo/app/commits/{head}/check-runs?app_id={}&check_name=cloud-agent", github.app_id());
    assert_eq!(client.get(&ours).await.1["total_count"], 1);
    assert_eq!(github.told().last().unwrap(), "check ci completed success on main");
}

#[tokio::test]
async fn comments_reactions_and_refs_answer_like_github() {
    let github = world().await;
    let client = Client::of_installation(&github, json!({})).await;
    let comments = "/repos/octo/app/issues/1/comments";
    assert_eq!(client.post(comments, json!({ "body": " " })).await.0, 422);
    assert_eq!(client.post(comments, json!({ "body": "x".repeat(65_537) })).await.0, 422);
    let (status, comment) = client.post(comments, json!({ "body": "hi" })).await;
    assert_eq!((status, &comment["performed_via_github_app"]), (201, &Value::Null));
    let one = format!("/repos/octo/app/issues/comments/{}", comment["id"]);
    let reactions = format!("{one}/reactions");
    assert_eq!(client.post(&reactions, json!({ "content": "eyes" })).await.0, 201);
    assert_eq!(client.post(&reactions, json!({ "content": "eyes" })).await.0, 200);
    assert_eq!(client.post(&reactions, json!({ "content": "shrug" })).await.0, 422);
    assert_eq!(client.patch(&one, json!({ "body": "hello" })).await.0, 200);
    assert_eq!(client.send(Method::DELETE, &one, &json!({})).await.0, 204);
    assert_eq!(client.send(Method::DELETE, &one, &json!({})).await.0, 404);
    let labels = "/repos/octo/app/issues/1/labels";
    assert_eq!(client.post(labels, json!({ "labels": ["a b"] })).await.0, 200);
    assert_eq!(client.send(Method::DELETE, &format!("{labels}/a%20b"), &json!({})).await.0, 200);
    assert_eq!(client.send(Method::DELETE, &format!("{labels}/a%20b"), &json!({})).await.0, 404);

    let head = github.head("octo/app", "main").unwrap();
    let new = json!({ "ref": "refs/heads/cloud-agent/x", "sha": head });
    assert_eq!(client.post("/repos/octo/app/git/refs", new.clone()).await.0, 201);
    assert_eq!(client.post("/repos/octo/app/git/refs", new).await.1["message"], "Reference already exists");
    assert_eq!(client.get("/repos/octo/app/git/ref/heads/cloud-agent/x").await.1["object"]["sha"], json!(head));
    assert_eq!(client.get("/repos/octo/app/branches/cloud-agent%2Fx").await.0, 200);
    assert_eq!(client.get("/repos/octo/app/branches/cloud-agent/x").await.0, 404, "the slash must be encoded");
    assert_eq!(client.get("/repos/octo/app/contents/dir/a.txt").await.1["content"], "YQo=\n");
    assert_eq!(client.get("/repos/octo/app/contents/none").await.0, 404);
    let gone = client.send(Method::DELETE, "/repos/octo/app/git/refs/heads/cloud-agent/x", &json!({})).await;
    assert_eq!(gone.0, 204);
}

#[tokio::test]
async fn limits_are_counted() {
    let options = Options { content_budget: (3, 5), primary_limit: 20, ..Options::default() };
    let github = GitHub::start_with(options).await;
    github.create_repo("octo/app", &[("a", "a\n")]);
    github.open_issue_quietly("alice", "octo/app", "t", "b");
    let client = Client::of_installation(&github, json!({})).await;
    let comment = || client.post("/repos/octo/app/issues/1/comments", json!({ "body": "x" }));
    for _ in 0..3 {
        assert_eq!(comment().await.0, 201);
    }
    let limited = client.request(Method::POST, "/repos/octo/app/issues/1/comments").json(&json!({ "body": "x" }));
    let limited = limited.send().await.unwrap();
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (403, "60"));
    github.advance(Duration::from_secs(61));
    assert_eq!(comment().await.0, 201);
    for _ in 0..20 {
        client.get("/repos/octo/app").await;
    }
    let over = client.request(Method::GET, "/repos/octo/app").send().await.unwrap();
    assert_eq!((over.status().as_u16(), over.headers()["x-ratelimit-remaining"].to_str().unwrap()), (403, "0"));
}

#[tokio::test]
async fn faults_come_before_or_after_the_deed() {
    let github = world().await;
    let client = Client::of_installation(&github, json!({})).await;
    let path = "/repos/octo/app/issues/1/comments";
    let on = |fault| github.faults().on("POST", "/repos/{o}/{r}/issues/{n}/comments").answer(fault);
    let send = || client.request(Method::POST, path).json(&json!({ "body": "x" })).send();
    on(Fault::ResetBeforeApply);
    assert!(send().await.is_err());
    assert_eq!(github.comments("octo/app#1").len(), 0);
    on(Fault::ResetAfterApply);
    assert!(send().await.is_err());
    assert_eq!(github.comments("octo/app#1").len(), 1);
    on(Fault::TruncatedJson);
    assert!(send().await.unwrap().json::<Value>().await.is_err());
    on(Fault::SecondaryLimit { retry_after: None });
    assert_eq!(send().await.unwrap().status(), 403);
    assert_eq!(send().await.unwrap().status(), 201);
    github.down(true);
    assert!(send().await.is_err());
    github.down(false);
    github.expire_tokens();
    assert_eq!(send().await.unwrap().status(), 401);
    let statuses: Vec<u16> = github.journal().iter().rev().take(6).map(|it| it.status).collect();
    assert_eq!(statuses, [401, 201, 403, 201, 0, 0], "what met a closed door is in no journal");
}

#[tokio::test]
async fn an_enterprise_server_has_a_prefix_and_short_tokens() {
    let options = Options {
        api_prefix: "/api/v3".to_owned(),
        token_format: TokenFormat::Short,
        rate_limit_headers: false,
        ..Options::default()
    };
    let github = GitHub::start_with(options).await;
    github.create_repo("octo/app", &[("a", "a\n")]);
    let client = Client::of_installation(&github, json!({})).await;
    assert_eq!(client.token.len(), 40);
    let answer = client.request(Method::GET, "/repos/octo/app").send().await.unwrap();
    assert!(answer.status() == 200 && !answer.headers().contains_key("x-ratelimit-limit"));
    let astray = client.http.get(format!("{}/repos/octo/app", github.url())).bearer_auth(&client.token);
    assert_eq!(astray.send().await.unwrap().status(), 404);
}
