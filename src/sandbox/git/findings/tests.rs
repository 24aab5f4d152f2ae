//! What is held back, kind by kind.

use super::*;
use crate::sandbox::git::{Commit, Cut, Sha, Status};

fn change(path: &str, new_mode: u32, size: u64, target: Option<&str>) -> Change {
    let (path, target) = (path.as_bytes().to_vec(), target.map(|t| t.as_bytes().to_vec()));
    let (old, new) = (None, Some(sha()));
    Change {
        status: Status::Added,
        path,
        old_mode: 0,
        new_mode,
        old,
        new,
        old_size: 0,
        size,
        binary: false,
        added: 1,
        deleted: 0,
        target,
    }
}

fn sha() -> Sha {
    "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().expect("a commit id")
}

fn found(change: Change) -> Vec<HeldBack> {
    judge(&Inspection { files: vec![change], ..Inspection::nothing(&sha()) }, &Policy::default())
}

#[test]
fn ordinary_work_is_free() {
    for path in [
        "src/main.rs",
        ".github/dependabot.yml",
        ".gitignore",
        ".editorconfig",
        "docs/größe.md",
        "x.git",
        ".gitx",
        "git~",
        "...a",
    ] {
        assert_eq!(found(change(path, 0o100_644, 10, None)), [], "{path}");
    }
}

#[test]
fn paths_that_are_held_back() {
    for path in [
        ".github/workflows/ci.yml",
        ".GitHub/Workflows/a/b.yml",
        ".github/actions/x/action.yml",
        ".circleci/config.yml",
    ] {
        assert_eq!(found(change(path, 0o100_644, 1, None)), [HeldBack::Workflow(path.into())]);
    }
    for path in ["CODEOWNERS", ".github/CODEOWNERS", "docs/CodeOwners"] {
        assert_eq!(found(change(path, 0o100_644, 1, None)), [HeldBack::CodeOwners(path.into())]);
    }
    let long = "x/".repeat(600) + "y";
    for path in [
        ".git/config",
        "a/.GIT/hooks/x",
        ".git./x",
        ".git /x",
        "a/git~1/x",
        ".git::$INDEX_ALLOCATION/x",
        ".g\u{200c}it/x",
        "a/../b",
        "./a",
        "a//b",
        "a\nb",
        "a\u{202e}b",
        "a\\b",
        &long,
        &"x".repeat(256),
    ] {
        assert!(matches!(found(change(path, 0o100_644, 1, None))[..], [HeldBack::OddPath { .. }]), "{path:?}");
    }
    for path in ["CLAUDE.md", "a/AGENTS.md", ".Claude/settings.json", ".github/cloud-agent.yml"] {
        assert_eq!(found(change(path, 0o100_644, 1, None)), [HeldBack::AgentSettings(path.into())]);
    }
    assert_eq!(
        found(change("a/.gitattributes", 0o100_644, 1, None)),
        [HeldBack::GitSettings("a/.gitattributes".into())]
    );
    let picture = |size| Change { binary: true, ..change("a.png", 0o100_644, size, None) };
    assert_eq!(found(picture(200_000)), [HeldBack::Binary("a.png".into())]);
    assert_eq!(found(picture(2000)), []);
    let wrapper = Change { binary: true, ..change("gradle/wrapper/gradle-wrapper.jar", 0o100_644, 2000, None) };
    assert_eq!(found(wrapper), [HeldBack::Binary("gradle/wrapper/gradle-wrapper.jar".into())]);
    assert_eq!(found(change("PIPFILE.LOCK", 0o100_644, 1, None)), [HeldBack::LockfileAlone("PIPFILE.LOCK".into())]);
    assert_eq!(found(change("vendor/x", GITLINK, 0, None)), [HeldBack::Submodule("vendor/x".into())]);
    assert_eq!(found(change(".gitmodules", 0o100_644, 0, None)), [HeldBack::Submodule(".gitmodules".into())]);
    let large = HeldBack::LargeFile { path: "a".into(), bytes: 6 << 20 };
    assert_eq!(found(change("a", 0o100_644, 6 << 20, None)), [large]);
    assert_eq!(found(change("a/Cargo.lock", 0o100_644, 1, None)), [HeldBack::LockfileAlone("a/Cargo.lock".into())]);
}

