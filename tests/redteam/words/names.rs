//! Names that are commands: of branches, on the way in and out, and of files.

use std::path::Path;
use std::process::Command;

use cloud_agent::sandbox::git::Branch;

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
                drop(Command::new("sh").args(["-c", &format!("git rev-parse {name}")]).current_dir(dir.path()).output())
            }
        }
        assert!(mark.exists(), "{name}");
    }
}
