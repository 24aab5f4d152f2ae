//! Class 5: git. What a checkout or an agent leaves of configuration, hooks, filters and odd names, and a host that must run
//! none of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::lab::Lab;
use crate::git::world::{World as GitWorld, sh};
use crate::world::{Database, World};

/// Everything in a repository that git may execute, each leaving a file of its name at a place of the host.
fn plant(place: &Path) -> String {
    let place = place.display();
    format!(
        r#"
mkdir -p .git/hooks .git/info
for hook in pre-commit prepare-commit-msg commit-msg post-commit post-checkout post-merge pre-push pre-rebase post-rewrite \
    reference-transaction post-index-change fsmonitor-watchman update pre-receive post-receive pre-auto-gc; do
    printf '#!/bin/sh\ntouch {place}/hook\n' >.git/hooks/$hook; chmod +x .git/hooks/$hook
done
printf '#!/bin/sh\ntouch {place}/program\nexit 1\n' >.git/program; chmod +x .git/program
git config core.hooksPath .git/hooks
git config diff.external 'touch {place}/external; true'
for name in clean smudge process; do git config filter.evil.$name "touch {place}/$name; cat"; done
git config --unset filter.evil.process
git config diff.evil.textconv 'touch {place}/textconv; cat'
git config merge.evil.driver 'touch {place}/driver; true'
printf '* filter=evil diff=evil merge=evil\n' >.git/info/attributes
git config core.sshCommand 'touch {place}/ssh'
git config core.gitProxy 'touch {place}/proxy'
git config core.askPass .git/program
git config core.editor 'touch {place}/editor'
git config core.pager 'touch {place}/pager'
git config credential.helper '!touch {place}/credential'
git config uploadpack.packObjectsHook 'touch {place}/pack-objects'
git config gc.recentObjectsHook 'touch {place}/recent'
git config alias.status '!touch {place}/alias'
git config gpg.program .git/program
git config protocol.ext.allow always
git config remote.origin.url 'ext::sh -c touch% {place}/ext'
git config 'url.ext::sh -c touch% {place}/instead #.insteadOf' http
git config user.name '$(touch {place}/name)'
git config user.email '`touch {place}/email`@$(touch {place}/email)'
git config extensions.worktreeConfig true
printf '[core]\n\tfsmonitor = "touch {place}/fsmonitor; false"\n' >.git/more
git config include.path more
cp .git/more .git/config.worktree
git config --get include.path >/dev/null && [ -x .git/hooks/pre-push ] || exit 1
"#
    )
}

