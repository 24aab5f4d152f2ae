//! Sessions of the real Claude Code, carried from one sandbox to the next. Needs bubblewrap and the pinned CLI.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloud_agent::agent::command::{PULL_SCHEMA, transcript};
use cloud_agent::agent::{
    Finished, Grace, Invocation, Line, Outcome, Session, ThreadAnswer, Tools, Turn, Why, locate, run, session_in,
    session_out,
};
use cloud_agent::gateway::{Gate, Gateway, GatewaySettings, RunTerms};
use cloud_agent::sandbox::local::Local;
use cloud_agent::sandbox::{Exec, Limits, Provider as _, Sandbox, Spec};
use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::model::{bash, text, tool};
use simulator::{Model, Script};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::real_claude;

struct Scene {
    model: Model,
    dir: TempDir,
    local: Local,
    lifetime: Duration,
}

/// A sandbox with Claude Code in it.
struct Cage {
    sandbox: Arc<dyn Sandbox>,
    gate: Gate,
}

const CAP: u64 = 4 << 20;

impl Scene {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let local = Local::new(&dir.path().join("sandboxes"), "test".to_owned()).unwrap();
        Self { model: Model::start().await, dir, local, lifetime: Duration::from_mins(2) }
    }

    /// A fresh one: another home, another working tree.
    async fn cage(&self, budget_micros: i64) -> Cage {
        let key = Uuid::new_v4().to_string();
        let workspace = self.dir.path().join(&key);
        std::fs::create_dir(&workspace).unwrap();
        let api_key = Some(SecretString::from(self.model.api_key()));
        let gateway = Gateway::new(GatewaySettings::new(self.model.url().parse().unwrap(), api_key)).unwrap();
        let terms = RunTerms {
            run: key.clone(),
            budget_micros,
            spent_micros: 0,
            allowed_models: None,
            egress: Vec::new(),
            api_key: None,
        };
        let gate = gateway.open(terms).unwrap();
        let spec = Spec {
            labels: BTreeMap::from([("app".to_owned(), "cloud-agent".to_owned())]),
            limits: Limits { lifetime: self.lifetime, memory_bytes: 2 << 30, processes: 128, disk_bytes: 512 << 20 },
            workspace,
            objects: Vec::new(),
            read_only: locate(&real_claude(), None).unwrap().read_only,
            doors: gate.doors(),
            git_identity: None,
        };
        let reference = self.local.create(&spec, &key).await.unwrap();
        Cage { sandbox: self.local.open(&reference).await.unwrap(), gate }
    }

    /// The first request to the model that has this prompt in it.
    fn request_with(&self, prompt: &str) -> Value {
        let found = self.model.requests().into_iter().find(|it| it["messages"].to_string().contains(prompt));
        found.unwrap_or_else(|| panic!("the model was never told: {prompt}"))
    }
}

impl Cage {
    async fn ask(&self, session: Session, prompt: &str, tools: Tools, cancel: CancellationToken) -> Finished {
        let invocation = Invocation {
            session,
            model: None,
            max_turns: 20,
            budget_micros: 10_000_000,
            system_prompt: None,
            tools,
            schema: PULL_SCHEMA.to_owned(),
            env: self.gate.env(),
        };
        let turn = Turn {
            exec: invocation.exec(),
            prompt: prompt.to_owned(),
            time: Duration::from_mins(1),
            gate: self.gate.clone(),
            grace: Grace { budget: Duration::from_millis(50), ..Grace::default() },
        };
        // Who cancels does so when a command runs.
        let ending = cancel.clone();
        let on_line = |line| {
            if matches!(line, Line::Tool { ref brief, .. } if brief.contains("wait-for-ever")) {
                ending.cancel();
            }
        };
        run(&*self.sandbox, turn, cancel, on_line).await.unwrap()
    }

    async fn go(&self, session: Session, prompt: &str) -> Finished {
        self.ask(session, prompt, Tools::All, CancellationToken::new()).await
    }

    async fn sh(&self, script: &str) -> String {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        cloud_agent::agent::binary::run_in(&*self.sandbox, Exec { argv, ..Exec::default() }).await.unwrap().stdout
    }

    async fn out(&self, session: Uuid, cap: u64) -> Option<Bytes> {
        session_out(&*self.sandbox, session, cap).await.unwrap()
    }

    async fn take(&self, session: Uuid, kept: Bytes) -> bool {
        session_in(&*self.sandbox, session, kept).await.unwrap()
    }
}

fn answer(summary: &str) -> Value {
    let threads = json!([{"id": "t1", "reply": "Done.", "settled": true}]);
    json!({"title": "t", "summary": summary, "details": "", "verification": "", "changed": false, "threads": threads})
}

fn summary(finished: &Finished) -> &str {
    match &finished.outcome {
        Outcome::Answered(answer) => &answer.summary,
        stopped @ Outcome::Stopped(_) => panic!("{stopped:?} {}", finished.stderr),
    }
}

fn lost(finished: &Finished) {
    assert_eq!(finished.outcome, Outcome::Stopped(Why::SessionLost), "{}", finished.stderr);
}

