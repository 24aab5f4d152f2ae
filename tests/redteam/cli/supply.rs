//! Class 23: the agent's program is exchanged or brought up to date by somebody else than the operator.

use std::os::unix::fs::PermissionsExt as _;

use cloud_agent::agent::locate;
use sha2::{Digest as _, Sha256};

use super::lab::{Lab, reviewed, shell, world};
use crate::world::{Database, World, real_claude};

/// What an exchanged program would say.
const EXCHANGED: &str =
    r#"{"title":"Exchanged","summary":"This is another program.","details":"","verification":"","changed":true}"#;

/// A bot whose program is exchanged after it has started.
async fn exchanged(pin: bool) -> World {
    let mut world = World::on(Database::sqlite()).await;
    world.claude_will("echo more >>README.md");
    let program = std::fs::read(world.data_dir().with_file_name("claude")).unwrap();
    if pin {
        world.set("CLAUDE_SHA256", &hex::encode(Sha256::digest(program)));
    }
    world.start().await;
    world.issue("The greeting is short", "");
    world.claude_says("echo more >>README.md", EXCHANGED);
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn class_23_another_program_than_the_pinned_one_is_not_started() {
    let world = exchanged(true).await;
    let waits =
        async || world.last_task(1).await.and_then(|task| task.waiting.on).is_some_and(|on| on.name() == "host");
    world.wait_for("the task to wait for this machine", waits).await;
    let steps = world.steps(1).await.join("\n");
    assert!(!steps.contains("init"), "nothing has begun: {steps}");
    world.github.comment("alice", "octo/app#1", "@cloud-agent stop").await;
    world.settle().await;
    let told = world.told();
    assert!(!told.contains("another program"), "{told}");
    assert_eq!(world.github.branches("octo/app"), ["main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_23_without_a_pin_it_is() {
    let world = exchanged(false).await;
    world.settle().await;
    assert!(world.told().contains("This is another program."));
}

/// A bot with a Claude Code that differs from the published one in a byte that nobody reads.
async fn nearly_published() -> (World, String) {
    let mut world = World::on(Database::sqlite()).await;
    let mut program = std::fs::read(real_claude()).unwrap();
    // Padding of the header.
    program[15] ^= 1;
    let path = world.data_dir().with_file_name("nearly");
    std::fs::write(&path, &program).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.set("CLAUDE_BIN", path.to_str().unwrap());
    (world, hex::encode(Sha256::digest(program)))
}

#[tokio::test(flavor = "multi_thread")]
async fn class_23_what_says_it_is_the_tested_version_has_its_digest() {
    let (mut world, digest) = nearly_published().await;
    let (code, text) = world.command("doctor").await;
    assert!(code == Some(1) && text.contains(&format!("its digest {digest} is none of that version")), "{text}");
    world.start().await;
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    let waits =
        async || world.last_task(1).await.and_then(|task| task.waiting.on).is_some_and(|on| on.name() == "host");
    world.wait_for("the task to wait for this machine", waits).await;
    let steps = world.steps(1).await.join("\n");
    assert!(!steps.contains("agent"), "nothing has begun: {steps}");
    world.github.comment("alice", "octo/app#1", "@cloud-agent stop").await;
    world.settle().await;
    world.told();
}

#[tokio::test(flavor = "multi_thread")]
async fn control_23_it_runs_where_the_operator_says_so() {
    let (mut world, digest) = nearly_published().await;
    world.set("CLAUDE_SHA256", &digest);
    let (code, text) = world.command("doctor").await;
    assert!(code == Some(0) && text.contains("runs in the sandbox"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn class_23_nothing_in_a_run_brings_the_program_up_to_date() {
    let before = locate(&real_claude(), None).unwrap().digest().unwrap();
    let mut world = world().await;
    let acts = [
        "(echo x >>/opt/claude/claude; rm -f /opt/claude/claude; mv /opt/claude/claude /opt/claude/old; mv /opt/claude /opt/old; \
         cp /bin/true /opt/claude/claude; mount --bind /bin/true /opt/claude/claude) 2>&1 | grep -v '^$'",
        "timeout 60 /opt/claude/claude update 2>&1 | tail -n 3; ls ~/.local/bin 2>&1",
    ];
    let seen = reviewed(&mut world, &[("app.txt", "one\n")], shell(&acts)).await;
    assert!(seen.results[0].lines().count() >= 5, "all of it was refused: {}", seen.results[0]);
    assert!(seen.results[1].contains("refused the connection"), "{}", seen.results[1]);
    let summary = world.github.check_runs("octo/app").pop().unwrap().summary.unwrap();
    assert!(summary.contains("Connections that the sandbox was refused"), "people are told: {summary}");
    // Another inode or another time of change would be another digest to look at.
    assert_eq!(locate(&real_claude(), None).unwrap().digest().unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn class_23_the_program_asks_nobody_but_the_model() {
    let lab = Lab::new(&[]).await;
    let cage = lab.cage(&[]).await;
    let seen = cage.claude(&lab, shell(&["true"]), |_| {}).await;
    assert!(!seen.requests.is_empty());
    assert_eq!(cage.gate.blocked().into_keys().collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_23_left_to_itself_it_asks_its_maker() {
    let lab = Lab::new(&[]).await;
    let cage = lab.cage(&[]).await;
    cage.claude(&lab, shell(&["true"]), |exec| {
        for name in ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER"] {
            exec.env.remove(name).expect("the product sets it");
        }
    })
    .await;
    let asked = cage.gate.blocked();
    assert!(asked.keys().any(|host| host.ends_with("anthropic.com:443")), "{asked:?}");
}
