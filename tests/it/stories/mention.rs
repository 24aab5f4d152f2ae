//! The main job: somebody asks, and a pull request follows, or a word on why not.

use insta::assert_snapshot;

use crate::world::World;

stories! {
    async fn a_mention_becomes_a_pull_request(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.issue("The greeting is short", "It should greet the world.");

        let delivered = world.github.comment("alice", "octo/app#1", "@cloud-agent greet the world").await;
        world.settle().await;

        assert_eq!(delivered.status, 202);
        assert_snapshot!(world.told(), @r#"
        alice on #1: @cloud-agent greet the world
        👀 on alice's comment on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > greet the world

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        push cloud-agent/issue-1-the-greeting-is-short
        pull #2 "Greet the world" cloud-agent/issue-1-the-greeting-is-short -> main
          The greeting was too short.

          ### How it was checked

          I read it again.

          Fixes #1

          ---
          <sub>Asked for by @alice. Written by Claude Code in a sandbox; please review it like anybody's work. TIME · $COST · 2 turns</sub>
          <!-- cloud-agent:task=ID -->
          README.md: -hello +hello, world
        check cloud-agent completed success on cloud-agent/issue-1-the-greeting-is-short: Changed 1 file
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Opened #2

          > greet the world

          The greeting was too short.

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on alice's comment on #1
        "#);
    }

    async fn a_label_becomes_a_pull_request(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.issue("The greeting is short", "It should greet the world.");

        world.github.label("tom", "octo/app#1", "cloud-agent").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        tom labels #1: cloud-agent
        😕 on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:refusal=20006:not_a_writer -->
          @tom, I work for people who can write to this repository, and GitHub says that you can't. Ask one of them to mention me or to set the label `cloud-agent`.
        ");

        world.github.label("alice", "octo/app#1", "bug").await;
        world.github.label("alice", "octo/app#1", "cloud-agent").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"alice labels #1: bug");
    }

    async fn a_new_issue_that_mentions_the_bot_becomes_a_pull_request(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;

        world.github.open_issue("alice", "octo/app", "The greeting is short", "@cloud-agent greet the world").await;
        world.settle().await;

        assert_snapshot!(world.told(), @r#"
        alice opens #1: The greeting is short
          @cloud-agent greet the world
        👀 on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > greet the world

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        push cloud-agent/issue-1-the-greeting-is-short
        pull #2 "Greet the world" cloud-agent/issue-1-the-greeting-is-short -> main
          The greeting was too short.

          ### How it was checked

          I read it again.

          Fixes #1

          ---
          <sub>Asked for by @alice. Written by Claude Code in a sandbox; please review it like anybody's work. TIME · $COST · 2 turns</sub>
          <!-- cloud-agent:task=ID -->
          README.md: -hello +hello, world
        check cloud-agent completed success on cloud-agent/issue-1-the-greeting-is-short: Changed 1 file
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Opened #2

          > greet the world

          The greeting was too short.

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on #1
        "#);
    }

    async fn when_nothing_has_to_change_the_bot_says_why(database: Database) {
        let mut world = World::on(database).await;
        world.claude_says(
            "true",
            r#"{"title":"","summary":"The greeting greets the world already.","details":"","verification":"","changed":false}"#,
        );
        world.start().await;
        world.issue("The greeting is short", "");

        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;

        assert_snapshot!(world.told(), @"
        alice on #1: @cloud-agent fix this
        👀 on alice's comment on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > fix this

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Nothing to change

          > fix this

          I looked, and left everything as it was.

          The greeting greets the world already.

          <sub>TIME · $COST · 2 turns</sub>
        😕 on alice's comment on #1
        ");
    }

    async fn work_that_was_committed_keeps_its_commits(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will(
            "git config user.name Mallory && git config user.email m@example.com
             echo one > one.txt && git add . && git commit -qm 'Add one' -m 'Signed-off-by: Mallory <m@example.com>'
             echo two > two.txt && git add . && git commit -qm 'Add two, fixes #99'
             echo three > three.txt",
        );
        world.start().await;
        world.issue("Count", "");

        world.github.comment("alice", "octo/app#1", "@cloud-agent count to three").await;
        world.settle().await;
        world.told();

        let commits = world.github.commits("octo/app", "main", "cloud-agent/issue-1-count");
        let told: Vec<String> = commits
            .iter()
            .map(|it| format!("{} <{}>\n{}", it.author_name, world.steady_ids(&it.author_email), world.steady_ids(&it.message)))
            .collect();
        assert_snapshot!(told.join("\n--\n"), @"
        cloud-agent[bot] <BOT+cloud-agent[bot]@users.noreply.127.0.0.1>
        Add one

        Co-authored-by: alice <ALICE+alice@users.noreply.127.0.0.1>
        --
        cloud-agent[bot] <BOT+cloud-agent[bot]@users.noreply.127.0.0.1>
        Add two, see #99

        Co-authored-by: alice <ALICE+alice@users.noreply.127.0.0.1>
        --
        cloud-agent[bot] <BOT+cloud-agent[bot]@users.noreply.127.0.0.1>
        Greet the world

        Co-authored-by: alice <ALICE+alice@users.noreply.127.0.0.1>
        ");
    }

    async fn the_comment_follows_the_work(database: Database) {
        let mut world = World::on(database).await;
        world.set("COMMENT_INTERVAL", "50ms");
        world.claude_will(
            r#"todo() { printf '{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t%s","name":"TodoWrite","input":{"todos":[%s]}}]}}\n' "$1" "$2"; }
            todo 1 '{"content":"Look","status":"in_progress","activeForm":"Looking"},{"content":"Greet <!-- x --> @bob","status":"pending","activeForm":"Greeting"}'
            sleep 0.6
            todo 2 '{"content":"Look","status":"completed","activeForm":"Looking"},{"content":"Greet <!-- x --> @bob","status":"in_progress","activeForm":"Greeting"}'
            sleep 0.6
            echo 'hello, world' > README.md
            todo 3 '{"content":"Look","status":"completed","activeForm":"Looking"},{"content":"Greet <!-- x --> @bob","status":"completed","activeForm":"Greeting"}'"#,
        );
        world.start().await;
        world.issue("The greeting is short", "");

        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;

        let told = world.told();
        assert!(told.contains("- [ ] **Look**"), "{told}");
        assert!(told.contains("- [x] Look\n  - [ ] **Greet &lt;!-- x --> @\u{2060}bob**"), "{told}");
        let comments = world.github.comments("octo/app#1");
        assert_eq!(comments.len(), 2, "one comment, edited in place");
        assert_snapshot!(crate::world::steady(&comments[1].body), @"
        <!-- cloud-agent:task=ID -->
        ### Opened #2

        > fix this

        The greeting was too short.

        - [x] Look
        - [x] Greet &lt;!-- x --> @\u{2060}bob

        <sub>TIME · $COST · 2 turns</sub>
        ");
    }
}
