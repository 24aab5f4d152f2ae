//! Claude Code as it was recorded, and sessions with an agent of our own that does as it is told, or does not.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cloud_agent::agent::outcome::{Facts, Stop, decide};
use cloud_agent::agent::{Answer, Finished, Grace, Line, Outcome, Stream, TodoState, Turn, Why, run};
use cloud_agent::gateway::{Gate, Gateway, GatewaySettings, RunTerms};
use cloud_agent::sandbox::{Channel, Cursor, Exec, ExecEvent, ExecId, Exit, Limit, Sandbox, SandboxError, Signal};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

fn sample(name: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/agent_samples").join(format!("{name}.jsonl"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A session in a few words a line.
fn told(lines: &[Line]) -> Vec<String> {
    let word = |state| match state {
        TodoState::Pending => ' ',
        TodoState::Active => '>',
        TodoState::Done => 'x',
    };
    lines
        .iter()
        .filter_map(|line| match line {
            Line::Init { model, version, .. } => Some(format!("init {model} {version}")),
            Line::Text(text) => Some(format!("\"{text}\"")),
            Line::Tool { brief, .. } => Some(brief.clone()),
            Line::ToolResult { is_error: true, brief, .. } => Some(format!("! {brief}")),
            Line::Todos(todos) => Some(
                todos.iter().map(|todo| format!("[{}] {}", word(todo.state), todo.text)).collect::<Vec<_>>().join(", "),
            ),
            Line::Retry { attempt, status } => Some(format!("retry {attempt} after {status:?}")),
            Line::Denied { name, .. } => Some(format!("denied {name}")),
            Line::Result(result) => {
                Some(format!("{} {} turns", if result.is_error { "error" } else { "ok" }, result.num_turns))
            }
            _ => None,
        })
        .collect()
}

fn read(name: &str) -> Vec<Line> {
    let mut stream = Stream::default();
    let mut lines = stream.push(&sample(name));
    lines.extend(stream.end());
    lines
}

fn outcome(name: &str, exit: i32, stop: Option<Stop>) -> Outcome {
    let lines = read(name);
    let result =
        lines.iter().rev().find_map(|line| if let Line::Result(result) = line { Some(&**result) } else { None });
    let exit = Some(Exit { code: Some(exit), signal: None, limit: None });
    decide(&Facts { result, exit, stop, ..Facts::default() })
}

#[test]
fn every_recorded_session_is_understood() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/agent_samples");
    let mut files = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let lines = read(&name);
        assert!(matches!(lines.first(), Some(Line::Init { version, .. }) if version == "2.1.328"), "{name}");
        assert!(matches!(lines.last(), Some(Line::Result(_))), "{name}");
        // Byte by byte it is the same.
        let mut stream = Stream::default();
        let slowly: Vec<Line> = sample(&name).chunks(1).flat_map(|byte| stream.push(byte)).collect();
        assert_eq!(slowly, lines, "{name}");
        assert!(lines.iter().all(|line| line.body().is_object() && line.body().to_string().len() < 20_000), "{name}");
        files += 1;
    }
    assert!(files > 20, "only {files} samples");
}

#[test]
fn a_whole_session_reads_like_this() {
    let want = [
        "init claude-sonnet-5-5 2.1.328",
        "\"I'll look at the files first.\"",
        "Bash: ls -la",
        "Read: calc.py",
        "\"`add` subtracts. Fixing it.\"",
        "Edit: calc.py",
        "Bash: git checkout -q -b cloud-agent/issue-7 && git commit -qam 'Fix add()' && git push -q origin HEAD:refs/heads/cloud-agent/issue-7 && echo PUSHED",
        "Bash: git push -q origin HEAD:main; echo rc=$?",
        "StructuredOutput",
        "ok 7 turns",
    ];
    assert_eq!(told(&read("bwrap_e2e_recommended")), want);
    let denied = told(&read("denied_rule"));
    assert_eq!(denied[2], "denied Bash");
    assert!(denied[3].starts_with("! Permission to use Bash"), "{denied:?}");
    assert_eq!(told(&read("retry_flaky529"))[1..3], ["retry 1 after Some(529)", "retry 2 after Some(529)"]);
}

