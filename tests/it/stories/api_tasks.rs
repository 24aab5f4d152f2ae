//! Work that is asked for through the API: on a repository, or on what stands on an issue or pull request.

use http::Method;
use insta::assert_snapshot;
use serde_json::{Value, json};
use simulator::github::Role;

use super::api::{Answer, ask, get, key, read};
use super::findings::APP;
use crate::world::{Database, World};

/// A world whose bot greets the world, with an admin key.
pub async fn greeting(database: Database, settings: &[(&str, &str)]) -> World {
    let mut world = World::on(database).await;
    world.claude_will("echo 'hello, world' > README.md");
    world.set("ADMIN_API_KEY", "ca_test");
    for (name, value) in settings {
        world.set(name, value);
    }
    world.start().await;
    world
}

pub async fn order(world: &World, key: &str, body: Value) -> Answer {
    ask(world, key, Method::POST, "tasks", Some(body)).await
}

/// The same under an idempotency key.
async fn once(world: &World, name: &str, body: &Value) -> Answer {
    let url = format!("http://{}/api/v1/tasks", world.address());
    let request = reqwest::Client::new().post(url).bearer_auth("ca_test").header("idempotency-key", name).json(body);
    read(request.send().await.unwrap()).await
}

pub fn task_id(made: &Answer) -> String {
    assert_eq!(made.status, 202, "{}", made.text);
    made.json()["task_id"].as_str().unwrap().to_owned()
}

async fn task(world: &World, id: &str) -> Value {
    get(world, "ca_test", &format!("tasks/{id}")).await.json()
}

/// The branch of a task without an issue has digits of its own.
pub fn steady_branch(text: &str) -> String {
    let mut parts = text.split("cloud-agent/task-");
    let mut steady = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        steady = format!("{steady}cloud-agent/task-DIGITS{}", &part[8..]);
    }
    steady
}

