//! The egress proxy: what passes, what does not, and in how many ways a host can be misspelt.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use cloud_agent::gateway::RunTerms;
use cloud_agent::gateway::egress::{self, Network};
use cloud_agent::gateway::host::{Rule, is_public};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{terms, world};

/// Send a request to a proxy and read what comes until it hangs up.
async fn say(proxy: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_is_not_on_the_list_is_refused_and_counted() {
    let world = world(RunTerms { egress: vec!["example.com".into(), "127.0.0.1.nip.io:1".into()], ..terms() }).await;
    let refused = say(world.proxy, b"CONNECT evil.example:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n").await;
    assert!(
        refused.starts_with("HTTP/1.1 403 ") && refused.contains("evil.example:443 is not on this run's list"),
        "{refused}"
    );
    say(world.proxy, b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n").await;
    for odd in [
        "CONNECT example.com:80 HTTP/1.1",
        "CONNECT example.com.:443 HTTP/1.1",
        "CONNECT example.com\0.evil.example:443 HTTP/1.1",
        "CONNECT me@example.com:443 HTTP/1.1",
        "CONNECT 127.0.0.1:443 HTTP/1.1",
        "CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1",
        "CONNECT 2130706433:443 HTTP/1.1",
        "CONNECT localhost:443 HTTP/1.1",
        "GET http://example.com/ HTTP/1.1",
    ] {
        let answer = say(world.proxy, format!("{odd}\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{odd:?}: {answer}");
    }
    let long = format!("CONNECT example.com:443 HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(9000));
    assert!(say(world.proxy, long.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let want = [
        ("127.0.0.1:443", 1),
        ("2130706433:443", 1),
        ("[::ffff:127.0.0.1]:443", 1),
        ("evil.example:443", 2),
        ("example.com.:443", 1),
        ("example.com:80", 2),
        ("example.com?.evil.example:443", 1),
        ("localhost:443", 1),
        ("me?example.com:443", 1),
    ];
    assert_eq!(world.gate.blocked(), want.map(|(host, times)| (host.to_owned(), times)).into());
}

/// An egress proxy with a resolver and an address policy of the test's own.
async fn proxy(
    addresses: Vec<SocketAddr>,
    may_dial: fn(IpAddr, Option<IpAddr>) -> bool,
) -> (SocketAddr, Arc<Mutex<BTreeMap<String, u64>>>) {
    let rules: Arc<[Rule]> = Arc::new(["registry.example".parse().unwrap()]);
    let network = Network {
        resolve: Arc::new(move |_| {
            let found = addresses.clone();
            Box::pin(async move { io::Result::Ok(found) })
        }),
        may_dial,
    };
    let blocked = Arc::new(Mutex::new(BTreeMap::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), blocked.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (rules, network, seen) = (rules.clone(), network.clone(), seen.clone());
            tokio::spawn(async move {
                egress::serve(stream, &rules, &network, |host| *seen.lock().unwrap().entry(host).or_default() += 1)
                    .await;
            });
        }
    });
    (address, blocked)
}

#[tokio::test]
async fn an_allowed_host_is_connected_byte_for_byte() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (proxy, blocked) = proxy(vec![server.local_addr().unwrap()], |_, _| true).await;
    let mut client = TcpStream::connect(proxy).await.unwrap();
    // The client does not wait for the answer before it speaks.
    client.write_all(b"CONNECT Registry.Example:443 HTTP/1.1\r\n\r\nhello").await.unwrap();
    let (mut served, _) = server.accept().await.unwrap();
    client.write_all(b" there").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = String::new();
    served.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "hello there");
    // One direction has ended; the other goes on.
    served.write_all(b"goodbye").await.unwrap();
    drop(served);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\ngoodbye");
    assert!(blocked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    let connect = b"CONNECT registry.example:443 HTTP/1.1\r\n\r\n";
    for addresses in
        [vec![own], vec!["169.254.169.254:443".parse().unwrap()], vec!["1.1.1.1:443".parse().unwrap(), own]]
    {
        let (proxy, blocked) = proxy(addresses, is_public).await;
        let answer = say(proxy, connect).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("private or reserved"), "{answer}");
        assert_eq!(blocked.lock().unwrap()["registry.example:443"], 1);
    }
    // Whatever the address says: a connection that comes out where it went in is this machine.
    let (proxy, _) = proxy(vec![own], |address, from| from != Some(address)).await;
    assert!(say(proxy, connect).await.starts_with("HTTP/1.1 403 "));
}
