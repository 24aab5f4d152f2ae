//! The check run is the remote control: *Re-run*, *Fix all*, *Stop*; and what else GitHub asks of a check.

use cloud_agent::store::Queue;
use cloud_agent::task::{Ending, State};
use insta::assert_snapshot;

use super::findings::{APP, ON, finding, findings};
use super::reviews::checks;
use crate::world::World;

/// Mends what was found when asked to, and finds everything fixed when it reviews.
const FIXES_AND_REVIEWS: &str = r#"
case "$PROMPT" in *"Review pull request"*)
    EARLIER=$(sed -n 's/^- id \([0-9a-f-]*\):.*/{"id":"\1","state":"fixed"},/p' /context/earlier.md | tr -d '\n')
    ANSWER="{\"summary\":\"Fine.\",\"verdict\":\"good\",\"findings\":[],\"earlier\":[${EARLIER%,}]}" ;;
*)
    sed -i s/two/zwei/ app.txt
    ANSWER='{"title":"Fix two","summary":"Two is right now.","details":"","verification":"","changed":true,"threads":[]}' ;;
esac
printf '{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":2,"session_id":"s","total_cost_usd":0.01,"structured_output":%s}\n' "$ANSWER"
"#;

/// A world with a review of one finding; the check run's id.
async fn reviewed(mut world: World) -> (World, u64) {
    world.claude_finds(&findings(&[finding("app.txt", 2, "Two is wrong", r#","replacement":"zwei""#)]));
    world.settings(ON);
    world.start().await;
    world.pull("change", &[("app.txt", APP)]).await;
    world.settle().await;
    world.github.told();
    let check = world.github.check_runs("octo/app").pop().unwrap().id;
    (world, check)
}

stories! {
    async fn re_run_reviews_the_same_commit_on_a_new_check(database: Database) {
        let (world, check) = reviewed(World::on(database).await).await;
        world.github.rerun_check("alice", check).await;
        world.settle().await;
        world.github.told();
        world.github.rerun_suite("alice", check).await;
        world.settle().await;
        world.github.told();
        assert_snapshot!(checks(&world), @r#"
        cloud-agent review: completed neutral "1 finding, 1 serious" [fix rerun] 0 notes
        cloud-agent review: completed neutral "Nothing new, 1 finding still open, 1 serious" [fix rerun] 0 notes
        cloud-agent review: completed neutral "Nothing new, 1 finding still open, 1 serious" [fix rerun] 0 notes
        "#);
        let runs = world.github.check_runs("octo/app");
        assert!(runs.iter().all(|run| run.head_sha == runs[0].head_sha));
        assert_eq!(world.github.review_comments("octo/app#1").len(), 1, "what is known is not repeated");
    }

    async fn fix_all_commits_to_the_branch(database: Database) {
        let (mut world, check) = reviewed(World::on(database).await).await;
        world.claude_will("sed -i s/two/zwei/ app.txt");
        world.stop().await;
        world.start().await;
        world.github.click_action("alice", check, "fix").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        push change
        check cloud-agent completed success on change: Changed 1 file
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Pushed to `change`

          The greeting was too short.

          <sub>TIME · $COST · 2 turns</sub>
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        check cloud-agent review completed neutral on change: Nothing new, 1 finding still open, 1 serious
          [Fix all] [Re-run]
        ");
        assert_eq!(world.github.file_at("octo/app", "change", "app.txt").unwrap(), APP.replace("two", "zwei"));
    }

    async fn what_we_push_is_reviewed_like_anybodys_push(database: Database) {
        let (mut world, check) = reviewed(World::on(database).await).await;
        world.claude_plays(FIXES_AND_REVIEWS);
        world.stop().await;
        world.start().await;
        world.github.click_action("alice", check, "fix").await;
        world.settle().await;
        world.github.told();
        assert_snapshot!(checks(&world), @r#"
        cloud-agent review: completed neutral "1 finding, 1 serious" [fix rerun] 0 notes
        cloud-agent: completed success "Changed 1 file" [] 0 notes
        cloud-agent review: completed success "Nothing found" [rerun] 0 notes
        "#);
        assert!(world.github.threads("octo/app#1").iter().all(|it| it.resolved_by.is_some()), "the finding is fixed");
    }

    async fn a_check_run_that_was_left_open_is_completed(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("sleep 600");
        world.settings(ON);
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.wait_for("the review to run", async || {
            world.last_task(1).await.is_some_and(|task| task.state.name() == "running")
        })
        .await;
        world.stop().await;
        // It ends where nobody can tell GitHub, as after ten crashes in a row.
        let lease = std::time::Duration::from_secs(30);
        let claimed = world.store().claim(Queue::Task, "test", lease, 1, None).await.unwrap().pop().unwrap();
        assert!(world.store().conclude(&claimed.lease, &Ending::new("gave_up", "")).await.unwrap());
        assert!(world.store().end(&claimed.lease, State::Failed).await.unwrap());
        world.start().await;
        world.wait_for("the check to be completed", async || {
            world.github.check_runs("octo/app").iter().all(|run| run.status == "completed")
        })
        .await;
        world.github.told();
        assert_snapshot!(checks(&world), @r#"cloud-agent review: completed neutral "The review ended without a result" [rerun] 0 notes"#);
    }

    async fn stop_ends_the_review(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("sleep 600");
        world.settings(ON);
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.wait_for("the review to run", async || {
            world.last_task(1).await.is_some_and(|task| task.state.name() == "running")
        })
        .await;
        let check = world.github.check_runs("octo/app").pop().unwrap().id;
        world.github.click_unseen("alice", check, "stop").await;
        world.settle().await;
        world.github.told();
        assert_snapshot!(checks(&world), @r#"cloud-agent review: completed cancelled "Stopped" [rerun] 0 notes"#);
        assert!(!world.something_runs());
    }

    async fn a_strangers_click_does_nothing(database: Database) {
        let (world, check) = reviewed(World::on(database).await).await;
        for button in ["fix", "rerun", "stop"] {
            world.github.click_unseen("rita", check, button).await;
        }
        world.github.rerun_suite("rita", check).await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        cloud-agent[bot] on #1: <!-- cloud-agent:refusal=20005:not_a_writer -->
          @rita, I work for people who can write to this repository, and GitHub says that you can't. Ask one of them to mention me or to set the label `cloud-agent`.
        ");
    }

    async fn a_closed_pull_request_is_left_alone(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("sleep 600");
        world.settings(ON);
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.wait_for("the review to run", async || {
            world.last_task(1).await.is_some_and(|task| task.state.name() == "running")
        })
        .await;
        world.github.close("bob", "octo/app#1").await;
        world.settle().await;
        world.github.told();
        assert_snapshot!(checks(&world), @r#"cloud-agent review: completed cancelled "The pull request was closed" [rerun] 0 notes"#);
        assert!(world.github.reviews("octo/app#1").is_empty());
    }

    async fn a_merge_queue_gets_its_answer(database: Database) {
        let (world, _) = reviewed(World::on(database).await).await;
        let (sha, _) = world.github.queue_for_merge("octo/app#1").await;
        world.settle().await;
        world.github.told();
        let run = world.github.check_runs("octo/app").into_iter().find(|run| run.head_sha == sha).unwrap();
        assert_eq!((run.name.as_str(), run.conclusion.as_deref()), ("cloud-agent review", Some("success")));
    }

    async fn a_pull_request_that_changes_the_settings_is_told_what_they_mean(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("true");
        world.start().await;
        let bad = "reveiw:\n  on: [opened]\nask: { who: nobody }\n";
        world.pull("change", &[(".github/cloud-agent.yml", bad)]).await;
        world.settle().await;
        world.github.told();
        let run = world.github.check_runs("octo/app").pop().unwrap();
        assert_snapshot!(format!("{}\n{:#?}", run.summary.unwrap(), run.annotations), @r#"
        `.github/cloud-agent.yml` can't be read as it is here. Nothing changes until it is merged; please mend this before.

        | line | column | what |
        |---:|---:|---|
        | 1 | 1 | unknown key `reveiw`; did you mean `review`? |
        | 3 | 13 | `ask.who` does not know `nobody`; known are `write`, `triage`, `read`, `everyone` |

        [
            Annotation {
                path: ".github/cloud-agent.yml",
                start_line: 1,
                end_line: 1,
                level: "failure",
                message: "unknown key `reveiw`; did you mean `review`?",
                title: None,
                raw_details: None,
            },
            Annotation {
                path: ".github/cloud-agent.yml",
                start_line: 3,
                end_line: 3,
                level: "failure",
                message: "`ask.who` does not know `nobody`; known are `write`, `triage`, `read`, `everyone`",
                title: None,
                raw_details: None,
            },
        ]
        "#);

        // A branch that has only not heard of the newest settings says nothing about them.
        let good = "review: { on: [opened] }\n";
        world.pull("old", &[("a.txt", "a\n")]).await;
        world.github.push_quietly("ada", "octo/app", "main", &[(".github/cloud-agent.yml", "ask: { who: read }\n")], "Ask");
        world.github.push("bob", "octo/app", "old", &[("b.txt", "b\n")], "More").await;
        world.settle().await;
        world.github.push("bob", "octo/app", "change", &[(".github/cloud-agent.yml", good)], "Mend").await;
        world.settle().await;
        world.github.told();
        assert_snapshot!(checks(&world), @r#"
        cloud-agent settings: completed failure "2 mistakes in .github/cloud-agent.yml" [] 2 notes
        cloud-agent settings: completed success "The settings are fine" [] 0 notes
        "#);
        assert!(world.github.check_runs("octo/app").iter().all(|run| run.name != "cloud-agent review"), "not merged yet");
    }
}
