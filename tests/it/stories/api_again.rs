//! A task of the API is done again, or gone on from.

use http::Method;
use serde_json::{Value, json};
use simulator::Script;

use super::api::{Answer, ask, get, key};
use super::api_tasks::{greeting, order, task_id};
use crate::world::World;

async fn again(world: &World, key: &str, id: &str, what: &str, body: Option<Value>) -> Answer {
    ask(world, key, Method::POST, &format!("tasks/{id}/{what}"), body).await
}

async fn task(world: &World, id: &str) -> Value {
    get(world, "ca_test", &format!("tasks/{id}")).await.json()
}

stories! {
    async fn a_task_that_failed_is_done_again(database: Database) {
        let mut world = greeting(database, &[]).await;
        world.claude_plays("exit 3");
        let id = task_id(&order(&world, "ca_test", json!({ "prompt": "greet the world", "repo": "octo/app" })).await);
        let early = again(&world, "ca_test", &id, "retry", None).await;
        world.settle().await;
        let first = task(&world, &id).await;
        assert_eq!((&first["status"], &first["error"]["code"]), (&json!("failed"), &json!("crashed")), "{first}");
        assert!(early.status == 202 || early.problem() == "409 not_ended", "{}", early.text);

        world.claude_will("echo 'hello, world' > README.md");
        let child = task_id(&again(&world, "ca_test", &id, "retry", None).await);
        world.settle().await;
        let told = world.told();
        assert!(told.contains("pull #1 \"Greet the world\""), "{told}");
        let (first, second) = (task(&world, &id).await, task(&world, &child).await);
        assert_eq!((&second["parent_id"], &second["prompt"]), (&json!(id), &json!("greet the world")));
        assert!(first["children"].as_array().unwrap().contains(&json!(child)), "{first}");
    }

    async fn work_goes_on_where_it_was_published(database: Database) {
        let mut world = greeting(database, &[]).await;
        let id = task_id(&order(&world, "ca_test", json!({ "prompt": "greet the world", "repo": "octo/app" })).await);
        world.settle().await;
        world.told();
        world.claude_will("echo 'hello, worlds' > README.md");
        let child = task_id(&again(&world, "ca_test", &id, "resume", Some(json!({ "prompt": "greet all of them" }))).await);
        world.settle().await;
        let told = world.told();
        assert!(told.contains("### Pushed to `cloud-agent/task-") && told.contains("> greet all of them"), "{told}");
        let pulls = world.github.pulls("octo/app");
        assert_eq!(pulls.len(), 1);
        assert_eq!(world.github.commits("octo/app", "main", &pulls[0].head).len(), 2);
        let child = task(&world, &child).await;
        assert_eq!((&child["parent_id"], &child["kind"], &child["number"]), (&json!(id), &json!("pull"), &json!(1)));
        let log = get(&world, "ca_test", &format!("tasks/{}/logs", child["task_id"].as_str().unwrap())).await.text;
        assert!(log.contains("without the earlier conversation"), "this Claude leaves none: {log}");

        // The same through the route that makes tasks.
        world.claude_will("echo 'hello, all worlds' > README.md");
        let body = |repo: Option<&str>| json!({ "prompt": "greet the rest", "parent_id": id, "repo": repo });
        let third = task_id(&order(&world, "ca_test", body(None)).await);
        world.settle().await;
        let told = world.told();
        assert!(told.contains("> greet the rest"), "{told}");
        assert_eq!(world.github.commits("octo/app", "main", &pulls[0].head).len(), 3);
        let third = task(&world, &third).await;
        assert_eq!((&third["parent_id"], &third["kind"], &third["number"]), (&json!(id), &json!("pull"), &json!(1)));
        assert_eq!(order(&world, "ca_test", body(Some("octo/lib"))).await.problem(), "422 invalid parent_id");
        let nobodys = json!({ "prompt": "greet", "parent_id": "nothing" });
        assert_eq!(order(&world, "ca_test", nobodys).await.problem(), "404 no_such_task");

        // Whoever may not see it learns nothing of it.
        let new = json!({ "name": "narrow", "scopes": ["tasks:write"], "repositories": ["octo/lib"] });
        let (narrow, _) = key(&world, new).await;
        for what in ["retry", "cancel", "resume"] {
            let body = (what == "resume").then(|| json!({ "prompt": "go on" }));
            let refused = again(&world, &narrow, &id, what, body.clone()).await;
            assert_eq!(refused.problem(), "404 no_such_task");
            assert_eq!(again(&world, &narrow, "nothing", what, body).await.text, refused.text);
        }
    }

    // The second run's first request holds the first run's conversation.
    async fn the_real_claude_goes_on_with_what_it_knew(database: Database) {
        let mut world = World::on(database).await;
        world.claude_is_real();
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        let answer = |summary: &str| {
            json!({ "title": "Answer", "summary": summary, "details": "", "verification": "", "changed": false })
        };
        world.model.next(Script::runs("echo the greeting is a teapot", answer("It says hello.")));
        let id = task_id(&order(&world, "ca_test", json!({ "prompt": "what does it say?", "repo": "octo/app" })).await);
        world.settle().await;
        assert_eq!(task(&world, &id).await["ending"], "answered");
        let kept = get(&world, "ca_test", &format!("tasks/{id}/artifacts/transcript.jsonl")).await;
        assert!(kept.text.contains("the greeting is a teapot"), "{} {}", kept.status, kept.text);
        assert!(kept.text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        world.model.next(Script::runs("true", answer("Nothing more.")));
        let resumed = again(&world, "ca_test", &id, "resume", Some(json!({ "prompt": "and then?" }))).await;
        let child = task_id(&resumed);
        world.settle().await;
        assert_eq!(task(&world, &child).await["result"]["summary"], "Nothing more.");
        assert_eq!(world.told(), "");

        // Its tokens are counted where its money is, model by model.
        let used = task(&world, &id).await;
        let models = used["models"].as_array().unwrap();
        let sum = |of: &[Value], what: &str| of.iter().map(|it| it[what].as_i64().unwrap()).sum::<i64>();
        assert!(sum(models, "input_tokens") > 0 && sum(models, "output_tokens") > 0, "{used}");
        assert_eq!(sum(models, "cost_micros"), used["cost_micros"].as_i64().unwrap());
        let usage = async |by: &str| get(&world, "ca_test", &format!("usage?by={by}")).await.json()["usage"].as_array().unwrap().clone();
        let (by_model, by_day) = (usage("model").await, usage("day").await);
        for what in ["cost_micros", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"] {
            assert_eq!(sum(&by_model, what), sum(&by_day, what), "{what}: {by_model:?}");
        }
        assert!(sum(&by_day, "input_tokens") > sum(models, "input_tokens"), "two tasks");
        assert_eq!((&by_model[0]["of"], &by_model[0]["tasks"]), (&models[0]["model"], &json!(2)), "{by_model:?}");
        let csv = get(&world, "ca_test", "usage?by=model&format=csv").await.text;
        assert!(csv.lines().next().unwrap().contains(",input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,"), "{csv}");
        assert_eq!(get(&world, "ca_test", "usage?since=0").await.problem(), "422 invalid since");

        let asked = |it: &Value| it["messages"].to_string().contains("and then?");
        let first = world.model.requests().into_iter().find(asked).expect("the model is asked to go on");
        let before = first["messages"].to_string();
        for words in ["what does it say?", "the greeting is a teapot"] {
            assert!(before.contains(words), "the conversation lacks {words:?}: {before}");
        }
    }
}
