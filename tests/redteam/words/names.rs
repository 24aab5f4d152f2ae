//! Names that are commands: of branches, on the way in and out, and of files.

use std::path::Path;
use std::process::Command;

use cloud_agent::sandbox::git::Branch;

use super::{answer, published, said, world};
use crate::world::World;

/// Names that git takes for a branch and that run a command in some hand; `MARK` is the file that it makes.
const NAMES: [&str; 6] = [
    "x$(touch${IFS}MARK)",
    "main\u{3000}\u{3000}\u{3000};touch${IFS}MARK;\u{3000}x",
    "x`touch${IFS}MARK`",
    "x|touch${IFS}MARK",
    "--upload-pack=touch${IFS}MARK;",
    "--output=MARK",
];

/// A directory whose path can stand in the name of a branch.
fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("mark").tempdir().unwrap()
}

fn named(name: &str, mark: &Path) -> String {
    name.replace("MARK", mark.to_str().unwrap())
}

/// Why the branch can't be used, or nothing.
async fn fix(world: &World, number: u64) -> String {
    world.github.comment("alice", &format!("octo/app#{number}"), "@cloud-agent fix this").await;
    world.settle().await;
    world.told();
    said(world, number)
}

#[tokio::test(flavor = "multi_thread")]
async fn class_13_a_branchs_name_runs_nothing() {
    let dir = directory();
    let mark = dir.path().join("pwned");
    let mut world = world().await;
    world.claude_will("echo more >> README.md");
    world.start().await;
    for name in &NAMES[..4] {
        let name = named(name, &mark);
        let number = world.pull(&name, &[("a.txt", "a\n")]).await;
        let words = fix(&world, number).await;
        // Either the name is only a name, or it is refused in words.
        let pushed = world.github.file_at("octo/app", &format!("refs/heads/{name}"), "README.md").unwrap();
        assert!(pushed == "hello\nmore\n" || words.contains("a name that I don't use"), "{name}: {words}");
        assert!(!mark.exists(), "{name}");
    }
    // Of a fork the name is the attacker's alone; it takes the same way.
    let fork = world.github.fork("mallory", "octo/app");
    let name = named(NAMES[0], &mark);
    world.github.branch_from(&fork, &name, "main");
    world.github.push_quietly("mallory", &fork, &name, &[("b.txt", "b\n")], "Change things");
    let number = world.github.open_pull_from_fork("mallory", &fork, &name, "main", "Change things").await;
    world.settle().await;
    let words = fix(&world, number).await;
    assert!(words.contains("### Here is a patch"), "{words}");
    assert!(!mark.exists());
}

#[test]
fn class_13_other_names_are_none() {
    for name in [
        "refs/heads/../../config",
        "../x",
        "a/../b",
        "a b",
        "x\u{1b}[2J",
        "a\nb",
        "-",
        "HEAD",
        "a.lock",
        "@{-1}",
        "a:b",
        "+x",
        "^x",
    ] {
        let usable = name.parse::<Branch>().is_ok_and(|it| it.full() != format!("refs/heads/{name}"));
        assert!(!usable, "{name:?} means something else");
    }
    for name in [
        "refs/heads/../../config",
        "../x",
        "a b",
        "x\u{1b}[2J",
        "a\nb",
        "-x",
        "--upload-pack=x",
        "a:b",
        "main\u{3000}x",
    ] {
        assert!(name.parse::<Branch>().is_err(), "{name:?}");
    }
}

#[test]
fn control_13_in_a_shell_or_before_the_options_end_the_names_run() {
    for name in NAMES {
        let dir = directory();
        let mark = dir.path().join("pwned");
        let name = named(name, &mark);
        let git = |args: &[&str]| Command::new("git").args(args).current_dir(dir.path()).output().unwrap();
        git(&["init", "-q", "."]);
        git(&["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x"]);
        // It is a name that git takes.
        assert!(git(&["update-ref", &format!("refs/heads/{name}"), "HEAD"]).status.success(), "{name}");
        match name.split('=').next() {
            Some("--upload-pack") => drop(git(&["ls-remote", &name, "."])),
            Some("--output") => drop(git(&["diff", &name])),
            _ => {
                drop(
                    Command::new("sh").args(["-c", &format!("git rev-parse {name}")]).current_dir(dir.path()).output(),
                );
            }
        }
        assert!(mark.exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn class_13_names_that_the_agent_makes_run_nothing() {
    let dir = directory();
    let mark = dir.path().join("pwned");
    let mut world = world().await;
    world.start().await;
    let scripts = [
        // Where HEAD stands, and what else there is, is the agent's business.
        "git update-ref 'refs/heads/NAME' HEAD; git symbolic-ref HEAD 'refs/heads/NAME'; echo more >> README.md",
        "git update-ref 'refs/tags/NAME' HEAD; git config remote.origin.push '+HEAD:refs/heads/stolen'; git branch -m main; echo more >> README.md",
        "mkdir -p -- 'NAME'; echo x > 'NAME/file'; echo x > ./-rf; echo x > '--output=x'",
    ];
    let mut told = String::new();
    for (script, name) in scripts.into_iter().zip([NAMES[0], NAMES[4], NAMES[3]]) {
        let name = named(name, &mark);
        world.claude_says(&script.replace("NAME", &name), &answer(&name, &name));
        let number = super::ask(&world, &format!("fix {name}")).await;
        world.told();
        assert!(!mark.exists(), "{script}");
        told += &said(&world, number);
    }
    let branches = world.github.branches("octo/app");
    assert_eq!(branches.len(), 4, "all of it was published: {branches:?} {told}");
    assert!(branches.iter().all(|it| it == "main" || it.starts_with("cloud-agent/issue-")), "{branches:?}");
    assert!(!published(&world).contains("stolen"));
}
