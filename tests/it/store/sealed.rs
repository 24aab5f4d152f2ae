//! Conversations are sealed with a key outside the database, and keys can be changed.

use std::time::Duration;

use cloud_agent::store::{self, Content, Keep, Keys, NewArtifact, Queue, Store, StoredSession};
use cloud_agent::task::State;

use super::{KEY, LEASE, Scene, until};

const NEW: &str = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI=";
const MONTH: Duration = Duration::from_hours(720);
const KEEP: Keep = Keep { deliveries: MONTH, events: MONTH, transcripts: MONTH, tasks: MONTH };

fn id(key: &str) -> String {
    Keys::read(&key.into()).unwrap().sealing()
}

async fn unlocked(scene: &Scene, keys: &str) -> Result<Store, String> {
    let mut store = Store::connect(&scene.url.clone().into()).await.unwrap();
    store.unlock(Keys::read(&keys.into()).unwrap()).await.map_err(|error| error.to_string())?;
    Ok(store)
}

/// A conversation about an issue, kept by a task that has ended.
async fn keep(scene: &Scene, number: u64) {
    assert!(scene.task(1, number).await);
    let lease = scene.claim(Queue::Task, LEASE, Some(99)).await.unwrap().lease;
    let session = StoredSession { session_id: "s".to_owned(), archive: b"what was said".to_vec() };
    assert!(scene.store.keep_session(&lease, &session).await.unwrap());
    assert!(scene.store.end(&lease, State::Completed).await.unwrap());
}

async fn said(store: &Store, number: u64) -> Result<Vec<u8>, String> {
    let found = store.session_about(1, number).await.map_err(|error| error.to_string())?;
    Ok(found.unwrap().1.archive)
}

/// The statements that an operator whose key is lost is told.
fn forgetting() -> Vec<String> {
    let text = include_str!("../../../docs/operations.md");
    let block = text.split("```sql").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    block.split(';').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}

#[test]
fn whatever_is_sealed_is_among_what_a_lost_key_takes_with_it() {
    let migrations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let all: String = migrations.map(|it| std::fs::read_to_string(it.unwrap().path()).unwrap()).collect();
    let table = |statement: &str| {
        let statement = statement.split_once(" table ")?.1;
        statement.contains("sealed_with").then(|| statement.split([' ', '(']).next().unwrap_or_default().to_owned())
    };
    let all: Vec<&str> = all.lines().filter(|line| !line.trim().starts_with("--")).collect();
    let all = all.join("\n");
    let sealed: Vec<String> = all.split(';').filter_map(table).collect();
    assert!(sealed.len() >= 3, "{sealed:?}");
    let told = forgetting();
    for table in sealed {
        let from = format!("delete from {table}");
        assert!(
            told.iter().any(|it| it.split(" where").next() == Some(&from)),
            "docs/operations.md has to forget {table}"
        );
    }
}

on_both! {
    async fn a_tasks_own_conversation_is_found_while_it_is_kept(scene) {
        keep(&scene, 1).await;
        keep(&scene, 2).await;
        let first = scene.store.tasks_of_thread(1, 1).await.unwrap().pop().unwrap().id.to_string();
        let found = scene.store.session_of(&first).await.unwrap().unwrap();
        assert_eq!((found.session_id.as_str(), found.archive.as_slice()), ("s", &b"what was said"[..]));
        // Another task of the same thread has left one since.
        keep(&scene, 1).await;
        assert!(scene.store.session_of(&first).await.unwrap().is_none());
    }

    async fn keys_are_changed_one_after_the_other(scene) {
        keep(&scene, 1).await;
        keep(&scene, 2).await;
        // As a version before keys has left it.
        let plain = if scene.url.starts_with("sqlite") { "x'77686174'" } else { "'\\x77686174'" };
        scene.sql(&[format!("update session set archive = {plain}, sealed_with = '' where task_id in (select task_id from task where number = 2)")]).await;
        assert_eq!(said(&scene.store, 1).await.unwrap(), b"what was said");
        assert_eq!(said(&scene.store, 2).await.unwrap(), b"what");
        assert_eq!(scene.store.sealing().await.unwrap().rows, [(String::new(), 1), (id(KEY), 1)]);

        let error = unlocked(&scene, NEW).await.err().unwrap();
        assert!(error.contains(&format!("another ENCRYPTION_KEY (key id {}; this process has {})", id(KEY), id(NEW))), "{error}");
        let locked = Store::connect(&scene.url.clone().into()).await.unwrap();
        assert!(said(&locked, 1).await.unwrap_err().contains("no ENCRYPTION_KEY"));

        let rotated = unlocked(&scene, &format!("{NEW},{KEY}")).await.unwrap();
        assert_eq!(said(&rotated, 1).await.unwrap(), b"what was said", "the older key opens");
        let cleaner = tokio::spawn(store::clean(rotated.clone(), KEEP));
        let done = [(id(NEW), 2)];
        until("all rows to be sealed anew", async || rotated.sealing().await.unwrap().rows == done).await;
        cleaner.abort();

        let after = unlocked(&scene, NEW).await.unwrap();
        assert_eq!((said(&after, 1).await.unwrap(), said(&after, 2).await.unwrap()), (b"what was said".to_vec(), b"what".to_vec()));
        let error = unlocked(&scene, KEY).await.err().unwrap();
        assert!(error.contains("another ENCRYPTION_KEY"), "{error}");
    }

    async fn a_lost_key_is_forgotten_as_the_documentation_says(scene) {
        keep(&scene, 1).await;
        keep(&scene, 2).await;
        let plain = if scene.url.starts_with("sqlite") { "x'77686174'" } else { "'\\x77686174'" };
        let lost = id(KEY);
        scene.sql(&[
            // Kept before there were keys: it needs none.
            format!("update session set archive = {plain}, sealed_with = '' where task_id in (select task_id from task where number = 2)"),
            format!("insert into task_secret (task_id, name, sealed, sealed_with, created_at) values ('t', 'anthropic_api_key', {plain}, '{lost}', 1)"),
        ]).await;
        assert!(scene.task(1, 3).await);
        let lease = scene.claim(Queue::Task, LEASE, Some(99)).await.unwrap().lease;
        let patch = NewArtifact { name: "changes.patch", content_type: "text/x-diff", content: Content::Bytes(b"+x".to_vec()) };
        assert!(scene.store.keep_artifact(&lease, patch).await.unwrap());
        assert!(scene.store.end(&lease, State::Completed).await.unwrap());

        scene.sql(&forgetting()).await;
        let rows = scene.store.sealing().await.unwrap().rows;
        assert!(rows.iter().all(|(key, _)| key.is_empty()), "something still needs the lost key: {rows:?}");
        assert!(scene.store.artifacts(&lease.job_id).await.unwrap().is_empty(), "what can't be read is not offered");
        let anew = unlocked(&scene, NEW).await.unwrap();
        assert_eq!(said(&anew, 2).await.unwrap(), b"what");
    }

    async fn a_conversation_moved_to_another_task_does_not_open(scene) {
        keep(&scene, 1).await;
        keep(&scene, 2).await;
        scene.sql(&["update session set archive = (select archive from session other where other.task_id <> session.task_id)".to_owned()]).await;
        assert!(said(&scene.store, 1).await.unwrap_err().contains("was changed since it was sealed"));
    }
}
