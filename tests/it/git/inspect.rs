//! What is taken of a bundle, and what of it is seen.

use std::path::Path;

use cloud_agent::sandbox::git::*;

use super::world::{World, sh};

#[tokio::test]
async fn everything_an_agent_did_is_seen() {
    let world = World::new(&[("a", "1\n2\n3\n"), ("gone", "x\n"), ("type", "t")]).await;
    let agent = "echo 4 >>a; git rm -q gone; git commit -qam 'First

why'; head -c 100000 /dev/zero >bin; ln -s a link; chmod +x type; printf 'tab' >\"$(printf 'p\\tq\\377')\"; echo '*.txt binary' >.gitattributes; echo shown >s.txt; git add -A; git commit -qm Second";
    let (_, seen) = world.inspect("t", agent).await;
    assert!(seen.descends && seen.cut == Cut::default());
    assert_eq!(seen.commits.iter().map(|c| c.message.as_str()).collect::<Vec<_>>(), ["First\n\nwhy\n", "Second\n"]);
    assert_eq!(seen.commits[1].parents, [seen.commits[0].sha.clone()]);
    assert_eq!(seen.commits[1].sha, seen.head);
    let rows = seen.files.iter().map(|c| {
        let (path, to) = (c.path.escape_ascii().to_string(), c.target.as_ref().map(|t| t.escape_ascii().to_string()));
        format!(
            "{path} {:?} {:o}>{:o} {} +{}-{}{} {to:?}",
            c.status,
            c.old_mode,
            c.new_mode,
            c.size,
            c.added,
            c.deleted,
            if c.binary { " bin" } else { "" }
        )
    });
    insta::assert_snapshot!(rows.collect::<Vec<_>>().join("\n"), @r#"
    .gitattributes Added 0>100644 13 +1-0 None
    a Modified 100644>100644 8 +1-0 None
    bin Added 0>100644 100000 +0-0 bin None
    gone Deleted 100644>0 0 +0-1 None
    link Added 0>120000 1 +1-0 Some("a")
    p\tq\xff Added 0>100644 3 +1-0 None
    s.txt Added 0>100644 6 +1-0 None
    type Modified 100644>100755 1 +0-0 None
    "#);
    assert_eq!(seen.total_bytes, 100_032);
    // Its own attributes do not hide the text.
    assert!(seen.diff.contains("+shown") && seen.diff.contains("+4\n"), "{}", seen.diff);
    let odd = HeldBack::OddPath { path: b"p\tq\xff".to_vec(), why: "it holds control characters" };
    let attributes = HeldBack::GitSettings(b".gitattributes".to_vec());
    let binary = HeldBack::Binary(b"bin".to_vec());
    assert_eq!(judge(&seen, &Policy::default()), [attributes, binary, odd]);
}

#[tokio::test]
async fn what_is_only_on_the_way_is_seen_too() {
    let world = World::new(&[("a", "1\n")]).await;
    let agent = "mkdir -p .github/workflows; echo 'key: s3cret' >.github/workflows/x.yml; git add -A; git commit -qm 1; \
                 git rm -qr .github; echo 2 >a; git add -A; git commit -qm 2";
    let (_, seen) = world.inspect("t", agent).await;
    assert!(!seen.diff.contains("s3cret") && seen.passing_diff.contains("+key: s3cret"));
    let way = HeldBack::InHistory(Box::new(HeldBack::Workflow(b".github/workflows/x.yml".to_vec())));
    let found = judge(&seen, &Policy::default());
    assert_eq!(found, [way]);
    assert!(found[0].is_cured_by_squash());
}

#[tokio::test]
async fn history_that_is_not_a_line_on_the_base_is_told() {
    let world = World::new(&[("a", "1\n")]).await;
    world.person_pushes("echo 2 >b");
    let merge = "git checkout -q -b x HEAD~1; echo 3 >c; git add c; git commit -qm x; git checkout -q -; git merge -q --no-ff -m merged x";
    let (_, seen) = world.inspect("t1", merge).await;
    assert_eq!(judge(&seen, &Policy::default()), [HeldBack::Merge]);
    let (_, seen) = world.inspect("t2", "git reset -q --hard HEAD~1; echo 3 >c; git add c; git commit -qm x").await;
    assert_eq!(judge(&seen, &Policy::default()), [HeldBack::NotDescending]);
    let (_, seen) =
        world.inspect("t3", "git init -q sub; git -C sub commit -q --allow-empty -m s; ln -s /etc/passwd p").await;
    let link = HeldBack::Symlink { path: "p".into(), target: "/etc/passwd".into() };
    assert_eq!(judge(&seen, &Policy::default()), [link, HeldBack::Submodule("sub".into())]);
}

#[tokio::test]
async fn a_hostile_bundle_is_refused() {
    let world = World::new(&[("a", "1\n")]).await;
    let (tree, base) = world.checkout("t").await;
    world.pack(&tree, &base, "echo 2 >a; git commit -qam x; head -c 300000 /dev/urandom >r");
    let tree_with = |name: &str, entry: &str| {
        let script = format!(
            "b=$(git hash-object -w --stdin </dev/null); o=$(echo $b | sed 's/../\\\\\\\\x&/g'); \
             t=$(env printf \"{entry}\\0$(echo $b | sed 's/../\\\\x&/g')\" | git hash-object -t tree -w --stdin --literally); \
             git update-ref refs/heads/{name} $(git commit-tree -p {base} -m x $t); git bundle create -q ../{name}.bundle {name} ^{base}"
        );
        sh(&tree, &script);
    };
    for (name, entry) in
        [("dotgit", "100644 .git"), ("dots", "100644 .."), ("slash", "100644 a/b"), ("ntfs", "100644 GIT~1")]
    {
        tree_with(name, entry);
    }
    sh(
        &tree,
        &format!(
            "git bundle create -q ../two.bundle cloud-agent/work dotgit ^{base}; git bundle create -q ../blob.bundle cloud-agent/work ^{base}"
        ),
    );
    let dir = world.path();
    sh(
        dir,
        &format!(
            "cp t.out/work.bundle good.bundle; size=$(wc -c <good.bundle); head -c $((size-3000)) good.bundle >short.bundle; \
        cp good.bundle flipped.bundle; printf XXXX | dd of=flipped.bundle bs=1 seek=$((size-5000)) conv=notrunc 2>/dev/null; \
        ln -s good.bundle link.bundle; mkfifo pipe.bundle; mkdir dir.bundle; : >empty.bundle; \
        blob=$(echo 1 | git hash-object --stdin); sed \"1,/^$/s/^[0-9a-f]\\{{40\\}} /$blob /\" good.bundle >blob.bundle; \
        sed '1,/^$/s/^[0-9a-f]\\{{40\\}} /{} /' good.bundle >missing.bundle",
            "12".repeat(20)
        ),
    );
    let take = async |name: &str| world.take(name, Path::new(&dir.join(format!("{name}.bundle"))), &base).await;
    let names = [
        "dotgit", "dots", "slash", "ntfs", "two", "short", "flipped", "link", "pipe", "dir", "empty", "none", "blob",
        "missing",
    ];
    for name in names {
        match take(name).await {
            Err(GitError::Bundle(why)) => println!("{name}: {why}"),
            other => panic!("{name}: {:?}", other.map(|(_, seen)| seen)),
        }
    }
    assert!(take("good").await.is_ok());
    let bench = Workbench::make(&world.git.mirror(7).await.unwrap(), &dir.join("small.git")).await.unwrap();
    let small = Caps { bundle_bytes: 100_000, ..Caps::default() };
    assert!(matches!(bench.take(&dir.join("good.bundle"), &small).await, Err(GitError::Bundle(_))));
}

#[tokio::test]
async fn a_bomb_does_not_fill_the_memory() {
    let world = World::new(&[("a", "1\n")]).await;
    // Sixty megabytes of zeros in some dozen kilobytes, and a text of as many lines as fit.
    let (bench, seen) = world
        .inspect("t", "head -c 60000000 /dev/zero >zeros; yes | head -c 12000000 >lines; git add -A; git commit -qm x")
        .await;
    let sizes = seen.files.iter().map(|c| c.size).collect::<Vec<_>>();
    assert_eq!(sizes, [12_000_000, 60_000_000]);
    assert!(seen.cut.diff && seen.diff.len() <= Caps::default().diff_bytes);
    let found = judge(&seen, &Policy::default());
    assert!(
        found.contains(&HeldBack::LargeFile { path: "zeros".into(), bytes: 60_000_000 })
            && found.contains(&HeldBack::TooLarge(72_000_000))
    );
    // With hardly any memory, git ends and we don't.
    let poor = Caps { memory_bytes: 24 << 20, ..Caps::default() };
    assert!(bench.take(&world.path().join("t.out/work.bundle"), &poor).await.is_err());
}
