//! The agent changes what gives power over the repository, or what nobody can read: it is held back, and people see what,
//! why, and what they can do about it.

use super::{ask, said, world};
use crate::world::World;

/// What is there before.
fn start(world: &World) {
    let test = "def test_it():\n    assert greet() == 'hello'\n".repeat(20);
    let files = [("tests/test_it.py", test.as_str()), ("Cargo.lock", "[[package]]\n"), ("Cargo.toml", "[package]\n")];
    world.github.push_quietly("ada", "octo/app", "main", &files, "Begin");
    world.github.told();
}

/// What the agent does, what is said of it, and a line of what is shown of it.
type Case = (&'static str, &'static str, &'static str);

/// What runs or decides on GitHub.
const WORKFLOWS: [Case; 2] = [
    (
        "mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml",
        "it changes the workflow `.github/workflows/ci.yml`",
        "+on: push",
    ),
    (
        "mkdir -p .GitHub/Workflows; echo 'on: pull' > .GitHub/Workflows/cd.yml",
        "it changes the workflow `.GitHub/Workflows/cd.yml`",
        "+on: pull",
    ),
];

/// What else is let through only if somebody has said so.
const POWER: [Case; 7] = [
    ("echo '* @mallory' > CODEOWNERS", "`CODEOWNERS`, which says who has to approve", "+* @mallory"),
    (
        "mkdir .claude; echo '{\"hooks\":{}}' > .claude/settings.json",
        "`.claude/settings.json`, which coding agents obey",
        "+{\"hooks\":{}}",
    ),
    ("echo '{ }' > .mcp.json", "`.mcp.json`, which coding agents obey", "+{ }"),
    ("echo '* filter=x' > .gitattributes", "`.gitattributes`, which git or another tool obeys", "+* filter=x"),
    (
        "echo 'name = \"evil\"' >> Cargo.lock",
        "it changes `Cargo.lock` although nothing that it is made from changed",
        "+name = \"evil\"",
    ),
    ("rm -r tests", "it removes the test `tests/test_it.py`", "-def test_it():"),
    ("head -c 200000 /dev/urandom > tool.bin", "`tool.bin` is no text", "Binary files /dev/null and b/tool.bin differ"),
];

/// What nothing lets through.
const NEVER: [Case; 4] = [
    (
        "mkdir sub; git update-index --add --cacheinfo 160000,1234567890123456789012345678901234567890,sub",
        "it changes the submodule `sub`",
        "+Subproject commit 1234567890123456789012345678901234567890",
    ),
    ("ln -s /etc/passwd link", "`link` is a link to `/etc/passwd`, outside of the repository", "+/etc/passwd"),
    ("seq 200000 > zeros.txt", "`zeros.txt` is 1 MB large", ""),
    (
        "printf 'y\\n' > \"$(printf 'a\\342\\200\\256txt.exe')\"",
        "is no safe file name: it holds invisible characters",
        "+y",
    ),
];

fn scripts(cases: &[Case]) -> String {
    cases.iter().map(|(script, ..)| *script).collect::<Vec<_>>().join("\n")
}

/// What is not said or not shown of these.
fn untold(words: &str, cases: &[Case]) -> Vec<&'static str> {
    cases.iter().filter(|(_, says, shows)| !words.contains(says) || !words.contains(shows)).map(|it| it.0).collect()
}

const ALL: &str = "agent_settings, binaries, code_owners, git_settings, lockfiles, tests, workflows";

async fn held(world: &mut World, script: &str) -> String {
    world.claude_will(script);
    let number = ask(world, "fix this").await;
    world.told();
    assert_eq!(world.github.branches("octo/app"), ["main"], "{script}");
    said(world, number)
}

#[tokio::test(flavor = "multi_thread")]
async fn class_24_what_gives_power_is_held_back_and_told() {
    let mut world = world().await;
    world.set("GATE_FILE_MB", "1");
    start(&world);
    world.start().await;
    let cases = [&WORKFLOWS[..], &POWER].concat();
    let words = held(&mut world, &scripts(&cases)).await;
    assert_eq!(untold(&words, &cases), [""; 0], "{words}");
    assert!(words.contains("Whoever may push to the default branch can let this through"), "{words}");
    assert!(words.contains(&format!("`gate: {{ allow: [{ALL}] }}`")), "{words}");
    assert!(words.contains("once the operator has added `code_owners, workflows` to `GATE_MOST`"), "{words}");

    let words = held(&mut world, &scripts(&NEVER)).await;
    assert_eq!(untold(&words, &NEVER), [""; 0], "{words}");
    assert!(!words.contains("let this through"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_24_with_everything_allowed_it_is_published() {
    let mut world = world().await;
    world.set("GATE_MOST", &ALL.replace(' ', ""));
    start(&world);
    world.settings(&format!("gate: {{ allow: [{ALL}] }}\n"));
    // Without workflows: GitHub itself takes them from no App that has no permission for them.
    world.claude_will(&scripts(&POWER));
    world.start().await;
    let number = ask(&world, "fix this").await;
    world.told();
    assert_eq!(world.github.pulls("octo/app").len(), 1, "{}", said(&world, number));
    let diff = world.github.diff("octo/app", "main", "cloud-agent/issue-1-the-greeting-is-short");
    for (_, _, shows) in POWER {
        assert!(diff.contains(shows), "{shows} in {diff}");
    }
    // And the same tools at harmless work.
    world.claude_will("ln -s README.md link; seq 12000 > long.txt; printf 'x\\n' > 'a.txt.exe'");
    ask(&world, "fix this").await;
    world.told();
    assert_eq!(world.github.pulls("octo/app").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn class_24_what_is_shown_of_it_hides_nothing() {
    let mut world = world().await;
    world.start().await;
    // The comment is not the agent's to format, and what can't be seen in the file is seen in it.
    let script = "mkdir -p .github/workflows; printf 'on: push\\n```\\n</details> @octo/everybody <!-- x -->\\nrun: \\342\\200\\256evil\\n' > .github/workflows/ci.yml";
    let words = held(&mut world, script).await;
    assert!(words.contains("+run: ⟨U+202E⟩evil"), "{words}");
    let (_, shown) = words.split_once("<details>").unwrap();
    assert!(shown.contains("````diff") && shown.contains("\n````\n\n</details>"), "{shown}");
    insta::assert_snapshot!(crate::world::steady(shown), @"
    <summary>What was held back, with characters that can't be seen spelled out</summary>

    ````diff
    diff --git a/.github/workflows/ci.yml b/.github/workflows/ci.yml
    new file mode 100644
    index SHA..SHA
    --- /dev/null
    +++ b/.github/workflows/ci.yml
    @@ -0,0 +1,4 @@
    +on: push
    +```
    +</details> @octo/everybody <!-- x -->
    +run: ⟨U+202E⟩evil
    ````

    </details>

    <sub>TIME · $COST · 2 turns</sub>
    ");

    let long = "mkdir -p .github/workflows; for i in $(seq 4000); do echo \"run: a long line of a workflow $i\"; done > .github/workflows/ci.yml";
    let words = held(&mut world, long).await;
    assert!(words.len() < 60_000 && words.contains("… (cut)"), "{}", words.len());
    assert!(words.trim_end().ends_with("</sub>"), "the rest of the comment is whole");
}
