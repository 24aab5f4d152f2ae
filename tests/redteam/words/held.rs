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

/// What the agent does, the kind that lets it through, what is said of it, and a line of what is shown of it.
const CASES: [(&str, &str, &str, &str); 8] = [
    (
        "mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml",
        "workflows",
        "it changes the workflow `.github/workflows/ci.yml`",
        "+on: push",
    ),
    (
        "mkdir -p .GitHub/Workflows; echo 'on: push' > .GitHub/Workflows/ci.yml",
        "workflows",
        "it changes the workflow `.GitHub/Workflows/ci.yml`",
        "+on: push",
    ),
    ("echo '* @mallory' > CODEOWNERS", "code_owners", "which says who has to approve", "+* @mallory"),
    (
        "mkdir .claude; echo '{\"hooks\":{}}' > .claude/settings.json; echo '{}' > .mcp.json",
        "agent_settings",
        "which coding agents obey",
        "+{\"hooks\":{}}",
    ),
    ("echo '* filter=x' > .gitattributes", "git_settings", "which git obeys", "+* filter=x"),
    (
        "echo 'name = \"evil\"' >> Cargo.lock",
        "lockfiles",
        "although nothing that it is made from changed",
        "+name = \"evil\"",
    ),
    ("rm -r tests", "tests", "it removes the test `tests/test_it.py`", "-def test_it():"),
    (
        "head -c 200000 /dev/urandom > tool.bin",
        "binaries",
        "`tool.bin` is no text",
        "Binary files /dev/null and b/tool.bin differ",
    ),
];

/// What nothing lets through.
const NEVER: [(&str, &str, &str); 4] = [
    ("ln -s /etc/passwd link", "`link` is a link to `/etc/passwd`, outside of the repository", "+/etc/passwd"),
    (
        "git update-index --add --cacheinfo 160000,1234567890123456789012345678901234567890,sub; printf '[submodule \"sub\"]\\npath = sub\\nurl = https://evil.example/x\\n' > .gitmodules; git add .gitmodules; git commit -qm Sub",
        "it changes the submodule",
        "+url = https://evil.example/x",
    ),
    ("seq 200000 > long.txt", "`long.txt` is 1 MB large", ""),
    (
        "printf 'x\\n' > \"$(printf 'a\\342\\200\\256txt.exe')\"",
        "no safe file name: it holds invisible characters",
        "+x",
    ),
];

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
    world.set("TASKS_PER_PERSON_HOUR", "100");
    world.set("GATE_FILE_MB", "1");
    start(&world);
    world.start().await;
    for (script, kind, says, shows) in CASES {
        let words = held(&mut world, script).await;
        assert!(words.contains(says), "{script}: {words}");
        assert!(words.contains("Whoever may push to the default branch can let this through"), "{script}: {words}");
        assert!(words.contains(&format!("`gate: {{ allow: [{kind}] }}`")), "{script}: {words}");
        let operators = ["workflows", "code_owners"].contains(&kind);
        assert_eq!(
            words.contains(&format!("once the operator has added `{kind}` to `GATE_MOST`")),
            operators,
            "{words}"
        );
        assert!(words.contains("What was held back") && words.contains(shows), "{script}: {words}");
    }
    for (script, says, shows) in NEVER {
        let words = held(&mut world, script).await;
        assert!(words.contains(says) && !words.contains("let this through"), "{script}: {words}");
        assert!(shows.is_empty() || words.contains(shows), "{script}: {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_24_with_everything_allowed_it_is_published() {
    let all = "agent_settings,binaries,code_owners,git_settings,lockfiles,tests,workflows";
    let mut world = world().await;
    world.set("TASKS_PER_PERSON_HOUR", "100");
    world.set("GATE_MOST", all);
    start(&world);
    world.settings(&format!("gate: {{ allow: [{all}] }}\n"));
    world.start().await;
    for (script, ..) in CASES {
        let before = world.github.pulls("octo/app").len();
        world.claude_will(script);
        let number = ask(&world, "fix this").await;
        world.told();
        assert_eq!(world.github.pulls("octo/app").len(), before + 1, "{script}: {}", said(&world, number));
    }
    // And the same tools at harmless work.
    for script in ["ln -s README.md link", "seq 12000 > long.txt", "printf 'x\\n' > 'a.txt.exe'"] {
        let before = world.github.pulls("octo/app").len();
        world.claude_will(script);
        ask(&world, "fix this").await;
        world.told();
        assert_eq!(world.github.pulls("octo/app").len(), before + 1, "{script}");
    }
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
    insta::assert_snapshot!(crate::world::steady(&words), @"");

    let long = "mkdir -p .github/workflows; for i in $(seq 4000); do echo \"run: a long line of a workflow $i\"; done > .github/workflows/ci.yml";
    let words = held(&mut world, long).await;
    assert!(words.len() < 60_000 && words.contains("… (cut)"), "{}", words.len());
    assert!(words.trim_end().ends_with("</sub>"), "the rest of the comment is whole");
}
