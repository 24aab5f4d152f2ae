//! The sweep for check runs that were left open finds them, and looks at nothing twice that needs no look.

use cloud_agent::task::{Snapshot, Trigger};

use super::{Scene, ago, id_of};

/// A review that ended some hours ago; `effects` are its writes: purpose and state.
async fn review(scene: &Scene, number: u64, hours_ago: i64, effects: &[(&str, &str)]) -> String {
    let id = id_of(0).to_string();
    let (trigger, snapshot) =
        (serde_json::to_string(&Trigger::Opened).unwrap(), serde_json::to_string(&Snapshot::default()).unwrap());
    let at = ago(0) - hours_ago * 3_600_000;
    let mut sql = vec![format!(
        "insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id, requester,
             trigger_json, prompt, snapshot, state, created_at, ended_at, kind)
         values ('{id}', 1, 1, 'o/r', {number}, 'd', 1, 'alice', '{trigger}', '', '{snapshot}', 'completed', {at}, {at}, 'review')"
    )];
    for (purpose, state) in effects {
        sql.push(format!(
            "insert into effect (key, task_id, state, created_at) values ('task:{id}:{purpose}', '{id}', '{state}', {at})"
        ));
    }
    scene.sql(&sql).await;
    id
}

on_both! {
    async fn what_needs_no_look_is_looked_at_once(scene) {
        let open = review(&scene, 1, 2, &[("review-check", "done")]).await;
        review(&scene, 2, 2, &[("review-check", "done"), ("review-check-end:0", "done")]).await;
        review(&scene, 3, 2, &[("review-check", "done"), ("review-check-end:plain", "done")]).await;
        let late = review(&scene, 4, 2, &[("review-check", "intended")]).await;
        review(&scene, 5, 2, &[]).await;
        let young = review(&scene, 6, 0, &[]).await;
        review(&scene, 7, 15 * 24, &[("review-check", "done")]).await;

        let found = async || -> Vec<String> {
            scene.store.stranded_reviews().await.unwrap().iter().map(|it| it.id.to_string()).collect()
        };
        assert_eq!(found().await, std::slice::from_ref(&open));
        scene.store.note_suspension(1, 1, 1).await.unwrap();
        assert!(found().await.is_empty(), "of a suspended installation nothing can be completed");
        scene.store.suspension_is_over(1, 1).await.unwrap();
        assert_eq!(found().await, std::slice::from_ref(&open));
        assert_eq!(scene.count("select count(*) from task where check_settled = 1").await, 4, "done, stale, or never coming");
        // Made after all: by whoever was slow, or by a worker that was away for hours.
        scene.sql(&[
            format!("insert into effect (key, state, created_at) values ('task:{young}:review-check', 'done', 1)"),
            format!("update effect set state = 'done' where key = 'task:{late}:review-check'"),
        ]).await;
        let mut now = found().await;
        now.sort();
        let mut want = [open.clone(), late, young];
        want.sort();
        assert_eq!(now, want);
        scene.store.note_effect(&format!("task:{open}:review-check-end:0"), &open).await.unwrap();
        assert!(!found().await.contains(&open));
        assert_eq!(scene.count("select count(*) from task where check_settled = 1").await, 5);
    }
}
