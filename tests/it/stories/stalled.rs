//! A client of the stream of events that stops reading: it loses its connection, and nobody else notices.

use cloud_agent::store::NewEvent;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::api_tasks::{order, task_id};
use crate::world::World;

/// More than the system keeps for a connection on its way.
const EVENTS: usize = 1_500;

/// A client that follows a task; its machine keeps so many bytes for it.
async fn follows(world: &World, id: &str, kept: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(kept).unwrap();
    let mut client = socket.connect(world.address()).await.unwrap();
    let ask = format!("GET /api/v1/tasks/{id}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ca_test\r\n\r\n");
    client.write_all(ask.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    client.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    client
}

/// Read until this was said.
async fn reads_until(client: &mut TcpStream, word: &str) {
    let (mut kept, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let n = client.read(&mut piece).await.unwrap();
        assert!(n > 0, "hung up on before {word}");
        kept.extend_from_slice(&piece[..n]);
        if String::from_utf8_lossy(&kept).contains(word) {
            return;
        }
        kept.drain(..kept.len().saturating_sub(word.len()));
    }
}

/// Whether the server still has this connection open, as the system sees it.
fn is_open(world: &World, client: &TcpStream) -> bool {
    const ESTABLISHED: &str = "01";
    let port = |port: u16| format!(":{port:04X}");
    let (server, client) = (port(world.address().port()), port(client.local_addr().unwrap().port()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|line| {
        line.len() > 3 && line[1].ends_with(&server) && line[2].ends_with(&client) && line[3] == ESTABLISHED
    })
}

async fn say(world: &World, id: &str, words: impl Iterator<Item = String>) {
    let events: Vec<NewEvent> = words
        .map(|text| NewEvent { kind: "run".to_owned(), body: json!({ "step": "said", "text": text }).to_string() })
        .collect();
    for some in events.chunks(200) {
        world.store().append_events(id, some).await.unwrap();
    }
}

stories! {
    async fn a_client_that_stops_reading_is_hung_up_on_and_holds_nobody_up(database: Database) {
        let mut world = World::on(database).await;
        world.claude_waits("true");
        world.set("ADMIN_API_KEY", "ca_test");
        world.set("WRITE_TIMEOUT", "2s");
        // On a busy machine so much is said that a short claim would lapse, and the Claude of the next attempt wait anew.
        world.set("LEASE", "60s");
        world.start().await;
        let id = task_id(&order(&world, "ca_test", json!({ "prompt": "say it", "repo": "octo/app" })).await);
        world.claude_is_waiting().await;
        let (stalled, mut reader) = (follows(&world, &id, 1 << 12).await, follows(&world, &id, 1 << 20).await);
        let filler = "x".repeat(4_000);
        let saying = say(&world, &id, (0..EVENTS).map(|n| format!("{n} {filler}")).chain(["the last of many".to_owned()]));
        // The one reads on while the other takes nothing.
        tokio::join!(saying, reads_until(&mut reader, "the last of many"));
        world.wait_for("the server to hang up", async || !is_open(&world, &stalled)).await;
        assert!(is_open(&world, &reader));
        say(&world, &id, std::iter::once("and one more".to_owned())).await;
        reads_until(&mut reader, "and one more").await;
        // The run has not noticed either.
        world.claude_goes_on();
        world.settle().await;
        reads_until(&mut reader, "event: end").await;
        world.told();
    }
}
