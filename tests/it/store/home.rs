//! The task whose work lies on one machine's disk is left to that machine for a while, and no longer.

use std::time::Duration;

use cloud_agent::clock;
use cloud_agent::store::{Claimed, Queue, Store};
use cloud_agent::task::{AgentStep, Progress, Published, Work};

use super::{LEASE, Scene, until};
use crate::world::Database;

const HANDOVER: Duration = Duration::from_mins(1);

/// A process on the machine of this name.
async fn machine(scene: &Scene, name: &str, handover: Duration) -> Store {
    let mut store = Store::connect(&scene.url.clone().into()).await.unwrap();
    store.live_on(name, handover);
    store
}

async fn claim(store: &Store, lease: Duration) -> Option<Claimed> {
    store.claim(Queue::Task, "worker", lease, 1, Some(9)).await.unwrap().pop()
}

fn at_work() -> Progress {
    Progress { agent: Some(AgentStep { session: "s".to_owned(), ..AgentStep::default() }), ..Progress::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_one_machine_is_left_to_it_for_a_while() {
    let scene = Scene::on(Database::postgres()).await;
    let (one, two) = (machine(&scene, "one", HANDOVER).await, machine(&scene, "two", HANDOVER).await);
    scene.task(1, 1).await;
    let claimed = claim(&one, LEASE).await.unwrap();
    assert!(one.note_progress(&claimed.lease, &at_work()).await.unwrap());
    one.give_back(&claimed, clock::now(), false).await.unwrap();

    assert!(claim(&two, LEASE).await.is_none(), "it is the other's");
    let due = two.next_due(Queue::Task).await.unwrap().unwrap() - clock::now();
    assert!((30_000..=60_000).contains(&due), "{due}");
    let again = claim(&one, LEASE).await.expect("its own machine takes it at once");
    // As if it had been due for longer.
    one.give_back(&again, clock::now() - 61_000, false).await.unwrap();
    let moved = claim(&two, LEASE).await.expect("a machine may be gone for good");

    // The machine that did not come is not waited for again.
    two.give_back(&moved, clock::now(), false).await.unwrap();
    let moved = claim(&two, LEASE).await.expect("nobody is waited for now");
    assert!(two.note_progress(&moved.lease, &at_work()).await.unwrap());
    two.give_back(&moved, clock::now(), false).await.unwrap();
    assert!(claim(&one, LEASE).await.is_none(), "it lies on the second now");
    assert!(claim(&two, LEASE).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_disk_or_is_to_be_stopped_is_anybodys() {
    let scene = Scene::on(Database::postgres()).await;
    let (one, two) = (machine(&scene, "one", HANDOVER).await, machine(&scene, "two", HANDOVER).await);
    scene.task(1, 1).await;
    let claimed = claim(&one, LEASE).await.unwrap();
    one.give_back(&claimed, clock::now(), false).await.unwrap();
    let claimed = claim(&two, LEASE).await.expect("nothing was done yet");

    let work = Work { head: Some("0".repeat(40)), ..Work::default() };
    let finished = Progress { work: Some(work), ..Progress::default() };
    assert!(two.record(&claimed.lease, &finished).await.unwrap());
    two.give_back(&claimed, clock::now(), false).await.unwrap();
    assert!(claim(&one, LEASE).await.is_none(), "the commits lie on the second");
    let claimed = claim(&two, LEASE).await.unwrap();
    let published = Published { branch: "b".to_owned(), head: "0".repeat(40), pull: None };
    assert!(two.record(&claimed.lease, &Progress { published: Some(published), ..finished }).await.unwrap());
    two.give_back(&claimed, clock::now(), false).await.unwrap();
    let claimed = claim(&one, LEASE).await.expect("the commits are on GitHub");

    assert!(one.note_progress(&claimed.lease, &at_work()).await.unwrap());
    one.give_back(&claimed, clock::now(), false).await.unwrap();
    assert!(claim(&two, LEASE).await.is_none());
    assert!(two.request_cancel(&claimed.lease.job_id, "alice").await.unwrap());
    assert!(claim(&two, LEASE).await.is_some(), "a stop waits for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_has_lost_its_lease_is_waited_for_a_moment() {
    let scene = Scene::on(Database::postgres()).await;
    let (one, two) = (machine(&scene, "one", HANDOVER).await, machine(&scene, "two", HANDOVER).await);
    scene.task(1, 1).await;
    let claimed = claim(&one, Duration::from_millis(200)).await.unwrap();
    assert!(one.note_progress(&claimed.lease, &at_work()).await.unwrap());
    let began = clock::now();
    until("the second to take it", async || claim(&two, LEASE).await.is_some()).await;
    let waited = clock::now() - began;
    assert!((4_000..HANDOVER.as_millis() as i64).contains(&waited), "{waited} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_process_of_a_sqlite_file_takes_all() {
    let scene = Scene::on(Database::sqlite()).await;
    let (one, two) = (machine(&scene, "one", HANDOVER).await, machine(&scene, "two", HANDOVER).await);
    scene.task(1, 1).await;
    let claimed = claim(&one, LEASE).await.unwrap();
    assert!(one.note_progress(&claimed.lease, &at_work()).await.unwrap());
    one.give_back(&claimed, clock::now(), false).await.unwrap();
    // A copy of the file on another machine, say.
    assert!(claim(&two, LEASE).await.is_some());
}
