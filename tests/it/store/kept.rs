//! What is put aside of a task for another machine: sealed, whole or not at all, and gone with the task.

use std::time::Duration;

use cloud_agent::store::{self, Keep, Kept, Keys, Queue, Store};
use cloud_agent::task::State;

use super::{KEY, LEASE, NO_LEASE, until};

const MONTH: Duration = Duration::from_hours(720);
const KEEP: Keep = Keep { deliveries: MONTH, events: MONTH, transcripts: MONTH, tasks: MONTH };

fn kept(words: &str) -> Kept {
    // More than a piece, and nothing that can be compressed much.
    let work: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    Kept { session: "s".to_owned(), tree: "t".to_owned(), conversation: words.as_bytes().to_vec(), work }
}

on_both! {
    async fn what_is_put_aside_is_read_as_it_was_and_goes_with_the_task(scene) {
        scene.task(1, 1).await;
        let late = scene.claim(Queue::Task, NO_LEASE, Some(9)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = scene.claim(Queue::Task, LEASE, Some(9)).await.unwrap();
        let (store, id) = (&scene.store, now.lease.job_id.as_str());
        assert!(store.kept(id).await.unwrap().is_none());
        assert!(store.put_aside(&now.lease, kept("said first")).await.unwrap());
        assert!(store.put_aside(&now.lease, kept("said then")).await.unwrap());
        assert!(!store.put_aside(&late.lease, kept("said by another")).await.unwrap());
        assert!(store.kept(id).await.unwrap() == Some(kept("said then")));
        let small = Kept { work: Vec::new(), ..kept("said last") };
        assert!(store.put_aside(&now.lease, small.clone()).await.unwrap());
        assert!(store.kept(id).await.unwrap() == Some(small));
        assert_eq!(scene.count("select count(*) from kept_piece").await, 1, "in the place of what was");

        assert!(store.end(&now.lease, State::Completed).await.unwrap());
        assert!(store.kept(id).await.unwrap().is_none());
        assert_eq!(scene.count("select count(*) from kept_piece").await, 0);
    }

    async fn it_is_sealed_anew_with_a_new_key_and_opens_for_no_other_task(scene) {
        const NEW: &str = "2222222222222222222222222222222222222222222222222222222222222222";
        for number in [1, 2] {
            scene.task(1, number).await;
            let claimed = scene.claim(Queue::Task, LEASE, Some(9)).await.unwrap();
            assert!(scene.store.put_aside(&claimed.lease, kept(&format!("said of {number}"))).await.unwrap());
        }
        let ids: Vec<String> = scene.store.claims(Queue::Task).await.unwrap().into_iter().map(|it| it.job_id).collect();
        let unlocked = async |keys: &str| {
            let mut store = Store::connect(&scene.url.clone().into()).await.unwrap();
            store.unlock(Keys::read(&keys.into()).unwrap()).await.unwrap();
            store
        };
        let rotated = unlocked(&format!("{NEW},{KEY}")).await;
        let cleaner = tokio::spawn(store::clean(rotated.clone(), KEEP));
        until("all of it to be sealed anew", async || {
            let rows = rotated.sealing().await.unwrap().rows;
            rows.len() == 1 && rows[0].0 == Keys::read(&NEW.into()).unwrap().sealing()
        })
        .await;
        cleaner.abort();
        let store = unlocked(NEW).await;
        assert!(store.kept(&ids[0]).await.unwrap() == Some(kept("said of 1")));

        let moved = format!("update kept_piece set task_id = '{}' where task_id = '{}'", ids[1], ids[0]);
        scene.sql(&[format!("delete from kept_piece where task_id = '{}'", ids[1]), moved]).await;
        scene.sql(&[format!("update kept set digest = (select min(digest) from kept_piece) where task_id = '{}'", ids[1])]).await;
        let error = store.kept(&ids[1]).await.err().unwrap().to_string();
        assert!(error.contains("was changed since it was sealed"), "{error}");
    }

    async fn what_tasks_have_left_that_ended_otherwise_is_cleaned(scene) {
        scene.task(1, 1).await;
        scene.task(1, 2).await;
        for _ in 0..2 {
            let claimed = scene.claim(Queue::Task, LEASE, Some(9)).await.unwrap();
            assert!(scene.store.put_aside(&claimed.lease, kept("said")).await.unwrap());
        }
        scene.sql(&["update task set ended_at = 1 where number = 1".to_owned()]).await;
        let cleaner = tokio::spawn(store::clean(scene.store.clone(), KEEP));
        until("the cleaner", async || scene.count("select count(*) from kept").await == 1).await;
        cleaner.abort();
        let of_the_open = "select count(*) from kept join task on task.task_id = kept.task_id where number = 2";
        assert_eq!(scene.count(of_the_open).await, 1);
    }
}
