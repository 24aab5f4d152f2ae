//! The real Claude Code on pull requests: it reviews, it looks a second time, and it goes on where it stopped.

use insta::assert_snapshot;
use serde_json::{Value, json};
use simulator::Script;
use simulator::model::{bash, text, tool};

use super::findings::APP;
use super::reviews::{checks, comments};
use crate::world::World;

/// The bodies of the requests of agents at work: those that bring tools.
fn requests(world: &World) -> Vec<Value> {
    let all = world.model.requests();
    all.into_iter().filter(|it| it["tools"].as_array().is_some_and(|tools| !tools.is_empty())).collect()
}

/// All requests whose conversation has these words.
fn with(world: &World, words: &str) -> Vec<Value> {
    requests(world).into_iter().filter(|it| it["messages"].to_string().contains(words)).collect()
}

fn no_secret_was_told(world: &World) {
    let all: String = world.model.requests().iter().map(ToString::to_string).collect();
    for (name, secret) in world.secrets() {
        assert!(!all.contains(&secret), "{name} was told to the model");
    }
    assert!(!all.contains("ghs_"), "a GitHub token was told to the model");
}

/// Reads the diff and finds two things; at a second look it reads the file, and the last of them does not hold.
fn reviewer() -> impl Fn(&str) -> Option<Script> {
    let finding = |line: u64, title: &str, more: Value| {
        let mut finding = json!({
            "path": "app.txt", "line": line, "side": "RIGHT", "severity": "high", "category": "correctness",
            "title": title, "reasoning": "The reader expects German.", "confidence": 90,
        });
        finding.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        finding
    };
    let review = json!({
        "summary": "It counts to ten.",
        "verdict": "serious",
        "findings": [
            finding(3, "Two and three are English", json!({ "start_line": 2, "replacement": "zwei\ndrei" })),
            finding(9, "Nine is wrong", json!({})),
        ],
        "earlier": [],
    });
    let verdicts = json!({ "verdicts": [
        { "index": 0, "holds": true, "why": "app.txt:2 says two" },
        { "index": 1, "holds": false, "why": "app.txt:9 is right" },
    ] });
    move |prompt| {
        let (what, answer) = match prompt.contains("Another reviewer has found") {
            true => ("/workspace/app.txt", &verdicts),
            false => ("/context/diff-1.patch", &review),
        };
        Some(Script::steps(vec![
            vec![tool("Read", json!({ "file_path": what }))],
            vec![tool("StructuredOutput", answer.clone())],
            vec![text("Done.")],
        ]))
    }
}

