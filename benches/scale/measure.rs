//! What is asked, and how long each answer takes with and without a history.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud_agent::store::{
    self, Created, Decided, DeliveryState, Effect, Keep, Keys, NewDelivery, NewEvent, NewTask, Queue, Store,
    StoredSession,
};
use cloud_agent::task::{Account, Kind, Place, Snapshot, State, TaskId, Trigger};
use secrecy::SecretString;

use super::fill;

/// Rounds, in which the two stores take turns; and questions of each kind in a round.
const ROUNDS: u64 = 12;
const ASKED: u64 = 15;
const LEASE: Duration = Duration::from_mins(1);

pub type Times = BTreeMap<&'static str, Vec<f64>>;

/// Compare an empty store and one with so many finished tasks.
pub async fn compare(name: &str, empty: &str, full: &str, tasks: i64) {
    let started = Instant::now();
    let stores = [open(empty).await, open(full).await];
    fill::fill(full, tasks).await;
    println!(
        "\n{name}: {tasks} finished tasks, {} deliveries, {} events, {} effects, {} findings, {} conversations; filled in {:.0} s",
        tasks * fill::DELIVERIES,
        tasks * fill::EVENTS,
        tasks * fill::EFFECTS,
        tasks * 2 / fill::REVIEWS,
        tasks / fill::SESSIONS,
        started.elapsed().as_secs_f64()
    );
    let mut times = [Times::new(), Times::new()];
    for round in 0..=ROUNDS {
        for (store, times) in stores.iter().zip(&mut times) {
            // The first round warms caches.
            let mut unused = Times::new();
            ask(store, round, if round == 0 { &mut unused } else { times }).await;
        }
    }
    // Everything of the history is past its time: the cleaner works without a pause while deliveries come in.
    for (store, times) in stores.iter().zip(&mut times) {
        let day = Duration::from_hours(24);
        let keep = Keep { deliveries: day, events: day, transcripts: day, tasks: day };
        let cleaner = tokio::spawn(store::clean(store.clone(), keep));
        for n in 0..ROUNDS * ASKED {
            tokio::time::sleep(Duration::from_millis(10)).await;
            timed(times, "accept, cleaning", store.accept(&[delivery(n % 2 == 0)])).await.unwrap();
        }
        cleaner.abort();
    }
    table(name, &mut times);
}

/// Show what was asked of the empty store and of the full one.
pub fn table(name: &str, times: &mut [Times; 2]) {
    println!("\n| {name}, ms | empty: median, p95 | full: median, p95 | ratio of medians |\n|---|---|---|---|");
    let [empty, full] = times;
    for (what, before) in empty {
        let after = full.get_mut(what).unwrap();
        let (a, b) = (figures(before), figures(after));
        println!("| {what} | {:.2}, {:.2} | {:.2}, {:.2} | {:.2} |", a.0, a.1, b.0, b.1, b.0 / a.0);
    }
}

async fn open(url: &str) -> Store {
    let mut store = Store::connect(&SecretString::from(url.to_owned())).await.unwrap();
    store.migrate().await.unwrap();
    store.unlock(Keys::read(&"11".repeat(32).into()).unwrap()).await.unwrap();
    store
}

/// Median and 95th percentile.
fn figures(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

async fn timed<T>(times: &mut Times, what: &'static str, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let done = work.await;
    times.entry(what).or_default().push(started.elapsed().as_secs_f64() * 1000.0);
    done
}

fn delivery(ignored: bool) -> NewDelivery {
    let id = uuid::Uuid::now_v7();
    NewDelivery {
        delivery_id: id,
        app_id: 1,
        guid: uuid::Uuid::new_v4().to_string(),
        event: "issue_comment".to_owned(),
        action: Some("created".to_owned()),
        installation_id: Some(7),
        repository: Some("octo/app".to_owned()),
        content_type: "application/json".to_owned(),
        body: Bytes::from(id.as_bytes().repeat(150)),
        received_at: cloud_agent::clock::now(),
        ignored: ignored.then_some("nobody asked"),
    }
}

/// The life of a task, and every question that is asked of the store while the program runs.
async fn ask(store: &Store, round: u64, times: &mut Times) {
    for n in 0..ASKED {
        let number = 1_000_000 + round * ASKED + n;
        timed(times, "accept, ignored", store.accept(&[delivery(true)])).await.unwrap();
        timed(times, "accept", store.accept(&[delivery(false)])).await.unwrap();
        let claimed =
            timed(times, "claim a delivery", store.claim(Queue::Delivery, "w", LEASE, 16, None)).await.unwrap();
        let lease = claimed[0].lease.clone();
        let new = NewTask {
            id: TaskId::fresh(),
            place: Place { installation_id: 7, repository_id: 5, repository: "octo/app".to_owned(), number },
            requester: Account { id: 9, login: "alice".to_owned() },
            trigger: Trigger::Labeled,
            prompt: "fix this".to_owned(),
            snapshot: Snapshot::default(),
            kind: Kind::Issue,
            origin: Some(format!("comment:{number}-{round}")),
            within: None,
        };
        let id = new.id.to_string();
        let made = timed(times, "make a task", store.create_task(&lease, &new)).await.unwrap();
        assert_eq!(made, Created::Made { superseded: None });
        let done =
            Decided { state: DeliveryState::Done, decision: "made a task".to_owned(), task_id: Some(id.clone()) };
        timed(times, "decide", store.decided(&lease, &done)).await.unwrap();
        let lease = timed(times, "claim a task", store.claim(Queue::Task, "w", LEASE, 1, Some(2)))
            .await
            .unwrap()
            .remove(0)
            .lease;
        timed(times, "renew", store.renew(&lease, LEASE)).await.unwrap();
        let events = vec![NewEvent { kind: "text".to_owned(), body: "{}".to_owned() }; 5];
        timed(times, "append events", store.append_events(&id, &events)).await.unwrap();
        let key = format!("task:{id}:comment");
        let effect = Effect { key: &key, task_id: Some(&id), lease: &lease };
        timed(times, "intend", store.intend(&effect)).await.unwrap();
        let session = StoredSession { session_id: "s".to_owned(), archive: vec![7; 20_000] };
        timed(times, "keep a conversation", store.keep_session(&lease, &session)).await.unwrap();
        timed(times, "end a task", store.end(&lease, State::Failed)).await.unwrap();
        timed(times, "next due", store.next_due(Queue::Task)).await.unwrap();
        timed(times, "open jobs", store.claims(Queue::Task)).await.unwrap();

        timed(times, "list 1", store.tasks(1)).await.unwrap();
        timed(times, "a task", store.task(&id)).await.unwrap();
        timed(times, "tasks of a thread", store.tasks_of_thread(5, number)).await.unwrap();
        timed(times, "tasks of a head", store.tasks_of_head(5, "none")).await.unwrap();
        timed(times, "task of an ask", store.task_of_origin(5, "none")).await.unwrap();
        timed(times, "who opened a pull", store.task_that_opened(5, number)).await.unwrap();
        timed(times, "reviews of a pull", store.reviews_of(5, number)).await.unwrap();
        timed(times, "findings", store.findings(5, number)).await.unwrap();
        timed(times, "conversation about", store.session_about(5, number)).await.unwrap();
        timed(times, "events", store.events(&id, 0, 100)).await.unwrap();
        timed(times, "sweep of check runs", store.stranded_reviews()).await.unwrap();
    }
}
