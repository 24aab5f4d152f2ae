//! The process dies or is replaced at bad moments; one pull request and one comment come of it all the same.

use std::time::Duration;

use cloud_agent::store::Queue;
use simulator::github::Fault;

use crate::world::World;

/// Whether the task of the first issue is in this state.
async fn is_in(world: &World, state: &str) -> bool {
    let task = world.last_task(1).await;
    task.is_some_and(|task| task.state.name() == state)
}

/// Whether the agent has said that it works.
async fn agent_works(world: &World) -> bool {
    let Some(task) = world.last_task(1).await else { return false };
    let events = world.store().events(&task.id.to_string(), 0, 100).await.unwrap();
    events.iter().any(|event| event.kind == "init")
}

/// What has to be so in the end, whatever happened before.
fn assert_one_of_each(world: &World) {
    let told = world.told();
    let issue = world.github.comments("octo/app#1");
    let bot = world.github.bot_login();
    assert_eq!(issue.iter().filter(|it| it.author == bot).count(), 1, "one comment\n{told}");
    assert!(issue.last().unwrap().body.contains("### Opened #2"), "{told}");
    assert_eq!(world.github.pulls("octo/app").len(), 1, "one pull request\n{told}");
    assert_eq!(world.github.check_runs("octo/app").len(), 1, "one check run\n{told}");
    assert_eq!(world.github.branches("octo/app").len(), 2, "one branch besides main\n{told}");
    assert_eq!(issue[0].reactions.len(), 2, "👀 and 🚀\n{told}");
}