#[tokio::test]
async fn a_session_goes_on_in_another_sandbox() {
    let scene = Scene::new().await;
    let session = Uuid::new_v4();
    scene.model.next(Script::steps(vec![
        vec![text("I look around."), bash("seq 100000 | sed s/^/number-/")],
        vec![tool("StructuredOutput", answer("It was the comma."))],
        vec![text("Done.")],
    ]));
    let first = scene.cage(10_000_000).await;
    let finished = first.go(Session::New(session), "What is wrong with the teapot?").await;
    assert_eq!(summary(&finished), "It was the comma.");
    let Outcome::Answered(said) = &finished.outcome else { panic!() };
    assert_eq!(said.threads, [ThreadAnswer { id: "t1".into(), reply: "Done.".into(), settled: true }]);
    assert_eq!(said.structured, Some(answer("It was the comma.")));
    let kept = first.out(session, CAP).await.unwrap();
    println!("{} bytes are kept", kept.len());
    assert_eq!(first.sh("ls /home/agent/.claude/projects/-workspace/*/tool-results | wc -l").await, "1\n");
    assert_eq!(first.out(session, 1000).await, None);
    drop(first);

    let second = scene.cage(10_000_000).await;
    assert!(second.take(session, kept.clone()).await);
    let tree =
        "cd /home/agent; find . -type f | sed 's/[0-9a-z-]*.jsonl/ID.jsonl/; s/[0-9a-z-]*.tool-results.*/ID/' | sort";
    assert_eq!(second.sh(tree).await, "./.claude/projects/-workspace/ID\n./.claude/projects/-workspace/ID.jsonl\n");
    scene.model.next(Script::runs("true", answer("And the spout.")));
    let finished = second.go(Session::Resume(session), "And what else?").await;
    assert_eq!(summary(&finished), "And the spout.");
    assert_eq!(finished.session_id, Some(session.to_string()));
    let messages = scene.request_with("And what else?")["messages"].to_string();
    for words in ["the teapot?", "I look around.", "number-1", "It was the comma."] {
        assert!(messages.contains(words), "{words}");
    }
    let again = second.out(session, CAP).await.unwrap();

    // A third, which has only the transcript, as when the sandbox had ended before it could pack.
    let third = scene.cage(10_000_000).await;
    assert!(third.take(session, again).await);
    let file = transcript(session);
    let plain = third.sandbox.get(&file, CAP).await.unwrap();
    let fourth = scene.cage(10_000_000).await;
    // Its writer was killed in the middle of a line.
    assert!(fourth.take(session, plain.slice(..plain.len() - 40)).await);
    scene.model.next(Script::runs("true", answer("That is all.")));
    let finished = fourth.go(Session::Resume(session), "Is that all?").await;
    assert_eq!(summary(&finished), "That is all.");
    assert!(scene.request_with("Is that all?")["messages"].to_string().contains("And the spout."));
}

#[tokio::test]
async fn a_session_that_was_ended_goes_on_too() {
    let scene = Scene::new().await;
    let (session, cancel) = (Uuid::new_v4(), CancellationToken::new());
    scene.model.next(Script::steps(vec![
        vec![text("I found the leak."), bash("echo one")],
        vec![bash("tail -f /dev/null # wait-for-ever")],
    ]));
    let first = scene.cage(10_000_000).await;
    let finished = first.ask(Session::New(session), "Find the leak", Tools::All, cancel).await;
    assert_eq!(finished.outcome, Outcome::Stopped(Why::Cancelled));
    let kept = first.out(session, CAP).await.unwrap();

    // With a budget that one answer uses up.
    scene.model.next(Script::expensive(2_000));
    let second = scene.cage(1000).await;
    assert!(second.take(session, kept).await);
    let finished = second.go(Session::Resume(session), "Go on with it").await;
    assert_eq!(finished.outcome, Outcome::Stopped(Why::Budget));
    let kept = second.out(session, CAP).await.unwrap();

    scene.model.next(Script::runs("true", answer("Sealed.")));
    let third = scene.cage(10_000_000).await;
    assert!(third.take(session, kept).await);
    assert_eq!(summary(&third.go(Session::Resume(session), "Here is more money").await), "Sealed.");
    let messages = scene.request_with("Here is more money")["messages"].to_string();
    assert!(messages.contains("I found the leak.") && messages.contains("Go on with it"), "{messages}");
}

