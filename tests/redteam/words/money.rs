//! Economic denial of service: many mentions, and runs that go round in circles.

use simulator::Script;

use super::{said, world};
use crate::world::World;

async fn tasks(world: &World) -> i64 {
    world.sql("select count(*) from task").await
}

/// One person asks on five issues; how many runs begin.
async fn by_one_person(cap: &str) -> i64 {
    let mut world = world().await;
    world.set("TASKS_PER_PERSON_HOUR", cap);
    world.start().await;
    for number in 1..=5 {
        world.issue("The greeting is short", "");
        world.github.comment("alice", &format!("octo/app#{number}"), "@cloud-agent fix this").await;
    }
    world.settle().await;
    world.told();
    tasks(&world).await
}

/// Two people ask by turns on one issue; how many runs begin.
async fn on_one_issue(cap: &str) -> i64 {
    let mut world = world().await;
    world.set("TASKS_PER_THREAD_HOUR", cap);
    world.start().await;
    world.issue("The greeting is short", "");
    for who in ["alice", "bob", "alice", "bob", "alice"] {
        world.github.comment(who, "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
    }
    world.told();
    tasks(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn class_22_many_mentions_are_few_runs() {
    assert_eq!(by_one_person("2").await, 2);
    assert_eq!(on_one_issue("2").await, 2);
    // Whoever may not write costs nothing at all.
    let world = World::running(crate::world::Database::sqlite()).await;
    world.issue("The greeting is short", "");
    for _ in 0..20 {
        world.github.comment("rita", "octo/app#1", "@cloud-agent fix this").await;
    }
    world.settle().await;
    assert_eq!(world.told().matches("GitHub says that you can't").count(), 1);
    assert_eq!((tasks(&world).await, world.model.requests().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn control_22_with_higher_caps_all_of_them_run() {
    assert_eq!(by_one_person("5").await, 5);
    assert_eq!(on_one_issue("5").await, 5);
}

/// A model that never comes to an end: what it was asked, and what people were told.
async fn circles(script: Script, turns: &str, budget: &str) -> (usize, String) {
    let mut world = world().await;
    world.claude_is_real();
    world.set("RUN_TURNS", turns);
    world.set("BUDGET_RUN_USD", budget);
    world.model.will(script);
    world.start().await;
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.settle().await;
    world.told();
    assert_eq!(world.github.pulls("octo/app"), []);
    // The CLI asks for a title too.
    let asked = world.model.requests().into_iter().filter(|it| it["tools"].as_array().is_some_and(|it| !it.is_empty()));
    (asked.count(), said(&world, 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn class_22_a_run_in_circles_ends_at_its_turns_and_at_its_budget() {
    let (requests, words) = circles(Script::loop_bash(), "2", "5").await;
    assert!(words.contains("I used all 2 turns") && requests <= 3, "{requests}: {words}");
    let (requests, words) = circles(Script::expensive(100_000), "50", "2").await;
    assert!(words.contains("The budget for one run, $2.00, is used up") && requests <= 2, "{requests}: {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_22_with_higher_limits_it_goes_on() {
    let (requests, words) = circles(Script::expensive(100_000), "5", "90").await;
    assert!(words.contains("I used all 5 turns") && requests >= 5, "{requests}: {words}");
}
