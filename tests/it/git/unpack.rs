//! The script that puts an agent's work into the working tree of another machine.

use std::path::Path;
use std::process::Command;

use cloud_agent::sandbox::git::UNPACK_SCRIPT;

use super::world::{World, sh};

/// The last word, and the exit code.
fn unpack(world: &World, workspace: &Path, bundle: &Path) -> (String, i32) {
    let script = world.path().join("unpack.sh");
    std::fs::write(&script, UNPACK_SCRIPT).unwrap();
    let mut command = Command::new("/bin/sh");
    command.arg(script).env("WORKSPACE", workspace).env("BUNDLE", bundle).env("MESSAGE", "What was left");
    let done = command.env("GIT_DIR", "/nowhere").output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    (said.lines().last().unwrap_or_default().to_owned(), done.status.code().unwrap())
}

/// What people would see of a tree: its commits since the base, what is not committed, and all files.
fn seen(tree: &Path, base: &str) -> String {
    let files =
        "find . -path ./.git -prune -o -type f -printf '%m %p: ' -exec cat {} \\; -o -type l -printf 'link %p: %l\\n'";
    sh(tree, &format!("git symbolic-ref HEAD; git log --format=%s {base}..; git status --porcelain; {files} | sort"))
}

#[tokio::test]
async fn the_work_is_as_it_was_on_the_other_machine() {
    let world =
        World::new(&[("a", "1\n"), ("b", "2\n"), (".gitignore", "ignored\n"), (".gitattributes", "*.x filter=none\n")])
            .await;
    let cases = [
        "echo new >a; echo n >'new file'; rm b",
        "echo new >a; git commit -qam one; echo newer >a; git commit -qam two",
        "echo new >a; git commit -qam one; echo newer >a; echo '#!/bin/sh' >run; chmod +x run; ln -s a link",
        "git rm -q b; git commit -qm 'b is gone'; mkdir d; echo d >d/e.x",
        "printf 'a\\000b\\n' >binary; git add -f binary; git commit -qm binary; rm a",
    ];
    for (i, agent) in cases.iter().enumerate() {
        let (there, base) = world.checkout(&format!("there{i}")).await;
        let (word, _, out) = world.pack(&there, &base, agent);
        assert_eq!(word, "packed", "{agent}");
        let (here, _) = world.checkout(&format!("here{i}")).await;
        let bundle = out.join("work.bundle");
        assert_eq!(unpack(&world, &here, &bundle), ("unpacked".to_owned(), 0), "{agent}");
        assert_eq!(seen(&here, base.as_str()), seen(&there, base.as_str()), "{agent}");
        assert!(!bundle.exists(), "it does not stay");
    }
}

#[tokio::test]
async fn what_is_no_bundle_leaves_the_tree_alone() {
    let world = World::new(&[("a", "1\n")]).await;
    let (there, base) = world.checkout("there").await;
    let (_, _, out) = world.pack(&there, &base, "seq 9999 >a");
    let whole = std::fs::read(out.join("work.bundle")).unwrap();
    for (i, bytes) in [&b""[..], b"# v2 git bundle\n\nPACK", &whole[..whole.len() - 30]].iter().enumerate() {
        let (here, _) = world.checkout(&format!("here{i}")).await;
        let before = seen(&here, base.as_str());
        let bundle = world.path().join("bad.bundle");
        std::fs::write(&bundle, bytes).unwrap();
        assert_eq!(unpack(&world, &here, &bundle), ("no-bundle".to_owned(), 11), "{i}");
        assert_eq!(seen(&here, base.as_str()), before, "{i}");
    }
    let nowhere = unpack(&world, &world.path().join("none"), &out.join("work.bundle"));
    assert_eq!(nowhere, ("no-workspace".to_owned(), 10));
}
