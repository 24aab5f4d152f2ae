//! When a pull request is reviewed, and what the repository's settings make of it.

use insta::assert_snapshot;

use super::findings::{APP, ON, finding, findings};
use super::reviews::checks;
use crate::world::{World, steady};

stories! {
    async fn without_settings_a_review_has_to_be_asked_for(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds("[]");
        world.start().await;
        let number = world.pull("change", &[("app.txt", APP)]).await;
        world.settle().await;
        assert_snapshot!(world.told(), @"");

        world.github.comment("alice", &format!("octo/app#{number}"), "@cloud-agent review").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        alice on #1: @cloud-agent review
        👀 on alice's comment on #1
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        cloud-agent[bot] reviews #1: <!-- cloud-agent:review=ID -->
          ### Nothing found

          It greets the world.

          <sub>TIME · $COST · 2 turns · answer with `@cloud-agent` on a line to talk about it</sub>
        check cloud-agent review completed success on change: Nothing found
          [Re-run]
        🚀 on alice's comment on #1
        ");

        world.github.label("alice", &format!("octo/app#{number}"), "cloud-agent").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        alice labels #1: cloud-agent
        👀 on #1
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        cloud-agent[bot] reviews #1: <!-- cloud-agent:review=ID -->
          ### Nothing found

          It greets the world.

          <sub>TIME · $COST · 2 turns · answer with `@cloud-agent` on a line to talk about it</sub>
        check cloud-agent review completed success on change: Nothing found
          [Re-run]
        🚀 on #1
        ");
        assert_snapshot!(checks(&world), @r#"
        cloud-agent review: completed success "Nothing found" [rerun] 0 notes
        cloud-agent review: completed success "Nothing found" [rerun] 0 notes
        "#);
    }

    async fn files_that_the_settings_leave_out_are_not_looked_at(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("exit 1");
        world.settings("review: { on: [opened], paths: ['src/**'] }\n");
        world.start().await;
        world.pull("change", &[("docs/app.txt", APP)]).await;
        world.settle().await;
        world.github.told();
        let check = world.github.check_runs("octo/app").pop().unwrap();
        assert_snapshot!(steady(&check.summary.unwrap()), @"
        There is nothing to say about the whole.

        Not looked at:

        - 1 left out by the repository's settings: `docs/app.txt`

        <sub>TIME · $COST · snapshot `HASH`</sub>
        ");
        assert_snapshot!(checks(&world), @r#"cloud-agent review: completed success "Nothing to look at" [rerun] 0 notes"#);
    }

    async fn a_draft_waits_until_it_is_ready(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds("[]");
        world.settings(ON);
        world.start().await;
        world.github.branch_from("octo/app", "change", "main");
        world.github.push_quietly("bob", "octo/app", "change", &[("app.txt", APP)], "Change things");
        let number = world.github.open_draft_pull("bob", "octo/app", "change", "main", "Change things").await;
        world.settle().await;
        world.github.told();
        assert_snapshot!(checks(&world), @"");

        world.github.mark_ready("bob", &format!("octo/app#{number}")).await;
        world.settle().await;
        world.github.told();
        assert_snapshot!(checks(&world), @r#"cloud-agent review: completed success "Nothing found" [rerun] 0 notes"#);
    }

    async fn what_a_bot_opens_is_reviewed_if_the_settings_name_it(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds("[]");
        world.settings("review: { on: [opened], bots: [renovate] }\n");
        world.start().await;
        for (bot, branch) in [("dependabot[bot]", "one"), ("renovate[bot]", "two")] {
            world.github.branch_from("octo/app", branch, "main");
            world.github.push_quietly(bot, "octo/app", branch, &[("app.txt", APP)], "Bump");
            world.github.open_pull(bot, "octo/app", branch, "main", &format!("Bump {branch}")).await;
        }
        world.settle().await;
        world.github.told();
        let runs = world.github.check_runs("octo/app");
        assert_eq!(runs.len(), 1, "{runs:#?}");
        assert_eq!(Some(runs[0].head_sha.clone()), world.github.head("octo/app", "two"));
    }

    async fn a_gate_fails_on_serious_findings(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds(&findings(&[finding("app.txt", 2, "Two is wrong", "")]));
        world.settings("review: { on: [opened], gate: true, verdict: request_changes }\n");
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.settle().await;
        world.github.told();
        assert_snapshot!(checks(&world), @r#"cloud-agent review: completed failure "1 finding, 1 serious" [fix rerun] 0 notes"#);
        assert_eq!(world.github.reviews("octo/app#1")[0].state, "CHANGES_REQUESTED");
    }

    async fn a_failed_agent_is_told_and_passes_unless_there_is_a_gate(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("echo 'out of order' >&2; exit 1");
        world.settings("review: { on: [opened], gate: true }\n");
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        check cloud-agent review completed failure on change: I could not review this
          [Re-run]
        ");
    }

    async fn a_strangers_mention_in_a_pull_request_does_not_keep_it_from_being_reviewed(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds("[]");
        world.settings(ON);
        world.start().await;
        world.github.branch_from("octo/app", "change", "main");
        world.github.push_quietly("rita", "octo/app", "change", &[("app.txt", APP)], "Change things");
        let ends = ("change", "main");
        world.github.open_pull_saying("rita", "octo/app", ends, "Change things", "@cloud-agent don't review this").await;
        world.settle().await;
        assert_snapshot!(world.told(), @r#"
        rita pushes change
        rita opens pull #1 "Change things" change -> main
          @cloud-agent don't review this
          app.txt: +one +two +three +four +five +six +seven +eight +nine +ten
        😕 on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:refusal=20005:not_a_writer -->
          @rita, I work for people who can write to this repository, and GitHub says that you can't. Ask one of them to mention me or to set the label `cloud-agent`.
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        cloud-agent[bot] reviews #1: <!-- cloud-agent:review=ID -->
          ### Nothing found

          It greets the world.

          <sub>TIME · $COST · 2 turns · answer with `@cloud-agent` on a line to talk about it</sub>
        check cloud-agent review completed success on change: Nothing found
          [Re-run]
        "#);
    }

    async fn settings_with_a_mistake_are_told_where_they_matter(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds("[]");
        world.settings("reviews: { on: [opened] }\n");
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent review").await;
        world.settle().await;
        world.github.told();
        let check = world.github.check_runs("octo/app").pop().unwrap();
        assert_snapshot!(steady(&check.summary.unwrap()), @"
        It greets the world.

        `.github/cloud-agent.yml` has a mistake, so the defaults hold: line 1:1: unknown key `reviews`; did you mean `review`?

        <sub>TIME · $COST · 2 turns · snapshot `HASH`</sub>
        ");
    }
}
