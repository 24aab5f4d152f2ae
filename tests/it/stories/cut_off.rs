//! A run is cut off in the middle of the agent's work. The next goes on with the same conversation and the same tree, and
//! nothing that was paid for is paid for twice.

use serde_json::{Value, json};
use simulator::Script;
use simulator::model::{bash, text};

use super::findings::APP;
use crate::world::World;

/// An agent that keeps a transcript as Claude Code does, changes something, and never ends.
const BEGINS: &str = r#"
while [ $# -gt 0 ]; do case "$1" in --session-id|--resume) HOW=$1; ID=$2;; esac; shift; done
PLACE=$HOME/.claude/projects/-workspace
if [ "$HOW" = --session-id ]; then
    mkdir -p $PLACE/$ID/tool-results
    echo '{"said":"a teapot"}' > $PLACE/$ID.jsonl
    echo 'a long output' > $PLACE/$ID/tool-results/1.txt
    ln -s /etc/passwd $PLACE/$ID/tool-results/2.txt
    echo 'hello, world' > README.md
    touch WAITS
    read -r INTERRUPTED
    exit 1
fi
"#;

/// Goes on if it is asked to, with what it has from before.
const GOES_ON: &str = r#"
case "$PROMPT" in *"You were interrupted"*) ;; *) exit 1 ;; esac
rm WAITS
cat $PLACE/$ID.jsonl $PLACE/$ID/tool-results/* > BEFORE
"#;

/// Whether some process on this machine was started for this session.
pub fn runs_session(session: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    lines.any(|it| String::from_utf8_lossy(&it).contains(session))
}

/// The session that the task of the first issue works in.
pub async fn session(world: &World) -> String {
    world.last_task(1).await.unwrap().progress.agent.unwrap().session
}

fn has_gone_on(told: &str) {
    assert!(told.contains("README.md: -hello +hello, world"), "{told}");
    assert!(told.contains("a teapot") && told.contains("a long output") && !told.contains("root:"), "{told}");
    assert!(told.contains("### Opened #2"), "{told}");
}

/// Whether a run's working tree has this file.
fn in_the_tree(world: &World, name: &str) -> bool {
    let runs = std::fs::read_dir(world.data_dir().join("runs")).into_iter().flatten().flatten();
    runs.map(|run| run.path().join("workspace").join(name)).any(|path| path.exists())
}

/// Sandboxes that are left in the bot's directory.
pub fn sandboxes(world: &World) -> usize {
    let found = std::fs::read_dir(world.data_dir().join("sandboxes")).into_iter().flatten().flatten();
    found.filter(|it| it.path().join("sandbox.json").exists()).count()
}

stories! {
    async fn what_kill_9_cut_off_goes_on(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will(&format!("{BEGINS}{GOES_ON}"));
        world.start_process().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.claude_is_waiting().await;
        let session = session(&world).await;
        world.kill();

        world.start_process().await;
        world.settle().await;
        has_gone_on(&world.told());
        let steps = world.steps(1).await;
        for step in ["run checkout", "run sandbox", "run agent started", "run resumed", "run answered", "run inspect", "run branch", "run pull_request", "run ended", "run told"] {
            assert!(steps.iter().any(|it| it.starts_with(step)), "{step} is missing: {steps:#?}");
        }
        assert!(!runs_session(&session));
        world.wait_for("no sandbox to be left", async || sandboxes(&world) == 0).await;
    }

    async fn what_a_deploy_cut_off_goes_on(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will(&format!("{BEGINS}{GOES_ON}"));
        world.start_process().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.claude_is_waiting().await;
        let session = session(&world).await;
        world.stop().await;
        assert!(!runs_session(&session));

        world.start_process().await;
        world.settle().await;
        has_gone_on(&world.told());
        world.wait_for("no sandbox to be left", async || sandboxes(&world) == 0).await;
    }

    async fn after_a_second_crash_the_work_begins_anew(database: Database) {
        let mut world = World::on(database).await;
        world.claude_plays(&format!("{BEGINS}rm WAITS; touch AGAIN; while :; do sleep 0.1; done"));
        world.start_process().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.claude_is_waiting().await;
        world.kill();
        world.start_process().await;
        world.wait_for("the agent to go on", async || in_the_tree(&world, "AGAIN")).await;
        world.kill();

        world.claude_will("[ ! -e AGAIN ] || exit 1; echo 'good day' > README.md");
        world.start_process().await;
        world.settle().await;
        let told = world.told();
        assert!(told.contains("README.md: -hello +good day"), "{told}");
    }

    async fn the_real_claude_goes_on_after_kill_9(database: Database) {
        let mut world = World::on(database).await;
        world.claude_is_real();
        world.model.next(Script::steps(vec![
            vec![text("The greeting is a teapot."), bash("echo 'hello, world' > README.md; seq 20000 | sed s/^/number-/")],
            vec![bash("touch WAITS; while :; do sleep 0.1; done")],
        ]));
        world.start_process().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.claude_is_waiting().await;
        let session = session(&world).await;
        world.kill();

        let answer = json!({ "title": "Greet the world", "summary": "s", "details": "", "verification": "", "changed": true });
        world.model.next(Script::runs("rm WAITS", answer));
        world.start_process().await;
        world.settle().await;

        let told = world.told();
        assert!(told.contains("README.md: -hello +hello, world") && told.contains("### Opened #2"), "{told}");
        let asked = |it: &Value| it["messages"].to_string().contains("You were interrupted");
        let first = world.model.requests().into_iter().find(asked).expect("the model is told that it was interrupted");
        let before = first["messages"].to_string();
        for words in ["fix this", "The greeting is a teapot.", "number-1"] {
            assert!(before.contains(words), "the conversation lacks {words:?}: {before}");
        }
        assert!(!runs_session(&session));
    }

    async fn a_review_pays_for_no_answer_twice(database: Database) {
        let mut world = World::on(database).await;
        let finding = r#"[{"path":"app.txt","line":3,"side":"RIGHT","severity":"high","category":"correctness","title":"Two","reasoning":"No.","confidence":90}]"#;
        world.claude_finds(finding);
        let finds = std::fs::read_to_string(world.data_dir().with_file_name("claude")).unwrap();
        let hangs = r#"case "$PROMPT" in *"Another reviewer has found"*) touch WAITS; while :; do sleep 0.1; done ;; esac"#;
        world.claude_plays(&format!("{hangs}\n{}", finds.splitn(4, '\n').nth(3).unwrap()));
        world.settings("review: { on: [opened] }\n");
        world.start_process().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.claude_is_waiting().await;
        world.kill();

        world.claude_finds(finding);
        world.start_process().await;
        world.settle().await;
        let told = world.told();
        assert!(told.contains("### 1 finding, 1 serious"), "{told}");
        let steps = world.steps(1).await;
        // What was said in the last moment before the end may not be in the log; what came after it is.
        let since = steps.iter().rposition(|it| it.starts_with("run checkout")).unwrap();
        let count = |what: &str| steps[since..].iter().filter(|it| it.starts_with(what)).count();
        assert_eq!((count("run answered before"), count("init")), (1, 1), "only the second look is asked: {steps:#?}");
    }
}
