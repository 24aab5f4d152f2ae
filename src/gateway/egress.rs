//! The egress proxy: CONNECT to allowed hosts, byte for byte once TLS has asked for the same host, and nothing else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use super::hello::{self, WRONG_NAME};
use super::host::{self, Place, Rule};
use super::idle::Watched;

/// The head of a proxy request. Ours have a target and a handful of short headers.
const HEAD: usize = 8 << 10;
const HEAD_TIME: Duration = Duration::from_secs(10);
const LOOK_UP_TIME: Duration = Duration::from_secs(10);
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// From the answer to a CONNECT to the end of the client's first message.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// A tunnel in which nothing moves in either direction is given up after this.
const IDLE: Duration = Duration::from_mins(5);
/// Most clients show this phrase and never the body of a refused CONNECT.
const FORBIDDEN: &str = "403 Host not allowed in this sandbox";
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// How names become addresses and which of those may be dialled. The product uses `Network::public` and nothing else.
#[derive(Clone)]
pub struct Network {
    pub resolve: Resolve,
    /// Asked before dialling, and once more with our own address on the connection.
    pub may_dial: fn(address: IpAddr, from: Option<IpAddr>) -> bool,
}

pub type Resolve = Arc<dyn Fn(Place) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

impl Network {
    /// The system's resolver and the public internet.
    pub fn public() -> Self {
        let resolve = |place: Place| -> BoxFuture<'static, _> {
            Box::pin(async move { Ok(tokio::net::lookup_host((place.host(), place.port())).await?.collect()) })
        };
        Self { resolve: Arc::new(resolve), may_dial: host::is_public }
    }
}

/// Serve one connection of a sandbox. `blocked` hears of everything that is refused, as `host:port` in plain letters, with
/// the reason behind it unless that is the list.
pub async fn serve(mut client: TcpStream, rules: &[Rule], network: &Network, blocked: impl Fn(String) + Sync) {
    let (head, early) = match timeout(HEAD_TIME, read_head(&mut client)).await {
        Ok(Ok(Some(parts))) => parts,
        Ok(Ok(None)) => {
            return refuse(client, "431 Request Header Fields Too Large", "the request's head is too large").await;
        }
        Ok(Err(_)) | Err(_) => return,
    };
    let place = match target(&head) {
        Ok(place) => place,
        Err(Not { host, says }) => {
            blocked(host);
            return refuse(client, FORBIDDEN, &says).await;
        }
    };
    if !rules.iter().any(|rule| rule.lets(&place)) {
        let says = format!(
            "{place} is not on this run's list of allowed hosts, and nothing in this sandbox can change that. \
                 Do without it, and say so in your answer if it is needed."
        );
        blocked(place.to_string());
        return refuse(client, FORBIDDEN, &says).await;
    }
    let any_protocol = rules.iter().any(|rule| rule.lets(&place) && rule.lets_any_protocol());
    match dial(&place, network).await {
        Ok(server) if any_protocol => tunnel(client, server, early, None).await,
        Ok(server) => {
            let say = |why| blocked(format!("{place} ({why})"));
            tunnel(client, server, early, Some((&place, &say))).await;
        }
        Err(Unreached::Private) => {
            blocked(format!("{place} (private address)"));
            let says = format!("{place} leads to a private or reserved address, which a sandbox may not reach.");
            refuse(client, FORBIDDEN, &says).await;
        }
        Err(Unreached::Failed(error)) => {
            debug!("A sandbox could not reach {place}: {error}");
            refuse(client, "502 Bad Gateway", &format!("{place} is allowed but could not be reached: {error}")).await;
        }
    }
}

/// The head of the request, and what came after it: a client may speak before it is answered.
async fn read_head(client: &mut TcpStream) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        if client.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let early = buffer.split_off(end + 4);
            return Ok((buffer.len() <= HEAD).then_some((buffer, early)));
        }
        if buffer.len() > HEAD {
            return Ok(None);
        }
    }
}

struct Not {
    host: String,
    says: String,
}

/// Where the request wants to go. Headers are not looked at: a `Host` that says something else changes nothing.
fn target(head: &[u8]) -> Result<Place, Not> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target, version) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let plain = |target: &str| {
        let authority = target.split_once("://").map_or(target, |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        host::shown(if authority.is_empty() { "unknown" } else { authority })
    };
    if method != Some("CONNECT") {
        let host = plain(target);
        let port = if host.contains(':') { "" } else { ":80" };
        let says = "only HTTPS leaves this sandbox, through CONNECT; plain HTTP does not.".to_owned();
        return Err(Not { host: format!("{host}{port} (plain HTTP)"), says });
    }
    let not = |says| Not { host: format!("{} (no host name)", plain(target)), says };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") || words.next().is_some() {
        return Err(not("this is no CONNECT request of HTTP/1.1.".to_owned()));
    }
    Place::parse(target).map_err(|error| not(format!("{error}.")))
}

/// Why a place was not reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    #[error("it leads to a private or reserved address")]
    Private,
    #[error("{0}")]
    Failed(#[source] io::Error),
}

impl Unreached {
    fn late() -> Self {
        Self::Failed(io::ErrorKind::TimedOut.into())
    }
}

