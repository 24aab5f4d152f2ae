//! Mirrors and working trees.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use cloud_agent::sandbox::git::*;

use super::server::TOKEN;
use super::world::{World, main_branch, settings, sh};

#[tokio::test]
async fn a_warm_mirror_gives_a_working_tree_quickly() {
    let world = World::new(&[("a", "1\n")]).await;
    for i in 0..1000 {
        let dir = world.person().join(format!("d{}/s{}", i % 20, i % 7));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("f{i}")), format!("line {i}\n").repeat(80)).unwrap();
    }
    world.person_pushes("true");
    let timed = async |what: &str, name: &str| {
        let began = Instant::now();
        let (dest, sha) = world.checkout(name).await;
        let took = began.elapsed();
        println!("{what}: {took:?}, {} requests", world.host.requests().len());
        (dest, sha, took)
    };
    timed("first", "a").await;
    let (dest, ..) = timed("unchanged", "b").await;
    let unchanged = timed("unchanged again", "c").await.2;
    let pushed = world.person_pushes("echo more >d1/more");
    let (_, sha, moved) = timed("one commit more", "d").await;
    assert_eq!(sha, pushed);
    assert_eq!(sh(&dest, "git status --porcelain; git ls-files | wc -l").trim(), "1001");
    // It takes some 50 and 100 ms; a machine that is busy with other tests takes many times that.
    assert!(unchanged < Duration::from_secs(10) && moved < Duration::from_secs(10));
}

#[tokio::test]
async fn the_network_is_used_only_for_what_is_not_known() {
    let world = World::new(&[("a", "1")]).await;
    let mirror = world.git.mirror(7).await.unwrap();
    let first = mirror.fetch(&world.app(), &[main_branch()]).await.unwrap();
    world.host.requests();
    mirror.fetch(&world.app(), &[main_branch()]).await.unwrap();
    assert_eq!(world.host.requests().len(), 1);
    assert_eq!(mirror.fetch(&world.app(), &[Want::Sha(first[0].clone())]).await.unwrap(), first);
    assert_eq!(world.host.requests(), []);

    // A fork's head, an exact commit that no branch has any more, and a branch whose name was once a directory.
    let bare = world.path().join("host/o/app.git");
    let gone = world.person_pushes("echo 2 >a");
    let script = format!("git push -q -f {0} HEAD~1:main HEAD:refs/pull/3/head HEAD:x/y", bare.display());
    sh(&world.person(), &script);
    let x = Want::Branch("x/y".parse().unwrap());
    assert_eq!(
        mirror.fetch(&world.app(), &[Want::Pull(3), main_branch(), x]).await.unwrap(),
        [gone.clone(), first[0].clone(), gone]
    );
    let other = world.person_pushes("git reset -q --hard HEAD~1; echo 3 >a");
    sh(&world.person(), &format!("git push -q {} :x/y && git push -q {0} HEAD:x", bare.display()));
    assert_eq!(
        mirror.fetch(&world.app(), &[Want::Branch("x".parse().unwrap())]).await.unwrap(),
        std::slice::from_ref(&other)
    );
    assert!(mirror.has(&other).await.unwrap());
    assert!(!mirror.has(&"4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap()).await.unwrap());
}

#[tokio::test]
async fn a_pull_request_is_had_as_it_was() {
    let world = World::new(&[("a", "1")]).await;
    let bare = world.path().join("host/o/app.git");
    let push = |script: &str| {
        let script = format!(
            "{script}; git add -A; git commit -qm pr; git push -q -f {0} HEAD:refs/pull/3/head; git rev-parse HEAD",
            bare.display()
        );
        sh(&world.person(), &script).trim().parse::<Sha>().unwrap()
    };
    let base = world.person_pushes("echo 2 >a");
    let first = push("git checkout -q -b pr HEAD~1; echo b >b");
    let (mirror, branch) = (world.git.mirror(7).await.unwrap(), "cloud-agent/work".parse().unwrap());
    let (remote, dest, objects) = (world.app(), world.path().join("tree"), mirror.objects());
    let wanted = vec![Want::PullAt(3, first.clone()), Want::Sha(base.clone())];
    let order =
        Checkout { repository_id: 7, remote: &remote, wanted, branch: &branch, dest: &dest, objects_inside: &objects };
    assert_eq!(world.git.checkout(&order).await.unwrap(), first);
    assert_eq!(sh(&dest, "cat a b; git rev-parse HEAD"), format!("1b\n{first}\n"));
    let root = mirror.merge_base(&base, &first).await.unwrap().unwrap();
    let diff = mirror.diff(&root, &first, 1 << 20).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&diff.bytes).matches("diff --git").count(), 1);
    assert_eq!(mirror.fetch(&remote, &[Want::Pull(3)]).await.unwrap(), std::slice::from_ref(&first));

    // A force push leaves the first behind; GitHub gives it all the same, and another remote only what is still there.
    let second = push("git reset -q --hard HEAD~1; echo c >c");
    let third = push("echo d >d");
    let at = |sha: &Sha| [Want::PullAt(3, sha.clone()), Want::Sha(base.clone())];
    for (id, want) in [(8, &first), (9, &second), (10, &third)] {
        let mirror = world.git.mirror(id).await.unwrap();
        assert_eq!(mirror.fetch(&remote, &at(want)).await.unwrap(), [want.clone(), base.clone()]);
    }
    sh(bare.parent().unwrap(), "ln -s app.git strict.git");
    let strict = world.remote("o/strict", TOKEN);
    let mirror = world.git.mirror(11).await.unwrap();
    let gone = mirror.fetch(&strict, &at(&first)).await.unwrap_err();
    assert_eq!(gone, GitError::NotFound(format!("{first} is in no pull request any more")));
    assert_eq!(mirror.fetch(&strict, &at(&second)).await.unwrap(), [second, base.clone()]);
    let none = Want::PullAt(4, "12".repeat(20).parse().unwrap());
    assert!(matches!(mirror.fetch(&remote, &[none]).await, Err(GitError::NotFound(_))));
}

