//! Every schema that was ever released leads to the newest one, with rows in it. Beside this file stands a file of sample
//! rows for each migration, as the version that brought it has written them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cloud_agent::store::{Effect, Intent, Keys, Queue, Store};
use cloud_agent::task::{Kind, State};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;

use super::{KEY, LEASE, raw, until};
use crate::world::Database;

/// Migrations, oldest first, by the names of their files.
fn migrations() -> BTreeMap<String, PathBuf> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"))
}

/// Their sample rows.
fn samples() -> BTreeMap<String, PathBuf> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/store/migrations"))
}

fn files(dir: &Path) -> BTreeMap<String, PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().flatten().map(|it| it.path());
    all.filter(|path| path.extension().is_some_and(|it| it == "sql"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

struct Stage {
    url: String,
    dir: TempDir,
    database: Database,
}

impl Stage {
    fn on(database: Database) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { url: database.url(dir.path()), dir, database }
    }

    async fn raw(&self) -> AnyConnection {
        match self.database {
            Database::Sqlite | Database::SqliteIn(_) => {
                let mut raw = raw(&format!("{}?mode=rwc", self.url)).await;
                raw.execute("pragma journal_mode = wal").await.unwrap();
                raw
            }
            Database::Postgres(..) => raw(&self.url).await,
        }
    }

    /// Bring the schema to that of the version that had only these migrations.
    async fn migrate_to(&self, raw: &mut AnyConnection, names: &[&String]) {
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap();
        for (name, path) in migrations().iter().filter(|(name, _)| names.contains(name)) {
            std::fs::copy(path, dir.path().join(name)).unwrap();
        }
        if matches!(self.database, Database::Postgres(..)) {
            let domain = "do $$ begin create domain blob as bytea; exception when duplicate_object then null; end $$";
            raw.execute(domain).await.unwrap();
        }
        Migrator::new(dir.path()).await.unwrap().run(raw).await.unwrap();
    }

    /// Put the sample rows of this migration in.
    async fn insert(&self, raw: &mut AnyConnection, name: &str) {
        let blob = |bytes: &[u8]| match self.database {
            Database::Sqlite | Database::SqliteIn(_) => format!("x'{}'", hex::encode(bytes)),
            Database::Postgres(..) => format!("'\\x{}'", hex::encode(bytes)),
        };
        let rows = std::fs::read_to_string(
            samples()
                .get(name)
                .unwrap_or_else(|| panic!("{name} has no sample rows: write tests/it/store/migrations/{name}")),
        )
        .unwrap()
        .replace(":body", &blob(&zstd::bulk::compress(b"{}", 1).unwrap()))
        .replace(":archive", &blob(b"what was said"));
        sqlx::raw_sql(AssertSqlSafe(rows)).execute(raw).await.unwrap();
    }

    async fn newest(&self) -> Store {
        let mut store = Store::connect(&self.url.clone().into()).await.unwrap();
        store.migrate().await.unwrap();
        store.unlock(Keys::read(&KEY.into()).unwrap()).await.unwrap();
        store
    }

    /// `cloud-agent migrate`, as a process of its own.
    fn process(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-agent"));
        command.arg("migrate").env_clear().env("DATABASE_URL", &self.url).env("DATA_DIR", self.dir.path());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

macro_rules! stages {
    ($(async fn $name:ident($stage:ident) $test:block)*) => {
        $(async fn $name($stage: Stage) $test)*

        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Stage::on(crate::world::Database::sqlite())).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Stage::on(crate::world::Database::postgres())).await;
            })*
        }
    };
}

#[test]
fn each_migration_has_sample_rows() {
    let (migrations, samples) = (migrations(), samples());
    assert_eq!(
        migrations.keys().collect::<Vec<_>>(),
        samples.keys().collect::<Vec<_>>(),
        "write the rows of each migration's version into tests/it/store/migrations/, under the migration's name"
    );
}

