//! The store by itself: what it promises to workers, what it keeps and for how long, what it survives.

use std::time::Duration;

use bytes::Bytes;
use cloud_agent::store::{Claimed, Created, Decided, DeliveryState, Keys, NewDelivery, NewTask, Queue, Store};
use cloud_agent::task::{Account, Kind, Place, Snapshot, TaskId, Trigger};
use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;

use crate::world::Database;

macro_rules! on_both {
    ($(async fn $name:ident($scene:ident) $test:block)*) => {
        $(async fn $name($scene: $crate::store::Scene) $test)*

        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::store::Scene::on(crate::world::Database::sqlite()).await).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::store::Scene::on(crate::world::Database::postgres()).await).await;
            })*
        }
    };
}

mod artifacts;
mod backup;
mod caller;
mod full;
mod home;
mod kept;
mod listen;
mod migrations;
mod queue;
mod retention;
mod sealed;
mod stranded;

/// What seals in these tests.
pub const KEY: &str = "1111111111111111111111111111111111111111111111111111111111111111";
pub const LEASE: Duration = Duration::from_secs(30);
pub const NO_LEASE: Duration = Duration::ZERO;

/// A database with nothing in it.
pub struct Scene {
    pub store: Store,
    pub url: String,
    pub dir: TempDir,
    _database: Database,
}

impl Scene {
    pub async fn on(database: Database) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = database.url(dir.path());
        let mut store = Store::connect(&url.clone().into()).await.unwrap();
        store.migrate().await.unwrap();
        store.unlock(Keys::read(&KEY.into()).unwrap()).await.unwrap();
        Self { store, url, dir, _database: database }
    }

    /// Store a delivery; whether it was new.
    pub async fn deliver(&self, guid: &str) -> bool {
        !self.store.accept(&[delivery(guid)]).await.unwrap().is_empty()
    }

    pub async fn claim(&self, queue: Queue, lease: Duration, lane_limit: Option<u32>) -> Option<Claimed> {
        self.store.claim(queue, "worker", lease, 1, lane_limit).await.unwrap().pop()
    }

    /// Change or add rows behind the product's back, such as to make them old.
    pub async fn sql(&self, statements: &[String]) {
        let mut raw = raw(&self.url).await;
        for statement in statements {
            sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&mut raw).await.unwrap();
        }
        raw.close().await.unwrap();
    }

    /// What a query that counts says.
    pub async fn count(&self, query: &str) -> i64 {
        let mut raw = raw(&self.url).await;
        let counted = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&mut raw).await.unwrap();
        raw.close().await.unwrap();
        counted
    }

    /// A task on an issue of a repository, as a delivery makes it.
    pub async fn task(&self, repository_id: u64, number: u64) -> bool {
        self.task_named(TaskId::fresh(), repository_id, number).await
    }

    /// The same, with an id that says when it was made.
    pub async fn task_named(&self, id: TaskId, repository_id: u64, number: u64) -> bool {
        self.deliver(&format!("{repository_id}-{number}-{}", uuid::Uuid::now_v7())).await;
        let claimed = self.claim(Queue::Delivery, LEASE, None).await.unwrap();
        let new = NewTask {
            id,
            place: Place { installation_id: 1, repository_id, repository: "o/r".to_owned(), number },
            requester: Account { id: 1, login: "alice".to_owned() },
            trigger: Trigger::Opened,
            prompt: String::new(),
            snapshot: Snapshot::default(),
            kind: Kind::Issue,
            origin: None,
            within: None,
        };
        let made = self.store.create_task(&claimed.lease, &new).await.unwrap() == Created::Made { superseded: None };
        let done = Decided { state: DeliveryState::Done, decision: String::new(), task_id: None };
        assert!(self.store.decided(&claimed.lease, &done).await.unwrap());
        made
    }
}

/// A connection of the test's own.
pub async fn raw(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(url).await.unwrap()
}

/// An id that was made so long ago.
pub fn id_of(days_ago: u64) -> uuid::Uuid {
    let at = cloud_agent::clock::now() as u64 / 1000 - days_ago * 24 * 3600;
    uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, at, 0))
}

/// Days as milliseconds before now.
pub fn ago(days: i64) -> i64 {
    cloud_agent::clock::now() - days * 24 * 3_600_000
}

/// Wait until something is so.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let started = std::time::Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A delivery that somebody has to look at.
pub fn delivery(guid: &str) -> NewDelivery {
    NewDelivery {
        delivery_id: uuid::Uuid::now_v7(),
        app_id: 1,
        guid: guid.to_owned(),
        event: "issues".to_owned(),
        action: None,
        installation_id: Some(1),
        repository: None,
        content_type: "application/json".to_owned(),
        body: Bytes::from(zstd::bulk::compress(b"{}", 1).unwrap()),
        received_at: 1,
        ignored: None,
    }
}
