//! The least that an honest acceptor does: axum, HMAC over the raw bytes, zstd, one writer with group commit into a
//! table of id and body. No JSON, no envelope, no duplicates, no queue. Same runtime, same sqlx, same durability.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, StatusCode};
use sha2::Sha256;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tokio::sync::{mpsc, oneshot};

/// Most bodies in one commit, as in the product.
const BATCH: usize = 256;
/// Rows in one statement on SQLite; more were not faster.
const ROWS: usize = 64;

struct Waiting {
    body: Vec<u8>,
    done: oneshot::Sender<()>,
}

#[derive(Clone)]
struct Door {
    key: Arc<Hmac<Sha256>>,
    writer: mpsc::Sender<Waiting>,
}

pub fn serve(url: &str, address: &str) {
    let secret = std::env::var("SECRET").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let (writer, receiver) = mpsc::channel(1024);
        let database = Database::open(url).await;
        tokio::spawn(write(database, receiver));
        let key = Arc::new(Hmac::new_from_slice(secret.as_bytes()).unwrap());
        let router = Router::new()
            .route("/webhooks/github", post(receive))
            .layer(DefaultBodyLimit::disable())
            .with_state(Door { key, writer });
        axum::serve(listener, router).await.unwrap();
    });
}

async fn receive(State(door): State<Door>, headers: HeaderMap, raw: Bytes) -> StatusCode {
    let claimed = headers.get("x-hub-signature-256").and_then(|it| it.to_str().ok()?.strip_prefix("sha256="));
    let claimed = claimed.and_then(|it| hex::decode(it).ok()).unwrap_or_default();
    if Hmac::clone(&door.key).chain_update(&raw).verify_slice(&claimed).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let (done, stored) = oneshot::channel();
    door.writer.send(Waiting { body: pack(&raw), done }).await.ok().unwrap();
    stored.await.unwrap();
    StatusCode::ACCEPTED
}

fn pack(raw: &[u8]) -> Vec<u8> {
    thread_local! {
        static PACKER: RefCell<zstd::bulk::Compressor<'static>> = RefCell::new(zstd::bulk::Compressor::new(1).unwrap());
    }
    PACKER.with_borrow_mut(|it| it.compress(raw).unwrap())
}

async fn write(mut database: Database, mut receiver: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::with_capacity(BATCH);
    let mut id = 0;
    while receiver.recv_many(&mut waiting, BATCH).await > 0 {
        let (bodies, done): (Vec<_>, Vec<_>) = waiting.drain(..).map(|it| (it.body, it.done)).unzip();
        database.store(&mut id, bodies).await;
        for done in done {
            let _ = done.send(());
        }
    }
}

enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    async fn open(url: &str) -> Self {
        const SQLITE: &str = "create table stored (id integer primary key, body blob not null)";
        const POSTGRES: &str = "create table stored (id bigint primary key, body bytea not null)";
        let Some(path) = url.strip_prefix("sqlite://") else {
            let mut it = PgConnection::connect(url).await.unwrap();
            sqlx::query(POSTGRES).execute(&mut it).await.unwrap();
            return Self::Postgres(it);
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", "16000")
            .pragma("journal_size_limit", "16777216");
        let mut it = options.connect().await.unwrap();
        sqlx::query(SQLITE).execute(&mut it).await.unwrap();
        tokio::spawn(fold(options.connect().await.unwrap()));
        Self::Sqlite(it)
    }

    async fn store(&mut self, id: &mut i64, mut bodies: Vec<Vec<u8>>) {
        match self {
            Self::Sqlite(it) => {
                let mut tx = it.begin_with("begin immediate").await.unwrap();
                while !bodies.is_empty() {
                    let rows = bodies.len().min(ROWS);
                    let sql = format!("insert into stored (id, body) values {}", vec!["(?, ?)"; rows].join(", "));
                    let mut query = sqlx::query(AssertSqlSafe(sql));
                    for body in bodies.drain(..rows) {
                        *id += 1;
                        query = query.bind(*id).bind(body);
                    }
                    query.execute(&mut *tx).await.unwrap();
                }
                tx.commit().await.unwrap();
            }
            Self::Postgres(it) => {
                // One statement is a transaction of its own: one round trip a batch.
                const SQL: &str = "insert into stored (id, body) select * from unnest($1::bigint[], $2::bytea[])";
                let ids: Vec<i64> = (*id + 1..=*id + bodies.len() as i64).collect();
                *id += bodies.len() as i64;
                sqlx::query(SQL).bind(ids).bind(bodies).execute(it).await.unwrap();
            }
        }
    }
}

/// Fold the log into the file aside from the writer, as the product does.
async fn fold(mut connection: SqliteConnection) {
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let _ = connection.execute("pragma wal_checkpoint(passive)").await;
    }
}
