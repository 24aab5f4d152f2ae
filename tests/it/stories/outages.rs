//! GitHub is slow, broken, strict or away. What it did all the same is found, and nothing is done twice.

use std::sync::Arc;
use std::time::Duration;

use cloud_agent::store::Queue;
use simulator::github::Fault;
use tokio::sync::Notify;

use super::findings::{APP, ON, finding, findings};
use crate::world::World;

const CHECKS: &str = "/repos/{o}/{r}/check-runs";

/// Requests to a route that ends in this.
fn asked(world: &World, method: &str, end: &str) -> usize {
    world.github.journal().iter().filter(|it| it.method == method && it.path.ends_with(end)).count()
}

/// Whether a list was read after something was to be added to it.
fn looked_after(world: &World, end: &str) -> bool {
    let journal = world.github.journal();
    let mut after = journal.iter().filter(|it| it.path.ends_with(end)).skip_while(|it| it.method != "POST");
    after.any(|it| it.method == "GET")
}

fn asked_for_comments(world: &World) -> bool {
    asked(world, "GET", "/issues/1/comments") > 0
}

/// Ask once, and see one of each in the end.
async fn ask_and_see_one_of_each(world: &World) {
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.settle().await;
    let told = world.told();
    let bot = world.github.bot_login();
    let issue = world.github.comments("octo/app#1");
    assert_eq!(issue.iter().filter(|it| it.author == bot).count(), 1, "{told}");
    assert!(issue.last().unwrap().body.contains("### Opened #2"), "{told}");
    assert_eq!(world.github.pulls("octo/app").len(), 1, "{told}");
    assert_eq!(world.github.check_runs("octo/app").len(), 1, "{told}");
}

async fn greeting(database: crate::world::Database) -> World {
    let mut world = World::on(database).await;
    world.claude_will("echo 'hello, world' > README.md");
    world.start().await;
    world
}