stories! {
    async fn kill_9_in_the_middle_of_a_run(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("while :; do sleep 1; done");
        world.start_process().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.wait_for("the agent to work", async || agent_works(&world).await).await;

        world.kill();
        world.claude_will("echo 'hello, world' > README.md");
        world.start_process().await;
        world.settle().await;

        assert_one_of_each(&world);
        assert!(!world.something_runs(), "nothing of the dead run is left");
    }

    async fn deliveries_that_were_there_when_it_died_are_looked_at_one_by_one(database: Database) {
        let mut world = World::running(database).await;
        world.issue("The greeting is short", "");
        world.issue("The greeting is cold", "");
        let asking = "/repos/{o}/{r}/collaborators/{u}/permission";
        world.github.faults().on("GET", asking).times(usize::MAX).answer(Fault::Hang(Duration::from_mins(1)));
        for place in ["octo/app#1", "octo/app#2"] {
            world.github.comment("alice", place, "@cloud-agent look at this").await;
        }
        let claimed = async || world.store().claims(Queue::Delivery).await.unwrap().iter().filter(|it| it.held).count();
        world.wait_for("both to be looked at", async || claimed().await == 2).await;
        world.stop().await;
        world.github.no_more_faults();
        // As often as they may have been there; another time, and they are given up.
        world.sql("update job set attempts = 11 where queue = 'delivery'").await;

        world.start().await;
        world.settle().await;

        for place in ["octo/app#1", "octo/app#2"] {
            assert_eq!(world.github.comments(place).len(), 2, "{place}: {}", world.told());
        }
        world.told();
    }

    async fn kill_9_while_publishing(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start_process().await;
        world.issue("The greeting is short", "");
        // Once before the pull request, once while GitHub makes it, once before the last word.
        world.github.faults().on("POST", "/repos/{o}/{r}/pulls").times(1).answer(Fault::Hang(Duration::from_secs(5)));
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.wait_for("the push", async || world.github.branches("octo/app").len() == 2).await;
        world.wait_for("publishing", async || is_in(&world, "publishing").await).await;
        world.kill();

        world.github.no_more_faults();
        world.github.faults().on("POST", "/repos/{o}/{r}/pulls").times(1).answer(Fault::Delay(Duration::from_millis(700)));
        world.start_process().await;
        let asked = async || world.github.journal().iter().filter(|it| it.method == "POST" && it.path.ends_with("/pulls")).count() == 1;
        world.wait_for("the pull request to be asked for again, or made", async || asked().await || !world.github.pulls("octo/app").is_empty()).await;
        world.kill();

        world.github.faults().on("PATCH", "/repos/{o}/{r}/issues/comments/{id}").times(1).answer(Fault::Hang(Duration::from_secs(5)));
        world.start_process().await;
        world.wait_for("the check run", async || !world.github.check_runs("octo/app").is_empty()).await;
        world.kill();

        world.github.no_more_faults();
        world.start_process().await;
        world.settle().await;

        assert_one_of_each(&world);
    }

    async fn a_pull_request_that_people_have_dealt_with_meanwhile_is_not_opened_again(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        for (number, says) in [(1, "Somebody has merged it already."), (3, "Somebody has closed it already.")] {
            world.start_process().await;
            let issue = world.issue("The greeting is short", "");
            assert_eq!(issue, number);
            // It is opened, and we never hear so, however often we look.
            world.github.faults().on("POST", "/repos/{o}/{r}/pulls").times(1).answer(Fault::ResetAfterApply);
            world.github.faults().on("GET", "/repos/{o}/{r}/pulls").times(usize::MAX).answer(Fault::Hang(Duration::from_mins(1)));
            world.github.comment("alice", &format!("octo/app#{issue}"), "@cloud-agent fix this").await;
            let pull = format!("octo/app#{}", number + 1);
            world.wait_for("the pull request", async || world.github.pulls("octo/app").iter().any(|it| it.number == number + 1)).await;
            world.kill();
            match number {
                1 => assert!(world.github.merge("alice", &pull).await),
                _ => world.github.close_quietly("alice", &pull),
            }

            world.github.no_more_faults();
            world.start_process().await;
            world.settle().await;
            let words = world.github.last_comment(&format!("octo/app#{issue}")).unwrap().body;
            assert!(words.contains(&format!("### Opened #{}", number + 1)) && words.contains(says), "{words}");
            assert_eq!(world.github.pulls("octo/app").last().unwrap().number, number + 1);
            world.claude_will("echo 'good day' > README.md");
            world.told();
            world.stop().await;
        }
    }

    async fn kill_9_right_after_the_202(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start_process().await;
        world.issue("The greeting is short", "");
        // GitHub answers nothing, so the bot can do nothing but store.
        world.github.faults().on("GET", "/app").times(50).answer(Fault::Status(500));
        let delivered = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.kill();
        assert_eq!(delivered.status, 202);

        world.github.no_more_faults();
        world.start_process().await;
        world.settle().await;

        assert_one_of_each(&world);
    }

    async fn a_deploy_gives_the_run_to_the_next_process(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("while :; do sleep 0.1; done");
        world.start_process().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.wait_for("the agent to work", async || agent_works(&world).await).await;

        world.stop().await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start_process().await;
        world.settle().await;

        assert_one_of_each(&world);
    }

    async fn a_task_that_kills_the_process_again_and_again_is_given_up(database: Database) {
        let mut world = World::on(database).await;
        world.set("LEASE", "1s");
        world.claude_plays("while :; do sleep 1; done");
        world.start_process().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        for _ in 0..3 {
            world.wait_for("the task to be taken up", async || {
                let jobs = world.store().claims(Queue::Task).await.unwrap();
                jobs.iter().any(|it| it.held)
            })
            .await;
            world.wait_for("the run to begin", async || is_in(&world, "running").await).await;
            world.kill();
            world.wait_for("the lease to lapse", async || {
                let jobs = world.store().claims(Queue::Task).await.unwrap();
                jobs.iter().all(|it| !it.held)
            })
            .await;
            world.start_process().await;
        }
        world.settle().await;

        let words = world.github.last_comment("octo/app#1").unwrap().body;
        assert!(words.contains("Something on our side went wrong several times"), "{words}\n{}", world.told());
        assert!(words.contains(". Then say `@cloud-agent retry`."), "{words}");
        world.told();
    }
}