#[test]
fn what_is_allowed_passes_and_nothing_else() {
    let lost = Change { status: Status::Deleted, old_size: 500, ..change("tests/a.rs", 0, 0, None) };
    let files = vec![
        change(".github/workflows/ci.yml", 0o100_644, 1, None),
        change("CODEOWNERS", 0o100_644, 1, None),
        change("CLAUDE.md", 0o100_644, 1, None),
        change(".husky/pre-push", 0o100_755, 1, None),
        change("a/Cargo.lock", 0o100_644, 1, None),
        Change { binary: true, ..change("a.png", 0o100_644, 200_000, None) },
        lost,
    ];
    let seen = Inspection { files, ..Inspection::nothing(&sha()) };
    let kinds = |allow: &[Kind]| {
        let policy = Policy { allow: allow.iter().copied().collect(), ..Policy::default() };
        judge(&seen, &policy).iter().filter_map(HeldBack::kind).collect::<BTreeSet<_>>()
    };
    let all = Kind::ALL.map(|(_, kind)| kind);
    assert_eq!(kinds(&[]), all.into());
    assert_eq!(kinds(&all), [].into());
    for kind in all {
        assert_eq!(kinds(&[kind]), all.into_iter().filter(|it| *it != kind).collect());
    }
}

#[test]
fn a_removed_workflow_is_held_back_and_an_odd_path_may_go() {
    let gone = |path| Change { status: Status::Deleted, ..change(path, 0, 0, None) };
    assert_eq!(found(gone(".github/workflows/ci.yml")), [HeldBack::Workflow(".github/workflows/ci.yml".into())]);
    assert_eq!(found(gone("a\nb")), []);
}

#[test]
fn symlinks_stay_in_the_tree() {
    for (path, target) in [("a", "b"), ("a/b", "../c"), ("a/b/c", "../../d/e"), ("a", "./b"), ("a", "b/c")] {
        assert_eq!(found(change(path, SYMLINK, 1, Some(target))), [], "{path} -> {target}");
    }
    for (path, target) in [
        ("a", "/etc/passwd"),
        ("a", "../b"),
        ("a/b", "../../c"),
        ("a", "b/../../c"),
        ("a", "b/.."),
        ("a", ".git/config"),
        ("a/b", "../.GIT"),
        ("a", ""),
        ("a", "..\\b"),
        ("a", ".."),
    ] {
        assert!(
            matches!(found(change(path, SYMLINK, 1, Some(target)))[..], [HeldBack::Symlink { .. }]),
            "{path} -> {target}"
        );
    }
    assert!(matches!(found(change("a", SYMLINK, 1 << 20, None))[..], [HeldBack::Symlink { .. }]));
}

#[test]
fn history_and_size_as_a_whole() {
    let nothing = || Inspection::nothing(&sha());
    let merge = Commit { sha: sha(), tree: sha(), parents: vec![sha(), sha()], message: String::new() };
    let secret = change(".github/workflows/x.yml", 0o100_644, 1, None);
    let in_history = HeldBack::InHistory(Box::new(HeldBack::Workflow(secret.path.clone())));
    for (seen, expected) in [
        (Inspection { descends: false, ..nothing() }, HeldBack::NotDescending),
        (Inspection { commits: vec![merge], ..nothing() }, HeldBack::Merge),
        (Inspection { total_bytes: 51 << 20, ..nothing() }, HeldBack::TooLarge(51 << 20)),
        (Inspection { files: vec![change("a", 0o100_644, 1, None); 1001], ..nothing() }, HeldBack::TooManyFiles(1001)),
        (Inspection { passing: vec![secret], ..nothing() }, in_history),
        (Inspection { cut: Cut { history: true, ..Cut::default() }, ..nothing() }, HeldBack::LongHistory),
        (Inspection { cut: Cut { diff: true, ..Cut::default() }, ..nothing() }, HeldBack::LongDiff),
    ] {
        assert_eq!(judge(&seen, &Policy::default()), [expected]);
    }
}
