//! Too much on one thread: told once, then silence, until somebody who may write says `resume`.

use insta::assert_snapshot;

use super::findings::APP;
use crate::world::World;

async fn decision(world: &World, guid: &str) -> String {
    let (state, why) = world.store().delivery_decision(guid).await.unwrap().unwrap_or_default();
    format!("{state}: {}", why.unwrap_or_default())
}

/// The tasks of the first issue.
async fn tasks(world: &World) -> usize {
    world.store().tasks_of_thread(world.github.repo_id("octo/app"), 1).await.unwrap().len()
}

/// A text in which moments are all the same.
fn timeless(text: &str) -> String {
    let Some((before, after)) = text.split_once("cloud-agent:breaker=") else { return text.to_owned() };
    format!("{before}cloud-agent:breaker=AT{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

stories! {
    async fn too_much_on_a_thread_ends_until_a_writer_resumes(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("true");
        world.set("TASKS_PER_THREAD_HOUR", "2");
        world.start().await;
        world.issue("The greeting is short", "");
        for _ in 0..2 {
            world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
            world.settle().await;
        }
        assert_eq!(tasks(&world).await, 2);
        world.told();

        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        assert_snapshot!(timeless(&world.told()), @"
        alice on #1: @cloud-agent fix this
        cloud-agent[bot] on #1: <!-- cloud-agent:breaker=AT -->
          ### Stopped: this looks like a loop

          I was set to work here 2 times within an hour. I do nothing more here, whoever asks.

          Somebody who may write to this repository can say `@cloud-agent resume`. Nothing of what was asked meanwhile is done then; ask for it again.
        ");
        let again = world.github.comment("bob", "octo/app#1", "@cloud-agent retry").await;
        world.github.label("bob", "octo/app#1", "cloud-agent").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        bob on #1: @cloud-agent retry
        bob labels #1: cloud-agent
        ");
        assert_eq!(decision(&world, &again.guid).await, "ignored: too much was asked here within an hour: it waits for `resume`");

        world.github.comment("rita", "octo/app#1", "@cloud-agent resume").await;
        world.settle().await;
        assert!(world.told().contains("GitHub says that you can't"));
        let still = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        assert!(decision(&world, &still.guid).await.starts_with("ignored: too much"));
        world.told();

        world.github.comment("bob", "octo/app#1", "@cloud-agent resume").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        bob on #1: @cloud-agent resume
        👀 on bob's comment on #1
        ");
        assert_eq!(tasks(&world).await, 2);
        for _ in 0..3 {
            world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
            world.settle().await;
        }
        assert_eq!(tasks(&world).await, 4, "as many again, and then the same");
        assert_eq!(world.told().matches("this looks like a loop").count(), 1, "told again, since it was resumed");

        world.github.comment("alice", "octo/app#1", "@cloud-agent resume").await;
        world.settle().await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent resume").await;
        world.settle().await;
        assert!(world.told().contains("there is nothing to resume"));
    }

    async fn bots_that_push_again_and_again_are_stopped_and_people_are_not(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds("[]");
        world.set("BOT_TASKS_PER_THREAD_HOUR", "1");
        world.settings("review: { on: [opened, synchronize], bots: [renovate] }\n");
        world.start().await;
        world.github.branch_from("octo/app", "bump", "main");
        world.github.push_quietly("renovate[bot]", "octo/app", "bump", &[("app.txt", APP)], "Bump");
        world.github.open_pull("renovate[bot]", "octo/app", "bump", "main", "Bump").await;
        world.settle().await;
        world.told();

        for text in ["one\n", "two\n"] {
            world.github.push("renovate[bot]", "octo/app", "bump", &[("app.txt", text)], "Bump again").await;
            world.settle().await;
        }
        let told = world.told();
        assert_eq!(told.matches("Bots have set me to work here 1 time within an hour").count(), 1, "{told}");
        let runs = world.github.check_runs("octo/app");
        assert_eq!(runs.iter().map(|it| it.status.as_str()).collect::<Vec<_>>(), ["completed"], "nothing hangs");

        world.github.comment("alice", "octo/app#1", "@cloud-agent review").await;
        world.settle().await;
        assert_eq!(world.github.check_runs("octo/app").len(), 2);
        world.github.comment("alice", "octo/app#1", "@cloud-agent resume").await;
        world.settle().await;
        world.github.push("renovate[bot]", "octo/app", "bump", &[("app.txt", "three\n")], "Bump again").await;
        world.settle().await;
        assert_eq!(world.github.check_runs("octo/app").len(), 3);
        world.told();
    }

    async fn one_person_gets_so_much_an_hour(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("true");
        world.set("TASKS_PER_PERSON_HOUR", "1");
        world.start().await;
        world.issue("One", "");
        world.issue("Two", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        world.told();
        world.github.comment("alice", "octo/app#2", "@cloud-agent fix this").await;
        world.settle().await;
        assert_snapshot!(world.steady_ids(&world.told()), @"
        alice on #2: @cloud-agent fix this
        😕 on alice's comment on #2
        cloud-agent[bot] on #2: <!-- cloud-agent:refusal=ALICE:too_much_at_once -->
          @alice, you have asked for as much as one person may within an hour. Ask again later.
        ");
        world.github.comment("bob", "octo/app#2", "@cloud-agent fix this").await;
        world.settle().await;
        assert!(world.last_task(2).await.is_some());
        world.told();
    }

    async fn what_is_asked_at_one_moment_is_counted(database: Database) {
        const ISSUES: u64 = 6;
        let mut world = World::on(database).await;
        world.claude_will("true");
        world.set("TASKS_PER_PERSON_HOUR", "1");
        world.start().await;
        for _ in 0..ISSUES {
            world.issue("The greeting is short", "");
        }
        let places: Vec<String> = (1..=ISSUES).map(|number| format!("octo/app#{number}")).collect();
        let asks = places.iter().map(|place| world.github.comment("alice", place, "@cloud-agent fix this"));
        futures::future::join_all(asks).await;
        world.settle().await;
        let mut tasks = 0;
        for number in 1..=ISSUES {
            tasks += usize::from(world.last_task(number).await.is_some());
        }
        let told = world.told();
        assert_eq!(tasks, 1, "{told}");
        assert_eq!(told.matches("you have asked for as much as one person may").count(), ISSUES as usize - 1, "{told}");
    }
}
