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
    /// No ClientHello, or none that a server should answer.
    NotTls,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => write!(f, "TLS for {name}"),
            Self::Nameless => f.write_str("TLS without a name"),
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
                Ok(Some(hello)) => return Ok(judge(hello.client_hello().server_name(), place).map(|()| kept)),
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
fn judge(name: Option<&str>, place: &Place) -> Result<(), Wrong> {
    match name {
        Some(name) if name == place.host() => Ok(()),
        Some(name) => Err(Wrong::Other(shown(name))),
        None => Err(Wrong::Nameless),
    }
}