#[tokio::test]
async fn a_working_tree_holds_nothing_but_the_work() {
    let world = World::new(&[
        ("run.sh", "echo hi"),
        ("x.bin", "lfs"),
        (".gitattributes", "*.bin filter=lfs diff=lfs\n* text=auto\n"),
    ])
    .await;
    world.person_pushes(
        "chmod +x run.sh; ln -s /etc/passwd link; mkdir hooks; echo 'touch /tmp/x' >hooks/post-checkout",
    );
    let (dest, sha) = world.checkout("tree").await;
    assert_eq!(sh(&dest, "git rev-parse HEAD").trim(), sha.as_str());
    assert_eq!(
        sh(&dest, "git symbolic-ref HEAD; git remote; git status --porcelain; ls -A .git"),
        "refs/heads/cloud-agent/work\nHEAD\nconfig\nindex\ninfo\nobjects\nrefs\n"
    );
    assert_eq!(std::fs::read_link(dest.join("link")).unwrap().to_str(), Some("/etc/passwd"));
    assert!(std::fs::metadata(dest.join("run.sh")).unwrap().permissions().mode() & 0o100 != 0);
    // No object was copied, so none is shared by a hard link.
    assert_eq!(sh(&dest, "find .git/objects -type f"), ".git/objects/info/alternates\n");
    let data = world.path();
    let found = sh(data, &format!("grep -rIl -e '{TOKEN}' -e eC1hY2Nlc3MtdG9rZW46 data tree || true"));
    assert_eq!(found, "", "the token is in a file");
    // A second tree at the same place is refused, and the first is left alone.
    let mirror = world.git.mirror(7).await.unwrap();
    let again = mirror.clone_shared(&sha, &"x".parse().unwrap(), &dest, &mirror.objects()).await;
    assert!(matches!(again, Err(GitError::Other(_))) && dest.join("run.sh").exists());
}

