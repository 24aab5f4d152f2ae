//! The first words of a tunnel: TLS, asking for the very host that the tunnel was opened to.
//!
//! Many hosts share an address. Without a look at the name in the ClientHello, a tunnel to an allowed host of a large
//! provider would lead to any of its customers. What is asked for inside of the encrypted stream can't be seen from here.

use std::fmt;
use std::io;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::host::{Place, shown};

/// The bytes of a ClientHello that are waited for. Real ones take one or two kilobytes, with many keys some more.
const LONGEST: usize = 32 << 10;

/// The alert `unrecognized_name` (RFC 6066 §3), so that the client can say what was wrong.
pub(super) const WRONG_NAME: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 112];

/// Why a tunnel is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It names another host than the tunnel.
    Other(String),
    /// It names none.
    Nameless,
    /// The name that is meant is encrypted (ECH), and the one outside says nothing.
    Hidden,
    /// No ClientHello, or none that a server should answer.
    NotTls,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => write!(f, "TLS for {name}"),
            Self::Nameless => f.write_str("TLS without a name"),
            Self::Hidden => f.write_str("TLS with an encrypted name"),
            Self::NotTls => f.write_str("no TLS"),
        }
    }
}

/// Read until the ClientHello is whole, and judge it. What was read is returned: it belongs to the server. A client that
/// hangs up before is an error.
pub async fn read(
    client: &mut (impl AsyncRead + Unpin),
    early: Vec<u8>,
    place: &Place,
) -> io::Result<Result<Vec<u8>, Wrong>> {
    let mut acceptor = Acceptor::default();
    let mut kept = early;
    let mut fed = 0;
    loop {
        while fed < kept.len() {
            let Ok(taken @ 1..) = acceptor.read_tls(&mut &kept[fed..]) else {
                return Ok(Err(Wrong::NotTls));
            };
            fed += taken;
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(hello)) => {
                    let judged = judge(hello.client_hello().server_name(), place, is_hidden(&kept));
                    return Ok(judged.map(|()| kept));
                }
                Err(_) => return Ok(Err(Wrong::NotTls)),
            }
        }
        if kept.len() > LONGEST {
            return Ok(Err(Wrong::NotTls));
        }
        if client.read_buf(&mut kept).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Letter for letter: rustls has lowered the name, and a `Place` has one spelling.
fn judge(name: Option<&str>, place: &Place, hidden: bool) -> Result<(), Wrong> {
    match name {
        _ if hidden => Err(Wrong::Hidden),
        Some(name) if name == place.host() => Ok(()),
        Some(name) => Err(Wrong::Other(shown(name))),
        None => Err(Wrong::Nameless),
    }
}

/// The extension `encrypted_client_hello` (RFC 9849). Nothing that is used in a sandbox sends it by itself: browsers do.
const ECH: u16 = 0xfe0d;

/// Whether the name that is meant may be another than the one that can be read. What cannot be read here, though rustls could,
/// counts as hidden.
fn is_hidden(records: &[u8]) -> bool {
    extensions(records).is_none_or(|all| all.contains(&ECH))
}

/// The extensions of a ClientHello that is whole (RFC 8446 §4.1.2), which may be spread over several records (§5.1).
fn extensions(mut records: &[u8]) -> Option<Vec<u16>> {
    const HANDSHAKE: u8 = 22;
    const VERSION_AND_RANDOM: usize = 2 + 32;
    let mut hello = Vec::new();
    let length = |hello: &[u8]| Some(4 + hello.get(1..4)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)));
    while length(&hello).is_none_or(|whole| hello.len() < whole) {
        let head = take(&mut records, 3)?;
        if head[0] != HANDSHAKE {
            return None;
        }
        hello.extend_from_slice(vector(&mut records, 2)?);
    }
    let mut body = hello.get(4..length(&hello)?)?;
    take(&mut body, VERSION_AND_RANDOM)?;
    // Session, cipher suites, compression.
    for width in [1, 2, 1] {
        vector(&mut body, width)?;
    }
    let mut found = Vec::new();
    let mut all = vector(&mut body, 2)?;
    while !all.is_empty() {
        let kind = take(&mut all, 2)?;
        found.push(u16::from_be_bytes([kind[0], kind[1]]));
        vector(&mut all, 2)?;
    }
    Some(found)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// Bytes with their number in front, which takes so many bytes itself.
fn vector<'a>(bytes: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let count = take(bytes, width)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    take(bytes, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello with these extensions, cut into records of this size.
    fn hello(extensions: &[u16], size: usize) -> Vec<u8> {
        let mut all: Vec<u8> = Vec::new();
        for kind in extensions {
            all.extend(kind.to_be_bytes());
            all.extend([0, 1, 9]);
        }
        let mut body = vec![3; 34];
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        body.extend((all.len() as u16).to_be_bytes());
        body.extend(all);
        let mut message = vec![1, 0];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(body);
        message.chunks(size).flat_map(|part| [&[22, 3, 1, 0, part.len() as u8], part].concat()).collect()
    }

    #[test]
    fn an_encrypted_name_is_seen_however_it_is_cut() {
        for size in [1, 3, 40, 200] {
            assert!(is_hidden(&hello(&[0, 10, ECH, 43], size)), "{size}");
            assert!(!is_hidden(&hello(&[0, 10, 43], size)), "{size}");
            assert!(!is_hidden(&[hello(&[0], size), vec![23, 3, 3]].concat()), "{size}: what follows is not looked at");
        }
        let whole = hello(&[0, 10, 43], 200);
        assert!((0..whole.len()).all(|end| is_hidden(&whole[..end])), "what is cut off is not believed");
        assert_eq!(extensions(&hello(&[0, ECH], 7)), Some(vec![0, ECH]));
    }
}
