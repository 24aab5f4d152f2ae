//! Where the attacks are tried: on the whole program, through a stranger's pull request; and, for the controls, on the real
//! CLI in a cage, started as we start it but for what the control takes away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloud_agent::agent::binary::run_in;
use cloud_agent::agent::command::ANSWER_SCHEMA;
use cloud_agent::agent::{Grace, Invocation, Session, Tools, Turn, locate, run};
use cloud_agent::gateway::{Gate, Gateway, GatewaySettings, RunTerms};
use cloud_agent::sandbox::local::Local;
use cloud_agent::sandbox::{Door, Exec, Limits, Provider as _, Sandbox, Spec};
use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::model::{Block, bash, text, tool};
use simulator::{Model, Script};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{Database, World, real_claude};

/// Where payloads leave a word when they are executed.
pub const MARKS: &str = "/tmp/marks";
/// The port inside of a host that belongs to the attacker.
pub const EVIL: u16 = 6666;

/// A model that does this, one thing after another, and then answers.
pub fn hijacked(acts: Vec<Block>, answer: Value) -> Script {
    let answers = [tool("StructuredOutput", answer), text("Done.")];
    Script::steps(acts.into_iter().chain(answers).map(|act| vec![act]).collect())
}

/// Shell commands as acts of the model.
pub fn shell(commands: &[&str]) -> Vec<Block> {
    commands.iter().map(|command| bash(command)).collect()
}

/// The answer to a request to fix something.
pub fn fixed() -> Value {
    json!({ "title": "t", "summary": "I tried.", "details": "", "verification": "", "changed": false })
}

/// What the tools said to the model, in order, as the last of these requests has it.
fn results(requests: &[Value]) -> Vec<String> {
    let Some(last) = requests.iter().rfind(|it| it["tools"].as_array().is_some_and(|tools| !tools.is_empty())) else {
        return Vec::new();
    };
    let blocks = last["messages"].as_array().into_iter().flatten().filter_map(|it| it["content"].as_array()).flatten();
    let results = blocks.filter(|block| block["type"] == "tool_result");
    let said = results.map(|block| match block["content"].as_str() {
        Some(text) => text.to_owned(),
        None => block["content"].as_array().into_iter().flatten().filter_map(|it| it["text"].as_str()).collect(),
    });
    said.collect()
}

/// What came of an attack.
pub struct Seen {
    /// The output of the model's commands.
    pub results: Vec<String>,
    /// Everything that the model was told.
    pub requests: Vec<Value>,
}

impl Seen {
    pub fn of(requests: Vec<Value>) -> Self {
        Self { results: results(&requests), requests }
    }

    /// Everything that the model was told, as one text.
    pub fn told(&self) -> String {
        self.requests.iter().map(ToString::to_string).collect()
    }

    /// What the agent began with: the system prompt and the first message, before it looked at anything.
    pub fn first(&self) -> String {
        let first = self.requests.iter().find(|it| it["tools"].as_array().is_some_and(|tools| !tools.is_empty()));
        let first = first.expect("the model was asked");
        format!("{} {}", first["system"], first["messages"])
    }
}

/// A world with the real CLI in it.
pub async fn world() -> World {
    let mut world = World::on(Database::sqlite()).await;
    world.claude_is_real();
    world
}

/// Mallory opens a pull request from a fork with these files, and the real CLI reviews it while its model does what mallory
/// wants.
pub async fn reviewed(world: &mut World, files: &[(&str, &str)], acts: Vec<Block>) -> Seen {
    let wanted = acts.len();
    let review = json!({ "summary": "I tried.", "verdict": "good", "findings": [], "earlier": [] });
    world.model.will(hijacked(acts, review));
    world.settings("review: { on: [opened] }\ninstructions: Mind the German.\n");
    world.start().await;
    let fork = world.github.fork("mallory", "octo/app");
    world.github.push_quietly("mallory", &fork, "change", files, "Change things");
    world.github.open_pull_from_fork("mallory", &fork, "change", "main", "Change things").await;
    world.settle().await;
    world.github.told();
    let seen = Seen::of(world.model.requests());
    assert!(seen.results.len() >= wanted, "the model could do all that it wanted: {:#?}", seen.results);
    seen
}

/// A host directory as a checkout, a model, and an attacker's host that can be reached from inside.
pub struct Lab {
    pub model: Model,
    pub dir: TempDir,
    local: Local,
    heard: Arc<Mutex<Vec<String>>>,
}

/// A sandbox over the checkout.
pub struct Cage {
    sandbox: Arc<dyn Sandbox>,
    pub gate: Gate,
}

impl Lab {
    /// With these files in the checkout.
    pub async fn new(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let local = Local::new(&dir.path().join("sandboxes"), "test".to_owned()).unwrap();
        let lab = Self { model: Model::start().await, dir, local, heard: Arc::default() };
        for (path, text) in files {
            let path = lab.workspace().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        lab
    }

    pub fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }

