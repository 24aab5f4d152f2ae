//! What a review reads of a mirror: no tree is checked out, and nothing in one decides what is shown.

use std::time::{Duration, Instant};

use cloud_agent::sandbox::git::*;

use super::world::{World, main_branch, sh};

/// A mirror with `main` as a person left it, and the commit before their last push.
async fn mirror(world: &World) -> Mirror {
    let mirror = world.git.mirror(7).await.unwrap();
    mirror.fetch(&world.app(), &[main_branch()]).await.unwrap();
    mirror
}

fn text(diff: &Diffed) -> String {
    String::from_utf8_lossy(&diff.bytes).into_owned()
}

const TEN: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";

#[tokio::test]
async fn a_diff_is_what_git_shows_and_no_attribute_hides_it() {
    let world = World::new(&[("a", TEN), ("moved", TEN), ("gone", "x\n"), ("ü", "1\n"), ("t", "t\n")]).await;
    let from = sh(&world.person(), "git rev-parse HEAD").trim().parse::<Sha>().unwrap();
    let to = world.person_pushes(
        "sed -i s/^5$/five/ a; git mv moved 'sub dir'; git rm -q gone; echo 2 >>ü; rm t; ln -s /etc/passwd t; \
         printf '* binary -diff\\n*.txt diff=evil filter=evil\\n' >.gitattributes; echo shown >new.txt; printf 'a\\0b' >bin; \
         git init -q s; git -C s commit -q --allow-empty -m s",
    );
    let mirror = mirror(&world).await;
    let diff = mirror.diff(&from, &to, 1 << 20).await.unwrap();
    assert!(!diff.cut);
    let shown = sh(
        &world.person(),
        &format!(
            "git -c core.attributesFile=/dev/null -c core.quotePath=false --attr-source=4b825dc642cb6eb9a060e54bf8d69288fbee4904 diff -M --full-index {from} {to} 2>/dev/null || true"
        ),
    );
    // An old git has no way to say which attributes it should read where there is a tree.
    assert!(shown.is_empty() || shown == text(&diff), "{}", text(&diff));
    assert!(text(&diff).contains("+five\n") && text(&diff).contains("+shown\n") && text(&diff).contains("+++ b/ü\n"));
    assert!(text(&diff).contains("rename from moved\nrename to sub dir\n"));

    // With one of its two names, a rename is shown as a file that came or went.
    let names = [&b"moved"[..], b"sub dir"];
    let some =
        mirror.diff_of(&from, &to, &[names[0], names[1], b":(top)*", b"*", b"-x", b"../x"], 1 << 20).await.unwrap();
    assert_eq!(text(&some).matches("diff --git").count(), 1, "{}", text(&some));
    assert!(text(&some).contains("similarity index 100%"));
    assert_eq!(mirror.diff_of(&from, &to, &[], 1 << 20).await.unwrap().bytes, b"");

    let part = mirror.diff(&from, &to, 300).await.unwrap();
    assert!(part.cut && part.bytes.len() <= 300 && part.bytes.ends_with(b"\n") && diff.bytes.starts_with(&part.bytes));
    let part = mirror.diff_of(&from, &to, &[b"a", b"new.txt"], 300).await.unwrap();
    assert!(part.cut && part.bytes.len() <= 300);
}

