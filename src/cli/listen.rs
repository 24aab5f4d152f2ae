//! The server's connections. They speak HTTP/1.1 alone, as GitHub and every proxy does: what has other ways to begin has other
//! ways to be late. Each has so long for the head of its next request, so that nobody holds one by sending it letter by letter.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::patient::{Patient, Socket};

/// Bytes of a head, and of what is read at once of a body.
const BUFFER: usize = 64 << 10;

/// Open files that this process asks for, if it may have so many.
const FILES: u64 = 65_536;

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For the head of a request, and between two of them.
    pub head: Duration,
    /// At once. Further ones wait at the door.
    pub connections: usize,
}

impl Bounds {
    /// As many connections as leave half of the open files to everything else: runs go on, whoever knocks.
    pub fn new(head: Duration) -> Self {
        let (has, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        let wanted = has.max(most.min(FILES));
        let files = setrlimit(Resource::RLIMIT_NOFILE, wanted, most).map_or(has, |()| wanted);
        Self { head, connections: usize::try_from(files.min(FILES) / 2).unwrap_or_default().max(1) }
    }
}

/// Serve until the stop, and then until every request that is under way has its answer.
pub async fn listen(mut listener: Patient, router: Router, bounds: Bounds, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            (socket, _) = listener.accept(), if connections.len() < bounds.connections => {
                connections.spawn(serve(socket, router.clone(), bounds.head, stop.clone()));
                if connections.len() == bounds.connections {
                    warn!("{} connections are open; others wait until one is closed", bounds.connections);
                }
            }
            Some(_) = connections.join_next() => (),
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(socket: Socket, router: Router, head: Duration, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router))
        // WebSockets.
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!("A connection broke: {error}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const LONG: Duration = Duration::from_mins(1);
    const PATIENT: Bounds = Bounds { head: LONG, connections: 100 };
    const SHORT: Bounds = Bounds { head: Duration::from_millis(300), connections: 100 };

    async fn server(bounds: Bounds, stop: CancellationToken) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Told to stop by the very request that is under way.
        let told = stop.clone();
        let last = || async move {
            told.cancel();
            tokio::time::sleep(Duration::from_millis(200)).await;
            "done"
        };
        let router = Router::new().route("/", get(|| async { "here" })).route("/last", get(last));
        (address, tokio::spawn(listen(Patient { listener, patience: Duration::from_mins(1) }, router, bounds, stop)))
    }

    /// All that comes until the server hangs up; `None` when it does not.
    async fn rest(client: &mut TcpStream) -> Option<String> {
        let mut said = Vec::new();
        // A reset is an end as well.
        let _ = tokio::time::timeout(LONG / 2, client.read_to_end(&mut said)).await.ok()?;
        Some(String::from_utf8(said).unwrap())
    }

    #[tokio::test]
    async fn whoever_sends_a_head_letter_by_letter_is_hung_up_on() {
        let (address, _server) = server(SHORT, CancellationToken::new()).await;
        let client = TcpStream::connect(address).await.unwrap();
        let (mut reads, mut writes) = client.into_split();
        let drip = tokio::spawn(async move {
            let head = "GET / HTTP/1.1\r\n".chars().chain("x: y\r\n".chars().cycle());
            for letter in head {
                if writes.write_all(letter.to_string().as_bytes()).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut said = Vec::new();
        let end = tokio::time::timeout(LONG / 2, reads.read_to_end(&mut said)).await;
        assert!(end.is_ok(), "it is never hung up on");
        drip.abort();
        // So is one that says nothing at all, and one that says nothing more.
        assert_eq!(rest(&mut TcpStream::connect(address).await.unwrap()).await.as_deref(), Some(""));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let said = rest(&mut client).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("here"), "{said}");
    }

    #[tokio::test]
    async fn a_head_that_is_endless_is_refused() {
        let (address, _server) = server(PATIENT, CancellationToken::new()).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        // It may hang up before all of it was sent.
        let _ = client.write_all(format!("x: {}\r\n", "y".repeat(2 * BUFFER)).as_bytes()).await;
        assert!(rest(&mut client).await.is_some(), "it goes on reading");
    }

    #[tokio::test]
    async fn whoever_comes_when_all_places_are_taken_waits_for_one() {
        let (address, _server) = server(Bounds { connections: 2, ..PATIENT }, CancellationToken::new()).await;
        let ask = async || {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            client
        };
        let (mut one, mut two) = (ask().await, ask().await);
        // Both have been answered, and stay.
        let mut first = [0; 12];
        one.read_exact(&mut first).await.unwrap();
        two.read_exact(&mut first).await.unwrap();
        let mut three = ask().await;
        let early = tokio::time::timeout(Duration::from_millis(200), three.read_exact(&mut first)).await;
        assert!(early.is_err(), "there is no place for it");
        drop(one);
        tokio::time::timeout(LONG / 2, three.read_exact(&mut first)).await.unwrap().unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }

    #[tokio::test]
    async fn what_is_under_way_at_the_stop_is_answered() {
        let stop = CancellationToken::new();
        let (address, server) = server(PATIENT, stop.clone()).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /last HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert_eq!(rest(&mut idle).await.as_deref(), Some(""));
        let said = rest(&mut client).await.unwrap();
        assert!(said.ends_with("done"), "{said}");
        tokio::time::timeout(LONG / 2, server).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
