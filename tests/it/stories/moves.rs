//! Two machines on one PostgreSQL, and a task that has to go from one to the other: what it knew and what it did go with it.

use serde_json::{Value, json};
use simulator::Script;
use simulator::github::Fault;
use simulator::model::{bash, text, tool};
use tokio::net::TcpStream;

use crate::world::{Database, Hand, World};

/// Two machines, the first of which listens.
async fn machines() -> (World, Hand, Hand) {
    let mut world = World::on(Database::postgres()).await;
    // Long enough to be seen to be short.
    world.set("HANDOVER", "1s");
    let (here, there) = (world.hand("serve", "here"), world.hand("work", "there"));
    (world, here, there)
}

async fn asked(world: &World, here: &mut Hand) {
    here.start(world);
    world.wait_for("the first to listen", async || TcpStream::connect(here.address()).await.is_ok()).await;
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
}

async fn waits_for(world: &World, what: &str) {
    world
        .wait_for("the task to wait", async || {
            let waiting = world.last_task(1).await.map(|task| task.waiting).unwrap_or_default();
            waiting.on.is_some_and(|on| on.name() == what) && waiting.until.is_some()
        })
        .await;
}

/// The machine is gone, and its disk with it.
async fn goes(world: &World, here: &mut Hand) {
    here.kill();
    here.lose_disk();
    assert_eq!(world.sql("select count(*) from job where queue = 'task' and home <> ''").await, 1);
}