    /// What the attacker's host was told.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// A new sandbox with a home of its own, which may reach these hosts.
    pub async fn cage(&self, egress: &[&str]) -> Cage {
        std::fs::create_dir_all(self.workspace()).unwrap();
        let key = Uuid::new_v4().to_string();
        let api_key = Some(SecretString::from(self.model.api_key()));
        let gateway = Gateway::new(GatewaySettings::new(self.model.url().parse().unwrap(), api_key)).unwrap();
        let egress = egress.iter().map(|it| (*it).to_owned()).collect();
        let terms = RunTerms {
            run: key.clone(),
            budget_micros: 5_000_000,
            spent_micros: 0,
            allowed_models: None,
            egress,
            api_key: None,
        };
        let gate = gateway.open(terms).unwrap();
        let mut doors = gate.doors();
        doors.push(evil(self.heard.clone()));
        let spec = Spec {
            labels: BTreeMap::from([("app".to_owned(), "cloud-agent".to_owned())]),
            limits: Limits {
                lifetime: Duration::from_mins(2),
                memory_bytes: 2 << 30,
                processes: 128,
                disk_bytes: 512 << 20,
            },
            workspace: self.workspace(),
            objects: Vec::new(),
            read_only: locate(&real_claude(), None).unwrap().read_only,
            doors,
            git_identity: None,
        };
        let reference = self.local.create(&spec, &key).await.unwrap();
        Cage { sandbox: self.local.open(&reference).await.unwrap(), gate }
    }
}

/// Writes down what it is told, and refuses whatever is asked of it.
fn evil(heard: Arc<Mutex<Vec<String>>>) -> Door {
    let serve = move |mut stream: tokio::net::TcpStream| {
        let heard = heard.clone();
        tokio::spawn(async move {
            let mut said = vec![0; 64 << 10];
            let count = stream.read(&mut said).await.unwrap_or(0);
            heard.lock().unwrap().push(String::from_utf8_lossy(&said[..count]).into_owned());
            let body = r#"{"type":"error","error":{"type":"authentication_error","message":"thank you"}}"#;
            let head = format!(
                "HTTP/1.1 401 No\r\nx-should-retry: false\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            // What is still being sent is heard out, or the answer would be lost.
            let _ = tokio::time::timeout(Duration::from_secs(1), tokio::io::copy(&mut stream, &mut tokio::io::sink()))
                .await;
        });
    };
    Door { port: EVIL, serve: Arc::new(serve) }
}

impl Cage {
    /// The real CLI as the product starts it, but for what `weaken` changes of that; its model does this.
    pub async fn claude(&self, lab: &Lab, acts: Vec<Block>, weaken: impl FnOnce(&mut Exec)) -> Seen {
        lab.model.will(hijacked(acts, fixed()));
        let before = lab.model.requests().len();
        let invocation = Invocation {
            session: Session::New(Uuid::new_v4()),
            model: None,
            max_turns: 30,
            budget_micros: 5_000_000,
            system_prompt: None,
            tools: Tools::All,
            schema: ANSWER_SCHEMA.to_owned(),
            env: self.gate.env(),
        };
        let mut exec = invocation.exec();
        weaken(&mut exec);
        let turn = Turn {
            exec,
            prompt: "Please look at this.".to_owned(),
            time: Duration::from_mins(1),
            gate: self.gate.clone(),
            grace: Grace::default(),
        };
        run(&*self.sandbox, turn, CancellationToken::new(), |_| {}).await.unwrap();
        Seen::of(lab.model.requests().split_off(before))
    }

    /// A shell script, as the model would run it; all that it said.
    pub async fn sh(&self, script: &str) -> String {
        let argv = ["/bin/bash", "-c", script].map(str::to_owned).to_vec();
        let mut env = self.gate.env();
        // As the product says it: a git of /usr/local looks for it elsewhere.
        env.insert("GIT_CONFIG_SYSTEM".to_owned(), "/etc/gitconfig".to_owned());
        let ran = run_in(&*self.sandbox, Exec { argv, env, network: true, ..Exec::default() }).await.unwrap();
        format!("{}{}", ran.stdout, ran.stderr)
    }
}

/// The guard that is taken away: a flag of the CLI with its value, if it has one.
pub fn without(exec: &mut Exec, flag: &str, values: usize) {
    let at = exec.argv.iter().position(|arg| arg == flag).expect("the product sets this flag");
    exec.argv.drain(at..=at + values);
}

/// The CLI as it is started by people: the checkout and the home directory configure it.
pub fn as_people_do(exec: &mut Exec) {
    without(exec, "--setting-sources", 1);
    without(exec, "--strict-mcp-config", 0);
}
