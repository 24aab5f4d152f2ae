//! A line between `ca` and its server on which somebody else may answer, or a server that a test makes up.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Answers what `answer` makes of a request; what it leaves alone goes to the server.
pub async fn line(
    server: Option<SocketAddr>,
    mut answer: impl FnMut(&str) -> Option<String> + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let asked = request(&mut client).await;
            match (answer(&asked), server) {
                // Nobody may listen any more.
                (Some(said), _) => drop(client.write_all(said.as_bytes()).await),
                (None, Some(server)) => {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    server.write_all(asked.as_bytes()).await.unwrap();
                    tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
                }
                (None, None) => panic!("nobody answers {asked}"),
            }
        }
    });
    url
}

/// An answer as it goes over the line.
pub fn said(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
}

/// A whole request: its head, and as much of a body as that announces.
async fn request(client: &mut TcpStream) -> String {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let n = client.read(&mut part).await.unwrap_or_default();
        bytes.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let is_whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length(head));
        if n == 0 || is_whole {
            return text;
        }
    }
}

fn length(head: &str) -> usize {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    found.and_then(|(_, n)| n.trim().parse().ok()).unwrap_or_default()
}
