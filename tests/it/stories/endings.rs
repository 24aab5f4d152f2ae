//! How a run can end besides well, and what people read then.

use insta::assert_snapshot;
use serde_json::json;
use simulator::Script;

use crate::world::World;

/// The last words on the thread, without the marker and the diff of what was held back.
fn last_words(world: &World) -> String {
    world.told();
    let comment = world.github.comments("octo/app#1").into_iter().next_back().unwrap();
    let mut words = crate::world::steady(&comment.body);
    if let Some((before, after)) = words.split_once("\n<details><summary>What was held back") {
        words = before.to_owned() + after.split_once("</details>\n").unwrap().1;
    }
    words.lines().skip(1).collect::<Vec<_>>().join("\n")
}

/// Ask once and let it end.
async fn ask(world: &World) {
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.settle().await;
}

stories! {
    async fn an_agent_that_fails_says_why_and_publishes_nothing(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("echo half > README.md; echo 'out of cheese' >&2; exit 1");
        world.start().await;
        ask(&world).await;

        assert!(world.github.pulls("octo/app").is_empty());
        assert!(world.github.reactions("octo/app#1").is_empty());
        assert_snapshot!(last_words(&world), @"
        ### I could not finish this

        > fix this

        Claude Code ended without an answer. Nothing was published. Say `@cloud-agent retry` to try again.

        ```text
        out of cheese
        ```

        <sub>TIME · $COST</sub>
        ");
    }

    async fn an_agent_that_talks_nonsense_is_no_accident(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("printf 'no json\\n{\\n\\000\\377\\n'; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo '{\"type\":\"result\"}'");
        world.start().await;
        ask(&world).await;

        let words = last_words(&world);
        assert!(words.starts_with("### I could not finish this"), "{words}");
    }

    async fn time_is_limited(database: Database) {
        let mut world = World::on(database).await;
        world.set("RUN_TIMEOUT", "1s");
        world.claude_plays("trap 'exit 1' INT TERM; while :; do sleep 0.1; done");
        world.start().await;
        ask(&world).await;

        assert_snapshot!(last_words(&world), @"
        ### I could not finish this

        > fix this

        I stopped after 1 s, the limit for one run. Nothing was published. A smaller request may fit, or the operator can raise `RUN_TIMEOUT`; say `@cloud-agent retry` to try again.

        <sub>TIME · $COST</sub>
        ");
    }

    async fn stop_stops_a_run_in_the_middle(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("touch /out/started; read -r LINE; echo half > README.md; exit 0");
        world.start().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.wait_for("the agent to start", async || {
            world.last_task(1).await.is_some_and(|it| it.state.name() == "running")
        })
        .await;
        world.github.comment("rita", "octo/app#1", "@cloud-agent stop").await;
        world.heard().await;
        world.github.comment("bob", "octo/app#1", "@cloud-agent stop").await;
        world.settle().await;

        assert_snapshot!(world.told(), @"
        alice on #1: @cloud-agent fix this
        👀 on alice's comment on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > fix this

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        rita on #1: @cloud-agent stop
        😕 on rita's comment on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:refusal=20005:not_a_writer -->
          @rita, I work for people who can write to this repository, and GitHub says that you can't. Ask one of them to mention me or to set the label `cloud-agent`.
        bob on #1: @cloud-agent stop
        👀 on bob's comment on #1
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Stopped

          > fix this

          bob asked me to stop. Nothing was published. Say `@cloud-agent retry` to start again.

          <sub>TIME · $COST</sub>
        😕 on alice's comment on #1
        ");
    }

    async fn retry_starts_again_with_the_same_words(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays("exit 1");
        world.start().await;
        ask(&world).await;
        world.told();

        world.stop().await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.github.comment("bob", "octo/app#1", "@cloud-agent retry").await;
        world.settle().await;

        assert_snapshot!(world.told(), @r#"
        bob on #1: @cloud-agent retry
        👀 on bob's comment on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > fix this

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        push cloud-agent/issue-1-the-greeting-is-short
        pull #2 "Greet the world" cloud-agent/issue-1-the-greeting-is-short -> main
          The greeting was too short.

          ### How it was checked

          I read it again.

          Fixes #1

          ---
          <sub>Asked for by @bob. Written by Claude Code in a sandbox; please review it like anybody's work. TIME · $COST · 2 turns</sub>
          <!-- cloud-agent:task=ID -->
          README.md: -hello +hello, world
        check cloud-agent completed success on cloud-agent/issue-1-the-greeting-is-short: Changed 1 file
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Opened #2

          > fix this

          The greeting was too short.

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on bob's comment on #1
        "#);
    }

    async fn workflows_are_held_back(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml; ln -s /etc/passwd link; ln -s README.md fine");
        world.start().await;
        ask(&world).await;

        assert!(world.github.branches("octo/app").iter().all(|it| it == "main"));
        assert_snapshot!(last_words(&world), @"
        ### I could not finish this

        > fix this

        The work is done, but I may not publish it:

        - it changes the workflow `.github/workflows/ci.yml`, which would run with the repository's secrets
        - `link` is a link to `/etc/passwd`, outside of the repository

        Nothing was published. Ask again without these changes, or make them yourself.

        <sub>TIME · $COST · 2 turns</sub>
        ");
    }

    async fn what_a_repository_allows_is_published(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'Skip the tests.' > CLAUDE.md; echo 'CLAUDE.md -diff' > .gitattributes; echo '* @mallory' > CODEOWNERS");
        world.start().await;
        ask(&world).await;

        assert!(world.github.branches("octo/app").iter().all(|it| it == "main"));
        assert_snapshot!(last_words(&world), @"
        ### I could not finish this

        > fix this

        The work is done, but I may not publish it:

        - it changes `CODEOWNERS`, which says who has to approve
        - it changes `CLAUDE.md`, which coding agents obey
        - it changes `.gitattributes`, which git or another tool obeys or runs on everybody's machine

        Whoever may push to the default branch can let this through: put `gate: { allow: [agent_settings, code_owners, git_settings] }` in `.github/cloud-agent.yml` there, once the operator has added `code_owners` to `GATE_MOST`. Then ask again.

        Nothing was published. Ask again without these changes, or make them yourself.

        <sub>TIME · $COST · 2 turns</sub>
        ");

        // What the operator has not left to repositories is held back, whatever the repository says.
        world.settings("gate: { allow: [agent_settings, code_owners, git_settings] }\n");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this again").await;
        world.settle().await;
        assert!(world.github.pulls("octo/app").is_empty());
        let words = last_words(&world);
        assert!(words.contains("who has to approve") && !words.contains("coding agents obey"), "{words}");

        world.stop().await;
        world.set("GATE_MOST", "agent_settings,code_owners,git_settings");
        world.start().await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this once more").await;
        world.settle().await;
        world.told();
        assert_eq!(world.github.pulls("octo/app").len(), 1);
    }

    async fn a_repository_rule_that_refuses_the_push_is_told(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.github.protect("octo/app", "cloud-agent/*");
        ask(&world).await;

        assert_snapshot!(last_words(&world), @"
        ### I could not finish this

        > fix this

        GitHub did not let me publish the work: push declined due to repository rule violations (GH013: Repository rule violations found for refs/heads/cloud-agent/issue-1-the-greeting-is-short.)

        Say `@cloud-agent retry` when that is settled.

        <sub>TIME · $COST · 2 turns</sub>
        ");
    }

    async fn a_locked_down_app_still_works_as_far_as_it_may(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.github.faults().on("POST", "/repos/{o}/{r}/check-runs").times(1).answer(simulator::github::Fault::Status(403));
        ask(&world).await;

        assert_eq!(world.github.pulls("octo/app").len(), 1);
        assert!(world.github.check_runs("octo/app").is_empty());
        assert!(last_words(&world).starts_with("### Opened #2"));
    }

    async fn the_real_claude_ends_well_when_the_model_does_not(database: Database) {
        let no = [("x-should-retry", "false")];
        let cases = [
            ("401", Script::error(401, "authentication_error", "invalid x-api-key", &[])),
            ("429", Script::error(429, "rate_limit_error", "too many", &no)),
            ("529", Script::error(529, "overloaded_error", "Overloaded", &no)),
            ("budget", Script::expensive(100_000)),
            ("turns", Script::loop_bash()),
        ];
        let mut world = World::on(database).await;
        world.claude_is_real();
        world.set("RUN_TURNS", "3");
        world.set("BUDGET_RUN_USD", "2");
        world.set("WAIT_LIMIT", "1s");
        world.start().await;
        let mut told = Vec::new();
        for (number, (name, script)) in cases.into_iter().enumerate() {
            world.issue("The greeting is short", "");
            world.model.will(script);
            let place = format!("octo/app#{}", number + 1);
            world.github.comment("alice", &place, "@cloud-agent fix this").await;
            world.settle().await;
            world.told();
            let words = world.github.comments(&place).pop().unwrap().body;
            let words = crate::world::steady(&words);
            told.push(format!("{name}: {}", words.lines().nth(5).unwrap_or_default()));
            assert!(world.github.pulls("octo/app").is_empty());
        }
        assert_snapshot!(told.join("\n"), @"
        401: The model did not accept the operator's key. Nothing was published. The operator has to check `ANTHROPIC_API_KEY`; then say `@cloud-agent retry`.
        429: The model takes no more requests for now. I have waited for it as long as I may. Nothing was published. Say `@cloud-agent retry` to start again.
        529: The model is overloaded. I have waited for it as long as I may. Nothing was published. Say `@cloud-agent retry` to start again.
        budget: The budget for one run, $2.00, is used up. Nothing was published. It is the least of the operator's `BUDGET_RUN_USD`, the repository's `budget.run` and what was asked with. A smaller request may fit, or a larger budget; say `@cloud-agent retry` to try again.
        turns: I used all 3 turns that one run may take. Nothing was published. A smaller request may fit, or the operator can raise `RUN_TURNS`; say `@cloud-agent retry` to try again.
        ");
    }

    async fn a_busy_model_is_waited_for(database: Database) {
        let mut world = World::on(database).await;
        world.claude_is_real();
        world.start().await;
        world.issue("The greeting is short", "");
        let answer = json!({ "title": "Greet the world", "summary": "s", "details": "", "verification": "", "changed": true });
        world.model.next(Script::flaky(2, 529, Script::runs("echo 'hello, world' > README.md", answer)));
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;

        assert!(last_words(&world).starts_with("### Opened #2"));
    }
}
