//! Several processes on one PostgreSQL: what one has to leave, another takes over, and never while the first is still at it.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::cut_off::{runs_session, sandboxes, session};
use crate::world::{Database, World};

/// A server at work on the first issue, and a worker beside it that has nothing to do yet.
async fn at_work(lease: &str) -> (World, impl Drop) {
    let mut world = World::on(Database::postgres()).await;
    world.set("LEASE", lease);
    world.set("DRAIN_SECONDS", "600");
    world.claude_plays("touch WAITS; while :; do sleep 0.1; done");
    world.start_process().await;
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.claude_is_waiting().await;
    world.claude_will("echo 'hello, world' > README.md");
    let worker = world.start_worker();
    (world, worker)
}

/// Wait for the second to begin; by then nothing of the first may run.
async fn taken_over(world: &World, first: &str) {
    world
        .wait_for("another to begin", async || {
            let begun = world.last_task(1).await.and_then(|task| task.progress.agent);
            begun.is_some_and(|step| step.session != first) || !world.github.pulls("octo/app").is_empty()
        })
        .await;
    assert!(!runs_session(first), "two are at work at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_hands_the_work_over_at_once() {
    // Nothing but its being handed back can lead to its being taken up.
    let (mut world, worker) = at_work("1h").await;
    let first = session(&world).await;
    world.signal(Signal::SIGTERM);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(runs_session(&first), "one signal waits for what runs");
    world.signal(Signal::SIGTERM);
    taken_over(&world, &first).await;
    world.ended().await;
    world
        .wait_for("the task to end", async || {
            world.last_task(1).await.is_some_and(|task| task.state.name() == "completed")
        })
        .await;
    assert!(world.told().contains("### Opened #2"), "{}", world.log());
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_with_one_machine_goes_on_on_another_and_leaves_nothing() {
    let (mut world, worker) = at_work("3s").await;
    let first = session(&world).await;
    world.kill();
    taken_over(&world, &first).await;
    world
        .wait_for("the task to end", async || {
            world.last_task(1).await.is_some_and(|task| task.state.name() == "completed")
        })
        .await;
    assert!(sandboxes(&world) > 0, "the dead process has left its sandbox");
    // The machine comes back.
    world.start_process().await;
    world.wait_for("it to clean up", async || sandboxes(&world) == 0).await;
    world.settle().await;
    assert!(world.told().contains("### Opened #2"));
    drop(worker);
}
