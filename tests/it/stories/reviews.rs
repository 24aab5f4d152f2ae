//! A pull request is reviewed: what is said, and where.

use insta::assert_snapshot;

use super::findings::{APP, ON, finding, findings};
use crate::world::{World, steady};

/// All comments on lines and files, as `path:line side: text`.
pub fn comments(world: &World, place: &str) -> String {
    let all = world.github.review_comments(place);
    let all = all.iter().map(|it| {
        let line = it.line.map_or("file".to_owned(), |line| line.to_string());
        let from = it.start_line.map_or(String::new(), |start| format!("{start}-"));
        format!("{}:{from}{line} {} by {}\n{}", it.path, it.side, it.author, steady(&it.body))
    });
    all.collect::<Vec<_>>().join("\n\n")
}

/// Every check run of ours: name, state, title.
pub fn checks(world: &World) -> String {
    let runs = world.github.check_runs("octo/app");
    let ours = runs.iter().filter(|it| it.app_id == world.github.app_id());
    let lines = ours.map(|it| {
        let buttons = it.actions.iter().map(|it| it.identifier.clone()).collect::<Vec<_>>().join(" ");
        format!(
            "{}: {} {} \"{}\" [{buttons}] {} notes",
            it.name,
            it.status,
            it.conclusion.clone().unwrap_or_default(),
            it.title.clone().unwrap_or_default(),
            it.annotations.len()
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

stories! {
    async fn an_opened_pull_request_is_reviewed(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds(&findings(&[
            finding("app.txt", 2, "Two is wrong", r#","replacement":"zwei""#),
            finding("app.txt", 4, "Four is wrong", ""),
        ]));
        world.settings(ON);
        world.start().await;

        world.pull("change", &[("app.txt", APP)]).await;
        world.settle().await;

        assert_snapshot!(world.told(), @"
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        cloud-agent[bot] reviews #1: <!-- cloud-agent:review=ID -->
          ### 2 findings, 2 serious

          It greets the world.

          | | where | what | said |
          |---|---|---|---|
          | serious | `app.txt:2` | Two is wrong | on the line |
          | serious | `app.txt:4` | Four is wrong | on the line |

          <sub>TIME · $COST · 4 turns · answer with `@cloud-agent` on a line to talk about it</sub>
          app.txt:2: **Two is wrong** <sub>serious · correctness</sub>

            It breaks.

            ```suggestion
            zwei
            ```

            <!-- cloud-agent:finding=ID -->
          app.txt:4: **Four is wrong** <sub>serious · correctness</sub>

            It breaks.

            <!-- cloud-agent:finding=ID -->
        check cloud-agent review completed neutral on change: 2 findings, 2 serious
          [Fix all] [Re-run]
        ");
        assert_snapshot!(comments(&world, "octo/app#1"), @"
        app.txt:2 RIGHT by cloud-agent[bot]
        **Two is wrong** <sub>serious · correctness</sub>

        It breaks.

        ```suggestion
        zwei
        ```

        <!-- cloud-agent:finding=ID -->

        app.txt:4 RIGHT by cloud-agent[bot]
        **Four is wrong** <sub>serious · correctness</sub>

        It breaks.

        <!-- cloud-agent:finding=ID -->
        ");
        let check = world.github.check_runs("octo/app").pop().unwrap();
        assert_snapshot!(steady(&check.summary.unwrap()), @"
        It greets the world.

        | | where | what | said |
        |---|---|---|---|
        | serious | `app.txt:2` | Two is wrong | on the line |
        | serious | `app.txt:4` | Four is wrong | on the line |

        <sub>TIME · $COST · 4 turns · snapshot `HASH`</sub>
        ");
        assert_snapshot!(checks(&world), @r#"cloud-agent review: completed neutral "2 findings, 2 serious" [fix rerun] 0 notes"#);
    }

    async fn every_finding_is_said_somewhere(database: Database) {
        let mut world = World::on(database).await;
        let mut before: Vec<String> = (1..=40).map(|n| format!("line {n}\n")).collect();
        let github = &world.github;
        github.push_quietly("ada", "octo/app", "main", &[("code.txt", &before.concat()), ("old.txt", APP)], "Base");
        "changed 20\n".clone_into(&mut before[19]);
        before.remove(20);
        let all = [
            finding("code.txt", 20, "On a changed line", ""),
            finding("code.txt", 39, "Far from the change", ""),
            finding("code.txt", 21, "On a deleted line", "").replace("RIGHT", "LEFT"),
            finding("new.txt", 2, "In a renamed file", ""),
            finding("logo.bin", 1, "In a binary file", ""),
            finding("README.md", 1, "In a file that is not in the pull request", ""),
            finding("nowhere.txt", 3, "In no file at all", ""),
            r#"{"path":7,"title":""}"#.to_owned(),
        ];
        world.claude_finds(&findings(&all));
        world.start().await;
        let files = [("code.txt", before.concat()), ("logo.bin", "\0\u{1}\0".to_owned())];
        let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
        world.github.branch_from("octo/app", "change", "main");
        world.github.push_quietly("bob", "octo/app", "change", &files, "Change things");
        world.github.rearrange("bob", "octo/app", "change", "R old.txt new.txt\n");
        let number = world.github.open_pull("bob", "octo/app", "change", "main", "Change things").await;
        world.github.told();

        world.github.comment("alice", &format!("octo/app#{number}"), "@cloud-agent review").await;
        world.settle().await;

        assert_snapshot!(world.told(), @"
        alice on #1: @cloud-agent review
        👀 on alice's comment on #1
        check cloud-agent review queued on change: Waiting for its turn
          [Stop]
        check cloud-agent review in_progress on change: Getting ready
        cloud-agent[bot] reviews #1: <!-- cloud-agent:review=ID -->
          ### 7 findings, 7 serious

          It greets the world.

          | | where | what | said |
          |---|---|---|---|
          | serious | `code.txt:20` | On a changed line | on the line |
          | serious | `code.txt:39` | Far from the change | on the nearest changed line |
          | serious | `code.txt:21` | On a deleted line | on the line |
          | serious | `new.txt:2` | In a renamed file | on the file |
          | serious | `logo.bin:1` | In a binary file | on the file |
          | serious | `README.md:1` | In a file that is not in the pull request | on the check |
          | serious | `nowhere.txt:3` | In no file at all | below |

          **`README.md:1`: In a file that is not in the pull request** <sub>serious</sub>

          It breaks.

          **`nowhere.txt:3`: In no file at all** <sub>serious</sub>

          It breaks.

          Not looked at:

          - 1 binary: `logo.bin`

          <sub>TIME · $COST · 4 turns · answer with `@cloud-agent` on a line to talk about it</sub>
          code.txt:20: **On a changed line** <sub>serious · correctness</sub>

            It breaks.

            <!-- cloud-agent:finding=ID -->
          code.txt:20: **Far from the change** <sub>serious · correctness</sub>

            About line 39, which the diff does not show.

            It breaks.

            <!-- cloud-agent:finding=ID -->
          code.txt:21 (old): **On a deleted line** <sub>serious · correctness</sub>

            It breaks.

            <!-- cloud-agent:finding=ID -->
        cloud-agent[bot] comments on #1 new.txt: **In a renamed file** <sub>serious · correctness</sub>

          About line 2, which the diff does not show.

          It breaks.

          <!-- cloud-agent:finding=ID -->
        cloud-agent[bot] comments on #1 logo.bin: **In a binary file** <sub>serious · correctness</sub>

          About line 1, which the diff does not show.

          It breaks.

          <!-- cloud-agent:finding=ID -->
        check cloud-agent review completed neutral on change: 7 findings, 7 serious
          README.md:1 failure In a file that is not in the pull request: It breaks.
          [Fix all] [Re-run]
        🚀 on alice's comment on #1
        ");
        assert_snapshot!(comments(&world, &format!("octo/app#{number}")), @"
        code.txt:20 RIGHT by cloud-agent[bot]
        **On a changed line** <sub>serious · correctness</sub>

        It breaks.

        <!-- cloud-agent:finding=ID -->

        code.txt:20 RIGHT by cloud-agent[bot]
        **Far from the change** <sub>serious · correctness</sub>

        About line 39, which the diff does not show.

        It breaks.

        <!-- cloud-agent:finding=ID -->

        code.txt:21 LEFT by cloud-agent[bot]
        **On a deleted line** <sub>serious · correctness</sub>

        It breaks.

        <!-- cloud-agent:finding=ID -->

        new.txt:file RIGHT by cloud-agent[bot]
        **In a renamed file** <sub>serious · correctness</sub>

        About line 2, which the diff does not show.

        It breaks.

        <!-- cloud-agent:finding=ID -->

        logo.bin:file RIGHT by cloud-agent[bot]
        **In a binary file** <sub>serious · correctness</sub>

        About line 1, which the diff does not show.

        It breaks.

        <!-- cloud-agent:finding=ID -->
        ");
        let check = world.github.check_runs("octo/app").pop().unwrap();
        assert_snapshot!(steady(&check.summary.unwrap()), @"
        It greets the world.

        | | where | what | said |
        |---|---|---|---|
        | serious | `code.txt:20` | On a changed line | on the line |
        | serious | `code.txt:39` | Far from the change | on the nearest changed line |
        | serious | `code.txt:21` | On a deleted line | on the line |
        | serious | `new.txt:2` | In a renamed file | on the file |
        | serious | `logo.bin:1` | In a binary file | on the file |
        | serious | `README.md:1` | In a file that is not in the pull request | on the check |
        | serious | `nowhere.txt:3` | In no file at all | below |

        **`README.md:1`: In a file that is not in the pull request** <sub>serious</sub>

        It breaks.

        **`nowhere.txt:3`: In no file at all** <sub>serious</sub>

        It breaks.

        Not looked at:

        - 1 binary: `logo.bin`

        <sub>TIME · $COST · 4 turns · snapshot `HASH`</sub>
        ");
    }

    async fn a_hundred_and_twenty_findings_are_all_said(database: Database) {
        let mut world = World::on(database).await;
        let text = (1..=120).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat();
        let all: Vec<String> = (1..=120).map(|n| finding("big.txt", n, &format!("Line {n} is wrong"), "")).collect();
        world.claude_finds(&findings(&all));
        world.settings(ON);
        world.start().await;

        world.pull("change", &[("big.txt", &text)]).await;
        world.settle().await;
        world.told();

        let reviews = world.github.reviews("octo/app#1");
        assert_eq!(reviews.len(), 1, "one review, one notification");
        let check = world.github.check_runs("octo/app").pop().unwrap();
        assert_eq!((reviews[0].comments.len(), check.annotations.len()), (50, 70));
        let summary = check.summary.unwrap();
        assert!((1..=120).all(|n| summary.contains(&format!("Line {n} is wrong"))), "{summary}");
    }

    async fn what_a_second_look_refutes_is_not_said(database: Database) {
        let mut world = World::on(database).await;
        let all = [finding("app.txt", 2, "Two is wrong", ""), finding("app.txt", 4, "Four is wrong", "")];
        world.claude_reviews(&findings(&all), "present", "0");
        world.settings(ON);
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.settle().await;
        world.told();
        let said = comments(&world, "octo/app#1");
        assert!(said.contains("Four is wrong") && !said.contains("Two is wrong"), "{said}");
        assert!(world.github.reviews("octo/app#1")[0].body.contains("1 finding did not hold at a second look"));
    }
}