stages! {
    // One step at a time, each with rows of its own version that all later steps have to carry over.
    async fn what_every_version_wrote_is_read_by_this_one(stage) {
        let all = migrations();
        let names: Vec<&String> = all.keys().collect();
        let mut raw = stage.raw().await;
        for known in 1..=names.len() {
            stage.migrate_to(&mut raw, &names[..known]).await;
            stage.insert(&mut raw, names[known - 1]).await;
        }
        raw.close().await.unwrap();
        let store = stage.newest().await;
        read_everything(&store).await;
        let left = store.artifacts("01935000-0000-7000-8000-00000000000b").await.unwrap();
        assert_eq!((left[0].size, left[1].left_out.as_str()), (13, "too_large"));
    }

    // As an operator does who has left out some versions: from each of them in one go.
    async fn any_version_is_brought_up_to_date_at_once(stage) {
        let all = migrations();
        let names: Vec<&String> = all.keys().collect();
        let first = 5.min(names.len());
        let mut raw = stage.raw().await;
        for known in 1..=first {
            stage.migrate_to(&mut raw, &names[..known]).await;
            stage.insert(&mut raw, names[known - 1]).await;
        }
        raw.close().await.unwrap();
        let store = stage.newest().await;
        read_everything(&store).await;
        store.migrate().await.unwrap();
    }

    async fn processes_that_start_together_take_turns(stage) {
        if matches!(stage.database, Database::Sqlite) {
            return; // One process: the others are refused before they look.
        }
        let stores = futures::future::join_all((0..6).map(|_| async {
            let store = Store::connect(&stage.url.clone().into()).await.unwrap();
            store.migrate().await.map(|()| store)
        }));
        for store in stores.await {
            assert_eq!(store.unwrap().open_jobs(Queue::Task).await.unwrap(), 0);
        }
    }

    async fn a_newer_database_and_a_changed_migration_are_refused(stage) {
        let store = stage.newest().await;
        let mut raw = stage.raw().await;
        let says = async || store.migrate().await.unwrap_err().to_string();
        raw.execute(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             select 20990101000000, 'later', success, checksum, 0 from _sqlx_migrations where version = 20261101000000",
        )
        .await
        .unwrap();
        let error = says().await;
        assert!(error.starts_with("the database was made by a newer version of cloud-agent (migration 20990101000000"), "{error}");
        raw.execute("delete from _sqlx_migrations where version = 20990101000000").await.unwrap();
        raw.execute(
            "update _sqlx_migrations set checksum = (select checksum from _sqlx_migrations where version = 20261101000000)
             where version = 20261101000001",
        )
        .await
        .unwrap();
        let error = says().await;
        assert!(error.starts_with("migration 20261101000001 is not the one that has run on this database"), "{error}");
        raw.close().await.unwrap();
    }

    async fn killed_while_it_migrates_and_started_again(stage) {
        let all = migrations();
        let names: Vec<&String> = all.keys().collect();
        let mut raw = stage.raw().await;
        for known in 1..=5 {
            stage.migrate_to(&mut raw, &names[..known]).await;
            stage.insert(&mut raw, names[known - 1]).await;
        }
        // Holds what the next steps need, so that the process is in the middle of them when it dies.
        let postgres = matches!(stage.database, Database::Postgres(..));
        for statement in if postgres { ["begin", "lock table session in access exclusive mode"] } else { ["begin immediate", "select 1"] } {
            raw.execute(statement).await.unwrap();
        }
        let mut process = stage.process();
        if postgres {
            let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
            until("the migration to wait for a lock", async || {
                let mut look = stage.raw().await;
                let count: i64 = sqlx::query_scalar(waits).fetch_one(&mut look).await.unwrap();
                count > 0
            })
            .await;
        } else {
            // The process has the file open, and waits for the one writer.
            until("the migration to open the file", async || {
                let open = std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().flatten();
                open.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|path| path.to_string_lossy().ends_with(".db-wal"))
            })
            .await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        raw.execute("rollback").await.unwrap();
        raw.close().await.unwrap();

        let mut process = stage.process();
        assert!(process.wait().unwrap().success());
        read_everything(&stage.newest().await).await;
    }
}

/// Read the sample rows as the product does.
async fn read_everything(store: &Store) {
    let task = async |id: &str| store.task(&format!("01935000-0000-7000-8000-{id:0>12}")).await.unwrap().unwrap();
    let running = task("a").await;
    assert_eq!(
        (running.state, running.kind, running.snapshot.title.as_str()),
        (State::Running, Kind::Issue, "The greeting is short")
    );
    let ended = task("b").await;
    assert_eq!((ended.state, ended.ending.unwrap().pull, ended.spent_micros), (State::Completed, Some(3), 20_000));
    assert_eq!(store.events(&ended.id.to_string(), 0, 10).await.unwrap().len(), 1);
    let review = store.reviews_of(55, 3).await.unwrap().pop().unwrap();
    assert_eq!(review.id, task("c").await.id);
    let findings = store.findings(55, 3).await.unwrap();
    assert_eq!((findings[0].finding.title.as_str(), findings[0].comment_id), ("It is off by one", Some(77)));
    assert_eq!(store.session_about(55, 2).await.unwrap().unwrap().1.archive, b"what was said");
    assert!(store.tasks(10).await.unwrap().len() >= 3);
    assert!(store.stranded_reviews().await.unwrap().is_empty());

    let waits = store.claim(Queue::Delivery, "worker", LEASE, 9, None).await.unwrap().pop().unwrap();
    assert_eq!(store.delivery(&waits.lease.job_id).await.unwrap().unwrap().body, b"{}");
    assert_eq!(store.delivery_decision("ignored").await.unwrap().unwrap().1.as_deref(), Some("nobody asked"));
    let claimed =
        store.claim(Queue::Task, "worker", LEASE, 1, Some(2)).await.unwrap().pop().expect("its worker is dead");
    assert_eq!((claimed.lease.epoch, claimed.attempts), (4, 2));
    let key = |purpose| format!("task:{}:{purpose}", running.id);
    for (purpose, intent) in
        [("comment", Intent::Done("42".to_owned())), ("pull", Intent::Unsure), ("check", Intent::New)]
    {
        let effect = Effect { key: &key(purpose), task_id: None, lease: &claimed.lease };
        assert_eq!(store.intend(&effect).await.unwrap(), intent, "{purpose}");
    }
    assert!(store.end(&claimed.lease, State::Failed).await.unwrap());
}
