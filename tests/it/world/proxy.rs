//! A proxy between the bot and PostgreSQL that reads along: each durable write steps on a tripwire, and the connection is cut
//! before the server hears of it, or after it has answered.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use simulator::github::{Moment, Tripwire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Listens on loopback for as long as it lives.
pub struct Proxy {
    url: String,
    wire: Arc<Tripwire>,
    /// Counts how often the network has gone; connections from before carry nothing any more.
    gone: watch::Sender<u32>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// In front of a database of the server that listens on this socket.
    pub async fn before(socket: &Path, database: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://postgres@{}/{database}", listener.local_addr().unwrap());
        let wire = Arc::new(Tripwire::default());
        let (socket, watched) = (PathBuf::from(socket), wire.clone());
        let (gone, network) = watch::channel(0);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = UnixStream::connect(&socket).await else { continue };
                let _ = client.set_nodelay(true);
                // Either side hanging up, and so the wire, ends the whole connection.
                let (watched, mut network) = (watched.clone(), network.clone());
                network.mark_unchanged();
                tokio::spawn(async move {
                    // Held, so that neither side sees it end.
                    let carrying = carry(client, server, watched);
                    tokio::pin!(carrying);
                    tokio::select! {
                        () = &mut carrying => (),
                        Ok(()) = network.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url, wire, gone, listening }
    }

    /// What the bot takes for its DATABASE_URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on nothing is carried over the connections that stand, and they do not end. New ones are made as before.
    pub fn fall_silent(&self) {
        self.gone.send_modify(|times| *times += 1);
    }

    /// The tripwire that every durable write steps on: each one outside a transaction, and each commit.
    pub fn wire(&self) -> &Tripwire {
        &self.wire
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// What both directions of a connection know.
#[derive(Default)]
struct Talk {
    /// Whether the server is in a transaction, and whether something was written in it.
    in_transaction: bool,
    has_written: bool,
    /// How often the client has waited for `ReadyForQuery`, and how often that came.
    asked: usize,
    answered: usize,
    /// The write whose answer is kept back: at which `ReadyForQuery` it ends, and its SQL.
    held: Option<(usize, String)>,
}

impl Talk {
    /// Whether this statement makes something durable.
    fn is_durable(&mut self, sql: &str) -> bool {
        let sql = sql.trim_start().to_lowercase();
        let writes = ["insert into ", "update ", "delete from ", "create ", "alter ", "drop "];
        let writes = !sql.starts_with("listen") && writes.iter().any(|it| sql.contains(it));
        match self.in_transaction {
            true if sql.starts_with("commit") => self.has_written,
            true => {
                self.has_written |= writes;
                false
            }
            false => writes,
        }
    }
}

async fn carry(client: TcpStream, server: UnixStream, wire: Arc<Tripwire>) {
    let talk = Mutex::new(Talk::default());
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    if first_words(&mut from_client, &mut to_client, &mut to_server).await.is_err() {
        return;
    }
    talk.lock().unwrap().asked = 1;
    let asking = async {
        let mut statements: HashMap<Vec<u8>, String> = HashMap::new();
        let mut portals: HashMap<Vec<u8>, String> = HashMap::new();
        while let Ok(message) = read(&mut from_client).await {
            let sql = match message[0] {
                b'P' => {
                    let (name, rest) = word(&message[5..]);
                    statements.insert(name, text(&word(rest).0));
                    None
                }
                b'B' => {
                    let (portal, rest) = word(&message[5..]);
                    let sql = statements.get(&word(rest).0).cloned().unwrap_or_default();
                    portals.insert(portal, sql);
                    None
                }
                b'E' => portals.get(&word(&message[5..]).0).cloned(),
                b'Q' => Some(text(&word(&message[5..]).0)),
                _ => None,
            };
            let durable = sql.filter(|sql| talk.lock().unwrap().is_durable(sql));
            if let Some(sql) = durable {
                match wire.step() {
                    Some(Moment::Before) => return wire.act(&line(&sql)),
                    Some(Moment::After) => {
                        let mut talk = talk.lock().unwrap();
                        talk.held = Some((talk.asked + 1, line(&sql)));
                    }
                    None => (),
                }
            }
            if matches!(message[0], b'Q' | b'S') {
                talk.lock().unwrap().asked += 1;
            }
            if to_server.write_all(&message).await.is_err() {
                return;
            }
        }
    };
    let answering = async {
        while let Ok(message) = read(&mut from_server).await {
            let held = {
                let mut talk = talk.lock().unwrap();
                if message[0] == b'Z' {
                    talk.answered += 1;
                    talk.in_transaction = message[5] != b'I';
                    talk.has_written &= talk.in_transaction;
                }
                let (at, answered) = (talk.held.as_ref().map(|it| it.0), talk.answered);
                match at {
                    Some(at) if answered >= at => talk.held.take().map(|it| Some(it.1)),
                    // What came before the write is passed on.
                    Some(at) if answered + 1 == at && message[0] != b'Z' => Some(None),
                    _ => None,
                }
            };
            match held {
                Some(Some(sql)) => return wire.act(&sql),
                None if to_client.write_all(&message).await.is_err() => return,
                // Passed on, or kept back.
                _ => (),
            }
        }
    };
    tokio::select! {
        () = asking => (),
        () = answering => (),
    }
}

/// The start of a connection: no TLS, then the startup message, which has no type.
async fn first_words(
    from_client: &mut (impl tokio::io::AsyncRead + Unpin),
    to_client: &mut (impl tokio::io::AsyncWrite + Unpin),
    to_server: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> std::io::Result<()> {
    const SSL: u32 = 80_877_103;
    loop {
        let length = from_client.read_u32().await?;
        let mut rest = vec![0; (length as usize).saturating_sub(4)];
        from_client.read_exact(&mut rest).await?;
        if rest.get(..4) == Some(&SSL.to_be_bytes()) {
            to_client.write_all(b"N").await?;
            continue;
        }
        to_server.write_all(&length.to_be_bytes()).await?;
        return to_server.write_all(&rest).await;
    }
}

/// One message, with its type and length in front.
async fn read(from: &mut (impl tokio::io::AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; 5];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes([message[1], message[2], message[3], message[4]]) as usize;
    message.resize(1 + length, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

/// A string up to its zero, and what follows.
fn word(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let end = bytes.iter().position(|it| *it == 0).unwrap_or(bytes.len());
    (bytes[..end].to_vec(), bytes.get(end + 1..).unwrap_or_default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// SQL on one line.
fn line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
