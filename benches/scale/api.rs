//! The same two stores behind `cloud-agent serve`: what the API answers, and how long each answer takes.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use simulator::{GitHub, Model};

use super::measure::{Times, table};
use super::process::Server;

const KEY: &str = "ca_bench";
/// Rounds, in which the two servers take turns.
const ROUNDS: usize = 40;

/// Compare what a script asks of a server with and without a history.
pub async fn compare(name: &str, empty: &str, full: &str, dir: &Path) {
    let (github, model) = (GitHub::start().await, Model::start().await);
    let settings = [("ADMIN_API_KEY", KEY), ("ENCRYPTION_KEY", &"11".repeat(32))];
    let servers = [("empty", empty), ("full", full)].map(|(which, url)| {
        let dir = dir.join(format!("{name}-{which}"));
        Server::product_with(url, &dir, &github, &model, &settings).ready()
    });
    let client = reqwest::Client::new();
    let mut times = [Times::new(), Times::new()];
    for round in 0..=ROUNDS {
        for (server, times) in servers.iter().zip(&mut times) {
            // The first round warms caches.
            let mut unused = Times::new();
            ask(&client, server, if round == 0 { &mut unused } else { times }).await;
        }
    }
    table(&format!("{name}, the API"), &mut times);
}

async fn ask(client: &reqwest::Client, server: &Server, times: &mut Times) {
    let first = get(client, server, "GET /tasks", "tasks", times).await;
    let id = first["tasks"][0]["task_id"].as_str().unwrap().to_owned();
    let cursor = first["next_cursor"].as_str().unwrap_or_default().to_owned();
    for (what, path) in [
        ("GET /tasks/{id}", format!("tasks/{id}")),
        ("GET /tasks/{id}/logs", format!("tasks/{id}/logs")),
        ("GET /tasks?cursor", format!("tasks?cursor={cursor}")),
        ("GET /tasks?offset=100000", "tasks?offset=100000".to_owned()),
        ("GET /tasks?status=failed", "tasks?status=failed".to_owned()),
        ("GET /tasks?repo", "tasks?repo=octo/app".to_owned()),
        ("GET /tasks?requester=nobody", "tasks?requester=nobody".to_owned()),
        ("GET /deliveries", "deliveries".to_owned()),
        ("GET /usage", "usage".to_owned()),
    ] {
        if what != "GET /tasks?cursor" || !cursor.is_empty() {
            get(client, server, what, &path, times).await;
        }
    }
}

async fn get(client: &reqwest::Client, server: &Server, what: &'static str, path: &str, times: &mut Times) -> Value {
    let url = format!("http://{}/api/v1/{path}", server.address);
    let started = Instant::now();
    let answer = client.get(url).bearer_auth(KEY).send().await.unwrap();
    assert!(answer.status().is_success(), "{what}: {}", answer.status());
    let text = answer.text().await.unwrap();
    times.entry(what).or_default().push(started.elapsed().as_secs_f64() * 1000.0);
    serde_json::from_str(&text).unwrap()
}
