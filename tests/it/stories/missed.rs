//! What GitHub could not bring: found in its own list of deliveries, and beyond that in the repositories; done once, and
//! only if it is still wanted.

use std::time::Duration;

use cloud_agent::clock;
use serde_json::json;
use simulator::github::{Fault, Signature};

use super::findings::{APP, ON};
use crate::world::World;

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9/webhooks/github";

/// GitHub reaches nobody from now on, though the bot may work on.
fn cut_off(world: &World) {
    world.github.deliver_to(NOWHERE);
}

async fn leave(world: &mut World) {
    world.stop().await;
    cut_off(world);
}

/// Start the bot, and wait until it has compared GitHub's list with its own.
async fn come_back(world: &mut World) {
    let app_id = i64::try_from(world.github.app_id()).unwrap();
    let before = world.store().swept_until(app_id).await.unwrap_or_default();
    world.start().await;
    world
        .wait_for("the look at GitHub's list", async || {
            world.store().swept_until(app_id).await.is_ok_and(|it| it > before)
        })
        .await;
    world
        .wait_for("the look to end", async || {
            matches!(world.store().begin_sweep(app_id, "test", Duration::from_secs(9)).await, Ok(Some(_)))
        })
        .await;
    world.store().end_sweep(app_id, "test").await.unwrap();
}

/// As if the bot had been away for longer than GitHub lists deliveries.
async fn a_week_passes(world: &World) {
    let (store, app_id) = (world.store(), i64::try_from(world.github.app_id()).unwrap());
    assert!(store.begin_sweep(app_id, "test", Duration::from_secs(9)).await.unwrap().is_some());
    store.swept(app_id, "test", clock::now() - 8 * 24 * 3_600_000).await.unwrap();
    store.end_sweep(app_id, "test").await.unwrap();
    world.github.forget_deliveries();
}

fn calls(world: &World, path: &str) -> usize {
    world.github.journal().iter().filter(|it| it.method == "GET" && it.path.split('?').next() == Some(path)).count()
}

fn pulls_of_payloads(world: &World) -> usize {
    world.github.journal().iter().filter(|it| it.path.starts_with("/app/hook/deliveries/")).count()
}

async fn decision(world: &World, guid: &str) -> String {
    let (state, why) = world.store().delivery_decision(guid).await.unwrap().unwrap_or_default();
    format!("{state}: {}", why.unwrap_or_default())
}

fn is_postgres(world: &World) -> bool {
    world.database_url().starts_with("postgres")
}

/// Statements after which no delivery can be changed, though new ones can be stored.
fn broken(world: &World) -> &'static [&'static str] {
    match is_postgres(world) {
        true => &[
            "create function broken() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$",
            "create trigger broken before update on delivery for each row execute function broken()",
        ],
        false => &["create trigger broken before update on delivery begin select raise(abort, 'broken'); end"],
    }
}