#[test]
fn both_todo_tools_give_one_list() {
    let lists = |name| -> Vec<String> { told(&read(name)).into_iter().filter(|line| line.starts_with('[')).collect() };
    assert_eq!(lists("todo_write"), ["[>] Look, [ ] Fix", "[x] Look, [>] Fix"]);
    let want = [
        "[ ] Look at the code",
        "[ ] Look at the code, [ ] Fix it",
        "[>] Look at the code, [ ] Fix it",
        "[x] Look at the code, [ ] Fix it",
        "[x] Look at the code, [>] Fix calc.sh",
        "[x] Look at the code, [>] Fix calc.sh",
        "[x] Look at the code, [>] Fix calc.sh, [ ] Needless",
        "[x] Look at the code, [>] Fix calc.sh",
    ];
    assert_eq!(lists("task_tools"), want);
}

#[test]
fn outcomes_are_as_recorded() {
    let stopped = |name: &str, exit, code: &str| match outcome(name, exit, None) {
        Outcome::Stopped(why) => assert_eq!(why.code(), code, "{name}"),
        answered @ Outcome::Answered(_) => panic!("{name}: {answered:?}"),
    };
    stopped("budget_exceeded", 1, "budget");
    stopped("err_e402", 1, "budget");
    stopped("max_turns", 1, "turns");
    stopped("err_401", 1, "model_refused_key");
    stopped("err_credit", 1, "model_out_of_credit");
    stopped("err_invalid_model", 1, "model_unknown");
    stopped("err_e429", 1, "model_rate_limited");
    stopped("err_e529", 1, "model_overloaded");
    stopped("err_e502", 1, "model_unreachable");
    stopped("err_connrefused", 1, "model_unreachable");
    stopped("err_prompt_too_long", 1, "prompt_too_long");
    stopped("refusal", 1, "refused");
    stopped("max_tokens", 1, "crashed");
    // Exit code 0 and no success.
    stopped("kill_sigint", 0, "crashed");
    for (name, said) in
        [("subagent", "agent finished"), ("structured_never", "I will not call the tool."), ("denied_rule", "done")]
    {
        assert_eq!(
            outcome(name, 0, None),
            Outcome::Answered(Answer { summary: said.into(), ..Answer::default() }),
            "{name}"
        );
    }
    let Outcome::Answered(answer) = outcome("bwrap_e2e_recommended", 0, None) else { panic!() };
    assert_eq!((answer.summary.as_str(), answer.changed), ("Fixed add()", None));
    assert_eq!(outcome("ctl_interrupt", 1, Some(Stop::Cancelled)), Outcome::Stopped(Why::Cancelled));
    assert_eq!(outcome("ctl_interrupt", 1, Some(Stop::Time)), Outcome::Stopped(Why::Time));
    // A limit that was reached while a good result was written takes nothing away.
    assert!(matches!(outcome("structured", 0, Some(Stop::Time)), Outcome::Answered(_)));
    assert_eq!(outcome("structured", 0, Some(Stop::Cancelled)), Outcome::Stopped(Why::Cancelled));
    let killed = |limit| {
        decide(&Facts { exit: Some(Exit { code: None, signal: Some(9), limit }), stderr: "tail", ..Facts::default() })
    };
    assert_eq!(killed(Some(Limit::Memory)), Outcome::Stopped(Why::Memory));
    assert_eq!(killed(Some(Limit::HostDisk)), Outcome::Stopped(Why::HostDisk));
    assert_eq!(killed(None), Outcome::Stopped(Why::Crashed { exit: Some(137), tail: "tail".into() }));
}

