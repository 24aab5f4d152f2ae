//! Several processes on one PostgreSQL: what one has to leave, another takes over, and never while the first is still at it.

use std::time::Duration;

use nix::sys::signal::Signal;
use simulator::github::Fault;

use super::cut_off::{runs_session, sandboxes, session};
use crate::world::{Database, World};

/// A server at work on the first issue, and a worker beside it that has nothing to do yet.
async fn at_work(lease: &str) -> (World, impl Drop) {
    let mut world = World::on(Database::postgres()).await;
    world.set("LEASE", lease);
    world.set("DRAIN_SECONDS", "600");
    world.set("HANDOVER", "1s");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_another_machine_has_left_behind_is_not_taken_up() {
    /// Keeps a transcript as Claude Code does, of whichever session it is told to go on with.
    const REMEMBERS: &str = r#"
while [ $# -gt 0 ]; do case "$1" in --session-id|--resume) ID=$2;; esac; shift; done
mkdir -p $HOME/.claude/projects/-workspace
echo '{"said":"a teapot"}' >> $HOME/.claude/projects/-workspace/$ID.jsonl
"#;
    let mut world = World::on(Database::postgres()).await;
    world.claude_will(&format!("{REMEMBERS}echo 'hello, world' > README.md"));
    world.set("HANDOVER", "1s");
    let (mut here, mut there) = (world.hand("serve", "here"), world.hand("work", "there"));
    here.start(&world);
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.wait_for("a pull request", async || !world.github.pulls("octo/app").is_empty()).await;
    world.settle().await;

    // The follow-up goes on with one and the same conversation wherever it runs.
    world.claude_plays(&format!("{REMEMBERS}touch STALE; while :; do sleep 0.1; done"));
    world.github.comment("alice", "octo/app#2", "@cloud-agent say good day, too").await;
    let step = async || world.last_task(2).await.and_then(|task| task.progress.agent);
    world.wait_for("the first to begin", async || here.has_in_a_tree("STALE")).await;
    let first = step().await.unwrap();
    here.kill();
    there.start(&world);
    world.wait_for("the second to go on", async || there.has_in_a_tree("STALE")).await;
    let second = step().await.unwrap();
    assert_eq!(first.session, second.session);

    let begins_anew =
        "[ ! -e STALE ] || echo 'from a stale tree' >> README.md; rm -f STALE; echo 'good day' >> README.md";
    world.claude_will(&format!("{REMEMBERS}{begins_anew}"));
    // It has no time to put anything aside.
    there.hurry(&world).await;
    here.start(&world);
    world.settle().await;
    let told = world.told();
    assert!(told.contains("good day") && !told.contains("stale"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_machine_has_pushed_another_does_not_make_anew() {
    let mut world = World::on(Database::postgres()).await;
    world.claude_will("echo 'hello, world' > README.md");
    world.set("HANDOVER", "1s");
    let (mut here, mut there) = (world.hand("serve", "here"), world.hand("work", "there"));
    world.github.faults().on("POST", "/repos/{o}/{r}/pulls").answer(Fault::Hang(Duration::from_secs(3)));
    // It is looked into while the first still starts.
    world.store().migrate().await.unwrap();
    here.start(&world);
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world
        .wait_for("the push", async || world.last_task(1).await.is_some_and(|task| task.progress.published.is_some()))
        .await;
    here.kill();
    // As if it had died a moment earlier.
    world.sql("update task set progress = (progress::jsonb - 'published')::text").await;
    let task = world.last_task(1).await.unwrap();
    assert!(task.progress.work.is_some() && task.progress.published.is_none());

    world.claude_will("echo 'good day' > README.md");
    there.start(&world);
    world
        .wait_for("the task to end", async || {
            world.last_task(1).await.is_some_and(|task| task.state.name() == "completed")
        })
        .await;
    let told = world.told();
    assert_eq!(world.github.branches("octo/app"), ["cloud-agent/issue-1-the-greeting-is-short", "main"], "{told}");
    assert_eq!(world.github.pulls("octo/app").len(), 1, "{told}");
    assert!(!told.contains("good day"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_hears_of_an_installation_the_others_act_on() {
    let mut world = World::on(Database::postgres()).await;
    world.claude_will("true");
    world.start().await;
    let tokens = || world.github.journal().iter().filter(|it| it.path.ends_with("/access_tokens")).count();
    let ask = async || {
        world.github.comment("alice", "octo/app#1", "@cloud-agent help").await;
        world.settle().await;
    };
    world.issue("The greeting is short", "");
    ask().await;
    let before = tokens();
    ask().await;
    assert_eq!(tokens(), before, "a token is kept");
    // As another process that was brought the event.
    let heard = world.store().tell_of_installation(world.github.installation_id());
    heard.await.unwrap();
    world
        .wait_for("the kept token to be dropped", async || {
            ask().await;
            tokens() > before
        })
        .await;
    world.told();
}