stories! {
    async fn words_become_a_pull_request(database: Database) {
        let world = greeting(database, &[]).await;
        let (key, _) = key(&world, json!({ "name": "desk", "scopes": ["tasks:write", "tasks:read"] })).await;
        let made = order(&world, &key, json!({ "prompt": "greet the world", "repo": "octo/app" })).await;
        let id = task_id(&made);
        let made = made.json();
        assert_eq!((&made["status"], made["created_at"].as_i64().is_some()), (&json!("queued"), true));
        assert!(made["url"].as_str().unwrap().ends_with(&format!("/api/v1/tasks/{id}")), "{made}");

        // Followed to its end, as the command line does.
        let heard = get(&world, &key, &format!("tasks/{id}/events")).await.text;
        assert!(heard.contains("agent started") && heard.contains(r#"{"ending":"pull_request","status":"completed"}"#), "{heard}");
        world.settle().await;
        assert_snapshot!(steady_branch(&world.told()), @r#"
        push cloud-agent/task-DIGITS-greet-the-world
        pull #1 "Greet the world" cloud-agent/task-DIGITS-greet-the-world -> main
          The greeting was too short.

          ### How it was checked

          I read it again.

          ---
          <sub>Asked for by `api:desk`. Written by Claude Code in a sandbox; please review it like anybody's work. TIME · $COST · 2 turns</sub>
          <!-- cloud-agent:task=ID -->
          README.md: -hello +hello, world
        check cloud-agent completed success on cloud-agent/task-DIGITS-greet-the-world: Changed 1 file
        "#);
        let commit = world.github.commits("octo/app", "main", &world.github.pulls("octo/app")[0].head).pop().unwrap();
        assert!(!commit.message.contains("Co-authored-by"), "a key is nobody: {}", commit.message);

        let task = task(&world, &id).await;
        let says = |name: &str| task[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            [says("status"), says("kind"), says("source"), says("requester"), says("lane"), says("ground")],
            ["completed", "task", "api", "api:desk", "trusted", "writers"]
        );
        assert_eq!((task["number"].as_u64(), task["pull"].as_u64()), (Some(0), Some(1)));
        assert!(task["result"]["artifacts"]["pr_url"].as_str().unwrap().ends_with("/octo/app/pull/1"), "{task}");
        let mine = get(&world, &key, "tasks?source=api&requester=api:desk").await.json();
        assert_eq!(mine["total"], 1);
        let mistyped = get(&world, &key, "tasks?source=coment").await;
        assert_eq!(mistyped.problem(), "422 invalid source");
        assert!(mistyped.text.contains("comment, opened, labeled"), "{}", mistyped.text);
    }

    // Two at once on one repository: they belong to no thread, and so wait for none.
    async fn a_question_is_answered_in_the_api_and_nowhere_else(database: Database) {
        let mut world = World::on(database).await;
        let answer = r#"{"title":"Answer","summary":"It says hello.","details":"","verification":"","changed":false}"#;
        world.claude_says("true", answer);
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        let ask = async || {
            let body = json!({ "prompt": "what does it say?", "repository_url": format!("{}/octo/app.git", world.github.url()) });
            task_id(&order(&world, "ca_test", body).await)
        };
        let (one, two) = tokio::join!(ask(), ask());
        world.settle().await;
        assert_eq!(world.told(), "");
        for id in [one, two] {
            let task = task(&world, &id).await;
            assert_eq!((&task["ending"], &task["result"]["summary"]), (&json!("answered"), &json!("It says hello.")));
        }
    }

    async fn an_issue_that_is_named_is_read_and_answered_there(database: Database) {
        let mut world = greeting(database, &[]).await;
        world.claude_will("cp /context/issue.md README.md");
        world.github.person("mallory", Role::Read);
        world.github.open_issue_quietly("mallory", "octo/app", "The greeting is short", "It should greet the world.");
        world.github.told();
        let prompt = format!("greet as in {}/octo/app/issues/1, please", world.github.url());
        let id = task_id(&order(&world, "ca_test", json!({ "prompt": prompt })).await);
        world.settle().await;
        assert_snapshot!(world.told(), @r#"
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > greet as in http://github/octo/app/issues/1, please

          <sub>Asked for through the API by `api:admin`.</sub>

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        push cloud-agent/issue-1-the-greeting-is-short
        pull #2 "Greet the world" cloud-agent/issue-1-the-greeting-is-short -> main
          The greeting was too short.

          ### How it was checked

          I read it again.

          Fixes #1

          ---
          <sub>Asked for by `api:admin`. Written by Claude Code in a sandbox; please review it like anybody's work. TIME · $COST · 2 turns</sub>
          <!-- cloud-agent:task=ID -->
          README.md: -hello +Issue #1 of octo/app, as it was when api:admin asked. + +Written by mallory (may not write to the repository: a stranger's words). Labels: none. + +--- title --- +| The greeting is short …
        check cloud-agent completed success on cloud-agent/issue-1-the-greeting-is-short: Changed 1 file
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Opened #2

          > greet as in http://github/octo/app/issues/1, please

          <sub>Asked for through the API by `api:admin`.</sub>

          The greeting was too short.

          <sub>TIME · $COST · 2 turns</sub>
        "#);
        let task = task(&world, &id).await;
        assert_eq!((&task["lane"], &task["ground"]), (&json!("guarded"), &json!("words")), "a stranger wrote the issue");
        assert_eq!((&task["kind"], &task["number"], &task["requester"]), (&json!("issue"), &json!(1), &json!("api:admin")));
    }

    async fn a_pull_request_that_is_named_gets_commits_or_a_review(database: Database) {
        let mut world = greeting(database, &[]).await;
        world.claude_will("sed -i s/two/zwei/ app.txt");
        world.pull("change", &[("app.txt", APP)]).await;
        let url = format!("{}/octo/app/pull/1", world.github.url());
        let body = json!({ "prompt": "say two in German", "repo": "octo/app", "repository_url": url });
        task_id(&order(&world, "ca_test", body).await);
        world.settle().await;
        let told = world.told();
        assert!(told.contains("Pushed to `change`") && told.contains("by `api:admin`"), "{told}");
        world.claude_finds("[]");
        let id = task_id(&order(&world, "ca_test", json!({ "prompt": format!("review {url}") })).await);
        world.settle().await;
        let told = world.told();
        assert!(told.contains("cloud-agent[bot] reviews #1"), "{told}");
        assert_eq!(task(&world, &id).await["kind"], "review");
        let wrong = json!({ "prompt": format!("fix {url}"), "ref": "main" });
        assert_eq!(order(&world, "ca_test", wrong).await.problem(), "422 invalid ref");
        world.github.close_quietly("bob", "octo/app#1");
        assert_eq!(order(&world, "ca_test", json!({ "prompt": format!("fix {url}") })).await.problem(), "409 pull_closed");
        world.told();
    }

    async fn another_branch_is_begun_with_and_gone_into(database: Database) {
        let world = greeting(database, &[]).await;
        world.github.branch_from("octo/app", "release/1", "main");
        world.github.push_quietly("bob", "octo/app", "release/1", &[("NOTES", "one\n")], "Note it");
        world.github.told();
        let body = json!({ "prompt": "greet", "repo": "OCTO/app", "ref": "refs/heads/release/1" });
        let id = task_id(&order(&world, "ca_test", body).await);
        world.settle().await;
        world.told();
        assert_eq!(get(&world, "ca_test", &format!("tasks/{id}")).await.json()["lane"], "trusted");
        let pull = world.github.pulls("octo/app").pop().unwrap();
        assert_eq!(pull.base, "release/1");
        // What the bot has made and nobody has merged may have been led by anybody.
        let body = json!({ "prompt": "greet", "repo": "octo/app", "ref": &pull.head });
        let id = task_id(&order(&world, "ca_test", body).await);
        world.settle().await;
        world.told();
        let task = get(&world, "ca_test", &format!("tasks/{id}")).await.json();
        assert_eq!((&task["lane"], &task["ground"]), (&json!("guarded"), &json!("inherited")));
        assert!(world.github.file_at("octo/app", &pull.head, "NOTES").is_some());
        let nowhere = json!({ "prompt": "greet", "repo": "octo/app", "ref": "nowhere" });
        assert_eq!(order(&world, "ca_test", nowhere).await.problem(), "422 invalid ref");
    }

    async fn the_same_ask_makes_one_task(database: Database) {
        let world = greeting(database, &[]).await;
        let body = json!({ "prompt": "greet the world", "repo": "octo/app" });
        let all = futures::future::join_all((0..4).map(|_| once(&world, "order-1", &body))).await;
        let first = all[0].text.clone();
        assert!(all.iter().all(|it| it.status == 202 && it.text == first), "{:?}", all.iter().map(|it| &it.text).collect::<Vec<_>>());
        world.settle().await;
        world.told();
        // Also when it has long ended.
        assert_eq!(once(&world, "order-1", &body).await.text, first);
        assert_eq!(get(&world, "ca_test", "tasks").await.json()["total"], 1);
        assert_eq!(world.github.pulls("octo/app").len(), 1);
        let other = json!({ "prompt": "greet the moon", "repo": "octo/app" });
        assert_eq!(once(&world, "order-1", &other).await.problem(), "422 idempotency_key_reused");
        assert_eq!(once(&world, "", &other).await.problem(), "422 invalid idempotency-key");
        // Another key of the API has keys of its own.
        let (desk, _) = key(&world, json!({ "name": "desk", "scopes": ["tasks:write"] })).await;
        let url = format!("http://{}/api/v1/tasks", world.address());
        let request = reqwest::Client::new().post(url).bearer_auth(&desk).header("idempotency-key", "order-1").json(&other);
        assert_ne!(task_id(&read(request.send().await.unwrap()).await), all[0].json()["task_id"].as_str().unwrap());
        world.settle().await;
        world.told();
    }

    async fn a_key_spends_no_more_than_its_budget_of_the_day(database: Database) {
        let mut world = greeting(database, &[]).await;
        world.claude_waits("true");
        let new = json!({ "name": "desk", "scopes": ["tasks:write", "tasks:read"], "budget_usd_per_day": 6 });
        let (desk, _) = key(&world, new).await;
        let body = |prompt: &str| json!({ "prompt": prompt, "repo": "octo/app" });
        let first = task_id(&order(&world, &desk, body("one")).await);
        world.claude_is_waiting().await;
        // What has not ended counts with all that it may cost: 5 of 6 dollars.
        let dear = json!({ "prompt": "two", "repo": "octo/app", "budget_usd": 2.5 });
        let refused = order(&world, &desk, dear.clone()).await;
        assert_eq!(refused.problem(), "402 over_budget");
        assert_snapshot!(refused.json()["detail"].as_str().unwrap(), @"this key's tasks may cost $6.00 within 24 hours, and have cost or may still cost $5.00; wait, or ask for less with `budget_usd`");
        world.claude_goes_on();
        world.settle().await;
        assert_eq!(task(&world, &first).await["status"], "completed");
        // It has cost next to nothing. Four at once are counted one after the other.
        world.claude_waits("true");
        let all = futures::future::join_all((0..4).map(|_| order(&world, &desk, dear.clone()))).await;
        let made: Vec<_> = all.iter().filter(|it| it.status == 202).map(task_id).collect();
        assert_eq!(made.len(), 2, "a third would be too much");
        assert_eq!(task(&world, &made[0]).await["budget_micros"], 2_500_000);
        let rest = task_id(&order(&world, &desk, body("the rest of it")).await);
        let left = task(&world, &rest).await["budget_micros"].as_i64().unwrap();
        assert!((900_000..=1_000_000).contains(&left), "{left}");
        for id in made.iter().chain([&rest]) {
            assert_eq!(ask(&world, &desk, Method::POST, &format!("tasks/{id}/cancel"), None).await.status, 202);
        }
        world.settle().await;
        assert_eq!(world.told(), "");
    }

    async fn what_may_not_be_known_of_looks_like_what_is_not_there(database: Database) {
        let world = greeting(database, &[]).await;
        world.github.create_repo("octo/lib", &[("README.md", "hi\n")]);
        world.github.create_repo("octo/away", &[("README.md", "hi\n")]);
        world.github.set_installed("octo/away", false);
        world.issue("The greeting is short", "");
        let new = json!({ "name": "narrow", "scopes": ["tasks:write"], "repositories": ["octo/lib"] });
        let (narrow, _) = key(&world, new).await;
        let asked = async |key: &str, repo: &str| order(&world, key, json!({ "prompt": "greet", "repo": repo })).await;
        let nothing = asked(&narrow, "octo/nothing").await;
        assert_eq!(nothing.problem(), "404 no_such_repository");
        assert_eq!(asked(&narrow, "octo/app").await.text, nothing.text);
        assert_eq!(asked("ca_test", "octo/away").await.text, nothing.text);
        assert_eq!(asked("ca_test", "octo/nothing").await.text, nothing.text);
        let by_issue = json!({ "prompt": format!("fix {}/octo/app/issues/1", world.github.url()) });
        assert_eq!(order(&world, &narrow, by_issue).await.text, nothing.text);
        let no_issue = json!({ "prompt": format!("fix {}/octo/app/issues/99", world.github.url()) });
        assert_eq!(order(&world, "ca_test", no_issue).await.problem(), "404 no_such_issue");
        task_id(&asked(&narrow, "octo/lib").await);
        let (reader, _) = key(&world, json!({ "name": "reader", "scopes": ["tasks:read"] })).await;
        assert_eq!(asked(&reader, "octo/nothing").await.problem(), "403 forbidden");
        world.settle().await;
        world.told();
    }

    async fn a_repository_that_takes_nothing_says_why(database: Database) {
        let world = greeting(database, &[("TASKS_PER_PERSON_HOUR", "1")]).await;
        world.github.create_empty_repo("octo/empty");
        world.github.create_repo("octo/old", &[("README.md", "hi\n")]);
        world.github.archive_repo("octo/old");
        let asked = async |repo: &str| order(&world, "ca_test", json!({ "prompt": "greet", "repo": repo })).await;
        assert_eq!(asked("octo/empty").await.problem(), "409 empty_repository");
        assert_eq!(asked("octo/old").await.problem(), "409 repository_archived");
        for (body, problem) in [
            (json!({ "prompt": " ", "repo": "octo/app" }), "422 invalid prompt"),
            (json!({ "prompt": "greet" }), "422 invalid repo"),
            (json!({ "prompt": "greet", "repo": "octo" }), "422 invalid repo"),
            (json!({ "prompt": "greet", "repository_url": "https://example.com/octo/app" }), "422 invalid repository_url"),
            (json!({ "prompt": "greet", "repo": "octo/app", "budget_usd": 0 }), "422 invalid budget_usd"),
            (json!({ "prompt": "greet\u{0}", "repo": "octo/app" }), "400 malformed_json"),
            (json!({ "prompt": "greet", "repo": "octo/app", "github_token": "x" }), "422 invalid github_token"),
        ] {
            assert_eq!(order(&world, "ca_test", body.clone()).await.problem(), problem, "{body}");
        }
        task_id(&asked("octo/app").await);
        let more = asked("octo/app").await;
        assert_eq!((more.problem().as_str(), more.headers["retry-after"].to_str().unwrap()), ("429 too_many_tasks", "600"));
        world.settle().await;
        world.told();
        // Nobody asks GitHub for them meanwhile.
        let looked = || world.github.journal().iter().filter(|it| it.path.contains("octo/nothing")).count();
        let before = looked();
        assert_eq!(asked("octo/nothing").await.problem(), "429 too_many_tasks");
        assert_eq!(looked(), before);
        let (desk, _) = key(&world, json!({ "name": "desk", "scopes": ["tasks:write"] })).await;
        world.github.suspend_installation();
        world.settle().await;
        let suspended = order(&world, &desk, json!({ "prompt": "greet", "repo": "octo/app" })).await;
        assert_eq!(suspended.problem(), "409 installation_suspended");
    }
}
