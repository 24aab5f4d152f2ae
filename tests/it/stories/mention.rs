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
        assert_snapshot!(world.told(), @"");
    }

    async fn a_label_becomes_a_pull_request(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.issue("The greeting is short", "It should greet the world.");

        world.github.label("tom", "octo/app#1", "cloud-agent").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"");

        world.github.label("alice", "octo/app#1", "bug").await;
        world.github.label("alice", "octo/app#1", "cloud-agent").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"");
    }

    async fn a_new_issue_that_mentions_the_bot_becomes_a_pull_request(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;

        world.github.open_issue("alice", "octo/app", "The greeting is short", "@cloud-agent greet the world").await;
        world.settle().await;

        assert_snapshot!(world.told(), @"");
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

        assert_snapshot!(world.told(), @"");
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
        assert_snapshot!(told.join("\n--\n"), @"");
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
        assert_snapshot!(crate::world::steady(&comments[1].body), @"");
    }
}
