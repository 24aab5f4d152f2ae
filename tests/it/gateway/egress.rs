//! The egress proxy: what passes, what does not, and in how many ways a host can be misspelt.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cloud_agent::gateway::RunTerms;
use cloud_agent::gateway::egress::{self, Network};
use cloud_agent::gateway::host::{Rule, is_public};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{terms, world};

/// Send a request to a proxy and read what comes until it hangs up.
pub async fn say(proxy: SocketAddr, request: &[u8]) -> String {
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
        ("127.0.0.1:443 (no host name)", 1),
        ("2130706433:443 (no host name)", 1),
        ("[::ffff:127.0.0.1]:443 (no host name)", 1),
        ("evil.example:443", 2),
        ("example.com.:443 (no host name)", 1),
        ("example.com:80", 1),
        ("example.com:80 (plain HTTP)", 1),
        ("example.com?.evil.example:443 (no host name)", 1),
        ("localhost:443 (no host name)", 1),
        ("me?example.com:443 (no host name)", 1),
    ];
    assert_eq!(world.gate.blocked(), want.map(|(host, times)| (host.to_owned(), times)).into());
}

pub type Blocked = Arc<Mutex<BTreeMap<String, u64>>>;

/// An egress proxy with one rule, and a resolver and an address policy of the test's own. A name is looked up to the next
/// of the answers, the last of which stays.
pub async fn proxy(
    rule: &str,
    answers: Vec<Vec<SocketAddr>>,
    may_dial: fn(IpAddr, Option<IpAddr>) -> bool,
) -> (SocketAddr, Blocked) {
    let rules: Arc<[Rule]> = Arc::new([rule.parse().unwrap()]);
    let asked = AtomicUsize::new(0);
    let network = Network {
        resolve: Arc::new(move |_| {
            let turn = asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
            let found = answers[turn].clone();
            Box::pin(async move { io::Result::Ok(found) })
        }),
        may_dial,
    };
    let blocked = Blocked::default();
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

/// What a client of TLS says first, when it looks for this host.
pub fn hello(name: &str, with_name: bool) -> Vec<u8> {
    let mut config =
        rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    config.enable_sni = with_name;
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same message with the name overwritten by something that no library would send.
fn forged(name: &str) -> Vec<u8> {
    let real = "x".repeat(name.len() - 2) + ".y";
    let mut bytes = hello(&real, true);
    let at = bytes.windows(real.len()).position(|part| part == real.as_bytes()).unwrap();
    bytes[at..at + real.len()].copy_from_slice(name.as_bytes());
    bytes
}

/// One TLS record as two.
fn in_two_records(hello: &[u8]) -> Vec<u8> {
    let (head, body) = hello.split_at(5);
    let (one, two) = body.split_at(40);
    let record = |part: &[u8]| [&head[..3], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat();
    [record(one), record(two)].concat()
}

/// Open a tunnel to `registry.example`, say this in it in pieces, and see what the server hears and the client is told.
pub async fn through(rule: &str, more: &str, says: &[u8], pieces: usize) -> (Vec<u8>, Vec<u8>, Vec<(String, u64)>) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (proxy, blocked) = proxy(rule, vec![vec![server.local_addr().unwrap()]], |_, _| true).await;
    let mut client = TcpStream::connect(proxy).await.unwrap();
    client.set_nodelay(true).unwrap();
    let head = format!("CONNECT registry.example:443 HTTP/1.1\r\n{more}\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    for piece in says.chunks(says.len().div_ceil(pieces)) {
        // When it is refused, the rest is not heard.
        let _ = client.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    let _ = client.shutdown().await;
    let (mut served, _) = server.accept().await.unwrap();
    let (mut heard, mut told) = (Vec::new(), Vec::new());
    served.read_to_end(&mut heard).await.unwrap();
    drop(served);
    let _ = client.read_to_end(&mut told).await;
    let blocked = blocked.lock().unwrap().clone().into_iter().collect();
    let answer = b"HTTP/1.1 200 Connection established\r\n\r\n";
    (heard, told.strip_prefix(answer).expect("an answer to CONNECT").to_vec(), blocked)
}

#[tokio::test]
async fn a_tunnel_leads_where_its_tls_wants_to_go() {
    let right = hello("registry.example", true);
    for (what, says, pieces) in [
        ("in one piece", right.clone(), 1),
        ("byte by byte", right.clone(), right.len()),
        ("in two records", in_two_records(&right), 3),
        ("in capitals", forged("REGISTRY.example"), 1),
        ("with more behind it", [right.clone(), b"and more".to_vec()].concat(), 1),
    ] {
        let (heard, told, blocked) = through("registry.example", "", &says, pieces).await;
        assert!(heard == says && told.is_empty() && blocked.is_empty(), "{what}: {blocked:?}");
    }
    for (what, says, why) in [
        ("another host", hello("evil.example", true), "TLS for evil.example"),
        ("another host in two records", in_two_records(&hello("evil.example", true)), "TLS for evil.example"),
        ("a host below", hello("x.registry.example", true), "TLS for x.registry.example"),
        ("no host", hello("registry.example", false), "TLS without a name"),
        ("an address", forged("169.254.169.254"), "TLS without a name"),
        ("a name with a NUL", forged("registry.example\0.evil"), "no TLS"),
        ("a name with a dot behind it", forged("registry.example."), "TLS for registry.example."),
        ("plain HTTP", b"GET / HTTP/1.1\r\nHost: registry.example\r\n\r\n".to_vec(), "no TLS"),
        ("a CONNECT in the tunnel", b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n".to_vec(), "no TLS"),
        ("SSH", b"SSH-2.0-x\r\n".to_vec(), "no TLS"),
        (
            "a message without end",
            [&b"\x16\x03\x01\x40\x00\x01\x00\xff\xff"[..], "\0".repeat(80_000).as_bytes()].concat(),
            "no TLS",
        ),
    ] {
        let (heard, told, blocked) = through("registry.example", "", &says, 1).await;
        assert_eq!(blocked, [(format!("registry.example:443 ({why})"), 1)], "{what}");
        assert!(heard.is_empty(), "{what}: the server hears nothing of it");
        // The client may still be speaking when it is cut off.
        assert!(told.is_empty() || told == [0x15, 3, 3, 0, 2, 2, 112], "{what}: {told:?}");
        let (heard, _, blocked) = through("registry.example:443/tcp", "", &says, 1).await;
        assert!(heard == says && blocked.is_empty(), "{what} passes where the rule lets any protocol");
    }
}

#[tokio::test]
async fn headers_of_a_connect_change_nothing() {
    let headers = "Host: evil.example\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n";
    let right = hello("registry.example", true);
    let (heard, _, blocked) = through("registry.example", headers, &right, 1).await;
    assert!(heard == right && blocked.is_empty(), "{blocked:?}");
    // What a length or chunks would hide belongs to the tunnel.
    let smuggled = b"0\r\n\r\nCONNECT evil.example:443 HTTP/1.1\r\n\r\n";
    let (heard, _, blocked) = through("registry.example", headers, smuggled, 1).await;
    assert_eq!((heard.as_slice(), blocked.len()), (&b""[..], 1));
}

#[tokio::test]
async fn a_name_is_looked_up_once() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inside: SocketAddr = "169.254.169.254:443".parse().unwrap();
    let answers = vec![vec![server.local_addr().unwrap()], vec![inside]];
    let (proxy, blocked) = proxy("registry.example:443/tcp", answers, |address, _| address.is_loopback()).await;
    let connect = b"CONNECT registry.example:443 HTTP/1.1\r\n\r\nhi";
    let mut client = TcpStream::connect(proxy).await.unwrap();
    client.write_all(connect).await.unwrap();
    let (mut served, _) = server.accept().await.unwrap();
    let mut heard = [0; 2];
    served.read_exact(&mut heard).await.unwrap();
    assert_eq!((&heard, blocked.lock().unwrap().len()), (b"hi", 0), "the address that was looked at is dialled");
    assert!(say(proxy, connect).await.starts_with("HTTP/1.1 403 "), "a name that has turned inside is looked at again");
    assert_eq!(blocked.lock().unwrap()["registry.example:443 (private address)"], 1);
}

#[tokio::test]
async fn an_allowed_host_is_connected_byte_for_byte() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (proxy, blocked) =
        proxy("registry.example:443/tcp", vec![vec![server.local_addr().unwrap()]], |_, _| true).await;
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
    let at = |address: &str| SocketAddr::new(address.parse().unwrap(), 443);
    for addresses in [
        vec![own],
        vec![at("169.254.169.254")],
        vec![at("1.1.1.1"), own],
        vec![at("fd00:ec2::254")],
        vec![at("::ffff:169.254.169.254")],
        vec![at("64:ff9b::a9fe:a9fe")],
        vec![at("2606:4700::1111"), at("100.100.100.200")],
    ] {
        let (proxy, blocked) = proxy("registry.example", vec![addresses], is_public).await;
        let answer = say(proxy, connect).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("private or reserved"), "{answer}");
        assert_eq!(blocked.lock().unwrap()["registry.example:443 (private address)"], 1);
    }
    // Whatever the address says: a connection that comes out where it went in is this machine.
    let (proxy, _) = proxy("registry.example", vec![vec![own]], |address, from| from != Some(address)).await;
    assert!(say(proxy, connect).await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn a_name_that_is_not_allowed_is_never_looked_up() {
    // A resolver that has no answer to anything, and breaks when it is asked.
    let (proxy, blocked) = proxy("registry.example", Vec::new(), |_, _| true).await;
    for name in ["secret-words.evil.example", "registry.example.evil.example", "x.registry.example"] {
        let answer = say(proxy, format!("CONNECT {name}:443 HTTP/1.1\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{name}: {answer}");
    }
    assert_eq!(blocked.lock().unwrap().len(), 3);
    let answer = say(proxy, b"CONNECT registry.example:443 HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer, "", "the one that is allowed is asked for");
}