#[test]
fn nothing_that_is_written_makes_the_parser_fail() {
    let mut stream = Stream::default();
    let odd = [
        "",
        "null",
        "1",
        "[]",
        "{}",
        "{\"type\":1}",
        "{\"type\":\"system\"}",
        "{\"type\":\"assistant\",\"message\":5}",
        "{\"type\":\"user\",\"message\":{\"content\":[1,null,{\"type\":\"tool_result\",\"content\":{}}]},\"tool_use_result\":[]}",
        "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"tool_use\",\"name\":\"TodoWrite\",\"input\":{\"todos\":[1,{\"content\":2}]}}]}}",
        "{\"type\":\"result\",\"num_turns\":-1,\"total_cost_usd\":1e999,\"errors\":\"x\"}",
        "{\"type\":\"stream_event\"",
        "not json",
    ];
    for line in odd {
        for event in stream.push(format!("{line}\n").as_bytes()) {
            assert!(event.body().is_object(), "{line}");
        }
    }
    assert_eq!(stream.push(&[b"[".repeat(100_000), b"\n".to_vec()].concat()), [Line::Other]);
    let bytes = b"{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\xff\xfeb\"}]}}\n";
    assert_eq!(stream.push(bytes), [Line::Text("a\u{fffd}\u{fffd}b".into())]);
    // 10 MB are read and stored cut, between characters; more than 16 MiB are dropped and said so.
    let long = |size: usize| {
        let text = "ü".repeat(size);
        format!("{{\"type\":\"assistant\",\"message\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}}}\n")
    };
    let lines = stream.push(long(5_000_000).as_bytes());
    assert!(lines[0].body()["text"].as_str().is_some_and(|text| text.ends_with("ü…") && text.len() < 17_000));
    assert!(matches!(stream.push(long(9_000_000).as_bytes())[..], [Line::Cut { bytes: 18_000_000.. }]));
    assert_eq!(told(&stream.push(&sample("structured"))).len(), 4);
}

type Acts = Box<dyn Fn(&str) -> Vec<ExecEvent> + Send + Sync>;

/// An agent in memory: hears what is said to it and does what the test's function makes of it.
struct Actor {
    heard: Mutex<Vec<String>>,
    acts: Acts,
    out: mpsc::UnboundedSender<ExecEvent>,
    events: Mutex<Option<mpsc::UnboundedReceiver<ExecEvent>>>,
}

fn actor(acts: impl Fn(&str) -> Vec<ExecEvent> + Send + Sync + 'static) -> Arc<Actor> {
    let (out, events) = mpsc::unbounded_channel();
    Arc::new(Actor { heard: Mutex::default(), acts: Box::new(acts), out, events: Mutex::new(Some(events)) })
}

impl Actor {
    fn hear(&self, word: &str) {
        self.heard.lock().unwrap().push(word.to_owned());
        for event in (self.acts)(word) {
            let _ = self.out.send(event);
        }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

#[async_trait]
impl Sandbox for Actor {
    async fn put(&self, _: &[(PathBuf, Bytes)]) -> Result<(), SandboxError> {
        Ok(())
    }
    async fn get(&self, path: &Path, _: u64) -> Result<Bytes, SandboxError> {
        Err(SandboxError::NotFound(path.display().to_string()))
    }
    async fn spawn(&self, _: Exec) -> Result<ExecId, SandboxError> {
        Ok(ExecId("1".into()))
    }
    async fn attach(&self, _: &ExecId, _: Cursor) -> Result<BoxStream<'static, ExecEvent>, SandboxError> {
        let events = self.events.lock().unwrap().take().ok_or_else(|| SandboxError::NotFound("process".into()))?;
        Ok(UnboundedReceiverStream::new(events).boxed())
    }
    async fn stdin(&self, _: &ExecId, bytes: Bytes, end: bool) -> Result<(), SandboxError> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        match (text.contains("\"user\""), text.contains("\"interrupt\"")) {
            (true, _) => self.hear("prompt"),
            (_, true) => self.hear("interrupt"),
            _ => assert_eq!(text, ""),
        }
        if end {
            self.hear("end");
        }
        Ok(())
    }
    async fn signal(&self, _: &ExecId, signal: Signal) -> Result<(), SandboxError> {
        self.hear(&format!("{signal:?}"));
        Ok(())
    }
}

fn out(text: impl Into<Vec<u8>>) -> ExecEvent {
    ExecEvent::Out { channel: Channel::Stdout, bytes: Bytes::from(text.into()), cursor: Cursor(0) }
}

fn exit(code: i32) -> ExecEvent {
    ExecEvent::Exit(Exit { code: Some(code), signal: None, limit: None })
}

fn gate(budget_micros: i64) -> Gate {
    let settings = GatewaySettings::new("http://127.0.0.1:9".parse().unwrap(), None);
    let terms = RunTerms {
        run: "r1".into(),
        budget_micros,
        spent_micros: 0,
        allowed_models: None,
        egress: vec![],
        api_key: None,
    };
    Gateway::new(settings).unwrap().open(terms).unwrap()
}

