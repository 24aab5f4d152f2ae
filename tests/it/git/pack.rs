//! The script that runs inside a sandbox, after an agent that did anything at all.

use super::world::{World, sh};

#[tokio::test]
async fn whatever_state_the_agent_leaves_the_work_comes_out() {
    let world = World::new(&[("a", "1\n"), ("b", "2\n"), (".gitignore", "ignored\n")]).await;
    world.person_pushes("echo 3 >b");
    let work = "echo new >a; echo n >'new file'; echo i >ignored; rm b";
    let expected = "D\tb\nM\ta\nA\tnew file\n";
    let cases = [
        ("uncommitted", ""),
        ("staged", "git add -A"),
        ("committed", "git add -A; git commit -qm done"),
        ("committed in part", "git add a; git commit -qm done"),
        ("detached", "git checkout -q --detach; git add -A; git commit -qm done"),
        ("another branch", "git checkout -q -b other; git add -A; git commit -qm done"),
        ("unborn branch", "git checkout -q --orphan new"),
        ("behind the base", "git reset -q --soft HEAD~1"),
        ("index.lock", "touch .git/index.lock .git/HEAD.lock .git/refs/heads/cloud-agent/work.lock"),
        ("broken index", "echo x >.git/index"),
        ("no index", "rm .git/index"),
        ("broken config", "echo '[core' >.git/config"),
        (
            "foreign config",
            "git config core.worktree /etc; git config core.bare true; git config extensions.partialClone x",
        ),
        (
            "commands in config",
            "git config core.fsmonitor 'touch /tmp/never'; git config core.hooksPath .; git config commit.gpgSign true; git config core.sparseCheckout true",
        ),
        (
            "hooks",
            "mkdir -p .git/hooks; for h in pre-commit post-index-change reference-transaction; do printf '#!/bin/sh\\ntouch hooked; exit 1' >.git/hooks/$h; chmod +x .git/hooks/$h; done",
        ),
        (
            "filters",
            "git config filter.x.clean 'touch hooked; exit 1'; git config filter.x.required true; echo '* filter=x' >.git/info/attributes",
        ),
        ("hidden files", "git update-index --assume-unchanged a; git update-index --skip-worktree b"),
        ("empty commits", "git commit -q --allow-empty -m nothing; git commit -q --allow-empty -m nothing"),
        (
            "merge in progress",
            "git checkout -q -b x HEAD~1; git commit -q --allow-empty -m x; git merge -q --no-commit cloud-agent/work 2>/dev/null || true",
        ),
        ("replaced commits", "git replace --graft HEAD"),
        ("branches are links", "mv .git/refs .git/elsewhere; ln -s elsewhere .git/refs"),
        ("old output", "mkdir -p ../OUT.out/work.bundle; ln -s /etc/hostname ../OUT.out/head"),
    ];
    for (i, (name, state)) in cases.iter().enumerate() {
        let (tree, base) = world.checkout(&format!("t{i}")).await;
        let script = match *name {
            "merge in progress" => format!("{state}; {work}"),
            _ => format!("{work}; {state}"),
        };
        let (word, code, out) = world.pack(&tree, &base, &script.replace("OUT", &format!("t{i}")));
        assert_eq!((word.as_str(), code), ("packed", 0), "{name}");
        let (_, seen) = world
            .take(&format!("t{i}"), &out.join("work.bundle"), &base)
            .await
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(std::fs::read_to_string(out.join("head")).unwrap().trim(), seen.head.as_str(), "{name}");
        let changed = sh(
            &world.path().join(format!("t{i}.inspect.git")),
            &format!("git diff-tree -r --name-status {base} {}", seen.head),
        );
        let mut lines = changed.lines().collect::<Vec<_>>();
        lines.sort_by_key(|l| l.split('\t').next_back().map(|p| (p != "b", p.to_owned())));
        assert_eq!(lines.join("\n") + "\n", expected, "{name}");
        assert!(!tree.join("hooked").exists(), "{name}");
        assert!(out.read_dir().unwrap().count() == 2, "{name}");
    }
}

#[tokio::test]
async fn no_work_is_unchanged() {
    let world = World::new(&[("a", "1\n"), (".gitignore", "ignored\n")]).await;
    let cases = [
        "true",
        "touch a",
        "echo x >ignored",
        "git commit -q --allow-empty -m x",
        "echo 2 >a; git commit -qam x; git revert --no-edit HEAD",
    ];
    for (i, agent) in cases.iter().enumerate() {
        let (tree, base) = world.checkout(&format!("t{i}")).await;
        let (word, code, out) = world.pack(&tree, &base, agent);
        assert_eq!((word.as_str(), code), ("unchanged", 0), "{agent}");
        assert!(out.join("unchanged").exists() && !out.join("work.bundle").exists(), "{agent}");
    }
}

#[tokio::test]
async fn what_can_not_be_packed_is_named() {
    let world = World::new(&[("a", "1\n")]).await;
    let cases = [
        ("rm -rf .git", "no-repository", 11),
        ("mv .git ../elsewhere; ln -s ../elsewhere .git", "no-repository", 11),
        ("rm -rf .git; echo 'gitdir: /etc' >.git", "no-repository", 11),
        ("rm -rf .git; git init -q .", "no-base", 12),
        ("rm .git/objects/info/alternates", "no-base", 12),
    ];
    for (i, (agent, word, code)) in cases.iter().enumerate() {
        let (tree, base) = world.checkout(&format!("t{i}")).await;
        let (said, exit, out) = world.pack(&tree, &base, agent);
        assert_eq!((said.as_str(), exit), (*word, *code), "{agent}");
        assert!(!out.join("work.bundle").exists(), "{agent}");
    }
}
