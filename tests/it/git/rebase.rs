//! Work that moves with its base, and patches for where it can't be pushed.

use cloud_agent::sandbox::git::*;

use super::world::{ALICE, World, main_branch, plan, sh};

const TEN: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";

struct Work {
    world: World,
    bench: Workbench,
    base: Sha,
    head: Sha,
}

/// What an agent did on `main`, ready to be pushed.
async fn work(files: &[(&str, &str)], agent: &str) -> Work {
    let world = World::new(files).await;
    let (bench, seen) = world.inspect("t", agent).await;
    let alice = ALICE();
    let head = bench.recreate(&seen, &plan(&alice)).await.unwrap().head.unwrap();
    Work { world, bench, base: seen.base, head }
}

impl Work {
    /// `main` moves on and is fetched.
    async fn main_moves(&self, script: &str) -> Sha {
        let moved = self.world.person_pushes(script);
        let mirror = self.world.git.mirror(7).await.unwrap();
        assert_eq!(mirror.fetch(&self.world.app(), &[main_branch()]).await.unwrap(), std::slice::from_ref(&moved));
        moved
    }

    async fn rebase(&self, onto: &Sha) -> Rebased {
        self.bench.rebase(&self.head, &self.base, onto).await.unwrap()
    }

    async fn done(&self, onto: &Sha) -> Sha {
        match self.rebase(onto).await {
            Rebased::Done(sha) => sha,
            Rebased::Conflict(paths) => panic!("conflict in {:?}", names(&paths)),
        }
    }

    fn git(&self, script: &str) -> String {
        sh(&self.world.path().join("t.inspect.git"), script)
    }
}

