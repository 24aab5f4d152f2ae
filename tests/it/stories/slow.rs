//! Who sends slowly, or more than fits: through real sockets, so that every byte comes when the story says so.

use std::sync::Arc;

use futures::future::join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use simulator::github::Signature;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

use super::api_tasks::greeting;
use crate::world::World;

/// All that the server says until it hangs up, or has said as much.
async fn hear(socket: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is an end as well.
    let _ = socket.read_to_end(&mut said).await;
    String::from_utf8(said).unwrap()
}

fn status(said: &str) -> &str {
    said.split(' ').nth(1).unwrap_or("none")
}

/// The head of a delivery that is signed, and asks for the connection to be closed afterwards.
fn head(world: &World, guid: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(world.github.webhook_secret().as_bytes()).unwrap();
    mac.update(body);
    let signature = hex::encode(mac.finalize().into_bytes());
    format!(
        "POST /webhooks/github HTTP/1.1\r\nhost: bot\r\nconnection: close\r\ncontent-type: application/json\r\n\
         x-github-event: star\r\nx-github-delivery: {guid}\r\nx-hub-signature-256: sha256={signature}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
}

stories! {
    async fn a_request_that_does_not_come_is_not_waited_for(database: Database) {
        let world = greeting(database, &[("REQUEST_TIMEOUT", "1s")]).await;
        let send = async |text: String| {
            let mut socket = TcpStream::connect(world.address()).await.unwrap();
            socket.write_all(text.as_bytes()).await.unwrap();
            hear(&mut socket).await
        };
        let delivery = head(&world, "slow", b"{\"action\":\"created\"}");
        let order = "POST /api/v1/tasks HTTP/1.1\r\nhost: bot\r\nauthorization: Bearer ca_test\r\n\
                     content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"prompt\":";
        let (half_a_head, half_a_body, nothing, half_an_order) = tokio::join!(
            send(delivery[..60].to_owned()),
            send(format!("{delivery}{{\"action\"")),
            send(String::new()),
            send(order.to_owned()),
        );
        assert_eq!((half_a_head.as_str(), nothing.as_str()), ("", ""));
        assert_eq!(status(&half_a_body), "408", "{half_a_body}");
        assert!(half_a_body.ends_with(r#"{"error":"the body did not come in time"}"#), "{half_a_body}");
        assert_eq!(status(&half_an_order), "408", "{half_an_order}");
        assert!(half_an_order.contains(r#""code":"too_slow""#), "{half_an_order}");
        // Whoever sends all of it is heard.
        assert_eq!(status(&send(format!("{delivery}{{\"action\":\"created\"}}")).await), "202");
        assert_eq!(world.told(), "");
    }

    async fn more_bodies_than_fit_into_memory_are_sent_again(database: Database) {
        const AT_ONCE: usize = 4;
        // One of them fits beside small ones.
        let world = greeting(database, &[("BODIES_MB", "32")]).await;
        let body: Arc<[u8]> = json!({ "action": "created", "padding": "x".repeat(24 << 20) }).to_string().into_bytes().into();
        let (last, refused) = (Notify::new(), Semaphore::new(0));
        let send = async |guid: String| {
            let mut socket = TcpStream::connect(world.address()).await.unwrap();
            socket.write_all(head(&world, &guid, &body).as_bytes()).await.unwrap();
            // Nobody is done before the others have begun.
            let (most, end) = body.split_at(body.len() - 1);
            socket.write_all(most).await.unwrap();
            let mut first = [0; 1];
            tokio::select! {
                _ = socket.peek(&mut first) => refused.add_permits(1),
                () = last.notified() => socket.write_all(end).await.unwrap(),
            }
            hear(&mut socket).await
        };
        let small = async {
            let _ = refused.acquire_many(AT_ONCE as u32 - 1).await.unwrap();
            let (status, says) = world.github.deliver_raw("star", "small", b"{\"action\":\"created\"}", Signature::Good, "application/json").await;
            assert_eq!(status, 202, "one large body is still held, and there is room for a small one: {says}");
            last.notify_one();
        };
        let (mut said, ()) = tokio::join!(join_all((0..AT_ONCE).map(|n| send(format!("large {n}")))), small);
        said.sort_by_key(|it| status(it).to_owned());
        assert_eq!(said.iter().map(|it| status(it)).collect::<Vec<_>>(), ["202", "503", "503", "503"], "{said:?}");
        assert!(said[1..].iter().all(|it| it.contains("\r\nretry-after: 30\r\n")), "{said:?}");
        assert!(said[1].ends_with(r#"(BODIES_MB), send it again"}"#), "{}", said[1]);
        // There is room again.
        let (status, says) = world.github.deliver_raw("star", "again", &body, Signature::Good, "application/json").await;
        assert_eq!(status, 202, "{says}");
        assert_eq!(world.told(), "");
    }
}