#[tokio::test]
async fn files_are_read_by_any_name_and_nothing_else_is() {
    let world = World::new(&[("a", "1\n"), ("d/b", "two\n"), ("same", "1\n"), ("empty", ""), ("-x", "x\n")]).await;
    let sha = world.person_pushes(
        "ln -s d/b link; git init -q s; git -C s commit -q --allow-empty -m s; head -c 5000 /dev/zero >large; echo odd >\"$(printf 'q\\n\\303\\244\\377')\"",
    );
    let mirror = mirror(&world).await;
    let paths: [&[u8]; 16] = [
        b"a",
        b"d/b",
        b"same",
        b"empty",
        b"-x",
        b"q\n\xc3\xa4\xff",
        b"link",
        b"s",
        b"d",
        b"d/",
        b"large",
        b"none",
        b"",
        b"../a",
        b"/etc/passwd",
        b"*",
    ];
    let found = mirror.files(&sha, &paths, 4999).await.unwrap();
    let found = found.iter().map(|it| it.as_deref().map(String::from_utf8_lossy)).collect::<Vec<_>>();
    let want = ["1\n", "two\n", "1\n", "", "x\n", "odd\n"].map(|it| Some(it.into()));
    assert_eq!(found[..6], want);
    assert!(found[6..].iter().all(Option::is_none), "{found:?}");
    assert_eq!(mirror.file(&sha, b"large", 5000).await.unwrap().map(|it| it.len()), Some(5000));
    assert!(mirror.file(&"12".repeat(20).parse().unwrap(), b"a", 10).await.is_err());
}

#[tokio::test]
async fn histories_are_compared() {
    let world = World::new(&[("a", "1\n")]).await;
    let base = world.person_pushes("echo 2 >a");
    let bare = world.path().join("host/o/app.git");
    let side = format!(
        "git checkout -q -b side; echo 3 >b; git add b; git commit -qm s; git push -q {0} side; git rev-parse HEAD; \
         git checkout -q --orphan alone; git commit -qm alone; git push -q {0} alone; git rev-parse HEAD; git checkout -q main",
        bare.display()
    );
    let shas = sh(&world.person(), &side);
    let shas = shas.lines().filter_map(|line| line.parse::<Sha>().ok()).collect::<Vec<_>>();
    let main = world.person_pushes("echo 4 >a");
    let mirror = mirror(&world).await;
    let wants = ["side", "alone"].map(|name| Want::Branch(name.parse().unwrap()));
    assert_eq!(mirror.fetch(&world.app(), &wants).await.unwrap(), shas);
    let [side, alone] = &shas[..] else { panic!("{shas:?}") };
    assert_eq!(mirror.merge_base(&main, side).await.unwrap().as_ref(), Some(&base));
    assert_eq!(mirror.merge_base(&main, alone).await.unwrap(), None);
    assert!(mirror.is_ancestor(&base, side).await.unwrap() && mirror.is_ancestor(side, side).await.unwrap());
    assert!(!mirror.is_ancestor(side, &main).await.unwrap() && !mirror.is_ancestor(alone, &main).await.unwrap());
    assert!(mirror.merge_base(&main, &"12".repeat(20).parse().unwrap()).await.is_err());
}

#[tokio::test]
async fn many_renamed_files_are_no_trouble() {
    let world = World::new(&[("a", "1\n")]).await;
    let write = |name: &dyn Fn(usize) -> String, more: &str| {
        for i in 0..1500 {
            let file = world.person().join(format!("d{}", i % 50)).join(name(i));
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, format!("{i} {}\n", i * 7).repeat(30) + more).unwrap();
        }
    };
    write(&|i| format!("file{i}"), "");
    let from = world.person_pushes("true");
    sh(&world.person(), "rm -r d*");
    write(&|i| format!("{i}.renamed"), "more\n");
    let to = world.person_pushes("true");
    let mirror = mirror(&world).await;
    let began = Instant::now();
    let names = (0..1500).flat_map(|i| [format!("d{}/file{i}", i % 50), format!("d{}/{i}.renamed", i % 50)]);
    let names = names.collect::<Vec<_>>();
    let names = names.iter().map(String::as_bytes).collect::<Vec<_>>();
    assert!(names.len() >= 3000);
    let diff = mirror.diff_of(&from, &to, &names, 64 << 20).await.unwrap();
    println!("{} bytes in {:?}", diff.bytes.len(), began.elapsed());
    assert!(!diff.cut);
    assert_eq!(mirror.files(&to, &names, 1 << 20).await.unwrap().iter().flatten().count(), 1500);
    assert!(mirror.diff(&from, &to, 100_000).await.unwrap().cut);
    // It takes some seconds; a machine that is busy with other tests takes many times that.
    assert!(began.elapsed() < Duration::from_mins(1));
}