stories! {
    async fn github_fails_before_it_writes(database: Database) {
        let world = greeting(database).await;
        for route in ["/repos/{o}/{r}/issues/{n}/comments", "/repos/{o}/{r}/pulls", "/repos/{o}/{r}/check-runs"] {
            world.github.faults().on("POST", route).times(1).answer(Fault::Status(500));
            world.github.faults().on("POST", route).times(1).answer(Fault::ResetBeforeApply);
        }
        ask_and_see_one_of_each(&world).await;
    }

    async fn github_fails_after_it_wrote(database: Database) {
        let world = greeting(database).await;
        world.github.faults().on("POST", "/repos/{o}/{r}/issues/{n}/comments").times(1).answer(Fault::BadGatewayAfterApply);
        world.github.faults().on("POST", "/repos/{o}/{r}/pulls").times(1).answer(Fault::ResetAfterApply);
        world.github.faults().on("POST", "/repos/{o}/{r}/check-runs").times(1).answer(Fault::TruncatedJson);
        ask_and_see_one_of_each(&world).await;
    }

    async fn a_check_run_that_github_makes_late_is_looked_for_twice(database: Database) {
        let world = greeting(database).await;
        let now = Arc::new(Notify::new());
        world.github.faults().on("POST", CHECKS).times(1).answer(Fault::AppliedLate(now.clone()));
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.wait_for("the first look", async || asked(&world, "GET", "/check-runs") > 0).await;
        now.notify_one();
        world.settle().await;
        assert_eq!(asked(&world, "POST", "/check-runs"), 1);
        assert_eq!(world.github.check_runs("octo/app").len(), 1);
        world.told();
    }

    async fn a_check_run_that_github_makes_later_still_ends_as_the_other(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds("[]");
        world.settings(ON);
        world.start().await;
        let now = Arc::new(Notify::new());
        world.github.faults().on("POST", CHECKS).times(1).answer(Fault::AppliedLate(now.clone()));
        world.pull("change", &[("app.txt", APP)]).await;
        world.settle().await;
        now.notify_one();
        let checks = || world.github.check_runs("octo/app");
        world.wait_for("the second check run", async || checks().len() == 2).await;
        assert_eq!(checks().iter().filter(|it| it.status == "completed").count(), 1);

        world.stop().await;
        world.start().await;
        let checks = || world.github.check_runs("octo/app");
        world.wait_for("both to end", async || checks().iter().all(|it| it.status == "completed")).await;
        let ends: Vec<_> = checks().into_iter().map(|it| (it.conclusion, it.title, it.external_id)).collect();
        assert_eq!(ends[0], ends[1]);
        world.told();
    }

    async fn what_github_writes_late_is_looked_for_twice(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds(&findings(&[finding("app.txt", 2, "Two is wrong", "")]));
        world.settings(ON);
        world.start().await;
        world.issue("The greeting is short", "");
        let now = Arc::new(Notify::new());
        let (comments, reviews) = ("/repos/{o}/{r}/issues/{n}/comments", "/repos/{o}/{r}/pulls/{n}/reviews");
        world.github.faults().on("POST", comments).times(1).answer(Fault::AppliedLate(now.clone()));
        world.github.comment("alice", "octo/app#1", "@cloud-agent help").await;
        world.wait_for("the first look", async || looked_after(&world, "/issues/1/comments")).await;
        now.notify_one();
        world.settle().await;
        assert_eq!(asked(&world, "POST", "/issues/1/comments"), 1);
        assert_eq!(world.github.comments("octo/app#1").len(), 2, "hers and the bot's");

        world.github.faults().on("POST", reviews).times(1).answer(Fault::AppliedLate(now.clone()));
        world.pull("change", &[("app.txt", APP)]).await;
        world.wait_for("the first look", async || looked_after(&world, "/pulls/2/reviews")).await;
        now.notify_one();
        world.settle().await;
        assert_eq!(asked(&world, "POST", "/pulls/2/reviews"), 1);
        assert_eq!(world.github.reviews("octo/app#2").len(), 1);
        world.told();
    }

    async fn a_comment_that_github_makes_later_still_is_deleted(database: Database) {
        let mut world = greeting(database).await;
        let (now, comments) = (Arc::new(Notify::new()), "/repos/{o}/{r}/issues/{n}/comments");
        world.github.faults().on("POST", comments).times(1).answer(Fault::AppliedLate(now.clone()));
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        now.notify_one();
        let ours = || {
            let bot = world.github.bot_login();
            let all = world.github.comments("octo/app#1").into_iter();
            all.filter(|it| it.author == bot).map(|it| it.body).collect::<Vec<_>>()
        };
        world.wait_for("the second comment", async || ours().len() == 2).await;
        world.stop().await;
        world.start().await;
        let ours = || world.github.comments("octo/app#1").into_iter().filter(|it| it.author != "alice");
        world.wait_for("it to be deleted", async || ours().count() == 1).await;
        assert!(ours().next().unwrap().body.contains("### Opened #2"), "the one that was followed stays");
        world.told();
    }

    async fn git_fails_on_the_way(database: Database) {
        let world = greeting(database).await;
        world.github.faults().on("POST", "/{o}/{r}/git-receive-pack").times(1).answer(Fault::Status(502));
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.wait_for("the first push to fail", async || {
            world.github.journal().iter().any(|it| it.path.ends_with("git-receive-pack") && it.status == 502)
        })
        .await;
        // It is tried again in some seconds, from where it stood: the agent does not run again.
        world.settle().await;
        let told = world.told();
        assert!(world.github.last_comment("octo/app#1").unwrap().body.contains("### Opened #2"), "{told}");
    }

    async fn a_short_limit_is_waited_for(database: Database) {
        let world = greeting(database).await;
        world.github.faults().on("POST", "/repos/{o}/{r}/pulls").times(1).answer(Fault::SecondaryLimit { retry_after: Some(1) });
        ask_and_see_one_of_each(&world).await;
    }

    async fn a_longer_limit_makes_the_task_wait(database: Database) {
        let world = greeting(database).await;
        world.github.faults().on("POST", "/repos/{o}/{r}/pulls").times(1).answer(Fault::SecondaryLimit { retry_after: Some(8) });
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.wait_for("the task to wait", async || {
            let task = world.last_task(1).await;
            task.is_some_and(|task| task.state.name() == "waiting")
        })
        .await;
        let before = world.github.journal().len();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let silent = &world.github.journal()[before..];
        assert!(silent.is_empty(), "nothing is sent while GitHub asks us to wait: {silent:?}");
        world.settle().await;
        let told = world.told();
        assert_eq!(world.github.pulls("octo/app").len(), 1, "{told}");
    }

    async fn a_review_whose_end_is_told_later_gets_no_comment_besides(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds(&findings(&[finding("app.txt", 2, "Two is wrong", "")]));
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        // The first edit shows that the review has begun, the second how it ended.
        let check = world.github.faults().on("PATCH", "/repos/{o}/{r}/check-runs/{id}").after(1);
        check.answer(Fault::SecondaryLimit { retry_after: Some(6) });
        world.github.comment("alice", "octo/app#1", "@cloud-agent review").await;
        world.settle().await;
        let told = world.told();
        assert!(world.github.all_faults_met(), "{told}");
        assert_eq!(world.github.check_runs("octo/app")[0].status, "completed", "{told}");
        assert_eq!(world.github.reviews("octo/app#1").len(), 1, "{told}");
        assert_eq!(world.github.comments("octo/app#1").len(), 1, "hers alone: {told}");
    }

    async fn a_stop_that_overtakes_what_was_asked_stops_it(database: Database) {
        let world = greeting(database).await;
        world.issue("The greeting is short", "");
        world.github.comment_quietly("bob", "octo/app#1", "It is.");
        let comments = "/repos/{o}/{r}/issues/{n}/comments";
        world.github.faults().on("GET", comments).times(1000).answer(Fault::Status(502));
        let asked = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world
            .wait_for("the ask to be put off", async || {
                let jobs = world.store().claims(Queue::Delivery).await.unwrap();
                asked_for_comments(&world) && jobs.len() == 1 && !jobs[0].held
            })
            .await;
        world.github.no_more_faults();
        let stop = world.github.comment("alice", "octo/app#1", "@cloud-agent stop").await;
        world.settle().await;
        let told = world.told();
        let decision = async |guid: &str| world.store().delivery_decision(guid).await.unwrap().unwrap().1.unwrap();
        assert_eq!(decision(&asked.guid).await, "somebody has stopped it before it began", "{told}");
        assert_eq!(decision(&stop.guid).await, "what was asked before will not begin", "{told}");
        assert!(world.last_task(1).await.is_none() && !told.contains("nothing_to_stop"), "{told}");

        // What is asked after it is done.
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        assert!(world.told().contains("### Opened #2"));
    }

    async fn what_github_can_not_show_just_now_is_asked_for_again(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("cp /context/checks.md seen.txt");
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        let head = world.github.head("octo/app", "change").unwrap();
        world.github.actions_job_quietly("octo/app", &head, "test", "failure", "assertion failed: two\n");
        world.github.told();
        // As often as one look asks.
        let checks = world.github.faults().on("GET", "/repos/{o}/{r}/commits/{sha}/check-runs").times(3);
        checks.answer(Fault::Status(502));
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix the tests").await;
        world.settle().await;
        world.told();
        let seen = world.github.file_at("octo/app", "change", "seen.txt").unwrap_or_default();
        assert!(seen.contains("assertion failed: two"), "{seen}");
    }

    async fn what_happened_while_the_database_took_nothing_is_written_down_later(database: Database) {
        let mut world = World::on(database).await;
        world.claude_waits("echo 'hello, world' > README.md");
        world.start_process().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.claude_is_waiting().await;
        let postgres = world.database_url().starts_with("postgres");
        let break_it: &[&str] = match postgres {
            true => &[
                "create function broken() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$",
                "create trigger broken before insert on task_event for each row execute function broken()",
            ],
            false => &["create trigger broken before insert on task_event begin select raise(abort, 'broken'); end"],
        };
        for statement in break_it {
            world.sql(statement).await;
        }
        world.claude_goes_on();
        world.wait_for("something not to be stored", async || world.log().contains("Could not store")).await;
        world.sql(if postgres { "drop trigger broken on task_event" } else { "drop trigger broken" }).await;
        world.settle().await;
        world.told();
        let steps = world.steps(1).await;
        let at = |step: &str| steps.iter().position(|it| it.starts_with(step)).unwrap_or_else(|| panic!("{step}: {steps:?}"));
        assert!(at("run checkout") < at("run inspect") && at("run inspect") < at("run branch"), "{steps:?}");
        assert!(at("run branch") < at("run ended"), "{steps:?}");
    }

    async fn tokens_that_die_in_the_middle_are_replaced(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("touch /out/x; while [ ! -e /context/go ]; do sleep 0.1; [ $((i=i+1)) -gt 15 ] && break; done; echo 'hello, world' > README.md
            printf '%s\\n' '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"num_turns\":1,\"session_id\":\"s\",\"structured_output\":{\"title\":\"t\",\"summary\":\"s\",\"details\":\"\",\"verification\":\"\",\"changed\":true}}'");
        world.start().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.wait_for("the comment", async || world.github.comments("octo/app#1").len() == 2).await;
        world.github.expire_tokens();
        // Old enough not to be taken for a token that GitHub has not heard of yet.
        world.settle().await;
        let told = world.told();
        assert!(world.github.last_comment("octo/app#1").unwrap().body.contains("### Opened #2"), "{told}");
    }

    async fn github_is_away_when_the_bot_starts(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.github.down(true);
        world.start().await;
        world.issue("The greeting is short", "");

        let delivered = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        assert_eq!(delivered.status, 202);
        let ready = async || -> (u16, serde_json::Value) {
            let answer = reqwest::get(format!("http://{}/readyz", world.address())).await.unwrap();
            (answer.status().as_u16(), answer.json().await.unwrap())
        };
        world.wait_for("the trouble to be seen", async || ready().await.1["status"] == "degraded").await;
        let (status, told) = ready().await;
        assert_eq!(status, 200, "deliveries can still be stored: {told}");
        assert_eq!(told["parts"]["database"], "ok");
        assert!(told["parts"]["github"].as_str().unwrap().contains("could not be reached"), "{told}");

        world.github.down(false);
        world.settle().await;
        let told = world.told();
        assert_eq!(world.github.pulls("octo/app").len(), 1, "{told}");
        world.wait_for("everything to be well", async || ready().await.1["status"] == "ready").await;
    }

    async fn a_repository_renamed_in_the_middle_is_followed(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("sleep 1.5; echo 'hello, world' > README.md");
        world.start().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.wait_for("the comment", async || world.github.comments("octo/app#1").len() == 2).await;
        world.github.rename_repo("octo/app", "greeter");
        world.settle().await;

        let told = world.told();
        assert_eq!(world.github.pulls("octo/greeter").len(), 1, "{told}");
        assert!(world.github.last_comment("octo/greeter#1").unwrap().body.contains("### Opened #2"), "{told}");
    }
}
