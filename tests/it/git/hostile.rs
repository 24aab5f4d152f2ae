//! What is checked out was made by somebody who knows what git does with it.

use std::path::PathBuf;

use cloud_agent::sandbox::git::*;

use super::world::{World, sh};

/// Push what a script makes, whatever git's own checks would say of it; the commit.
fn pushed(world: &World, script: &str) -> Sha {
    let bare = world.path().join("host/o/app.git");
    let script = format!("{script}\ngit push -q -f {} \"$commit\":refs/heads/main; echo $commit", bare.display());
    sh(&world.person(), &script).trim().lines().last().unwrap().parse().unwrap()
}

async fn checkout(world: &World, name: &str, sha: &Sha) -> Result<PathBuf, GitError> {
    let (dest, mirror) = (world.path().join(name), world.git.mirror(7).await.unwrap());
    let (remote, branch, objects) = (world.app(), "cloud-agent/work".parse().unwrap(), mirror.objects());
    let wanted = vec![Want::Sha(sha.clone())];
    let order =
        Checkout { repository_id: 7, remote: &remote, wanted, branch: &branch, dest: &dest, objects_inside: &objects };
    world.git.checkout(&order).await.map(|_| dest)
}

#[tokio::test]
async fn nothing_in_a_tree_runs_or_converts_when_it_becomes_files() {
    let world = World::new(&[("a", "1\n")]).await;
    let marker = world.path().join("ran");
    let touch = format!("touch {}", marker.display());
    let sha = world.person_pushes(&format!(
        r#"printf '*.x filter=evil diff=evil merge=evil\n*.u working-tree-encoding=UTF-16\n*.i ident\n' >.gitattributes
        echo plain >f.x
        printf '[submodule "s"]\n\tpath = s\n\turl = ext::sh -c "{touch}"\n' >.gitmodules
        mkdir -p .githooks .husky; printf '#!/bin/sh\n{touch}\n' >.githooks/post-checkout; chmod +x .githooks/post-checkout
        printf '[core]\n\tfsmonitor = {touch}\n\thooksPath = .githooks\n[filter "evil"]\n\tsmudge = {touch}\n' >.gitconfig
        printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345678\n' 0 >big.bin"#
    ));
    // The blob is no UTF-16 text: git would convert it to that on its way to a file, with the C library of this machine.
    let sha = pushed(
        &world,
        &format!(
            r"blob=$(printf 'text\n' | git hash-object -w --stdin --no-filters)
            export GIT_INDEX_FILE=$PWD/.git/odd; git read-tree {sha}; git update-index --add --cacheinfo 100644,$blob,w.u
            commit=$(git commit-tree -p {sha} -m x $(git write-tree))"
        ),
    );
    let dest = checkout(&world, "tree", &sha).await.unwrap();
    assert_eq!(std::fs::read(dest.join("w.u")).unwrap(), b"text\n");
    assert_eq!(sh(&dest, "cat f.x; head -c 7 big.bin; git status --porcelain"), "plain\nversion");
    assert!(!marker.exists(), "something ran");

    // Without what we say first, git obeys the tree.
    let obeyed = world.path().join("obeyed");
    std::fs::create_dir(&obeyed).unwrap();
    let person = world.person();
    sh(
        &obeyed,
        &format!(
            "GIT_DIR={0}/.git GIT_INDEX_FILE={0}/.git/other GIT_WORK_TREE=. git read-tree -u --reset {sha}",
            person.display()
        ),
    );
    assert_eq!(std::fs::read(obeyed.join("w.u")).unwrap().len(), 12, "a mark and five letters of two bytes");
}

#[tokio::test]
async fn names_that_mean_something_to_git_or_a_disk_are_refused() {
    let world = World::new(&[("a", "1\n")]).await;
    let entries = [
        ("dotgit", "100644 .git"),
        ("case", "100644 .GiT"),
        ("ntfs", "100644 git~1"),
        ("stream", "100644 .git::\\$INDEX_ALLOCATION"),
        ("up", "100644 .."),
        ("slash", "100644 x/../../y"),
        ("modules link", "120000 .gitmodules"),
    ];
    for (name, entry) in entries {
        let sha = pushed(
            &world,
            &format!(
                r#"blob=$(printf '../../../etc/passwd' | git hash-object -w --stdin)
                bytes=$(echo $blob | sed 's/../\\x&/g')
                tree=$(env printf "{entry}\0$bytes" | git hash-object -t tree -w --stdin --literally)
                commit=$(git commit-tree -m x $tree)"#
            ),
        );
        let refused = checkout(&world, &format!("t-{}", name.replace(' ', "-")), &sha).await;
        assert!(refused.is_err(), "{name}: {refused:?}");
    }
    assert!(!world.path().join("y").exists());
}

#[tokio::test]
async fn a_link_stays_a_link_and_nothing_is_written_through_it() {
    let world = World::new(&[("a", "1\n")]).await;
    let outside = world.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    // `d` is a link, and in the same tree `D` and `d/x` would be files behind it on a disk without case.
    let sha = pushed(
        &world,
        &format!(
            r"export GIT_INDEX_FILE=$PWD/.git/odd
            link=$(printf %s {} | git hash-object -w --stdin); file=$(echo bad | git hash-object -w --stdin)
            git update-index --add --cacheinfo 120000,$link,d --cacheinfo 100644,$file,D/x
            commit=$(git commit-tree -m x $(git write-tree))",
            outside.display()
        ),
    );
    let dest = checkout(&world, "tree", &sha).await.unwrap();
    assert_eq!(std::fs::read_link(dest.join("d")).unwrap(), outside);
    assert_eq!(std::fs::read_to_string(dest.join("D/x")).unwrap(), "bad\n");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn few_bytes_that_would_become_a_full_disk_are_refused() {
    let world = World::new(&[("a", "1\n")]).await;
    // Each names what is in it many times over.
    let bombs = [
        (
            "bytes",
            r#"blob=$(head -c 8000000 /dev/zero | git hash-object -w --stdin)
            tree=$(for i in $(seq 600); do printf "100644 blob $blob\tf$i\n"; done | git mktree)
            commit=$(git commit-tree -m x $tree)"#,
        ),
        (
            "files",
            r#"tree=$(printf "100644 blob $(git hash-object -w --stdin </dev/null)\tf\n" | git mktree)
            for i in 1 2 3 4 5 6 7 8; do tree=$(for j in 0 1 2 3 4 5 6 7 8 9; do printf "040000 tree $tree\td$j\n"; done | git mktree); done
            commit=$(git commit-tree -m x $tree)"#,
        ),
        (
            "depth",
            r"export GIT_INDEX_FILE=$PWD/.git/odd
            git update-index --add --cacheinfo 100644,$(git hash-object -w --stdin </dev/null),$(printf 'd/%.0s' $(seq 500))f
            commit=$(git commit-tree -m x $(git write-tree))",
        ),
    ];
    for (name, script) in bombs {
        let sha = pushed(&world, script);
        let refused = checkout(&world, name, &sha).await;
        assert!(matches!(refused, Err(GitError::TooLarge(_))), "{name}: {refused:?}");
        assert!(!world.path().join(name).exists(), "{name}");
    }
}
