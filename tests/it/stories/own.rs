//! The bot's own pull requests: it does not judge its own work, and it answers those who review it.

use insta::assert_snapshot;

use super::findings::{finding, findings};
use super::reviews::checks;
use crate::world::World;

/// Settings that ask for everything that can be asked for.
const EAGER: &str =
    "review: { on: [opened, reopened, ready_for_review, synchronize], bots: [cloud-agent], verdict: approve }\n";

const BRANCH: &str = "cloud-agent/issue-1-the-greeting-is-short";

/// A world with an issue and the pull request #2 that the bot has opened for it.
async fn opened(mut world: World) -> World {
    world.claude_will("echo 'hello, world' > README.md");
    world.start().await;
    world.issue("The greeting is short", "It should greet the world.");
    world.github.comment("alice", "octo/app#1", "@cloud-agent greet the world").await;
    world.settle().await;
    world.github.told();
    assert_eq!(world.github.pulls("octo/app").len(), 1);
    world
}

/// Start the bot anew, with whatever Claude was told to do next.
async fn again(world: &mut World) {
    world.stop().await;
    world.start().await;
}

/// First lines of the messages of the commits on the bot's branch.
fn commits(world: &World) -> Vec<String> {
    let all = world.github.commits("octo/app", "main", BRANCH);
    all.iter().map(|it| it.message.lines().next().unwrap_or_default().to_owned()).collect()
}

