//! What is asked for through the API where things have moved on: a review of an older commit that waits, a branch that is gone.

use http::Method;
use serde_json::{Value, json};

use super::api::{Answer, ask, get, key};
use super::api_tasks::{greeting, order, task_id};
use super::findings::APP;
use crate::world::World;

async fn task(world: &World, id: &str) -> Value {
    get(world, "ca_test", &format!("tasks/{id}")).await.json()
}

async fn review(world: &World) -> Answer {
    let prompt = format!("review {}/octo/app/pull/1", world.github.url());
    order(world, "ca_test", json!({ "prompt": prompt })).await
}

stories! {
    async fn a_new_review_takes_the_place_of_one_that_waits(database: Database) {
        // Whatever runs holds the one run that there is.
        let mut world = greeting(database, &[("RUNS", "1")]).await;
        world.claude_waits("true");
        world.pull("change", &[("app.txt", APP)]).await;
        let busy = task_id(&order(&world, "ca_test", json!({ "prompt": "greet", "repo": "octo/app" })).await);
        world.claude_is_waiting().await;
        let first = task_id(&review(&world).await);
        assert_eq!(review(&world).await.problem(), "409 already_reviewing", "it is the same commit");
        world.github.push_quietly("bob", "octo/app", "change", &[("app.txt", "one\n")], "Say less");
        world.github.told();
        let second = task_id(&review(&world).await);
        let old = task(&world, &first).await;
        assert_eq!((&old["status"], &old["ending"]), (&json!("cancelled"), &json!("superseded")), "{old}");
        assert_eq!(task(&world, &second).await["status"], "queued");
        assert_eq!(review(&world).await.problem(), "409 already_reviewing");
        assert_eq!(ask(&world, "ca_test", Method::POST, &format!("tasks/{second}/cancel"), None).await.status, 202);
        assert_eq!(ask(&world, "ca_test", Method::POST, &format!("tasks/{busy}/cancel"), None).await.status, 202);
        world.settle().await;
        assert_eq!(task(&world, &second).await["ending"], "cancelled");
        world.told();
    }

    async fn what_is_named_as_a_pull_request_is_one(database: Database) {
        let world = greeting(database, &[]).await;
        world.issue("The greeting is short", "");
        let url = format!("{}/octo/app/pull/1", world.github.url());
        let refused = review(&world).await;
        assert_eq!(refused.problem(), "422 invalid prompt");
        assert!(refused.json()["detail"].as_str().unwrap().starts_with("that number is an issue"), "{}", refused.text);
        let named = order(&world, "ca_test", json!({ "prompt": "review", "repository_url": url })).await;
        assert_eq!(named.problem(), "422 invalid repository_url");
        assert_eq!(get(&world, "ca_test", "tasks").await.json()["total"], 0);
    }

    async fn what_comes_to_nothing_asks_github_so_often_and_no_more(database: Database) {
        let world = greeting(database, &[]).await;
        let (desk, _) = key(&world, json!({ "name": "desk", "scopes": ["tasks:write"] })).await;
        let nowhere = json!({ "prompt": "greet", "repo": "octo/nothing" });
        for _ in 0..30 {
            assert_eq!(order(&world, &desk, nowhere.clone()).await.problem(), "404 no_such_repository");
        }
        let looked = || world.github.journal().iter().filter(|it| it.path.contains("octo/nothing")).count();
        let before = looked();
        let refused = order(&world, &desk, nowhere.clone()).await;
        assert_eq!(refused.problem(), "429 too_many_refused");
        let wait: u32 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(looked(), before);
        assert_eq!(order(&world, "ca_test", nowhere).await.problem(), "404 no_such_repository", "it is that key's alone");
    }

    async fn people_see_at_once_that_a_review_was_replaced(database: Database) {
        let mut world = greeting(database, &[("RUNS", "1")]).await;
        world.settings("review: { on: [opened] }\n");
        world.claude_waits("true");
        let busy = task_id(&order(&world, "ca_test", json!({ "prompt": "greet", "repo": "octo/app" })).await);
        world.claude_is_waiting().await;
        // By itself, so that its check run is there from the first.
        world.pull("change", &[("app.txt", APP)]).await;
        world.wait_for("the check run", async || world.github.check_runs("octo/app").len() == 1).await;
        world.github.push_quietly("bob", "octo/app", "change", &[("app.txt", "one\n")], "Say less");
        world.github.told();
        let second = task_id(&review(&world).await);
        world.wait_for("the check run to be completed", async || {
            let check = world.github.check_runs("octo/app").remove(0);
            check.status == "completed" && check.title.as_deref() == Some("A newer push is reviewed instead")
        })
        .await;
        assert_eq!(task(&world, &busy).await["status"], "running");
        for id in [second, busy] {
            assert_eq!(ask(&world, "ca_test", Method::POST, &format!("tasks/{id}/cancel"), None).await.status, 202);
        }
        world.settle().await;
        world.told();
    }

    async fn a_branch_that_is_gone_is_named(database: Database) {
        let world = greeting(database, &[]).await;
        world.github.branch_from("octo/app", "release/1", "main");
        let body = json!({ "prompt": "greet", "repo": "octo/app", "ref": "release/1" });
        let id = task_id(&order(&world, "ca_test", body.clone()).await);
        world.settle().await;
        world.told();
        world.github.delete_branch_quietly("octo/app", "release/1");
        let again = ask(&world, "ca_test", Method::POST, &format!("tasks/{id}/retry"), None).await;
        assert_eq!(again.problem(), "409 branch_gone");
        assert_eq!(
            again.json()["detail"],
            "the branch `release/1` that the task began with is gone; put it back, or make a task with another `ref`"
        );
        assert_eq!(order(&world, "ca_test", body).await.problem(), "422 invalid ref", "who names it hears that it is none");
        world.github.branch_from("octo/app", "release/1", "main");
        task_id(&ask(&world, "ca_test", Method::POST, &format!("tasks/{id}/retry"), None).await);
        world.settle().await;
        world.told();
    }
}