fn answer() -> Value {
    json!({ "title": "Greet the world", "summary": "s", "details": "", "verification": "", "changed": true })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_goes_on_on_another_machine_and_nothing_is_paid_for_twice() {
    let (mut world, mut here, mut there) = machines().await;
    world.claude_is_real();
    let overloaded = Script::error(529, "overloaded_error", "Overloaded", &[("x-should-retry", "false")]);
    let works =
        "echo 'hello, world' > README.md && git add -A && git commit -qm 'Greet the world' && echo draft > NOTES";
    let begins = Script::steps(vec![vec![text("The greeting is a teapot."), bash(works)]]);
    world.model.next(Script::first(1, begins, overloaded.clone()));
    world.model.will(overloaded);
    asked(&world, &mut here).await;
    waits_for(&world, "model").await;
    goes(&world, &mut here).await;
    let before = world.last_task(1).await.unwrap();
    assert!(before.spent_micros > 0);

    let goes_on = "[ \"$(git log -1 --format=%s)\" = 'Greet the world' ] && git status --porcelain | grep -q '^?? NOTES$' && \
                   mv NOTES NOTES.txt";
    world.model.reset();
    // Whether what came before the prompt counts as its first step is Claude Code's affair: it may send both as one message.
    let steps =
        vec![vec![bash(goes_on)], vec![bash(goes_on)], vec![tool("StructuredOutput", answer())], vec![text("Done.")]];
    world.model.will(Script::steps(steps));
    there.start(&world);
    world.settle().await;

    let told = world.told();
    assert!(told.contains("README.md: -hello +hello, world") && told.contains("### Opened #2"), "{told}");
    assert!(told.contains("NOTES.txt: +draft"), "what was not committed came along, and still was not: {told}");
    let first = world.model.requests()[0]["messages"].to_string();
    for words in ["fix this", "The greeting is a teapot.", "You were interrupted", "carried to another machine"] {
        assert!(first.contains(words), "the first request lacks {words:?}: {first}");
    }
    let task = world.last_task(1).await.unwrap();
    assert!(task.spent_micros > before.spent_micros, "{} and {}", before.spent_micros, task.spent_micros);
    assert_eq!(world.sql("select count(*) from kept_piece").await, 0, "nothing is left of it");
}

/// Keeps a transcript as Claude Code does, of whichever session it is told to go on with.
const REMEMBERS: &str = r#"
while [ $# -gt 0 ]; do case "$1" in --session-id|--resume) HOW=$1; ID=$2;; esac; shift; done
PLACE=$HOME/.claude/projects/-workspace
mkdir -p $PLACE
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_takes_the_machine_away_loses_no_work() {
    let (mut world, mut here, mut there) = machines().await;
    let begins = r#"
if [ "$HOW" = --session-id ]; then
    echo '{"said":"a teapot"}' > $PLACE/$ID.jsonl
    echo node_modules > .gitignore; mkdir node_modules; touch node_modules/large
    rm README.md; printf 'a\000b' > binary; chmod 755 binary; touch WAITS
    read -r INTERRUPTED
    exit 1
fi
"#;
    let goes_on = r#"
case "$PROMPT" in *"You were interrupted"*"another machine"*) ;; *) exit 1 ;; esac
[ ! -e README.md ] && [ ! -e node_modules ] && [ -x binary ] && [ "$(od -An -c binary | tr -d ' ')" = 'a\0b' ] || exit 1
rm WAITS binary
cat $PLACE/$ID.jsonl > README.md
"#;
    world.claude_will(&format!("{REMEMBERS}{begins}{goes_on}"));
    asked(&world, &mut here).await;
    world.wait_for("the agent to work", async || here.has_in_a_tree("WAITS")).await;
    here.stop().await;
    here.lose_disk();

    there.start(&world);
    world.settle().await;
    let told = world.told();
    assert!(told.contains("a teapot") && told.contains(".gitignore: +node_modules"), "{told}");
    assert!(told.contains("### Opened #2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_work_is_published_by_another_machine() {
    let (mut world, mut here, mut there) = machines().await;
    world.claude_will("echo 'hello, world' > README.md");
    world.github.faults().on("POST", "/{o}/{r}/git-receive-pack").times(usize::MAX).answer(Fault::Status(502));
    asked(&world, &mut here).await;
    waits_for(&world, "git").await;
    goes(&world, &mut here).await;
    let made = world.last_task(1).await.unwrap().progress.work.unwrap().head;

    world.github.no_more_faults();
    world.claude_will("echo 'good day' > README.md");
    there.start(&world);
    world.settle().await;
    let told = world.told();
    assert!(told.contains("README.md: -hello +hello, world") && !told.contains("good day"), "{told}");
    assert!(told.contains("### Opened #2"), "{told}");
    let work = world.last_task(1).await.unwrap().progress.work.unwrap();
    assert_eq!(work.head, made, "the very same commits");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_too_large_to_be_carried_is_begun_anew() {
    let (mut world, mut here, mut there) = machines().await;
    world.claude_is_real();
    let overloaded = Script::error(529, "overloaded_error", "Overloaded", &[("x-should-retry", "false")]);
    let begins = Script::steps(vec![vec![text("I make some noise."), bash("head -c 30000000 /dev/urandom > noise")]]);
    world.model.next(Script::first(1, begins, overloaded.clone()));
    world.model.will(overloaded);
    asked(&world, &mut here).await;
    waits_for(&world, "model").await;
    goes(&world, &mut here).await;
    assert!(world.log().contains("Nothing is put aside: the work has more than 24 MB"), "{}", world.log());

    world.claude_will("[ ! -e noise ] || exit 1; echo 'good day' > README.md");
    there.start(&world);
    world.settle().await;
    let told = world.told();
    assert!(told.contains("README.md: -hello +good day") && told.contains("### Opened #2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_goes_on_with_what_it_has_while_another_one_is_idle() {
    let (mut world, mut here, mut there) = machines().await;
    world.set("HANDOVER", "10m");
    world.claude_will("echo 'hello, world' > README.md");
    world.github.faults().on("POST", "/{o}/{r}/git-receive-pack").times(usize::MAX).answer(Fault::Status(502));
    asked(&world, &mut here).await;
    waits_for(&world, "git").await;
    there.start(&world);
    let tries = || world.github.journal().iter().filter(|it| it.path.ends_with("/git-receive-pack")).count();
    let before = tries();
    world.wait_for("it to be tried again", async || tries() > before).await;
    world.github.no_more_faults();
    world.settle().await;
    let told = world.told();
    assert!(told.contains("### Opened #2"), "{told}");
    let steps = world.steps(1).await;
    assert!(!steps.iter().any(|it| it.contains("resumed")), "it never left its machine: {steps:#?}");
}
