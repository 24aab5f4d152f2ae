//! A task that can't go on says what it waits for, goes on by itself, and does not wait for ever.

use serde_json::{Value, json};
use simulator::Script;
use simulator::github::Fault;

use crate::world::World;

/// Whether the newest task of the first issue waits for this.
async fn waits_for(world: &World, what: &str) -> bool {
    let waiting = world.last_task(1).await.map(|task| task.waiting).unwrap_or_default();
    waiting.on.is_some_and(|on| on.name() == what) && waiting.until.is_some()
}

async fn ask(world: &World) {
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
}

stories! {
    async fn the_real_claude_goes_on_when_the_model_is_back(database: Database) {
        let mut world = World::on(database).await;
        world.claude_is_real();
        world.start().await;
        let answer = json!({ "title": "Greet the world", "summary": "s", "details": "", "verification": "", "changed": true });
        world.model.will(Script::error(529, "overloaded_error", "Overloaded", &[("x-should-retry", "false")]));
        ask(&world).await;
        world.wait_for("the task to wait", async || waits_for(&world, "model").await).await;
        world.wait_for("the comment to say so", async || {
            let words = world.github.last_comment("octo/app#1").unwrap().body;
            words.contains("### Waiting for the model") && words.contains("Waiting until ")
        })
        .await;
        world.model.reset();
        world.model.will(Script::runs("echo 'hello, world' > README.md", answer));
        world.settle().await;

        let told = world.told();
        assert!(told.contains("### Opened #2"), "{told}");
        let task = world.last_task(1).await.unwrap();
        assert!((1..=3).contains(&task.turns), "an outage takes no turns: {}", task.turns);
        let last = world.model.requests().pop().unwrap();
        assert!(last["messages"].to_string().contains("You were interrupted"), "{last}");
        assert_eq!(world.last_task(1).await.unwrap().waiting, cloud_agent::task::Waiting::default());
    }

    async fn the_api_says_what_a_task_waits_for(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.set("ADMIN_API_KEY", "key");
        world.start().await;
        world.github.faults().on("POST", "/repos/{o}/{r}/pulls").times(1).answer(Fault::SecondaryLimit { retry_after: Some(7) });
        ask(&world).await;
        world.wait_for("the task to wait", async || waits_for(&world, "rate_limit").await).await;
        let url = format!("http://{}/api/v1/tasks", world.address());
        let told: Value = reqwest::Client::new().get(url).bearer_auth("key").send().await.unwrap().json().await.unwrap();
        let task = &told["tasks"][0];
        assert_eq!((&task["status"], &task["waits_for"]), (&json!("waiting"), &json!("rate_limit")), "{told}");
        assert!(task["waits_until"].as_i64() > task["created_at"].as_i64() && task["waits_says"].is_string(), "{told}");
        world.settle().await;
        assert!(world.told().contains("### Opened #2"));
    }

    async fn a_github_that_stays_away_ends_the_task(database: Database) {
        let mut world = World::on(database).await;
        world.set("WAIT_LIMIT", "1s");
        world.claude_waits("echo 'hello, world' > README.md");
        world.start().await;
        ask(&world).await;
        world.claude_is_waiting().await;
        world.github.down(true);
        world.claude_goes_on();
        world.wait_for("the task to end", async || {
            world.last_task(1).await.is_some_and(|task| task.state.name() == "failed")
        })
        .await;
        let task = world.last_task(1).await.unwrap();
        assert_eq!(task.ending.unwrap().code, "github_away");
        assert!(world.steps(1).await.iter().any(|it| it.starts_with("run untold")));
        world.github.down(false);
        world.settle().await;
        assert!(world.github.pulls("octo/app").is_empty());
        world.told();
    }

    async fn a_refused_comment_does_not_keep_the_work_from_being_done(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.github.faults().on("POST", "/repos/{o}/{r}/issues/{n}/comments").times(1).answer(Fault::Status(403));
        ask(&world).await;
        world.settle().await;
        let told = world.told();
        assert_eq!(world.github.pulls("octo/app").len(), 1, "{told}");
        assert_eq!(world.github.check_runs("octo/app").len(), 1, "{told}");
        let steps = world.steps(1).await;
        assert!(steps.iter().any(|it| it.starts_with("run refused comment: ")), "{steps:#?}");
    }

    async fn what_waits_for_its_turn_is_stopped_at_once(database: Database) {
        let mut world = World::on(database).await;
        world.set("RUNS", "1");
        world.claude_waits("echo 'hello, world' > README.md");
        world.start().await;
        ask(&world).await;
        world.claude_is_waiting().await;
        world.github.open_issue_quietly("alice", "octo/app", "Another", "");
        world.github.comment("alice", "octo/app#2", "@cloud-agent fix this").await;
        world.heard().await;
        world.github.comment("bob", "octo/app#2", "@cloud-agent stop").await;
        world.wait_for("the second to be stopped", async || {
            world.last_task(2).await.is_some_and(|task| task.state.name() == "cancelled")
        })
        .await;
        assert_eq!(world.last_task(1).await.unwrap().state.name(), "running");
        let words = world.github.last_comment("octo/app#2").unwrap().body;
        assert!(words.contains("bob asked me to stop"), "{words}");
        world.claude_goes_on();
        world.settle().await;
        assert!(world.told().contains("### Opened #3"));
    }
}