fn names(paths: &[Vec<u8>]) -> Vec<String> {
    paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

#[tokio::test]
async fn work_moves_with_its_base() {
    let agent = "sed -i s/^2$/two/ a; git commit -qam First; sed -i s/^9$/nine/ a; echo n >new; git add new; git commit -qam 'Second

why'";
    let work = work(&[("a", TEN), ("b", "1\n")], agent).await;
    assert_eq!(work.rebase(&work.base).await, Rebased::Done(work.head.clone()));
    // Moved, changed elsewhere, and a file beside it.
    let onto = work.main_moves("git mv a c; sed -i s/^5$/five/ c; echo 2 >b").await;
    let done = work.done(&onto).await;
    assert_eq!(work.done(&onto).await, done, "twice is the same");
    let log =
        work.git(&format!("git log --reverse --format='%an %ae %at %cn %ct%n%B' {onto}..{done}; git show {done}:c"));
    insta::assert_snapshot!(log.replace("1+cloud-agent[bot]@users.noreply.github.com", "EMAIL"), @r"
    cloud-agent[bot] EMAIL 1700000000 cloud-agent[bot] 1700000000
    First

    Co-authored-by: Alice <2+alice@users.noreply.github.com>

    cloud-agent[bot] EMAIL 1700000000 cloud-agent[bot] 1700000000
    Second

    why

    Co-authored-by: Alice <2+alice@users.noreply.github.com>

    1
    two
    3
    4
    five
    6
    7
    8
    nine
    10
    ");
    assert_eq!(work.git(&format!("git diff-tree -r --name-only {onto} {done}; git fsck --no-dangling")), "c\nnew\n");
    let branch = "cloud-agent/x".parse().unwrap();
    assert_eq!(work.bench.push(&work.world.app(), &done, &branch, None).await, Ok(Pushed::Created));
}

#[tokio::test]
async fn only_the_work_moves() {
    let work = work(
        &[("a", TEN)],
        "sed -i s/^2$/two/ a; git commit -qam First; echo n >new; git add new; git commit -qm Second",
    )
    .await;
    // A base that was taken back: `main` goes on from the commit before, without what the base brought.
    let base = work.main_moves("echo b >from-base").await;
    let (dest, _) = work.world.checkout("u").await;
    let (_, _, out) = work.world.pack(&dest, &base, "echo u >u; sed -i s/^9$/nine/ a; git add u; git commit -qam U");
    let (bench, seen) = work.world.take("u", &out.join("work.bundle"), &base).await.unwrap();
    let bare = work.world.path().join("host/o/app.git");
    let onto = sh(
        &work.world.person(),
        &format!(
            "git reset -q --hard HEAD~1; echo o >other; git add other; git commit -qm o; git push -q -f {} HEAD:main; git rev-parse HEAD",
            bare.display()
        ),
    );
    let onto = onto.trim().parse::<Sha>().unwrap();
    work.world.git.mirror(7).await.unwrap().fetch(&work.world.app(), &[main_branch()]).await.unwrap();
    let Rebased::Done(done) = bench.rebase(&seen.head, &base, &onto).await.unwrap() else { panic!() };
    let git = |script: String| sh(&work.world.path().join("u.inspect.git"), &script);
    assert_eq!(git(format!("git ls-tree -r --name-only {done}")), "a\nother\nu\n");
    // Somebody's own commit stays theirs.
    assert_eq!(git(format!("git log -1 --format='%an %cn %P' {done}")), format!("Somebody cloud-agent[bot] {onto}\n"));

    // What `main` has by now is left out, and when it has all of it nothing is left.
    let some = work.main_moves("sed -i s/^2$/two/ a").await;
    let done = work.done(&some).await;
    assert_eq!(work.git(&format!("git log --format=%s {some}..{done}")), "Second\n");
    let all = work.main_moves("echo n >new").await;
    assert_eq!(work.rebase(&all).await, Rebased::Done(all));
}

#[tokio::test]
async fn a_conflict_is_told_and_no_attribute_settles_it() {
    let files = [
        ("a", TEN),
        ("gone", "x\n"),
        ("bin", "b\0\n"),
        (".gitattributes", "* merge=union\n*.x merge=evil\n"),
        ("c.x", "1\n"),
    ];
    let work = work(&files, "for f in a gone bin c.x; do echo agent >>$f; done; echo ours >both").await;
    let evil = "printf '[merge \"evil\"]\\n\\tdriver = touch BENCH/driven; false\\n' >>config; mkdir -p hooks; for h in post-commit post-rewrite reference-transaction; do printf '#!/bin/sh\\ntouch hooked' >hooks/$h; chmod +x hooks/$h; done";
    let bench = work.world.path().join("t.inspect.git");
    work.git(&evil.replace("BENCH", bench.to_str().unwrap()));
    let onto =
        work.main_moves("for f in a bin c.x; do echo person >>$f; done; git rm -q gone; echo theirs >both").await;
    let Rebased::Conflict(paths) = work.rebase(&onto).await else { panic!("no conflict") };
    assert_eq!(names(&paths), ["a", "bin", "both", "c.x", "gone"]);
    assert!(!bench.join("hooked").exists() && !bench.join("driven").exists());
}

#[tokio::test]
async fn what_is_no_line_is_refused() {
    let world = World::new(&[("a", TEN)]).await;
    let agent = "git checkout -q -b x; echo 3 >c; git add c; git commit -qm x; git checkout -q -; git commit -q --allow-empty -m y; git merge -q --no-ff -m m x";
    let (bench, seen) = world.inspect("t", agent).await;
    let onto = world.person_pushes("echo 2 >b");
    world.git.mirror(7).await.unwrap().fetch(&world.app(), &[main_branch()]).await.unwrap();
    assert!(matches!(bench.rebase(&seen.head, &seen.base, &onto).await, Err(GitError::Other(_))));
    assert!(bench.rebase(&seen.head, &onto, &seen.base).await.is_err());
    assert_eq!(bench.rebase(&seen.base, &seen.base, &onto).await, Ok(Rebased::Done(onto.clone())));
    assert!(bench.rebase(&seen.head, &seen.base, &"12".repeat(20).parse().unwrap()).await.is_err());
}

#[tokio::test]
async fn a_patch_can_be_applied_elsewhere() {
    let agent = "echo ü >>a; git mv b c; git commit -qam 'First: größer'; head -c 3000 /dev/urandom >bin; echo '* binary' >.gitattributes; git add -A; git commit -qm Second";
    let work = work(&[("a", TEN), ("b", TEN)], agent).await;
    let patch = work.bench.patch(&work.base, &work.head, 1 << 20).await.unwrap().unwrap();
    assert!(patch.starts_with("From ") && patch.contains("rename from b\n") && patch.contains("+ü\n"), "{patch}");
    assert_eq!(work.bench.patch(&work.base, &work.head, 500).await, Ok(None));
    assert_eq!(work.bench.patch(&work.base, &work.base, 500).await, Ok(Some(String::new())));
    std::fs::write(work.world.path().join("work.patch"), &patch).unwrap();
    sh(&work.world.person(), "git am -q ../work.patch");
    let tree = |sha: &str| format!("git rev-parse {sha}^{{tree}}");
    assert_eq!(sh(&work.world.person(), &tree("HEAD")), work.git(&tree(work.head.as_str())));
    assert_eq!(sh(&work.world.person(), "git log -1 --format='%an %s' HEAD~1"), "cloud-agent[bot] First: größer\n");

    let latin = self::work(&[("a", "1\n")], "printf 'gr\\303\\266\\337er\\n' >a").await;
    assert_eq!(latin.bench.patch(&latin.base, &latin.head, 1 << 20).await, Ok(None));
}