fn found(place: &Path) -> BTreeSet<String> {
    std::fs::read_dir(place).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

/// CVE-2025-59041 among them: an address of git's configuration that is a command.
#[tokio::test(flavor = "multi_thread")]
async fn class_05_nothing_that_an_agent_leaves_in_git_runs_on_the_host() {
    let mut world = World::on(Database::sqlite()).await;
    let host = tempfile::tempdir().unwrap();
    let stranger = host.path().join("stranger");
    std::fs::create_dir(&stranger).unwrap();
    world.claude_will(&format!("echo more >>README.md\n{}", plant(&stranger)));
    world.start().await;
    let issue = world.issue("The greeting is short", "");
    world.github.comment("alice", &format!("octo/app#{issue}"), "@cloud-agent fix this").await;
    world.settle().await;
    // And once more on what came of it.
    world.claude_will(&format!("echo and more >>README.md\n{}", plant(&stranger)));
    world.github.comment("alice", "octo/app#2", "@cloud-agent go on").await;
    world.settle().await;
    world.github.told();
    let branch = world.github.branches("octo/app").into_iter().find(|it| it != "main").expect("the work was published");
    assert_eq!(found(&stranger), BTreeSet::new());
    let commits = world.github.commits("octo/app", "main", &branch);
    assert_eq!(commits.len(), 2);
    assert!(!format!("{commits:?}").contains("touch"), "{commits:?}");
}

#[tokio::test]
async fn control_05_git_runs_what_an_agent_left_without_our_environment() {
    let lab = Lab::new(&[("README.md", "hello\n")]).await;
    let host = tempfile::tempdir().unwrap();
    let cage = lab.cage(&[]).await;
    cage.sh("git init -q . && git add -A && git commit -qm one && echo more >>README.md").await;
    cage.sh(&plant(host.path())).await;
    let script = "git status >/dev/null; git diff >/dev/null; git add -A; git commit -qm two; git fetch -q origin; \
                  eval \"echo $(git config user.email)\" >/dev/null; true";
    let mut git = Command::new("/bin/sh");
    git.args(["-c", script]).current_dir(lab.workspace()).env_clear().env("PATH", std::env::var("PATH").unwrap());
    // As where the host and its sandboxes are one user.
    git.envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")]);
    let ran = git.output().unwrap();
    let found = found(host.path());
    for what in ["clean", "email", "ext", "external", "fsmonitor", "hook"] {
        assert!(found.contains(what), "{what} in {found:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// Names that some file system or some version of git takes for `.git`, and submodules whose address is an option.
const TRICKS: [(&str, &str); 6] = [
    (".GIT/config", "[core]\n\tfsmonitor = touch pwned\n"),
    (".git\u{200c}/config", "[core]\n\tfsmonitor = touch pwned\n"),
    ("GIT~1/config", "[core]\n\tfsmonitor = touch pwned\n"),
    ("sub/.git /hooks/post-checkout", "#!/bin/sh\ntouch pwned\n"),
    (".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = -u./evil\n"),
    (
        ".gitmodules",
        "[submodule \"../../hooks\"]\n\tpath = x\n\turl = ext::sh -c touch% pwned\n\tupdate = !touch pwned\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn class_05_a_hostile_tree_is_refused_in_words_and_stops_nobody_else() {
    let mut world = World::on(Database::sqlite()).await;
    world.claude_finds("[]");
    world.settings("review: { on: [opened] }\n");
    world.start().await;
    let fork = world.github.fork("mallory", "octo/app");
    for (nth, (path, text)) in TRICKS.iter().enumerate() {
        let branch = format!("trick-{nth}");
        world.github.push_quietly("mallory", &fork, &branch, &[(path, text)], "Change things");
        world.github.open_pull_from_fork("mallory", &fork, &branch, "main", "Change things").await;
    }
    let number = world.pull("honest", &[("app.txt", "one\n")]).await;
    world.settle().await;
    let told = world.github.told().join("\n");
    assert_eq!(world.github.reviews(&format!("octo/app#{number}")).len(), 1, "whoever is honest is looked at");
    let runs = world.github.check_runs("octo/app");
    let refused =
        runs.iter().filter_map(|run| run.summary.as_deref()).filter(|it| it.contains("git refuses what was pushed"));
    assert_eq!(refused.count(), TRICKS.len(), "{runs:#?}");
    // A claim may be lost on a busy machine; a fault of ours would be tried again many times.
    let begun = told.matches("in_progress").count();
    assert!(begun <= 2 * TRICKS.len(), "nothing is tried again and again:\n{told}");
    assert!(runs.iter().all(|run| run.status == "completed"), "and nobody waits for ever");
    // What is fetched once is not thrown away for it.
    assert!(
        !world.data_dir().join("mirrors").read_dir().unwrap().any(|it| it
            .unwrap()
            .path()
            .extension()
            .is_some_and(|it| it == "damaged"))
    );
}

#[tokio::test]
async fn control_05_git_without_its_guards_checks_the_names_out() {
    let world = GitWorld::new(&[("a", "1\n")]).await;
    let (path, text) = TRICKS[1];
    let make = format!(
        "blob=$(printf '{}' | git hash-object -w --stdin); git -c core.protectHFS=false update-index --add --cacheinfo 100644,$blob,'{path}'; \
         git -c core.protectHFS=false commit -qm odd; cd ..; git -c core.protectHFS=false clone -q person other; ls -d other/{}",
        text.escape_default(),
        path.split('/').next().unwrap()
    );
    // On a file system that ignores the invisible character this is `.git`.
    assert_eq!(sh(&world.person(), &make).trim(), "other/.git\u{200c}");
}

/// Filters and large files: a checkout by the product, and by git with a filter that a person has installed.
#[tokio::test]
async fn class_05_no_filter_of_a_checkout_runs() {
    let world =
        GitWorld::new(&[("a.bin", POINTER), (".gitattributes", "*.bin filter=lfs\n"), (".lfsconfig", LFS)]).await;
    let (tree, _) = world.checkout("tree").await;
    assert_eq!(std::fs::read_to_string(tree.join("a.bin")).unwrap(), POINTER);
    assert!(!tree.join("pwned").exists());
}

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
const LFS: &str = "[lfs]\n\turl = http://127.0.0.1:6666/lfs\n";

#[tokio::test]
async fn control_05_a_persons_git_runs_the_filter() {
    let world =
        GitWorld::new(&[("a.bin", POINTER), (".gitattributes", "*.bin filter=lfs\n"), (".lfsconfig", LFS)]).await;
    let script = "git -c filter.lfs.smudge='touch pwned; cat' clone -q person other; ls other pwned person/pwned 2>/dev/null || true";
    let seen = sh(world.path(), script);
    assert!(seen.contains("pwned"), "{seen}");
}