#[tokio::test]
async fn a_lost_session_is_told_from_a_crash() {
    let scene = Scene::new().await;
    let session = Uuid::new_v4();
    let cage = scene.cage(10_000_000).await;
    assert_eq!(cage.out(session, CAP).await, None);
    lost(&cage.go(Session::Resume(session), "Hello").await);
    for broken in ["{\"a\":1}\nnull\n[]\n", "\u{1}\u{2}nonsense", "\n"] {
        assert!(cage.take(session, Bytes::from(broken)).await);
        lost(&cage.go(Session::Resume(session), "Hello").await);
    }
    assert!(scene.model.requests().is_empty(), "nothing is spent on it");
    for archive in [&b"\x1f\x8b"[..], b"\x1f\x8b nonsense"] {
        cage.sh("rm -rf /home/agent/.claude").await;
        assert!(!cage.take(session, Bytes::from_static(archive)).await);
    }
    // It begins anew in the same sandbox.
    scene.model.next(Script::runs("true", answer("Hello again.")));
    assert_eq!(summary(&cage.go(Session::New(session), "Hello").await), "Hello again.");

    // What the model API refuses to go on with.
    scene.model.next(Script::error(400, "invalid_request_error", "messages.3: unexpected tool_result", &[]));
    let kept = cage.out(session, CAP).await.unwrap();
    let other = scene.cage(10_000_000).await;
    assert!(other.take(session, kept).await);
    lost(&other.go(Session::Resume(session), "Go on").await);
}

#[tokio::test]
async fn only_a_session_comes_out_and_goes_in() {
    let scene = Scene::new().await;
    let session = Uuid::new_v4();
    let cage = scene.cage(10_000_000).await;
    let place = "/home/agent/.claude/projects/-workspace";
    // Links and pipes in its place are no session.
    for made in ["ln -s /etc/passwd", "mkfifo", "mkdir"] {
        cage.sh(&format!(
            "mkdir -p {place}; cd {place}; rm -rf *; {made} {session}.jsonl; mkdir -p /out/session.tgz/x"
        ))
        .await;
        assert_eq!(cage.out(session, CAP).await, None, "{made}");
    }
    // An archive that holds more than it should.
    let made = format!(
        "cd {place}; rm -rf *; echo '{{}}' >{session}.jsonl; mkdir -p {session}/tool-results; echo r >{session}/tool-results/r; echo x >x; mkdir -p ../../evil; echo y >../../settings.json; \
         tar -czPf /out/evil.tgz {session}.jsonl {session} x ../../settings.json /home/agent/.claude/evil"
    );
    cage.sh(&made).await;
    let evil = cage.sandbox.get(&PathBuf::from("/out/evil.tgz"), CAP).await.unwrap();
    let other = scene.cage(10_000_000).await;
    assert!(other.take(session, evil).await);
    let found = other.sh("cd /home/agent/.claude; find . -type f | sort").await;
    assert_eq!(
        found.replace(&session.to_string(), "ID"),
        "./projects/-workspace/ID.jsonl\n./projects/-workspace/ID/tool-results/r\n"
    );
    // One that would fill the disk.
    cage.sh(&format!("cd {place}; head -c 300000000 /dev/zero >{session}.jsonl")).await;
    let bomb = cage.out(session, CAP).await.unwrap();
    let third = scene.cage(10_000_000).await;
    third.take(session, bomb).await;
    let size = third.sh(&format!("du -sk {place} | cut -f1")).await;
    assert!(size.trim().parse::<u64>().unwrap() <= 66_000, "{size}");
    // Tool outputs are left out when there is no room for them.
    cage.sh(&format!(
        "cd {place}; echo '{{}}' >{session}.jsonl; head -c 2000000 /dev/urandom >{session}/tool-results/r"
    ))
    .await;
    assert!(cage.out(session, 10_000).await.unwrap().len() < 1000);
    assert!(cage.out(session, CAP).await.unwrap().len() > 1_000_000);
}

#[tokio::test]
async fn a_sandbox_that_has_ended_still_gives_the_session() {
    let scene = Scene { lifetime: Duration::from_secs(2), ..Scene::new().await };
    let session = Uuid::new_v4();
    let cage = scene.cage(10_000_000).await;
    cage.sandbox.put(&[(transcript(session), Bytes::from("{}\n"))]).await.unwrap();
    cage.sh("tail -f /dev/null").await;
    assert_eq!(cage.out(session, CAP).await, Some(Bytes::from("{}\n")));
    assert_eq!(cage.out(Uuid::new_v4(), CAP).await, None);
}

#[tokio::test]
async fn a_review_has_nothing_to_edit_with() {
    let scene = Scene::new().await;
    for (tools, has) in [
        (Tools::All, vec!["Bash", "Edit", "Glob", "Grep", "Read", "TodoWrite", "Write"]),
        (Tools::Review, vec!["Bash", "Glob", "Grep", "Read", "TodoWrite"]),
        (Tools::ReadOnly, vec!["Glob", "Grep", "Read"]),
    ] {
        scene.model.next(Script::steps(vec![vec![tool("StructuredOutput", answer("Fine."))], vec![text("Done.")]]));
        let cage = scene.cage(10_000_000).await;
        let prompt = format!("Review as {tools:?}");
        cage.ask(Session::New(Uuid::new_v4()), &prompt, tools, CancellationToken::new()).await;
        let request = scene.request_with(&prompt);
        let names = request["tools"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str());
        let mut names =
            names.filter(|name| !matches!(*name, "StructuredOutput" | "DeferredToolPlaceholder")).collect::<Vec<_>>();
        names.sort_unstable();
        assert_eq!(names, has, "{tools:?}");
    }
}
