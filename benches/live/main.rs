//! What following a task costs: lines that a process says in the sandbox, until each of many clients has them as server-sent
//! events. `cloud-agent serve` beside a plain relay in Node, in turns: `cargo bench --bench live -- quick`, or `full`.
//!
//! To read on: `actor.pl` (who talks), `clients.rs` (who listens), `relay.js` (the reference).
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that fails should stop and say where")]

mod clients;
#[path = "../accept/process.rs"]
#[expect(dead_code, reason = "the other measurement asks for more")]
mod process;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clients::{Heard, follow};
use process::{Server, cpu_of};
use serde_json::Value;
use simulator::github::Role;
use simulator::{GitHub, Model};

const KEY: &str = "ca_bench";

/// Lines a second, and clients.
const FULL: [(u64, usize); 9] =
    [(10, 1), (10, 100), (10, 500), (100, 1), (100, 100), (100, 500), (1000, 1), (1000, 100), (1000, 500)];
const QUICK: [(u64, usize); 3] = [(100, 1), (1000, 1), (1000, 100)];

/// What one server did.
struct Cell {
    heard: Heard,
    cpu: Duration,
    events: u64,
}

fn main() {
    let full = std::env::args().any(|it| it == "full");
    let (plan, seconds): (&[_], _) = if full { (&FULL, 8) } else { (&QUICK, 5) };
    let dir = tempfile::Builder::new().prefix("live").tempdir_in("/tmp").unwrap();
    println!(
        "| lines/s | clients | | p50, ms | p99, ms | CPU, µs an event | came of all | let go |\n|---|---|---|---|---|---|---|---|"
    );
    for (n, (rate, clients)) in plan.iter().enumerate() {
        let dir = dir.path().join(n.to_string());
        std::fs::create_dir(&dir).unwrap();
        let actor = write_actor(&dir, *rate, seconds);
        for (name, cell) in [
            ("relay in Node", relay(&dir, &actor, rate * seconds, *clients)),
            ("cloud-agent", product(&dir, &actor, rate * seconds, *clients)),
        ] {
            println!(
                "| {rate} | {clients} | {name} | {:.1} | {:.1} | {:.2} | {:.1} % | {} |",
                cell.heard.quantile(0.5),
                cell.heard.quantile(0.99),
                cell.cpu.as_secs_f64() * 1e6 / cell.heard.events.max(1) as f64,
                100.0 * cell.heard.events as f64 / (cell.events * *clients as u64) as f64,
                cell.heard.lost,
            );
        }
    }
}

fn write_actor(dir: &Path, rate: u64, seconds: u64) -> PathBuf {
    let path = dir.join("actor");
    let text = include_str!("actor.pl").replace("RATE, SECONDS", &format!("{rate}, {seconds}"));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The CPU time of a process while so many clients hear so many events.
fn measure(pid: u32, events: u64, listen: impl FnOnce() -> Heard) -> Cell {
    let before = cpu_of(pid);
    let heard = listen();
    Cell { heard, cpu: cpu_of(pid).saturating_sub(before), events }
}

/// A child that ends with its handle.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn relay(dir: &Path, actor: &Path, events: u64, clients: usize) -> Cell {
    let work = dir.join("relay");
    std::fs::create_dir(&work).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/live/relay.js");
    let mut command = Command::new("node");
    command.arg(script).arg(actor).arg(&work).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Killed(command.spawn().unwrap());
    let mut port = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let to = format!("127.0.0.1:{}", port.trim()).parse().unwrap();
    until("the actor to begin", || work.join("WAITS").exists());
    measure(child.0.id(), events, || follow(to, "/", KEY, clients, events, || go(&work)))
}

fn product(dir: &Path, actor: &Path, events: u64, clients: usize) -> Cell {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (github, model) = runtime.block_on(async { (GitHub::start().await, Model::start().await) });
    github.create_repo("octo/app", &[("README.md", "hello\n")]);
    github.person("alice", Role::Write);
    let data = dir.join("data");
    let database = format!("sqlite://{}", dir.join("live.db").display());
    let actor = actor.to_str().unwrap();
    let settings = [("CLAUDE_BIN", actor), ("ADMIN_API_KEY", KEY)];
    let server = Server::product_with(&database, &data, &github, &model, &settings).ready();
    github.deliver_to(format!("http://{}/webhooks/github", server.address));
    github.open_issue_quietly("alice", "octo/app", "The greeting is short", "");
    let delivered = runtime.block_on(github.comment("alice", "octo/app#1", "@cloud-agent fix this"));
    assert_eq!(delivered.status, 202);
    let mut work = None;
    until("the agent to begin", || {
        let runs = std::fs::read_dir(data.join("runs")).into_iter().flatten().flatten();
        work = runs.map(|run| run.path().join("workspace")).find(|it| it.join("WAITS").exists());
        work.is_some()
    });
    let task = runtime.block_on(newest_task(&server));
    let path = format!("/api/v1/tasks/{task}/events");
    measure(server.pid(), events, || follow(server.address, &path, KEY, clients, events, || go(&work.unwrap())))
}

async fn newest_task(server: &Server) -> String {
    let url = format!("http://{}/api/v1/tasks?limit=1", server.address);
    let page = reqwest::Client::new().get(url).bearer_auth(KEY).send().await.unwrap();
    let page: Value = serde_json::from_str(&page.text().await.unwrap()).unwrap();
    page["tasks"][0]["task_id"].as_str().unwrap().to_owned()
}

fn go(work: &Path) {
    std::fs::write(work.join("GO"), "").unwrap();
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_mins(1), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