stories! {
    async fn the_real_claude_reviews_a_pull_request(database: Database) {
        let mut world = World::on(database).await;
        world.claude_is_real();
        world.model.will_for(reviewer());
        world.settings("review: { on: [opened] }\ninstructions: Mind the German.\n");
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.settle().await;

        assert_snapshot!(world.told(), @"
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        cloud-agent[bot] reviews #1: <!-- cloud-agent:review=ID -->
          ### 1 finding, 1 serious

          It counts to ten.

          | | where | what | said |
          |---|---|---|---|
          | serious | `app.txt:2-3` | Two and three are English | on the line |

          <sub>TIME · $COST · 6 turns · answer with `@cloud-agent` on a line to talk about it</sub>
          app.txt:2-3: **Two and three are English** <sub>serious · correctness</sub>

            The reader expects German.

            ```suggestion
            zwei
            drei
            ```

            <!-- cloud-agent:finding=ID -->
        check cloud-agent review completed neutral on change: 1 finding, 1 serious
          [Fix all] [Re-run]
        ");
        assert_snapshot!(comments(&world, "octo/app#1"), @"
        app.txt:2-3 RIGHT by cloud-agent[bot]
        **Two and three are English** <sub>serious · correctness</sub>

        The reader expects German.

        ```suggestion
        zwei
        drei
        ```

        <!-- cloud-agent:finding=ID -->
        ");
        assert_snapshot!(checks(&world), @r#"cloud-agent review: completed neutral "1 finding, 1 serious" [fix rerun] 0 notes"#);
        let body = world.github.reviews("octo/app#1")[0].body.clone();
        assert!(body.contains("1 finding did not hold at a second look"), "{body}");
        no_secret_was_told(&world);

        let first = with(&world, "Review pull request #1 of octo/app");
        let second = with(&world, "Another reviewer has found");
        assert!(first.len() >= 2 && second.len() >= 2, "{} and {} requests", first.len(), second.len());
        assert!(first.iter().all(|it| !it["model"].to_string().contains("haiku")), "{}", first[0]["model"]);
        assert!(second.iter().all(|it| it["model"].to_string().contains("haiku")), "{}", second[0]["model"]);
        assert!(first[0]["system"].to_string().contains("Mind the German."));
        // What the tool has read is what the pull request has.
        assert!(first.last().unwrap()["messages"].to_string().contains("+four"));
        assert!(second.last().unwrap()["messages"].to_string().contains("four"));
        // The second look knows nothing of the first one's conversation.
        assert!(!second[0]["messages"].to_string().contains("Review pull request #1"));
    }

    async fn the_real_claude_goes_on_with_its_own_pull_request(database: Database) {
        let mut world = World::on(database).await;
        world.claude_is_real();
        let answer = |title: &str| {
            json!({ "title": title, "summary": format!("{title}."), "details": "", "verification": "", "changed": true })
        };
        let looks = "git log --format=%s | cat; cat README.md b.txt; ls /context";
        let on_pull = |title: &str| {
            let mut answer = answer(title);
            answer["threads"] = json!([]);
            answer
        };
        world.model.next(Script::steps(vec![
            vec![text("The greeting is a teapot."), bash("echo 'hello, world' > README.md")],
            vec![tool("StructuredOutput", answer("Greet the world"))],
            vec![text("Done.")],
        ]));
        world.model.next(Script::steps(vec![
            vec![bash(looks)],
            vec![bash("echo 'HELLO, WORLD' > README.md")],
            vec![tool("StructuredOutput", on_pull("Greet it louder"))],
            vec![text("Done.")],
        ]));
        world.start().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent greet the world").await;
        world.settle().await;
        let branch = world.github.pulls("octo/app")[0].head.clone();
        world.github.push("bob", "octo/app", &branch, &[("b.txt", "bob was here\n")], "Add to it").await;
        world.settle().await;
        world.github.told();

        world.github.comment("alice", "octo/app#2", "@cloud-agent say it louder").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        alice on #2: @cloud-agent say it louder
        👀 on alice's comment on #2
        cloud-agent[bot] on #2: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > say it louder

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        push cloud-agent/issue-1-the-greeting-is-short
        check cloud-agent completed success on cloud-agent/issue-1-the-greeting-is-short: Changed 1 file
        cloud-agent[bot] edits #2: <!-- cloud-agent:task=ID -->
          ### Pushed to `cloud-agent/issue-1-the-greeting-is-short`

          > say it louder

          Greet it louder.

          <sub>TIME · $COST · 4 turns</sub>
        🚀 on alice's comment on #2
        ");
        let second = with(&world, "say it louder");
        let before = second[0]["messages"].to_string();
        for words in ["greet the world", "The greeting is a teapot.", "Greet the world."] {
            assert!(before.contains(words), "the conversation before lacks {words:?}: {before}");
        }
        let seen = second.last().unwrap()["messages"].to_string();
        assert!(seen.contains("Add to it\\nGreet the world\\nStart\\nhello, world\\nbob was here"), "{seen}");
        let messages = world.github.commits("octo/app", "main", &branch).into_iter().map(|it| it.message);
        let titles: Vec<_> = messages.map(|it| it.lines().next().unwrap_or_default().to_owned()).collect();
        assert_eq!(titles, ["Greet the world", "Add to it", "Greet it louder"]);
        no_secret_was_told(&world);

        // A review begins with a head of its own.
        world.model.will_for(reviewer());
        world.github.comment("alice", "octo/app#2", "@cloud-agent review").await;
        world.settle().await;
        world.github.told();
        let review = with(&world, "Review pull request #2");
        assert!(!review[0]["messages"].to_string().contains("teapot"));
    }
}
