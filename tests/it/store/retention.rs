//! What is past its time goes, in small steps, and nothing that somebody still needs.

use std::time::Duration;

use cloud_agent::store::{
    self, Content, Decided, DeliveryState, Effect, Intent, Keep, NewArtifact, NewDelivery, NewEvent, Queue,
    StoredSession,
};
use cloud_agent::task::{State, TaskId};

use super::{LEASE, Scene, ago, delivery, id_of, until};

const DAY: Duration = Duration::from_hours(24);
const KEEP: Keep = Keep {
    deliveries: DAY.saturating_mul(14),
    events: DAY.saturating_mul(30),
    transcripts: DAY.saturating_mul(30),
    tasks: DAY.saturating_mul(365),
};

fn received(days_ago: u64, guid: &str, ignored: Option<&'static str>) -> NewDelivery {
    NewDelivery { delivery_id: id_of(days_ago), ignored, ..delivery(guid) }
}

/// Clean as a server does, until there is nothing left to clean.
async fn clean(scene: &Scene) {
    // The last thing that a pass looks at.
    scene.sql(&[format!("insert into effect (key, state, created_at) values ('last', 'done', {})", ago(366))]).await;
    let cleaner = tokio::spawn(store::clean(scene.store.clone(), KEEP));
    until("the cleaner", async || scene.count("select count(*) from effect where key = 'last'").await == 0).await;
    cleaner.abort();
}

/// A task on an issue that was made and has ended so long ago, with an event, an effect, a conversation.
async fn ended(scene: &Scene, number: u64, days_ago: u64) -> String {
    let id: TaskId = id_of(days_ago).to_string().parse().unwrap();
    assert!(scene.task_named(id, 1, number).await);
    let lease = scene.claim(Queue::Task, LEASE, Some(99)).await.unwrap().lease;
    let id = lease.job_id.clone();
    let event = NewEvent { kind: "text".to_owned(), body: "{}".to_owned() };
    scene.store.append_events(&id, &[event.clone(), event]).await.unwrap();
    let key = format!("task:{id}:comment");
    let effect = Effect { key: &key, task_id: Some(&id), lease: &lease };
    assert_eq!(scene.store.intend(&effect).await.unwrap(), Intent::New);
    let session = StoredSession { session_id: "s".to_owned(), archive: b"said".to_vec() };
    assert!(scene.store.keep_session(&lease, &session).await.unwrap());
    let content = Content::Bytes(b"changed".to_vec());
    let patch = NewArtifact { name: "changes.patch", content_type: "text/x-diff", content };
    assert!(scene.store.keep_artifact(&lease, patch).await.unwrap());
    assert!(scene.store.end(&lease, State::Failed).await.unwrap());
    let at = ago(days_ago as i64) + 1000;
    scene
        .sql(&[
            format!("update task set ended_at = {at} where task_id = '{id}'"),
            format!("update session set created_at = {at} where task_id = '{id}'"),
            format!("update artifact set created_at = {at} where task_id = '{id}'"),
        ])
        .await;
    id
}

fn finding(id: &str, number: u64) -> String {
    format!(
        "insert into finding (finding_id, repository_id, number, task_id, path, fingerprint, state, body, head_sha,
         created_at) values ('{id}', 1, {number}, 't', 'a.rs', 'f', 'open', '{{}}', 'h', 0)"
    )
}

