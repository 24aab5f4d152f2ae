//! The machine is not well: tasks wait and say so, deliveries are still taken, and it heals without a restart.

use crate::world::World;

async fn ready(world: &World) -> (u16, serde_json::Value) {
    let answer = reqwest::get(format!("http://{}/readyz", world.address())).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Ask, and see the task wait for the machine, also where people look.
async fn ask_and_see_it_wait(world: &World, part: &str, says: &str) {
    world.issue("The greeting is short", "");
    let delivered = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    assert_eq!(delivered.status, 202);
    world
        .wait_for("the comment to say what it waits for", async || {
            world
                .github
                .last_comment("octo/app#1")
                .is_some_and(|it| it.body.contains("### Waiting for the bot's machine"))
        })
        .await;
    let waiting = world.last_task(1).await.unwrap().waiting;
    assert_eq!(waiting.on.unwrap().name(), "host");
    assert!(waiting.says.as_deref().unwrap().contains(says), "{waiting:?}");
    world.wait_for("the trouble to be seen", async || ready(world).await.1["status"] == "degraded").await;
    let (status, told) = ready(world).await;
    assert_eq!(status, 200, "deliveries can still be stored: {told}");
    assert!(told["parts"][part].as_str().unwrap().contains(says), "{told}");
}

stories! {
    async fn a_missing_claude_is_waited_for(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        let here = world.data_dir().with_file_name("claude");
        let missing = here.with_file_name("not-yet");
        world.set("CLAUDE_BIN", missing.to_str().unwrap());
        world.start().await;
        ask_and_see_it_wait(&world, "claude", "not-yet").await;

        std::fs::rename(&here, &missing).unwrap();
        world.settle().await;
        assert!(world.told().contains("### Opened #2"));
        world.wait_for("everything to be well", async || ready(&world).await.1["status"] == "ready").await;
    }

    async fn a_full_disk_is_waited_for_and_can_be_stopped(database: Database) {
        let mut world = World::on(database).await;
        world.set("DISK_FREE_MB", "99999999");
        world.start().await;
        world.wait_for("the disk to be seen", async || ready(&world).await.1["parts"]["disk"].is_string()).await;
        ask_and_see_it_wait(&world, "disk", "MiB left").await;
        let (_, doctor) = world.command("doctor").await;
        assert!(doctor.lines().any(|it| it.starts_with("BAD   disk")), "{doctor}");

        world.github.comment("alice", "octo/app#1", "@cloud-agent stop").await;
        world.settle().await;
        assert!(world.told().contains("### Stopped"));
    }

    async fn nobody_works_for_a_key_that_is_refused(database: Database) {
        let mut world = World::on(database).await;
        world.set("ANTHROPIC_API_KEY", "wrong");
        world.set("WAIT_LIMIT", "1s");
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.wait_for("the key to be seen", async || ready(&world).await.1["status"] == "degraded").await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        let told = world.told();
        assert!(told.contains("### Waiting for the model"), "{told}");
        assert!(told.contains("The model did not accept the operator's key."), "{told}");
        assert!(world.steps(1).await.iter().all(|it| !it.starts_with("init")), "no sandbox was made for it");
    }

    async fn a_claude_that_stays_away_is_named(database: Database) {
        let mut world = World::on(database).await;
        let missing = world.data_dir().with_file_name("nowhere");
        world.set("CLAUDE_BIN", missing.to_str().unwrap());
        world.set("WAIT_LIMIT", "1s");
        world.start().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        let told = world.told();
        assert!(told.contains("Claude Code is missing on the machine that I run on"), "{told}");
    }
}