#[tokio::test]
async fn the_token_is_in_no_argument_and_no_error() {
    let world = World::new(&[("a", "1")]).await;
    let log = world.path().join("argv");
    let program = world.path().join("git-logged");
    std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >>{}\nexec git \"$@\"\n", log.display())).unwrap();
    sh(world.path(), "chmod +x git-logged");
    let git = Git::new(Settings { program, ..settings(&world.host, world.path()) }).unwrap();
    let mirror = git.mirror(7).await.unwrap();
    mirror.fetch(&world.app(), &[main_branch()]).await.unwrap();
    let argv = std::fs::read_to_string(log).unwrap();
    assert!(
        argv.contains("fetch --quiet") && !argv.contains(TOKEN) && !argv.contains("eC1hY2Nlc3MtdG9rZW46"),
        "{argv}"
    );

    let wrong = "ghs_wrongwrongwrongwrong";
    let main = [main_branch()];
    let fetch = async |remote: Remote, want: &[Want]| mirror.fetch(&remote, want).await.unwrap_err();
    let error = fetch(world.remote("o/app", wrong), &main).await;
    assert!(matches!(&error, GitError::Auth(text) if !text.contains(wrong)), "{error:?}");
    assert!(matches!(fetch(world.remote("o/none", TOKEN), &main).await, GitError::NotFound(_)));
    let error = fetch(world.app(), &[Want::Branch("none".parse().unwrap())]).await;
    assert_eq!(error, GitError::NotFound("there is no refs/heads/none".into()));
    let error = fetch(world.app(), &[Want::Sha("1234567890123456789012345678901234567890".parse().unwrap())]).await;
    assert!(matches!(error, GitError::NotFound(_)), "{error:?}");
    world.host.requests();
    let error = fetch(world.remote("o/renamed", TOKEN), &main).await;
    assert!(matches!(error, GitError::NotFound(_)), "{error:?}");
    assert!(world.host.requests().iter().all(|(path, _)| path.starts_with("/o/renamed")), "a redirect was followed");

    let closed = Settings { base: "http://127.0.0.1:1".parse().unwrap(), ..settings(&world.host, world.path()) };
    let closed = Git::new(closed).unwrap();
    let remote = Remote::new(&closed, "o/app", None).unwrap();
    let error = closed.remote_head(&remote, &"main".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, GitError::Unreachable(_)), "{error:?}");
    for name in ["o", "o/a/b", "../x", "o/..", "o/a b", "o/a?x", "-o/", "o/a#b", "a@b/c"] {
        assert!(Remote::new(&git, name, None).is_err(), "{name}");
    }
}

#[tokio::test]
async fn many_tasks_and_processes_share_one_mirror() {
    let world = World::new(&[("a", "1")]).await;
    // Two of them know nothing of each other, as two processes would.
    let other = Git::new(settings(&world.host, world.path())).unwrap();
    let head = world.person_pushes("echo 2 >a");
    let tasks = (0..12).map(|i| {
        let (git, remote, main) = (if i % 2 == 0 { &world.git } else { &other }, world.app(), main_branch());
        async move { git.mirror(7).await.unwrap().fetch(&remote, &[main]).await.unwrap() }
    });
    for found in futures::future::join_all(tasks).await {
        assert_eq!(found, std::slice::from_ref(&head));
    }
    let fetched = world.host.requests().iter().filter(|(path, _)| path.contains("info/refs")).count();
    assert!(fetched <= 1, "{fetched} fetches of the same commit");
}