stories! {
    async fn what_was_asked_while_the_bot_was_away_is_done_once(database: Database) {
        let mut world = World::on(database).await;
        world.claude_says("echo 'hello, world' > README.md", r#"{"title":"Greet","summary":"","details":"","verification":"","changed":true,"verdict":"concerns","findings":[],"earlier":[]}"#);
        world.settings(ON);
        come_back(&mut world).await;
        world.issue("One", "");
        world.issue("Two", "");
        leave(&mut world).await;

        let asked = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        assert_eq!(asked.status, 502, "nobody was there");
        world.github.label("alice", "octo/app#2", "cloud-agent").await;
        world.pull("change", &[("app.txt", APP)]).await;
        come_back(&mut world).await;
        world.settle().await;

        let told = world.told();
        let heads = |world: &World| world.github.pulls("octo/app").iter().map(|it| it.head.clone()).collect::<Vec<_>>();
        assert_eq!(heads(&world).len(), 3, "hers and two of the bot's: {told}");
        assert_eq!(world.github.reviews("octo/app#3").len(), 1, "{told}");
        assert_eq!(decision(&world, &asked.guid).await, "done: made a task");

        leave(&mut world).await;
        come_back(&mut world).await;
        world.settle().await;
        assert_eq!(world.told(), "");
        assert_eq!(heads(&world).len(), 3);
    }

    async fn all_pages_are_followed_and_what_says_nothing_is_not_fetched(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("true");
        come_back(&mut world).await;
        world.issue("The greeting is short", "");
        leave(&mut world).await;
        let asked = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.github.edit_comment("alice", asked.comment_id, "@cloud-agent say less").await;
        let edited = world.github.newest_delivery("issue_comment.edited").unwrap();
        // Nobody has asked for anything there.
        world.github.create_repo("octo/other", &[("README.md", "hello\n")]);
        world.github.open_issue_quietly("alice", "octo/other", "Nothing wanted", "");
        for n in 0..230 {
            world.github.edit_issue("alice", "octo/other#1", &format!("{n}")).await;
        }
        let elsewhere = world.github.newest_delivery("issues.edited").unwrap();
        let (lists, payloads) = (calls(&world, "/app/hook/deliveries"), pulls_of_payloads(&world));

        come_back(&mut world).await;
        world.settle().await;
        world.told();
        assert_eq!(decision(&world, &asked.guid).await, "done: made a task");
        assert_eq!(decision(&world, &edited).await, "done: noted: what was asked before stays as it was");
        assert_eq!(decision(&world, &elsewhere).await, "ignored: nothing was asked there");
        assert_eq!(calls(&world, "/app/hook/deliveries") - lists, 3);
        assert_eq!(pulls_of_payloads(&world) - payloads, 2);
    }

    async fn what_was_stored_and_answered_too_late_is_known(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("true");
        come_back(&mut world).await;
        world.issue("The greeting is short", "");
        let asked = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        world.told();
        world.github.record_answer(&asked.guid, 504);
        leave(&mut world).await;
        come_back(&mut world).await;
        world.settle().await;
        assert_eq!(world.told(), "");
        assert_eq!(pulls_of_payloads(&world), 0);
    }

    async fn a_first_start_takes_up_what_nobody_has_taken(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("true");
        for title in ["Nobody was there", "An earlier server has taken it", "And has answered this"] {
            world.issue(title, "");
        }
        cut_off(&world);
        let missed = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        let taken = world.github.comment("alice", "octo/app#2", "@cloud-agent fix this").await;
        world.github.record_answer(&taken.guid, 202);
        let answered = world.github.label("alice", "octo/app#3", "cloud-agent").await;
        world.github.react(&world.github.bot_login(), "octo/app#3", "eyes");
        // GitHub writes times in seconds.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        come_back(&mut world).await;
        world.settle().await;

        world.told();
        assert_eq!(decision(&world, &missed.guid).await, "done: made a task");
        assert_eq!(world.store().delivery_decision(&taken.guid).await.unwrap(), None);
        assert_eq!(decision(&world, &answered.guid).await, "ignored: it was answered before this database was there");
        assert_eq!(calls(&world, "/installation/repositories"), 0, "nothing older is looked for");
    }

    async fn what_nobody_wants_any_more_is_not_done(database: Database) {
        let mut world = World::on(database).await;
        world.settings(ON);
        come_back(&mut world).await;
        for title in ["Deleted", "Closed", "Label gone", "Stopped", "Asked on a closed one"] {
            world.issue(title, "");
        }
        world.github.close_quietly("alice", "octo/app#5");
        leave(&mut world).await;
        let ask = "@cloud-agent fix this";

        let deleted = world.github.comment("alice", "octo/app#1", ask).await;
        world.github.delete_comment("alice", deleted.comment_id).await;
        let closed = world.github.comment("alice", "octo/app#2", ask).await;
        let label = world.github.label("alice", "octo/app#3", "cloud-agent").await;
        world.github.unlabel("alice", "octo/app#3", "cloud-agent").await;
        let stopped = world.github.comment("alice", "octo/app#4", ask).await;
        world.github.comment("rita", "octo/app#4", "@cloud-agent stop").await;
        world.github.comment("bob", "octo/app#4", "@cloud-agent stop").await;
        world.pull("change", &[("app.txt", APP)]).await;
        let opened = world.github.newest_delivery("pull_request.opened").unwrap();
        let reopened = world.github.comment("alice", "octo/app#5", ask).await;
        // GitHub writes times in seconds.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        world.github.close("alice", "octo/app#2").await;
        world.github.close("alice", "octo/app#6").await;
        world.told();
        come_back(&mut world).await;
        world.settle().await;

        assert_eq!(decision(&world, &deleted.guid).await, "ignored: the comment is gone meanwhile");
        assert_eq!(decision(&world, &closed.guid).await, "ignored: it was closed meanwhile");
        assert_eq!(decision(&world, &label.guid).await, "ignored: the label is gone meanwhile");
        assert_eq!(decision(&world, &stopped.guid).await, "ignored: somebody has stopped it before it began");
        assert_eq!(decision(&world, &opened).await, "ignored: the pull request is closed");
        assert_eq!(decision(&world, &reopened.guid).await, "done: made a task", "closed before it was asked");
        world.told();
        assert!(world.github.check_runs("octo/app").is_empty());
    }

    async fn events_that_come_in_the_wrong_order_do_no_harm(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds("[]");
        world.settings(ON);
        world.start().await;
        let door = format!("http://{}/webhooks/github", world.address());

        cut_off(&world);
        world.pull("change", &[("app.txt", APP)]).await;
        let opened = world.github.newest_delivery("pull_request.opened").unwrap();
        world.github.deliver_to(&door);
        world.github.close("alice", "octo/app#1").await;
        world.github.redeliver(&opened).await;
        world.settle().await;
        assert_eq!(decision(&world, &opened).await, "ignored: the pull request is closed");

        cut_off(&world);
        world.github.reopen("alice", "octo/app#1").await;
        world.github.close("alice", "octo/app#1").await;
        let closed = world.github.newest_delivery("pull_request.closed").unwrap();
        let stop = world.github.comment("alice", "octo/app#1", "@cloud-agent stop").await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        world.github.reopen("alice", "octo/app#1").await;
        world.github.deliver_to(&door);
        world.claude_waits("true");
        world.github.comment("alice", "octo/app#1", "@cloud-agent greet the world").await;
        world.claude_is_waiting().await;
        world.github.redeliver(&closed).await;
        world.github.redeliver(&stop.guid).await;
        world.heard().await;
        world.claude_goes_on();
        world.settle().await;
        assert_eq!(decision(&world, &closed).await, "ignored: it is open again");
        assert_eq!(world.last_task(1).await.unwrap().state.name(), "completed");
        world.told();
    }

    async fn what_was_given_up_is_looked_at_again_when_it_comes_again(database: Database) {
        let world = World::running(database).await;
        let alice = json!({ "id": world.person("alice"), "login": "alice", "type": "User" });
        // Nothing says in which repository.
        let body = json!({
            "action": "created", "sender": alice, "issue": { "number": 1 },
            "comment": { "id": 1, "body": "@cloud-agent fix this", "user": alice },
        })
        .to_string();
        let deliver = || world.github.deliver_raw("issue_comment", "odd", body.as_bytes(), Signature::Good, "application/json");

        let (status, _) = deliver().await;
        assert_eq!(status, 202);
        world.settle().await;
        assert!(decision(&world, "odd").await.starts_with("failed: "));
        let (status, says) = deliver().await;
        assert_eq!((status, says.as_str()), (202, r#"{"status":"accepted"}"#));
        world.settle().await;
        assert!(decision(&world, "odd").await.starts_with("failed: "));

        // As long as nobody can look, it is not "known" but not taken, so that it is brought once more.
        for statement in broken(&world) {
            world.sql(statement).await;
        }
        let (status, says) = deliver().await;
        assert_eq!(status, 503, "{says}");
        world.sql(if is_postgres(&world) { "drop trigger broken on delivery" } else { "drop trigger broken" }).await;
        assert_eq!(deliver().await.0, 202);
        world.settle().await;
    }

    async fn what_was_asked_just_before_a_suspension_is_done_after_it(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("true");
        come_back(&mut world).await;
        for title in ["Wanted", "Not any more"] {
            world.issue(title, "");
        }
        leave(&mut world).await;
        let wanted = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        let deleted = world.github.comment("alice", "octo/app#2", "@cloud-agent fix this").await;
        world.github.suspend_installation();
        // GitHub writes times in seconds.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        come_back(&mut world).await;
        world.settle().await;
        for it in [&wanted, &deleted] {
            assert_eq!(decision(&world, &it.guid).await, "ignored: the installation is suspended");
        }

        // What nobody wants any more then is not done.
        cut_off(&world);
        world.github.delete_comment("alice", deleted.comment_id).await;
        world.github.deliver_to(format!("http://{}/webhooks/github", world.address()));
        world.github.unsuspend_installation();
        world.settle().await;
        assert_eq!(decision(&world, &wanted.guid).await, "done: made a task");
        assert_eq!(decision(&world, &deleted.guid).await, "ignored: the comment is gone meanwhile");
        let told = world.told();
        assert_eq!(told.matches("👀").count(), 1, "{told}");
    }

    async fn after_a_week_the_repositories_are_looked_through(database: Database) {
        let mut world = World::on(database).await;
        world.claude_says("echo 'hello, world' > README.md", r#"{"title":"Greet","summary":"","details":"","verification":"","changed":true,"verdict":"concerns","findings":[],"earlier":[]}"#);
        world.settings(ON);
        come_back(&mut world).await;
        for title in ["Answered", "Labelled", "Asked", "Asked by a reader", "Nothing wanted", "Closed"] {
            world.issue(title, "");
        }
        world.github.open_issue("alice", "octo/app", "Done", "@cloud-agent fix this").await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        assert_eq!(world.github.pulls("octo/app").len(), 2);
        world.told();
        leave(&mut world).await;

        a_week_passes(&world).await;
        world.github.label_quietly("alice", "octo/app#2", "cloud-agent");
        world.github.label_quietly("alice", "octo/app#5", "bug");
        world.github.comment_quietly("bob", "octo/app#3", "@cloud-agent fix this");
        world.github.comment_quietly("rita", "octo/app#4", "@cloud-agent fix this");
        world.github.comment_quietly("bob", "octo/app#5", "What is `@cloud-agent`?");
        world.github.label_quietly("alice", "octo/app#6", "cloud-agent");
        world.github.close_quietly("alice", "octo/app#6");
        world.issue("Opened with words", "@cloud-agent fix this");
        world.github.branch_from("octo/app", "change", "main");
        world.github.push_quietly("bob", "octo/app", "change", &[("app.txt", APP)], "Change things");
        world.github.open_pull("bob", "octo/app", "change", "main", "Change things").await;
        world.github.forget_deliveries();
        world.told();
        come_back(&mut world).await;
        world.wait_for("the last of it", async || world.last_task(11).await.is_some()).await;
        world.settle().await;

        let told = world.told();
        let bots = world.github.pulls("octo/app").into_iter().filter(|it| it.head != "change");
        let mut heads: Vec<String> = bots.map(|it| it.head).collect();
        heads.sort();
        assert_eq!(heads, ["cloud-agent/issue-1-answered", "cloud-agent/issue-10-opened-with-words", "cloud-agent/issue-2-labelled", "cloud-agent/issue-3-asked", "cloud-agent/issue-7-done"], "{told}");
        assert_eq!(world.github.reviews("octo/app#11").len(), 1, "{told}");
        assert!(world.github.last_comment("octo/app#4").unwrap().body.contains("GitHub says that you can't"), "{told}");

        leave(&mut world).await;
        let lists = calls(&world, "/installation/repositories");
        come_back(&mut world).await;
        world.settle().await;
        assert_eq!(world.told(), "");
        assert_eq!((lists, calls(&world, "/installation/repositories")), (1, 1), "once for the week");
    }

    async fn a_repository_that_can_not_be_looked_through_keeps_no_other_from_it(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.github.create_repo("octo/other", &[("README.md", "hello\n")]);
        come_back(&mut world).await;
        leave(&mut world).await;
        a_week_passes(&world).await;
        for repo in ["octo/app", "octo/other"] {
            world.github.open_issue_quietly("alice", repo, "The greeting is short", "@cloud-agent fix this");
        }
        world.told();
        world.github.faults().on("GET", "/repos/octo/app/issues").times(1000).answer(Fault::Status(502));
        come_back(&mut world).await;
        assert_eq!(world.sql("select count(*) from sweep where list_since is not null").await, 0, "it is done with");
        world.wait_for("the other's", async || world.github.pulls("octo/other").len() == 1).await;
        world.settle().await;
        assert!(world.github.pulls("octo/app").is_empty());

        // It is looked through by itself.
        world.github.no_more_faults();
        leave(&mut world).await;
        come_back(&mut world).await;
        world.wait_for("its own", async || world.github.pulls("octo/app").len() == 1).await;
        world.settle().await;
        assert_eq!(world.sql("select count(*) from suspension where since is not null").await, 0);
        assert_eq!(world.github.pulls("octo/other").len(), 1);
        world.told();
    }
}
