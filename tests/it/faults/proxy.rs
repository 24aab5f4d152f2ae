//! A way to PostgreSQL that breaks in the middle of a transaction: before the server has heard of the commit, or after it
//! has made it and before anybody was told.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// Where PostgreSQL's socket is in its directory.
pub const SOCKET: &str = ".s.PGSQL.5432";

/// When the connection is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    Never,
    BeforeCommit(usize),
    AfterCommit(usize),
}

pub struct Proxy {
    dir: TempDir,
    commits: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Between whoever connects and the server whose socket is in `server`. Commits are counted from one.
    pub fn start(server: &Path, cut: Cut) -> Self {
        let dir = tempfile::Builder::new().prefix("proxy").tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(dir.path().join(SOCKET)).unwrap();
        let commits = Arc::new(AtomicUsize::new(0));
        let (server, counting) = (server.join(SOCKET), commits.clone());
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, counting) = (server.clone(), counting.clone());
                tokio::spawn(async move {
                    // However it ends, both sides see the connection close.
                    let _ = carry(client, &server, cut, &counting).await;
                });
            }
        });
        Self { dir, commits, listening }
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.dir.path().to_str().unwrap().replace('/', "%2F"))
    }

    /// Commits that were asked for so far.
    pub fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn carry(mut client: UnixStream, server: &Path, cut: Cut, commits: &AtomicUsize) -> std::io::Result<()> {
    let mut server = UnixStream::connect(server).await?;
    let (mut ask, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut ask) => {
                let asked = &ask[..read?];
                if asked.is_empty() {
                    return Ok(());
                }
                // A simple query, whole in one piece: drivers send it by itself and wait for the answer.
                let is_commit = asked[0] == b'Q' && asked.ends_with(b"COMMIT\0");
                let nth = if is_commit { commits.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
                match cut {
                    Cut::BeforeCommit(at) if is_commit && at == nth => return Ok(()),
                    Cut::AfterCommit(at) if is_commit && at == nth => {
                        server.write_all(asked).await?;
                        let _ = server.read(&mut answer).await?;
                        return Ok(());
                    }
                    _ => server.write_all(asked).await?,
                }
            }
            read = server.read(&mut answer) => {
                let answered = &answer[..read?];
                if answered.is_empty() {
                    return Ok(());
                }
                client.write_all(answered).await?;
            }
        }
    }
}