on_both! {
    async fn old_deliveries_go_and_those_that_github_may_send_again_stay(scene) {
        let old = [received(20, "old", None), received(20, "old, ignored", Some("nobody"))];
        let young = [received(10, "young", None), received(2, "emptied", Some("nobody")), received(0, "new", Some("nobody")), received(2, "suspended", Some("the installation is suspended"))];
        assert_eq!(scene.store.accept(&old).await.unwrap().len(), 2);
        assert_eq!(scene.store.accept(&young).await.unwrap().len(), 4);
        for _ in 0..2 {
            let lease = scene.claim(Queue::Delivery, LEASE, None).await.unwrap().lease;
            let done = Decided { state: DeliveryState::Done, decision: "did it".to_owned(), task_id: None };
            assert!(scene.store.decided(&lease, &done).await.unwrap());
        }
        assert_eq!(scene.store.accept(&[received(20, "waits", None)]).await.unwrap().len(), 1);

        clean(&scene).await;

        let rest = "select count(*) from delivery where guid in ";
        assert_eq!(scene.count(&format!("{rest} ('old', 'old, ignored')")).await, 0);
        assert_eq!(scene.count(&format!("{rest} ('young', 'emptied', 'new', 'suspended', 'waits')")).await, 5);
        for (guid, kept) in [("young", true), ("emptied", false), ("new", true), ("suspended", true), ("waits", true)] {
            let length = scene.count(&format!("select cast(length(body) as bigint) from delivery where guid = '{guid}'")).await;
            assert_eq!(length > 0, kept, "the body of {guid}");
        }
        // What was done once is not done again, body or not.
        assert!(!scene.deliver("emptied").await && !scene.deliver("young").await);
        let waits = scene.claim(Queue::Delivery, LEASE, None).await.unwrap().lease;
        assert_eq!(scene.store.delivery(&waits.job_id).await.unwrap().unwrap().body, b"{}");
        let emptied = young[1].delivery_id.to_string();
        let error = scene.store.delivery(&emptied).await.unwrap_err().to_string();
        assert!(error.contains("is not kept any more"), "{error}");
    }

    async fn tasks_go_with_all_that_is_theirs_and_events_before_them(scene) {
        let gone = ended(&scene, 1, 400).await;
        let quiet = ended(&scene, 2, 40).await;
        let young = ended(&scene, 3, 10).await;
        // Made long ago and still open: it waits for somebody.
        let open: TaskId = id_of(500).to_string().parse().unwrap();
        assert!(scene.task_named(open, 1, 4).await);
        let event = NewEvent { kind: "text".to_owned(), body: "{}".to_owned() };
        scene.store.append_events(&id_of_open(&scene).await, &[event]).await.unwrap();
        scene.sql(&[finding("of a thread that is over", 1), finding("of one that goes on", 2)]).await;

        clean(&scene).await;

        let has = async |table: &str, id: &str| scene.count(&format!("select count(*) from {table} where task_id = '{id}'")).await;
        for table in ["task", "task_event", "effect", "session", "artifact", "artifact_piece"] {
            assert_eq!(has(table, &gone).await, 0, "{table}");
        }
        for (table, rows) in [("task", 1), ("task_event", 0), ("effect", 1), ("session", 0), ("artifact", 0), ("artifact_piece", 0)] {
            assert_eq!(has(table, &quiet).await, rows, "{table} of a task that ended 40 days ago");
        }
        for (table, rows) in [("task", 1), ("task_event", 2), ("effect", 1), ("session", 1), ("artifact", 1), ("artifact_piece", 1)] {
            assert_eq!(has(table, &young).await, rows, "{table} of a task that ended 10 days ago");
        }
        let open = id_of_open(&scene).await;
        assert_eq!((has("task", &open).await, has("task_event", &open).await), (1, 1), "nothing of an open task goes");
        assert_eq!(scene.count("select count(*) from finding").await, 1, "the ledger stays as long as its thread");
        assert_eq!(scene.count("select count(*) from finding where number = 2").await, 1);
    }
}

async fn id_of_open(scene: &Scene) -> String {
    scene.store.claims(Queue::Task).await.unwrap()[0].job_id.clone()
}

/// SQLite keeps pages for itself unless it is told to give them back.
#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_shrinks_when_much_has_gone() {
    let scene = Scene::on(crate::world::Database::sqlite()).await;
    let noise: Vec<u8> = (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for n in 0..300 {
        let body = noise.clone().into();
        let it = NewDelivery { body, ..received(20, &format!("{n}"), Some("nobody")) };
        scene.store.accept(&[it]).await.unwrap();
    }
    let before = scene.count("select page_count from pragma_page_count").await;
    let cleaner = tokio::spawn(store::clean(scene.store.clone(), KEEP));
    until("the file to shrink", async || scene.count("select page_count from pragma_page_count").await < before / 4)
        .await;
    cleaner.abort();
}
