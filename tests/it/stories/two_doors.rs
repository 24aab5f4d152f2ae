//! Two servers on one PostgreSQL: a task runs on one and is asked for, watched and stopped on the other.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::world::{Database, World};

async fn asks(at: SocketAddr, method: &str, path: &str, body: Option<Value>) -> reqwest::Response {
    let method = http::Method::from_bytes(method.as_bytes()).unwrap();
    let request = reqwest::Client::new().request(method, format!("http://{at}/api/v1/{path}")).bearer_auth("ca_test");
    let request = body.iter().fold(request, reqwest::RequestBuilder::json);
    request.send().await.unwrap()
}

/// The ids of the events in a stream.
fn ids(stream: &str) -> Vec<&str> {
    stream.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_runs_on_one_server_is_watched_and_stopped_on_another() {
    let mut world = World::on(Database::postgres()).await;
    world.claude_plays("touch WAITS; while :; do sleep 0.1; done");
    world.set("ADMIN_API_KEY", "ca_test");
    let (mut here, mut there) = (world.hand("serve", "here"), world.hand("serve", "there"));
    here.start(&world);
    world.wait_for("the first to listen", async || TcpStream::connect(here.address()).await.is_ok()).await;
    let made = asks(here.address(), "POST", "tasks", Some(json!({ "prompt": "greet", "repo": "octo/app" }))).await;
    let made: Value = made.json().await.unwrap();
    let task = made["task_id"].as_str().unwrap().to_owned();
    world.wait_for("the task to run", async || here.has_in_a_tree("WAITS")).await;

    // The second comes when the task is long under way, and could not have taken it.
    there.start(&world);
    world.wait_for("the second to listen", async || TcpStream::connect(there.address()).await.is_ok()).await;
    let mut watched = asks(there.address(), "GET", &format!("tasks/{task}/events"), None).await;
    let mut seen = String::new();
    while !seen.contains("agent started") {
        seen.push_str(&String::from_utf8_lossy(&watched.chunk().await.unwrap().expect("the stream goes on")));
    }
    let stopped = asks(there.address(), "POST", &format!("tasks/{task}/cancel"), None).await;
    assert_eq!(stopped.status(), 202);
    while let Some(more) = watched.chunk().await.unwrap() {
        seen.push_str(&String::from_utf8_lossy(&more));
    }
    assert!(seen.contains(r#""status":"cancelled""#), "{seen}");
    assert!(!there.has_in_a_tree("WAITS"), "it ran on the first");

    // Both have told the same, each event once, and the whole of it.
    let told = asks(here.address(), "GET", &format!("tasks/{task}/events"), None).await.text().await.unwrap();
    assert_eq!(ids(&seen), ids(&told));
    let logged = world.store().events(&task, 0, 1000).await.unwrap().len();
    assert_eq!(ids(&seen).len(), logged + 1, "{seen}");
    world.settle().await;
    world.told();
}
