//! The second review of a pull request: what is new is said, what is known is not repeated, what is fixed is closed.

use insta::assert_snapshot;
use simulator::github::Fault;

use super::findings::{APP, ON, finding, findings};
use super::reviews::{checks, comments};
use crate::world::World;

/// A world with a reviewed pull request: two findings on `app.txt`.
async fn reviewed(mut world: World) -> World {
    let all = [finding("app.txt", 2, "Two is wrong", ""), finding("app.txt", 8, "Eight is wrong", "")];
    world.claude_reviews(&findings(&all), "fixed", "");
    world.settings(ON);
    world.start().await;
    world.pull("change", &[("app.txt", APP)]).await;
    world.settle().await;
    world.github.told();
    assert_eq!(world.github.review_comments("octo/app#1").len(), 2);
    world
}

/// Whether the threads are resolved, in the order of their making.
fn threads(world: &World) -> Vec<Option<String>> {
    world.github.threads("octo/app#1").into_iter().map(|it| it.resolved_by).collect()
}

stories! {
    async fn a_push_is_reviewed_for_what_is_new(database: Database) {
        let mut world = reviewed(World::on(database).await).await;
        // Two is mended, eight stays where it moved to, and a line is new.
        let pushed = APP.replace("two\n", "zwei\nand a half\n").replace("ten\n", "ten\neleven\n");
        let all = [finding("app.txt", 9, "Eight is still wrong", ""), finding("app.txt", 12, "Eleven is wrong", "")];
        world.claude_finds(&findings(&all));
        world.stop().await;
        world.start().await;
        world.github.push("bob", "octo/app", "change", &[("app.txt", &pushed)], "Mend two").await;
        world.settle().await;

        assert_snapshot!(world.told(), @"
        bob pushes change
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        cloud-agent[bot] reviews #1: <!-- cloud-agent:review=ID -->
          ### 1 new finding, 1 still open, 2 serious

          It greets the world.

          | | where | what | said |
          |---|---|---|---|
          | serious | `app.txt:12` | Eleven is wrong | on the line |

          Found before and not said again:

          | | where | what |
          |---|---|---|
          | serious | `app.txt` | Eight is wrong |

          Fixed since the last review: 1 finding.

          <sub>TIME · $COST · 4 turns · answer with `@cloud-agent` on a line to talk about it</sub>
          app.txt:12: **Eleven is wrong** <sub>serious · correctness</sub>

            It breaks.

            <!-- cloud-agent:finding=ID -->
        cloud-agent[bot] resolves the thread on #1 app.txt:2
        check cloud-agent review completed neutral on change: 1 new finding, 1 still open, 2 serious
          [Fix all] [Re-run]
        ");
        assert_snapshot!(comments(&world, "octo/app#1"), @"
        app.txt:file RIGHT by cloud-agent[bot]
        **Two is wrong** <sub>serious · correctness</sub>

        It breaks.

        <!-- cloud-agent:finding=ID -->

        app.txt:9 RIGHT by cloud-agent[bot]
        **Eight is wrong** <sub>serious · correctness</sub>

        It breaks.

        <!-- cloud-agent:finding=ID -->

        app.txt:12 RIGHT by cloud-agent[bot]
        **Eleven is wrong** <sub>serious · correctness</sub>

        It breaks.

        <!-- cloud-agent:finding=ID -->
        ");
        assert_snapshot!(checks(&world), @r#"
        cloud-agent review: completed neutral "2 findings, 2 serious" [fix rerun] 0 notes
        cloud-agent review: completed neutral "1 new finding, 1 still open, 2 serious" [fix rerun] 0 notes
        "#);
        assert_eq!(threads(&world).iter().filter(|it| it.is_some()).count(), 1);
    }

    async fn what_a_person_dismissed_stays_silent(database: Database) {
        let mut world = reviewed(World::on(database).await).await;
        let said = world.github.review_comments("octo/app#1");
        world.github.resolve_thread("alice", "octo/app#1", said[0].id).await;
        world.github.reply("bob", "octo/app#1", said[1].id, "Won't fix: the caller checks that.").await;
        world.settle().await;
        let all = [
            finding("app.txt", 2, "Two is wrong again", ""),
            finding("app.txt", 8, "Eight is wrong again", ""),
        ];
        world.claude_reviews(&findings(&all), "present", "");
        world.stop().await;
        world.start().await;
        world.github.push("bob", "octo/app", "change", &[("b.txt", "b\n")], "More").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        alice resolves the thread on #1 app.txt:2
        bob replies on #1 app.txt:8: Won't fix: the caller checks that.
        bob pushes change
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        check cloud-agent review completed success on change: Nothing found
          [Re-run]
        ");
        assert_eq!(world.github.reviews("octo/app#1").iter().filter(|it| it.author.ends_with("[bot]")).count(), 1);
    }

    async fn after_a_force_push_all_is_looked_at_again(database: Database) {
        let mut world = reviewed(World::on(database).await).await;
        world.claude_reviews("[]", "present", "");
        world.stop().await;
        world.start().await;
        let files = [("app.txt", APP), ("new.txt", "new\n")];
        world.github.force_push("bob", "octo/app", ("change", "main"), &files, "Start over").await;
        world.settle().await;
        world.github.told();
        let summary = world.github.check_runs("octo/app").pop().unwrap().summary.unwrap();
        assert!(summary.contains("2 files of") && !summary.contains("since"), "{summary}");
        assert!(summary.contains("Found before and not said again"), "{summary}");
    }

    async fn without_permission_threads_stay_open_and_nothing_else_changes(database: Database) {
        let mut world = World::on(database).await;
        world.github.set_permissions(&[
            ("metadata", "read"),
            ("contents", "read"),
            ("issues", "write"),
            ("pull_requests", "write"),
            ("checks", "write"),
        ]);
        let mut world = {
            world.claude_reviews("[]", "fixed", "");
            reviewed(world).await
        };
        world.claude_finds("[]");
        world.stop().await;
        world.start().await;
        world.github.push("bob", "octo/app", "change", &[("app.txt", "eins\nzwei\n")], "Mend it").await;
        world.settle().await;
        world.github.told();
        assert_snapshot!(checks(&world), @r#"
        cloud-agent review: completed neutral "2 findings, 2 serious" [fix rerun] 0 notes
        cloud-agent review: completed success "Nothing found" [rerun] 0 notes
        "#);
        assert_eq!(threads(&world), [None, None]);
    }

    async fn pushes_while_a_review_runs_make_one_more_of_the_newest(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("sleep 600");
        world.settings(ON);
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.wait_for("the review to run", async || {
            world.last_task(1).await.is_some_and(|task| task.state.name() == "running")
        })
        .await;
        for n in 1..=3 {
            world.github.push("bob", "octo/app", "change", &[("app.txt", &format!("{APP}{n}\n"))], "Push").await;
        }
        world.heard().await;
        let waiting = world.store().tasks_of_thread(world.github.repo_id("octo/app"), 1).await.unwrap();
        let states: Vec<_> = waiting.iter().map(|task| task.state.name()).collect();
        // How many there were in between depends on how fast GitHub tells.
        let (first, rest) = (states[0], &states[1..]);
        assert_eq!((first, rest.last()), ("queued", Some(&"running")), "{states:?}");
        assert!(rest[..rest.len() - 1].iter().all(|state| *state == "cancelled"), "{states:?}");
        world.claude_finds("[]");
        world.stop().await;
        world.start().await;
        world.settle().await;
        world.github.told();
        let runs = world.github.check_runs("octo/app");
        assert!(runs.iter().all(|run| run.status == "completed"), "{runs:#?}");
        let newest: Vec<_> = runs.iter().filter(|run| Some(&run.head_sha) == world.github.head("octo/app", "change").as_ref()).collect();
        assert_eq!(newest.len(), 1);
        assert_eq!(newest[0].conclusion.as_deref(), Some("success"));
        let title = "A newer push is reviewed instead";
        let between = runs.iter().filter(|run| run.title.as_deref() == Some(title)).count();
        assert_eq!(between, rest.len() - 1);
    }

    async fn a_left_over_pending_review_is_no_obstacle(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds(&findings(&[finding("app.txt", 2, "Two is wrong", "")]));
        world.start().await;
        let number = world.pull("change", &[("app.txt", APP)]).await;
        world.github.leave_pending_review(&format!("octo/app#{number}"));
        world.github.comment("alice", "octo/app#1", "@cloud-agent review").await;
        world.settle().await;
        world.github.told();
        let reviews = world.github.reviews("octo/app#1");
        assert_eq!(reviews.iter().map(|it| it.state.as_str()).collect::<Vec<_>>(), ["COMMENTED"]);
    }

    async fn a_review_that_github_made_and_did_not_confirm_is_not_made_twice(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds(&findings(&[finding("app.txt", 2, "Two is wrong", "")]));
        world.settings(ON);
        world.start().await;
        world.github.faults().on("POST", "/pulls/1/reviews").times(1).answer(Fault::BadGatewayAfterApply);
        world.pull("change", &[("app.txt", APP)]).await;
        world.settle().await;
        world.github.told();
        assert_eq!(world.github.reviews("octo/app#1").len(), 1);
        assert_snapshot!(checks(&world), @r#"cloud-agent review: completed neutral "1 finding, 1 serious" [fix rerun] 0 notes"#);
    }
}
