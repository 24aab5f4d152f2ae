//! Commits in the bot's name, and pushes that overwrite nobody.

use cloud_agent::sandbox::git::*;

use super::server::TOKEN;
use super::world::{ALICE, World, plan, sh};

const TWO: &str = "echo 2 >a; git commit -qam 'First [skip ci]

Signed-off-by: Mallory <m@x>'; git commit -q --allow-empty -m empty; echo 3 >b; git add b; git commit -qm 'Fixes #1'";

#[tokio::test]
async fn commits_are_made_anew_and_always_the_same() {
    let world = World::new(&[("a", "1\n")]).await;
    let (bench, seen) = world.inspect("t", TWO).await;
    let alice = ALICE();
    let made = bench.recreate(&seen, &plan(&alice)).await.unwrap();
    assert_eq!(made, bench.recreate(&seen, &plan(&alice)).await.unwrap());
    assert_eq!((made.commits, made.squashed), (2, None));
    let head = made.head.unwrap();
    let log = sh(
        &world.path().join("t.inspect.git"),
        &format!("git log --reverse --format='%an <%ae> %cn %at%n%B' {}..{head}", seen.base),
    );
    insta::assert_snapshot!(log.trim_end(), @r"
    cloud-agent[bot] <1+cloud-agent[bot]@users.noreply.github.com> cloud-agent[bot] 1700000000
    First

    Co-authored-by: Alice <2+alice@users.noreply.github.com>

    cloud-agent[bot] <1+cloud-agent[bot]@users.noreply.github.com> cloud-agent[bot] 1700000000
    see #1

    Co-authored-by: Alice <2+alice@users.noreply.github.com>
    ");
    let trees =
        sh(&world.path().join("t.inspect.git"), &format!("git rev-parse {head}^{{tree}} {}^{{tree}}", seen.head));
    assert_eq!(trees.lines().next(), trees.lines().nth(1));
}

#[tokio::test]
async fn odd_histories_become_one_commit() {
    let world = World::new(&[("a", "1\n")]).await;
    world.person_pushes("echo 2 >b");
    let alice = ALICE();
    let cases = [
        (
            "git checkout -q -b x HEAD~1; echo 3 >c; git add c; git commit -qm x; git checkout -q -; git merge -q --no-ff -m m x",
            Squashed::Merge,
        ),
        ("git reset -q --hard HEAD~1; echo 3 >c; git add c; git commit -qm x", Squashed::NotDescending),
        ("for i in $(seq 31); do echo x$i >a; git commit -qam $i; done", Squashed::TooMany),
        ("for i in $(seq 201); do git commit -q --allow-empty -m x; done; echo 3 >c", Squashed::TooMany),
    ];
    for (i, (agent, why)) in cases.into_iter().enumerate() {
        let (bench, seen) = world.inspect(&format!("t{i}"), agent).await;
        let made = bench.recreate(&seen, &plan(&alice)).await.unwrap();
        assert_eq!((made.commits, made.squashed), (1, Some(why)));
        let show =
            format!("git log -1 --format='%P %T %s' {}; git rev-parse {}^{{tree}}", made.head.unwrap(), seen.head);
        let show = sh(&world.path().join(format!("t{i}.inspect.git")), &show);
        let (line, tree) = show.trim().split_once('\n').unwrap();
        assert_eq!(line, format!("{} {tree} Do the work", seen.base));
    }
}

#[tokio::test]
async fn what_is_held_back_stays_as_it_was() {
    let world =
        World::new(&[("a", "1\n"), (".github/workflows/old.yml", "old\n"), (".github/workflows/gone.yml", "gone\n")])
            .await;
    let agent = "echo 2 >a; cd .github/workflows; echo x >new.yml; echo x >>old.yml; rm gone.yml";
    let (bench, seen) = world.inspect("t", agent).await;
    let held = judge(&seen, &Policy::default());
    assert_eq!(held.len(), 3);
    let paths = held.iter().filter_map(HeldBack::path).collect::<Vec<_>>();
    let alice = ALICE();
    let made = bench.recreate(&seen, &Plan { leave_out: &paths, ..plan(&alice) }).await.unwrap();
    assert_eq!(made.squashed, Some(Squashed::LeftOut));
    let changed = format!("git diff-tree -r --name-only {} {}", seen.base, made.head.unwrap());
    assert_eq!(sh(&world.path().join("t.inspect.git"), &changed), "a\n");
    let all = seen.files.iter().map(|c| c.path.as_slice()).collect::<Vec<_>>();
    assert_eq!(bench.recreate(&seen, &Plan { leave_out: &all, ..plan(&alice) }).await.unwrap().head, None);
}

#[tokio::test]
async fn a_push_overwrites_nobody() {
    let world = World::new(&[("a", "1\n")]).await;
    let (bench, seen) = world.inspect("t", TWO).await;
    let alice = ALICE();
    let head = async |title: &str, squash| {
        bench.recreate(&seen, &Plan { title, squash, ..plan(&alice) }).await.unwrap().head.unwrap()
    };
    let (one, two) = (head("One", true).await, head("Two", true).await);
    let branch = "cloud-agent/fix-1-a".parse::<Branch>().unwrap();
    let app = world.app();
    assert_eq!(world.git.remote_head(&app, &branch).await.unwrap(), None);
    assert_eq!(bench.push(&app, &one, &branch, None).await, Ok(Pushed::Created));
    assert_eq!(bench.push(&app, &one, &branch, None).await, Ok(Pushed::AlreadyThere));
    assert_eq!(world.git.remote_head(&app, &branch).await.unwrap(), Some(one.clone()));
    // From a process that is no more, with only what is on disk.
    let again = Workbench::open(&world.git, &world.path().join("t.inspect.git"));
    assert_eq!(again.push(&app, &two, &branch, None).await, Err(GitError::Moved));
    assert_eq!(again.push(&app, &two, &branch, Some(&seen.base)).await, Err(GitError::Moved));
    // It is where we left it, and `two` would take `one` away all the same.
    assert_eq!(again.push(&app, &two, &branch, Some(&one)).await, Err(GitError::Moved));
    let Rebased::Done(both) = bench.rebase(&two, &seen.base, &one).await.unwrap() else { panic!() };
    assert_eq!(both, one, "the same work twice is nothing more");
    let more = sh(&world.path().join("t.inspect.git"), &format!("git commit-tree -p {one} -m more {one}^{{tree}}"));
    let more = more.trim().parse::<Sha>().unwrap();
    assert_eq!(again.push(&app, &more, &branch, Some(&one)).await, Ok(Pushed::Updated));
    assert_eq!(again.push(&app, &more, &branch, Some(&one)).await, Ok(Pushed::AlreadyThere));
    assert_eq!(world.git.remote_head(&app, &branch).await.unwrap(), Some(more.clone()));
    // A person commits to the branch.
    let bare = world.path().join("host/o/app.git");
    sh(
        &world.person(),
        &format!(
            "git fetch -q {0} {branch}; git checkout -q FETCH_HEAD; echo p >p; git add p; git commit -qm p; git push -q {0} HEAD:{branch}",
            bare.display()
        ),
    );
    let theirs = world.git.remote_head(&app, &branch).await.unwrap().unwrap();
    let ours = sh(&world.path().join("t.inspect.git"), &format!("git commit-tree -p {more} -m ours {one}^{{tree}}"));
    let ours = ours.trim().parse::<Sha>().unwrap();
    for (sha, expect) in [(&ours, &more), (&ours, &theirs), (&one, &more), (&ours, &one)] {
        assert_eq!(bench.push(&app, sha, &branch, Some(expect)).await, Err(GitError::Moved));
    }
    // What they did is fetched, and ours goes on top of it.
    world.git.mirror(7).await.unwrap().fetch(&app, &[Want::Branch(branch.clone())]).await.unwrap();
    let Rebased::Done(ours) = bench.rebase(&ours, &more, &theirs).await.unwrap() else { panic!() };
    assert_eq!(ours, theirs, "an empty commit is left out");
    assert_eq!(bench.push(&app, &ours, &branch, Some(&theirs)).await, Ok(Pushed::AlreadyThere));
    assert_eq!(world.git.remote_head(&app, &branch).await.unwrap(), Some(theirs));
    assert_eq!(world.git.remote_head(&app, &"main".parse().unwrap()).await.unwrap(), Some(seen.base.clone()));
}

#[tokio::test]
async fn a_refused_push_says_why() {
    let world = World::new(&[("a", "1\n")]).await;
    let (bench, seen) = world.inspect("t", TWO).await;
    let branch = "cloud-agent/x".parse::<Branch>().unwrap();
    let push = async |remote: Remote| bench.push(&remote, &seen.head, &branch, None).await.unwrap_err();
    assert!(matches!(push(world.remote("o/readonly", TOKEN)).await, GitError::Auth(_)));
    assert!(matches!(push(world.remote("o/app", "ghs_0000000000")).await, GitError::Auth(_)));
    assert!(matches!(push(world.remote("o/none", TOKEN)).await, GitError::NotFound(_)));
    let hook = "mkdir -p hooks; printf '#!/bin/sh\\necho \"error: GH013: Repository rule violations found for $1.\" >&2; exit 1' >hooks/update; chmod +x hooks/update";
    sh(&world.path().join("host/o/app.git"), hook);
    let reason = "hook declined (GH013: Repository rule violations found for refs/heads/cloud-agent/x.)".to_owned();
    assert_eq!(push(world.app()).await, GitError::Rejected { reason });
}

#[tokio::test]
async fn a_push_sends_only_what_is_new() {
    let world = World::new(&[("a", "1\n")]).await;
    world.person_pushes("head -c 2000000 /dev/urandom >large");
    let (bench, seen) = world.inspect("t", TWO).await;
    // Every branch there is now something that we have never seen.
    world.person_pushes("echo newer >c");
    world.host.requests();
    bench.push(&world.app(), &seen.head, &"cloud-agent/x".parse().unwrap(), None).await.unwrap();
    let sent = world.host.requests();
    assert!(sent.iter().map(|(_, bytes)| bytes).sum::<usize>() < 20_000, "{sent:?}");
}
