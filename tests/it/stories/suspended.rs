//! While an installation is suspended GitHub delivers nothing. What people said and did meanwhile is found when it is over,
//! and what had been put aside is taken up, whoever was too slow to see the end.

use serde_json::json;
use simulator::github::Signature;

use crate::world::World;

const ASK: &str = "@cloud-agent fix this";

async fn searching(database: crate::world::Database) -> World {
    let mut world = World::on(database).await;
    world.claude_will("echo 'hello, world' > README.md");
    world.set("SWEEP_INTERVAL", "1s");
    world.start().await;
    world
}

/// Suspend it, and wait until that is known.
async fn suspend(world: &World) {
    world.github.suspend_installation();
    world.wait_for("the suspension to be known", async || open_suspensions(world).await == 1).await;
    world.settle().await;
}

/// End it, and wait until all of that time was looked for.
async fn unsuspend(world: &World) {
    world.github.unsuspend_installation();
    world.wait_for("the search", async || open_suspensions(world).await == 0).await;
    world.settle().await;
}

async fn open_suspensions(world: &World) -> i64 {
    world.sql("select count(*) from suspension where since is not null").await
}

fn searches(world: &World) -> usize {
    world.github.journal().iter().filter(|it| it.path == "/installation/repositories").count()
}

async fn decision(world: &World, guid: &str) -> String {
    let (state, why) = world.store().delivery_decision(guid).await.unwrap().unwrap_or_default();
    format!("{state}: {}", why.unwrap_or_default())
}

/// alice has asked in a comment, and GitHub brings it only now.
async fn brought_late(world: &World, guid: &str) {
    let alice = json!({ "id": world.person("alice"), "login": "alice", "type": "User" });
    let id = world.github.comment_quietly("alice", "octo/app#1", ASK);
    let body = json!({
        "action": "created",
        "comment": { "id": id, "body": ASK, "user": alice, "created_at": "2026-01-01T00:00:00Z" },
        "issue": { "number": 1, "title": "T", "body": null, "user": alice, "comments": 0 },
        "repository": { "id": world.github.repo_id("octo/app"), "full_name": "octo/app", "default_branch": "main" },
        "installation": { "id": world.github.installation_id() },
        "sender": alice,
    });
    let (event, body) = ("issue_comment", body.to_string());
    let (status, _) = world.github.deliver_raw(event, guid, body.as_bytes(), Signature::Good, "application/json").await;
    assert_eq!(status, 202);
    world.settle().await;
}

stories! {
    async fn what_is_asked_during_a_suspension_is_done_after_it(database: Database) {
        let world = searching(database).await;
        for title in ["Asked", "Labelled", "Asked and closed"] {
            world.issue(title, "");
        }
        suspend(&world).await;
        let asked = world.github.comment("alice", "octo/app#1", ASK).await;
        assert_eq!(asked.status, 0, "GitHub delivers nothing");
        world.github.label("alice", "octo/app#2", "cloud-agent").await;
        world.github.comment("alice", "octo/app#3", ASK).await;
        // GitHub writes times in seconds.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        world.github.close("alice", "octo/app#3").await;
        world.told();

        unsuspend(&world).await;
        let told = world.told();
        let mut heads: Vec<String> = world.github.pulls("octo/app").into_iter().map(|it| it.head).collect();
        heads.sort();
        assert_eq!(heads, ["cloud-agent/issue-1-asked", "cloud-agent/issue-2-labelled"], "{told}");
        assert_eq!(searches(&world), 1, "looked through once");
    }

    async fn what_is_put_aside_in_the_moment_of_the_end_is_done(database: Database) {
        let world = searching(database).await;
        world.issue("The greeting is short", "");
        suspend(&world).await;
        brought_late(&world, "late").await;
        assert_eq!(decision(&world, "late").await, "ignored: the installation is suspended");
        // Whoever has seen the suspension has not come to write that down yet.
        world.sql("update delivery set decision = 'soon' where guid = 'late'").await;
        unsuspend(&world).await;
        assert_eq!(decision(&world, "late").await, "ignored: soon");
        world.sql("update delivery set decision = 'the installation is suspended' where guid = 'late'").await;
        world
            .wait_for("it to be taken up", async || {
                decision(&world, "late").await != "ignored: the installation is suspended"
            })
            .await;
        world.settle().await;
        // The search has found the comment meanwhile.
        assert_eq!(decision(&world, "late").await, "ignored: the same words have asked already");
        assert_eq!(world.github.pulls("octo/app").len(), 1);
        world.told();
    }

    async fn an_end_of_which_nobody_tells_is_noticed(database: Database) {
        let world = searching(database).await;
        world.issue("The greeting is short", "");
        suspend(&world).await;
        brought_late(&world, "late").await;
        world.github.deliver_to("http://127.0.0.1:9/");
        world.github.unsuspend_installation();
        world.github.quiesce().await;
        world.github.forget_deliveries();
        world.wait_for("the search", async || open_suspensions(&world).await == 0).await;
        world.settle().await;
        assert_eq!(world.github.pulls("octo/app").len(), 1);
        world.told();
    }
}
