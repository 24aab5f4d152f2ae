//! Keys that are narrowed to repositories go by what those are, not by what they are called; and what the usage tells of waiting.

use serde_json::json;

use super::api::{get, key};
use super::api_tasks::{greeting, order, task_id};

stories! {
    async fn a_narrowed_key_follows_its_repository_and_not_the_name(database: Database) {
        let world = greeting(database, &[]).await;
        let old = task_id(&order(&world, "ca_test", json!({ "prompt": "greet the world", "repo": "octo/app" })).await);
        world.settle().await;
        let scopes = ["tasks:read", "tasks:write", "usage:read"];
        // One repository that was seen before the key was made, one that nobody has heard of.
        let new = json!({ "name": "narrow", "scopes": scopes, "repositories": ["Octo/App", "octo/later"] });
        let (narrow, _) = key(&world, new).await;
        world.github.create_repo("octo/later", &[("README.md", "hello\n")]);
        world.github.transfer_repo("octo/app", "newco");
        world.settle().await;
        // Somebody else takes the old name.
        world.github.create_repo("octo/app", &[("README.md", "hello\n")]);
        world.github.told();

        let own = get(&world, &narrow, "key").await.json();
        assert_eq!(own["repositories"], json!(["newco/app", "octo/later"]));
        assert_eq!(get(&world, &narrow, &format!("tasks/{old}")).await.status, 200, "it has the old name");
        assert_eq!(get(&world, &narrow, "tasks").await.json()["total"], 1);
        assert_eq!(get(&world, &narrow, "usage?by=repository").await.json()["usage"][0]["tasks"], 1);
        let taken = order(&world, &narrow, json!({ "prompt": "greet", "repo": "octo/app" })).await;
        assert_eq!(taken.problem(), "404 no_such_repository");
        task_id(&order(&world, &narrow, json!({ "prompt": "greet everybody", "repo": "newco/app" })).await);
        // By its name alone, and then by what it is.
        let later = task_id(&order(&world, &narrow, json!({ "prompt": "greet the world", "repo": "octo/later" })).await);
        world.settle().await;
        world.github.transfer_repo("octo/later", "newco");
        world.settle().await;
        let own = get(&world, &narrow, "key").await.json();
        assert_eq!(own["repositories"], json!(["newco/app", "newco/later"]));
        assert_eq!(get(&world, &narrow, &format!("tasks/{later}")).await.status, 200);
        world.told();
    }

    async fn the_usage_tells_how_long_people_waited(database: Database) {
        let world = greeting(database, &[]).await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        world.told();
        let usage = get(&world, "ca_test", "usage?by=person").await.json();
        let line = &usage["usage"][0];
        let (first, pull) = (line["first_reaction_ms"].as_i64().unwrap(), line["pull_ms"].as_i64().unwrap());
        assert!((0..=pull).contains(&first), "{usage}");
        assert_eq!(line["own_key_cost_micros"], 0);
        let csv = get(&world, "ca_test", "usage?by=person&format=csv").await.text;
        let (head, row) = csv.split_once('\n').unwrap();
        assert!(head.ends_with(",own_key_cost_micros,first_reaction_ms,pull_ms"), "{csv}");
        assert!(row.trim().ends_with(&format!(",0,{first},{pull}")), "{csv}");
        // As of tasks that nobody has seen anything of.
        world.sql("update task set answered_after = null, pull_after = null").await;
        let usage = get(&world, "ca_test", "usage?by=day").await.json();
        assert_eq!(usage["usage"][0]["first_reaction_ms"], json!(null), "{usage}");
        let csv = get(&world, "ca_test", "usage?format=csv").await.text;
        assert!(csv.trim().ends_with(",0,,"), "{csv}");
    }
}