async fn session(actor: &Arc<Actor>, time: Duration, budget: i64, cancel: CancellationToken) -> Finished {
    let short = Duration::from_millis(50);
    let grace = Grace { soft: short, hard: short, budget: short };
    let turn = Turn { exec: Exec::default(), prompt: "do it".into(), time, gate: gate(budget), grace };
    run(&**actor, turn, cancel, |_| {}).await.unwrap()
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_session_ends_when_its_result_is_there() {
    let actor = actor(|word| match word {
        "prompt" => vec![out(sample("structured"))],
        "end" => vec![exit(0)],
        _ => vec![],
    });
    let finished = session(&actor, HOUR, 1, CancellationToken::new()).await;
    assert!(matches!(finished.outcome, Outcome::Answered(_)));
    assert_eq!(finished.session_id.as_deref(), Some("18de44a0-3677-4fc6-a683-a9537099ac98"));
    assert_eq!((finished.turns, finished.cost_micros, finished.denials), (Some(3), Some(100_080), 0));
    assert_eq!(actor.heard(), ["prompt", "end"]);
}

#[tokio::test]
async fn one_that_is_told_to_stop_is_interrupted_and_leaves() {
    let acts = |word: &str| match word {
        "interrupt" => vec![out(sample("ctl_interrupt"))],
        "end" => vec![exit(1)],
        _ => vec![],
    };
    let stopped = actor(acts);
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert_eq!(session(&stopped, HOUR, 1, cancel).await.outcome, Outcome::Stopped(Why::Cancelled));
    assert_eq!(stopped.heard(), ["prompt", "interrupt", "end"]);
    let late = actor(acts);
    let finished = session(&late, Duration::from_millis(20), 1, CancellationToken::new()).await;
    assert_eq!(finished.outcome, Outcome::Stopped(Why::Time));
    assert_eq!(finished.turns, Some(3));
    let poor = actor(acts);
    assert_eq!(session(&poor, HOUR, 0, CancellationToken::new()).await.outcome, Outcome::Stopped(Why::Budget));
}

#[tokio::test]
async fn one_that_does_not_listen_is_ended_step_by_step() {
    let deaf = actor(|word| {
        if word == "Kill" { vec![ExecEvent::Exit(Exit { code: None, signal: Some(9), limit: None })] } else { vec![] }
    });
    let finished = session(&deaf, Duration::from_millis(20), 1, CancellationToken::new()).await;
    assert_eq!(finished.outcome, Outcome::Stopped(Why::Time));
    assert_eq!(deaf.heard(), ["prompt", "interrupt", "Terminate", "Kill"]);
    // Not even that, and we go on without it.
    let undead = actor(|_| vec![]);
    assert_eq!(session(&undead, Duration::from_millis(20), 1, CancellationToken::new()).await.exit, None);
    // A good result stands though the process would not go.
    let stays = actor(|word| match word {
        "prompt" => vec![out(sample("structured"))],
        "Terminate" => vec![exit(143)],
        _ => vec![],
    });
    assert!(matches!(session(&stays, HOUR, 1, CancellationToken::new()).await.outcome, Outcome::Answered(_)));
    assert_eq!(stays.heard(), ["prompt", "end", "Terminate"]);
}

#[tokio::test]
async fn one_that_dies_leaves_its_last_words() {
    let dies = actor(|word| match word {
        "prompt" => {
            let bytes = Bytes::from("error: unknown option '--odd'\n");
            vec![ExecEvent::Out { channel: Channel::Stderr, bytes, cursor: Cursor(0) }, exit(1)]
        }
        _ => vec![],
    });
    let finished = session(&dies, HOUR, 1, CancellationToken::new()).await;
    let tail = "error: unknown option '--odd'".to_owned();
    assert_eq!(finished.outcome, Outcome::Stopped(Why::Crashed { exit: Some(1), tail }));
    assert_eq!(finished.session_id, None);
}

#[tokio::test]
async fn lost_output_lets_the_session_end() {
    let noisy = actor(|word| match word {
        "prompt" => {
            vec![out("{\"type\":\"assis"), ExecEvent::Gap { lost: 9 }, out("ant\"}\n"), out(sample("structured"))]
        }
        "end" => vec![exit(0)],
        _ => vec![],
    });
    assert!(matches!(session(&noisy, HOUR, 1, CancellationToken::new()).await.outcome, Outcome::Answered(_)));
    assert_eq!(noisy.heard(), ["prompt", "end"]);
}