/// Look a name up: the addresses that may be dialled, and no others must be. One private address among public ones spoils
/// the name: nobody publishes such a name with good intentions.
pub async fn look_up(place: &Place, network: &Network) -> Result<Vec<SocketAddr>, Unreached> {
    let found = timeout(LOOK_UP_TIME, (network.resolve)(place.clone())).await.map_err(|_| Unreached::late())?;
    let mut addresses = found.map_err(Unreached::Failed)?;
    if addresses.iter().any(|address| !(network.may_dial)(address.ip(), None)) {
        return Err(Unreached::Private);
    }
    addresses.truncate(ADDRESSES);
    Ok(addresses)
}

/// Dial exactly the addresses that were checked.
async fn dial(place: &Place, network: &Network) -> Result<TcpStream, Unreached> {
    let addresses = look_up(place, network).await?;
    let mut last = Unreached::Failed(io::ErrorKind::NotFound.into());
    for address in addresses {
        match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
            Ok(Ok(server)) => {
                let own = server.local_addr().map_err(Unreached::Failed)?.ip();
                return if (network.may_dial)(address.ip(), Some(own)) { Ok(server) } else { Err(Unreached::Private) };
            }
            Ok(Err(error)) => last = Unreached::Failed(error),
            Err(_) => last = Unreached::late(),
        }
    }
    Err(last)
}

/// Whom the client has to ask for, and who hears of it when it asks for another.
type Watch<'a> = (&'a Place, &'a (dyn Fn(hello::Wrong) + Sync));

async fn tunnel(mut client: TcpStream, mut server: TcpStream, early: Vec<u8>, watch: Option<Watch<'_>>) {
    if client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_err() {
        return;
    }
    let first = match watch {
        None => early,
        Some((place, say)) => match timeout(HELLO_TIME, hello::read(&mut client, early, place)).await {
            Ok(Ok(Ok(first))) => first,
            Ok(Ok(Err(wrong))) => {
                say(wrong);
                return hang_up(client, &WRONG_NAME).await;
            }
            Err(_) => return say(hello::Wrong::NotTls),
            Ok(Err(_)) => return,
        },
    };
    let mut client = Watched::new(client);
    let idle = client.idle(IDLE);
    let copy = async {
        server.write_all(&first).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    };
    tokio::select! {
        ended = copy => if let Err(error) = ended {
            debug!("A sandbox's tunnel broke: {error}");
        },
        () = idle => debug!("A sandbox's tunnel was closed after {IDLE:?} of silence"),
    }
}

async fn refuse(client: TcpStream, status: &str, says: &str) {
    let body = format!("cloud-agent: {says}\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    hang_up(client, answer.as_bytes()).await;
}

/// Say the last words and close.
async fn hang_up(mut client: TcpStream, says: &[u8]) {
    let polite = async {
        client.write_all(says).await?;
        client.shutdown().await?;
        // Closing with unread bytes resets the connection, and the client might lose the answer.
        let mut rest = [0; 1024];
        while client.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether it is heard or not, we are done.
    let _ = timeout(Duration::from_secs(2), polite).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connect_has_a_target() {
        let check = |head: &str, want: Result<&str, &str>| {
            let got = target(head.as_bytes()).map(|place| place.to_string()).map_err(|not| not.host);
            assert_eq!(got.as_deref().map_err(String::as_str), want, "{head:?}");
        };
        check("CONNECT example.com:443 HTTP/1.1\r\nHost: other.org\r\n\r\n", Ok("example.com:443"));
        check("CONNECT EXAMPLE.com:443 HTTP/1.1\r\n\r\n", Ok("example.com:443"));
        for (target, host) in [("example.com/path?q", "example.com:80"), ("example.com:8080/", "example.com:8080")] {
            check(&format!("GET http://{target} HTTP/1.1\r\n\r\n"), Err(&format!("{host} (plain HTTP)")));
        }
        check("\r\n\r\n", Err("unknown:80 (plain HTTP)"));
        check(" CONNECT example.com:443 HTTP/1.1\r\n\r\n", Err("connect:80 (plain HTTP)"));
        for (line, host) in [
            ("CONNECT example.com:443 HTTP/2", "example.com:443"),
            ("CONNECT example.com:443", "example.com:443"),
            ("CONNECT example.com:443 HTTP/1.1 ", "example.com:443"),
            ("CONNECT example.com:443 HTTP/1.1\nx:", "example.com:443"),
            ("CONNECT\texample.org:443 HTTP/1.1", "http:80 (plain HTTP)"),
            ("CONNECT user@example.com:443 HTTP/1.1", "user?example.com:443"),
            ("CONNECT example.com\0:443 HTTP/1.1", "example.com?:443"),
            ("CONNECT http://example.com:443 HTTP/1.1", "example.com:443"),
            ("CONNECT [::1]:443 HTTP/1.1", "[::1]:443"),
            ("CONNECT  HTTP/1.1", "unknown"),
        ] {
            let host = if host.ends_with(')') { host.to_owned() } else { format!("{host} (no host name)") };
            check(&format!("{line}\r\n\r\n"), Err(&host));
        }
    }
}
