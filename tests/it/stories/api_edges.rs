//! What is asked for through the API where things have moved on: a review of an older commit that waits, a branch that is gone.

use http::Method;
use serde_json::{Value, json};

use super::api::{Answer, ask, get};
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