#[tokio::test]
async fn a_damaged_mirror_is_replaced() {
    let world = World::new(&[("a", "1"), ("b/c", "2")]).await;
    let damages = [
        "for p in data/mirrors/7.git/objects/pack/*.pack; do chmod +w $p; printf garbage | dd of=$p bs=1 seek=40 conv=notrunc 2>/dev/null; done",
        "rm data/mirrors/7.git/objects/pack/*.idx",
        "rm -f data/mirrors/7.git/objects/pack/*",
        "echo '[core' >data/mirrors/7.git/config",
        "rm data/mirrors/7.git/HEAD",
        "rm -r data/mirrors/7.git",
        "for p in data/mirrors/7.git/objects/pack/*.idx; do chmod +w $p; : >$p; done",
    ];
    for (i, damage) in damages.iter().enumerate() {
        world.checkout(&format!("before{i}")).await;
        sh(world.path(), damage);
        let (dest, _) = world.checkout(&format!("after{i}")).await;
        assert_eq!(sh(&dest, "cat a b/c"), "12", "{damage}");
        assert!(world.git.mirror(7).await.unwrap().is_sound().await.unwrap(), "{damage}");
    }
}

#[tokio::test]
async fn a_fetch_that_hangs_or_dies_leaves_nothing_in_the_way() {
    let world = World::new(&[("a", "1")]).await;
    let timeouts = Timeouts { fetch: Duration::from_millis(700), ..Timeouts::default() };
    let git = Git::new(Settings { timeouts, ..settings(&world.host, world.path()) }).unwrap();
    let mirror = git.mirror(7).await.unwrap();
    mirror.fetch(&world.app(), &[main_branch()]).await.unwrap();
    world.person_pushes("echo 2 >a");
    *world.host.hang.lock().unwrap() = Some("info/refs".to_owned());
    assert_eq!(mirror.fetch(&world.app(), &[main_branch()]).await, Err(GitError::Timeout("fetch".into())));
    // Dropped in the middle, as when a task is cancelled.
    assert!(
        tokio::time::timeout(Duration::from_millis(300), mirror.fetch(&world.app(), &[main_branch()])).await.is_err()
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    let url = world.host.url.trim_start_matches("http://");
    let left = sh(
        world.path(),
        &format!("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -ao 'git-remote-http [^ ]*{url}' || true"),
    );
    assert_eq!(left, "", "a helper of git lives on");
    assert_eq!(
        std::fs::metadata(world.path().join("data/mirrors/7.lock")).unwrap().len(),
        1,
        "the mark of an unfinished fetch"
    );
    let stale = [
        "packed-refs.lock",
        "refs/from/main.lock",
        "HEAD.lock",
        "objects/pack/tmp_pack_x",
        "objects/pack/pack-1.keep",
        "shallow.lock",
    ];
    for name in stale {
        std::fs::write(world.path().join("data/mirrors/7.git").join(name), "").unwrap();
    }
    *world.host.hang.lock().unwrap() = None;
    let patient = Git::new(settings(&world.host, world.path())).unwrap();
    patient.mirror(7).await.unwrap().fetch(&world.app(), &[main_branch()]).await.unwrap();
    for name in stale {
        assert!(!world.path().join("data/mirrors/7.git").join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn many_packs_become_few() {
    let world = World::new(&[("a", "1")]).await;
    let mirror = world.git.mirror(7).await.unwrap();
    for i in 0..32 {
        world.person_pushes(&format!("echo {i} >a; echo {i} >f{i}"));
        mirror.fetch(&world.app(), &[main_branch()]).await.unwrap();
    }
    let (dest, _) = world.checkout("tree").await;
    let packs = || sh(&mirror.objects(), "ls pack/*.pack | wc -l").trim().parse::<u32>().unwrap();
    assert!(packs() > 30);
    mirror.maintain().await.unwrap();
    assert!(packs() < 5, "{}", packs());
    assert!(mirror.is_sound().await.unwrap());
    assert_eq!(sh(&dest, "git fsck; git log --oneline | wc -l").trim(), "33");
}
