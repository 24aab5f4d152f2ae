//! What tasks leave is kept in sealed pieces, under a claim, and the same whoever reads it.

use std::time::Duration;

use cloud_agent::store::{self, Artifact, Content, Keep, Keys, Lease, NewArtifact, Queue, Store};
use cloud_agent::task::State;

use super::{KEY, LEASE, Scene, until};

const NEW: &str = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI=";
const MONTH: Duration = Duration::from_hours(720);
const KEEP: Keep = Keep { deliveries: MONTH, events: MONTH, transcripts: MONTH, tasks: MONTH };

fn patch(content: Content) -> NewArtifact {
    NewArtifact { name: "changes.patch", content_type: "text/x-diff", content }
}

/// Bytes that do not repeat, of more than two pieces.
fn large() -> Vec<u8> {
    (0..700_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

async fn running(scene: &Scene, number: u64) -> Lease {
    assert!(scene.task(1, number).await);
    scene.claim(Queue::Task, LEASE, Some(99)).await.unwrap().lease
}

async fn whole(store: &Store, task: &str, it: &Artifact) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for piece in 0..it.pieces() {
        let read = store.artifact_piece(task, it, piece).await.map_err(|error| format!("{error:#}"))?;
        bytes.extend(read.ok_or("it is gone")?);
    }
    Ok(bytes)
}

on_both! {
    async fn what_is_kept_comes_back_whole_and_only_under_a_claim(scene) {
        let lease = running(&scene, 1).await;
        let id = lease.job_id.clone();
        assert!(scene.store.keep_artifact(&lease, patch(Content::Bytes(large()))).await.unwrap());
        let first = scene.store.artifacts(&id).await.unwrap().remove(0);
        assert_eq!((first.size, first.pieces()), (2_800_000, 3));
        assert!(whole(&scene.store, &id, &first).await.unwrap() == large());
        assert!(scene.store.keep_artifact(&lease, patch(Content::Bytes(large()))).await.unwrap());
        assert_eq!(scene.store.artifacts(&id).await.unwrap(), std::slice::from_ref(&first), "the same once more");

        // Another in its place: whoever was reading the first one hears that it is gone.
        assert!(scene.store.keep_artifact(&lease, patch(Content::Bytes(b"less".to_vec()))).await.unwrap());
        let second = scene.store.artifacts(&id).await.unwrap().remove(0);
        assert_eq!(whole(&scene.store, &id, &second).await.unwrap(), b"less");
        assert_eq!(whole(&scene.store, &id, &first).await.unwrap_err(), "it is gone");
        assert_eq!(scene.count("select count(*) from artifact_piece").await, 1);

        let stale = Lease { epoch: lease.epoch - 1, ..lease.clone() };
        assert!(!scene.store.keep_artifact(&stale, patch(Content::LeftOut("secret"))).await.unwrap());
        assert_eq!(scene.store.artifacts(&id).await.unwrap(), [second]);
        assert!(scene.store.keep_artifact(&lease, patch(Content::LeftOut("secret"))).await.unwrap());
        let none = scene.store.artifacts(&id).await.unwrap().remove(0);
        assert_eq!((none.left_out.as_str(), none.size, none.digest.as_str()), ("secret", 0, ""));
        assert_eq!(scene.count("select count(*) from artifact_piece").await, 0);
    }

    async fn a_piece_opens_nowhere_else_and_keys_are_changed(scene) {
        let (one, two) = (running(&scene, 1).await, running(&scene, 2).await);
        for lease in [&one, &two] {
            assert!(scene.store.keep_artifact(lease, patch(Content::Bytes(b"changed".to_vec()))).await.unwrap());
            assert!(scene.store.end(lease, State::Completed).await.unwrap());
        }
        let it = scene.store.artifacts(&one.job_id).await.unwrap().remove(0);
        let id = |key: &str| Keys::read(&key.into()).unwrap().sealing();
        assert_eq!(scene.store.sealing().await.unwrap().rows, [(id(KEY), 2)]);

        let mut rotated = Store::connect(&scene.url.clone().into()).await.unwrap();
        rotated.unlock(Keys::read(&format!("{NEW},{KEY}").into()).unwrap()).await.unwrap();
        assert_eq!(whole(&rotated, &one.job_id, &it).await.unwrap(), b"changed", "the older key opens");
        let cleaner = tokio::spawn(store::clean(rotated.clone(), KEEP));
        let done = [(id(NEW), 2)];
        until("all pieces to be sealed anew", async || rotated.sealing().await.unwrap().rows == done).await;
        cleaner.abort();
        assert_eq!(whole(&rotated, &one.job_id, &it).await.unwrap(), b"changed");
        assert!(whole(&scene.store, &one.job_id, &it).await.unwrap_err().contains("not in ENCRYPTION_KEY"));

        scene.sql(&["update artifact_piece set content = (select content from artifact_piece other where other.task_id <> artifact_piece.task_id)".to_owned()]).await;
        assert!(whole(&rotated, &one.job_id, &it).await.unwrap_err().contains("was changed since it was sealed"));
    }
}
