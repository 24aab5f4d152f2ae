//! A stop that was accepted holds until something is published, however late it was asked for.

use http::Method;
use simulator::github::Fault;

use super::api::ask;
use super::findings::APP;
use super::reviews::checks;
use crate::world::World;

stories! {
    // Another process has written the stop down, and this one looks at its claim much later.
    async fn a_stop_between_the_agents_answer_and_the_push_holds(database: Database) {
        let mut world = World::on(database).await;
        world.claude_waits("echo 'hello, world' > README.md");
        world.set("LEASE", "10m");
        world.start().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.claude_is_waiting().await;
        world.sql("update job set cancel_requested = 'bob' where queue = 'task'").await;
        world.claude_goes_on();
        world.settle().await;
        let task = world.last_task(1).await.unwrap();
        let ending = task.ending.unwrap();
        assert_eq!((task.state.name(), ending.code.as_str(), ending.by.as_deref()), ("cancelled", "cancelled", Some("bob")));
        assert!(task.progress.work.is_some(), "the agent had ended");
        let told = world.told();
        assert!(!told.contains("push ") && world.github.pulls("octo/app").is_empty(), "{told}");
    }

    async fn a_stop_holds_for_a_review_that_waits_to_be_posted(database: Database) {
        let mut world = World::on(database).await;
        world.claude_says(
            "touch WAITS; while [ ! -e GO ]; do sleep 0.02; done; rm GO WAITS",
            r#"{"summary":"It greets the world.","verdict":"concerns","findings":[],"earlier":[]}"#,
        );
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent review").await;
        world.claude_is_waiting().await;
        // The next to look at the pull request is what posts.
        world.github.faults().on("GET", "/repos/{o}/{r}/pulls/{n}").times(1).answer(Fault::SecondaryLimit { retry_after: Some(7) });
        world.claude_goes_on();
        world.wait_for("the review to wait", async || {
            world.last_task(1).await.is_some_and(|task| task.waiting.on.is_some() && task.progress.reviewed.is_some())
        })
        .await;
        let task = world.last_task(1).await.unwrap().id.to_string();
        let stopped = ask(&world, "ca_test", Method::POST, &format!("tasks/{task}/cancel"), None).await;
        assert_eq!(stopped.status, 202, "{}", stopped.text);
        world.settle().await;
        assert_eq!(world.last_task(1).await.unwrap().state.name(), "cancelled");
        assert!(world.github.reviews("octo/app#1").is_empty());
        let checks = checks(&world);
        assert!(checks.contains("cloud-agent review: completed cancelled \"Stopped\""), "{checks}");
        world.told();
    }
}