/// What was told, without the numbers of threads.
fn told(world: &World) -> String {
    let lines = world.told();
    let lines = lines.lines().map(|line| line.split("<!-- cloud-agent:thread=").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

async fn tasks(world: &World) -> usize {
    world.store().tasks_of_thread(world.github.repo_id("octo/app"), 2).await.unwrap().len()
}

stories! {
    async fn the_bot_does_not_review_its_own_work_by_itself(database: Database) {
        let world = World::on(database).await;
        world.settings(EAGER);
        let world = opened(world).await;
        // Its own push, and nobody else's word.
        assert_snapshot!(checks(&world), @r#"cloud-agent: completed success "Changed 1 file" [] 0 notes"#);
        assert_eq!((world.github.reviews("octo/app#2"), tasks(&world).await), (Vec::new(), 0));
        world.github.close("alice", "octo/app#2").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"alice closes #2");
    }

    async fn what_a_person_pushes_there_is_not_reviewed_unless_the_settings_name_the_bot(database: Database) {
        let world = World::on(database).await;
        world.settings("review: { on: [opened, synchronize] }\n");
        let mut world = opened(world).await;
        world.claude_finds("[]");
        again(&mut world).await;
        world.github.push("bob", "octo/app", BRANCH, &[("b.txt", "b\n")], "Add to it").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"bob pushes cloud-agent/issue-1-the-greeting-is-short");
        world.settings(EAGER);
        world.github.push("bob", "octo/app", BRANCH, &[("c.txt", "c\n")], "Add more").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        bob pushes cloud-agent/issue-1-the-greeting-is-short
        check cloud-agent review queued on cloud-agent/issue-1-the-greeting-is-short: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on cloud-agent/issue-1-the-greeting-is-short: Getting ready
        cloud-agent[bot] reviews #2: <!-- cloud-agent:review=ID -->
          ### Nothing found

          It greets the world.

          <sub>TIME · $COST · 2 turns · answer with `@cloud-agent` on a line to talk about it</sub>
        check cloud-agent review completed success on cloud-agent/issue-1-the-greeting-is-short: Nothing found
          [Re-run]
        ");
        assert_eq!(world.github.reviews("octo/app#2")[0].state, "COMMENTED", "nobody approves of his own work");
    }

    async fn who_asks_for_a_review_of_its_work_gets_comments_and_no_verdict(database: Database) {
        let world = World::on(database).await;
        world.settings("review: { verdict: approve }\n");
        let mut world = opened(world).await;
        world.claude_finds("[]");
        again(&mut world).await;
        world.github.comment("alice", "octo/app#2", "@cloud-agent review").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        alice on #2: @cloud-agent review
        👀 on alice's comment on #2
        check cloud-agent review queued on cloud-agent/issue-1-the-greeting-is-short: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on cloud-agent/issue-1-the-greeting-is-short: Getting ready
        cloud-agent[bot] reviews #2: <!-- cloud-agent:review=ID -->
          ### Nothing found

          It greets the world.

          <sub>TIME · $COST · 2 turns · answer with `@cloud-agent` on a line to talk about it</sub>
        check cloud-agent review completed success on cloud-agent/issue-1-the-greeting-is-short: Nothing found
          [Re-run]
        🚀 on alice's comment on #2
        ");

        world.claude_finds(&findings(&[finding("README.md", 1, "It greets nobody", r#","replacement":"hello, you""#)]));
        again(&mut world).await;
        world.github.comment("alice", "octo/app#2", "@cloud-agent review").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        alice on #2: @cloud-agent review
        👀 on alice's comment on #2
        check cloud-agent review queued on cloud-agent/issue-1-the-greeting-is-short: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on cloud-agent/issue-1-the-greeting-is-short: Getting ready
        cloud-agent[bot] reviews #2: <!-- cloud-agent:review=ID -->
          ### 1 finding, 1 serious

          It greets the world.

          | | where | what | said |
          |---|---|---|---|
          | serious | `README.md:1` | It greets nobody | on the line |

          <sub>TIME · $COST · 4 turns · answer with `@cloud-agent` on a line to talk about it</sub>
          README.md:1: **It greets nobody** <sub>serious · correctness</sub>

            It breaks.

            ```suggestion
            hello, you
            ```

            <!-- cloud-agent:finding=ID -->
        check cloud-agent review completed neutral on cloud-agent/issue-1-the-greeting-is-short: 1 finding, 1 serious
          [Fix all] [Re-run]
        🚀 on alice's comment on #2
        ");
        let states: Vec<_> = world.github.reviews("octo/app#2").into_iter().map(|it| it.state).collect();
        assert_eq!(states, ["COMMENTED", "COMMENTED"]);
    }

    async fn a_review_that_requests_changes_is_answered_with_a_commit(database: Database) {
        let mut world = opened(World::on(database).await).await;
        world.claude_plays(r#"
IDS=$(sed -n 's/^=== thread \([0-9]*\):.*/{"id":"\1","reply":"It greets everybody now.","settled":true},/p' /context/threads.md | tr -d '\n')
printf %s "$PROMPT" | grep -q 'Greet everybody' && printf %s "$PROMPT" | grep -q 'README.md' && echo 'hello, everybody' > README.md
printf '{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":2,"session_id":"s","total_cost_usd":0.01,"structured_output":{"title":"Greet everybody","summary":"It greets everybody.","details":"","verification":"","changed":true,"threads":[%s]}}\n' "${IDS%,}"
"#);
        again(&mut world).await;
        let lines = [("README.md", 1, "RIGHT", "Not only the world.")];
        world.github.review("bob", "octo/app#2", "REQUEST_CHANGES", "Greet everybody, please.", &lines).await;
        world.settle().await;
        assert_snapshot!(told(&world), @"
        bob requests changes of #2: Greet everybody, please.
          README.md:1: Not only the world.
        👀 on #2
        cloud-agent[bot] on #2: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > Greet everybody, please.…

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        push cloud-agent/issue-1-the-greeting-is-short
        check cloud-agent completed success on cloud-agent/issue-1-the-greeting-is-short: Changed 1 file
        cloud-agent[bot] replies on #2 README.md:1: It greets everybody now.

          Settled with cloud-agent/issue-1-the-greeting-is-short.
          <!-- cloud-agent:task=ID -->
        cloud-agent[bot] resolves the thread on #2 README.md:1
        cloud-agent[bot] edits #2: <!-- cloud-agent:task=ID -->
          ### Pushed to `cloud-agent/issue-1-the-greeting-is-short`

          > Greet everybody, please.…

          It greets everybody.

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on #2
        ");
        assert_eq!(commits(&world), ["Greet the world", "Greet everybody"]);
        assert_eq!(tasks(&world).await, 1);
        assert_eq!(world.github.pulls("octo/app").len(), 1);
        assert_eq!(world.github.file_at("octo/app", BRANCH, "README.md").unwrap(), "hello, everybody\n");
    }

    async fn a_reader_who_requests_changes_is_not_answered(database: Database) {
        let mut world = opened(World::on(database).await).await;
        again(&mut world).await;
        world.github.review("rita", "octo/app#2", "REQUEST_CHANGES", "Greet everybody, please.", &[]).await;
        world.github.review("alice", "octo/app#2", "APPROVE", "Well done.", &[]).await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        rita requests changes of #2: Greet everybody, please.
        alice approves #2: Well done.
        ");
        assert_eq!((commits(&world).len(), tasks(&world).await), (1, 0));
    }

    async fn a_review_while_it_works_has_to_wait(database: Database) {
        let mut world = opened(World::on(database).await).await;
        world.claude_waits("echo 'hello, everybody' > README.md");
        again(&mut world).await;
        world.github.review("bob", "octo/app#2", "REQUEST_CHANGES", "Greet everybody, please.", &[]).await;
        world.claude_is_waiting().await;
        world.github.review("alice", "octo/app#2", "REQUEST_CHANGES", "And say goodbye.", &[]).await;
        world.heard().await;
        world.claude_goes_on();
        world.settle().await;
        assert_snapshot!(world.told(), @"
        bob requests changes of #2: Greet everybody, please.
        👀 on #2
        cloud-agent[bot] on #2: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > Greet everybody, please.

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        alice requests changes of #2: And say goodbye.
        😕 on #2
        cloud-agent[bot] on #2: <!-- cloud-agent:refusal=20003:already_running -->
          @alice, I am still working on this pull request; my comment above shows how far I am. Say `@cloud-agent stop` to end that first.
        push cloud-agent/issue-1-the-greeting-is-short
        check cloud-agent completed success on cloud-agent/issue-1-the-greeting-is-short: Changed 1 file
        cloud-agent[bot] edits #2: <!-- cloud-agent:task=ID -->
          ### Pushed to `cloud-agent/issue-1-the-greeting-is-short`

          > Greet everybody, please.

          The greeting was too short.

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on #2
        ");
        assert_eq!(commits(&world).len(), 2);
    }

    async fn continue_and_retry_go_on_with_the_branch(database: Database) {
        let mut world = opened(World::on(database).await).await;
        // The work on it began with the task that has opened it.
        world.github.comment("alice", "octo/app#2", "@cloud-agent continue").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        alice on #2: @cloud-agent continue
        👀 on alice's comment on #2
        cloud-agent[bot] on #2: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > Go on where you stopped.

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        cloud-agent[bot] edits #2: <!-- cloud-agent:task=ID -->
          ### Answer

          > Go on where you stopped.

          The greeting was too short.

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on alice's comment on #2
        ");

        world.claude_will("printf %s \"$PROMPT\" | grep -q 'Say goodbye' && echo bye >> README.md");
        again(&mut world).await;
        world.github.comment("alice", "octo/app#2", "@cloud-agent Say goodbye too").await;
        world.settle().await;
        world.github.told();
        world.github.comment("alice", "octo/app#2", "@cloud-agent retry").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        alice on #2: @cloud-agent retry
        👀 on alice's comment on #2
        cloud-agent[bot] on #2: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > Say goodbye too

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        push cloud-agent/issue-1-the-greeting-is-short
        check cloud-agent completed success on cloud-agent/issue-1-the-greeting-is-short: Changed 1 file
        cloud-agent[bot] edits #2: <!-- cloud-agent:task=ID -->
          ### Pushed to `cloud-agent/issue-1-the-greeting-is-short`

          > Say goodbye too

          The greeting was too short.

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on alice's comment on #2
        ");
        assert_eq!(world.github.file_at("octo/app", BRANCH, "README.md").unwrap(), "hello, world\nbye\nbye\n");

        world.claude_will("printf %s \"$PROMPT\" | grep -q 'Go on where you stopped' && echo again >> README.md");
        again(&mut world).await;
        world.github.comment("alice", "octo/app#2", "@cloud-agent continue").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        alice on #2: @cloud-agent continue
        👀 on alice's comment on #2
        cloud-agent[bot] on #2: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > Go on where you stopped.

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        push cloud-agent/issue-1-the-greeting-is-short
        check cloud-agent completed success on cloud-agent/issue-1-the-greeting-is-short: Changed 1 file
        cloud-agent[bot] edits #2: <!-- cloud-agent:task=ID -->
          ### Pushed to `cloud-agent/issue-1-the-greeting-is-short`

          > Go on where you stopped.

          The greeting was too short.

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on alice's comment on #2
        ");
        assert_eq!(commits(&world).len(), 4);
    }
}
