//! The App is suspended, uninstalled, taken away from a repository, and repositories change hands: tasks end with the
//! reason or follow, and nobody knocks at a closed door.

use simulator::github::Signature;

use crate::world::World;

/// A bot whose Claude takes a while, and a task of it under way.
async fn at_work(database: crate::world::Database) -> World {
    let mut world = World::on(database).await;
    world.claude_will("sleep 3; echo 'hello, world' > README.md");
    world.set("RUNS", "1");
    world.start().await;
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.wait_for("the comment", async || world.github.comments("octo/app#1").len() == 2).await;
    world
}

/// How the newest task of an issue has ended.
async fn ended(world: &World, number: u64) -> (String, String) {
    let task = world.last_task(number).await.unwrap();
    (task.state.name().to_owned(), task.ending.unwrap().code)
}

/// A second task, which waits for the first.
async fn one_waits(world: &World) {
    world.github.open_issue_quietly("alice", "octo/app", "Another", "");
    world.github.comment("alice", "octo/app#2", "@cloud-agent fix this").await;
    world.wait_for("the second task", async || world.last_task(2).await.is_some()).await;
}

fn cancelled(code: &str) -> (String, String) {
    ("cancelled".to_owned(), code.to_owned())
}

stories! {
    async fn a_suspension_stops_what_runs_and_what_waits_and_is_told_when_it_ends(database: Database) {
        let mut world = at_work(database).await;
        one_waits(&world).await;
        world.github.suspend_installation();
        world.settle().await;
        assert_eq!(ended(&world, 1).await, cancelled("installation_suspended"));
        assert_eq!(ended(&world, 2).await, cancelled("installation_suspended"));
        let refused = world.github.journal().iter().filter(|it| it.status == 403).count();
        assert!(refused <= 2, "{refused} calls into the suspension");
        assert!(world.github.pulls("octo/app").is_empty());

        world.github.unsuspend_installation();
        world.settle().await;
        for place in ["octo/app#1", "octo/app#2"] {
            let said = world.github.last_comment(place).unwrap().body;
            assert!(said.contains("The App's installation was suspended"), "{said}");
        }
        world.claude_will("echo 'hello, world' > README.md");
        world.github.comment("alice", "octo/app#1", "@cloud-agent retry").await;
        world.settle().await;
        let told = world.told();
        assert_eq!(world.github.pulls("octo/app").len(), 1, "{told}");
    }

    async fn an_app_that_is_taken_away_in_silence_is_missed(database: Database) {
        let world = at_work(database).await;
        one_waits(&world).await;
        // The event is lost.
        world.github.deliver_to("http://127.0.0.1:9/");
        world.github.uninstall();
        world.settle().await;
        assert_eq!(ended(&world, 1).await, cancelled("installation_removed"));
        assert_eq!(ended(&world, 2).await, cancelled("installation_removed"));
        world.told();
    }

    async fn a_repository_that_is_taken_out_stops_its_tasks(database: Database) {
        let world = at_work(database).await;
        one_waits(&world).await;
        world.github.set_installed("octo/app", false);
        world.settle().await;
        assert_eq!(ended(&world, 1).await, cancelled("repository_removed"));
        assert_eq!(ended(&world, 2).await, cancelled("repository_removed"));
        world.told();
    }

    async fn a_removal_that_was_taken_back_stops_nothing(database: Database) {
        let world = at_work(database).await;
        world.github.set_installed("octo/app", true);
        let late = serde_json::json!({
            "action": "removed",
            "installation": { "id": world.github.installation_id() },
            "repositories_removed": [{ "id": world.github.repo_id("octo/app"), "full_name": "octo/app" }],
            "sender": { "id": world.person("ada"), "login": "ada", "type": "User" },
        });
        let (event, body) = ("installation_repositories", late.to_string());
        world.github.deliver_raw(event, "late", body.as_bytes(), Signature::Good, "application/json").await;
        world.settle().await;
        let told = world.told();
        assert_eq!(ended(&world, 1).await.1, "pull_request", "{told}");
    }

    async fn a_repository_that_changes_hands_is_followed(database: Database) {
        let world = at_work(database).await;
        one_waits(&world).await;
        world.github.transfer_repo("octo/app", "globex");
        world.wait_for("the rows to follow", async || {
            let tasks = world.store().tasks(2).await.unwrap();
            tasks.iter().all(|task| task.place.repository == "globex/app")
        })
        .await;
        world.settle().await;
        let told = world.told();
        assert_eq!(world.github.pulls("globex/app").len(), 2, "{told}");
        assert!(world.github.last_comment("globex/app#1").unwrap().body.contains("### Opened"), "{told}");
    }
}
