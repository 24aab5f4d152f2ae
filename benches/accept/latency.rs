//! How long a delivery waits: until its handler starts, inside this process, and until GitHub hears of it, outside.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud_agent::clock;
use cloud_agent::queue::{self, Acceptor, Job, Settings, Turns, Verdict};
use cloud_agent::store::{self, Decided, DeliveryState, NewDelivery, Queue, Store};
use simulator::GitHub;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::figures::{Figure, millis};
use super::payload::{Request, guid_as_github_makes_it};
use super::process::Server;

/// Milliseconds, one value for each delivery.
pub struct Waits {
    /// From handing it to the `Acceptor` until its handler runs under a durable lease.
    pub handler: Figure,
    /// Until the `Acceptor` says that it is durable.
    pub durable: Figure,
    /// A bare write and fdatasync in between, for comparison.
    pub sync: Figure,
}

/// How long deliveries wait that come at a steady rate.
pub async fn to_handler(url: &str, dir: &Path, body: Bytes, a_second: u32, count: usize) -> Waits {
    let store = Store::connect(&url.to_owned().into()).await.unwrap();
    store.migrate().await.unwrap();
    let stop = CancellationToken::new();
    let begun: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
    let settings = Settings {
        queue: Queue::Delivery,
        concurrency: 16,
        lane_limit: None,
        lease: Duration::from_secs(30),
        drain: Duration::ZERO,
        cancelled_only: false,
        hurry: stop.clone(),
        turns: Turns::default(),
        abandon: Arc::new(|_| Box::pin(std::future::ready(()))),
    };
    let (decide, note) = (store.clone(), begun.clone());
    let handler = move |job: Job| {
        note.lock().unwrap().insert(job.lease().job_id.clone(), Instant::now());
        let store = decide.clone();
        async move {
            let ending = Decided { state: DeliveryState::Done, decision: "measured".to_owned(), task_id: None };
            store.decided(job.lease(), &ending).await.unwrap();
            Verdict::Done
        }
    };
    let working = tokio::spawn(queue::work(store.clone(), settings, handler, stop.clone()));
    if store.is_shared() {
        tokio::spawn(store::listen(url.to_owned().into(), store.wakes().clone()));
    }
    let acceptor = Acceptor::start(store.clone());
    let mut probe = std::fs::File::create(dir.join("probe")).unwrap();
    let (mut durable, mut sync) = (Vec::new(), Vec::new());
    let mut given = Vec::new();
    let mut due = Instant::now() + Duration::from_millis(200);
    for _ in 0..count {
        tokio::time::sleep_until(due.into()).await;
        let at = Instant::now();
        probe.write_all(&[1; 4096]).unwrap();
        probe.sync_data().unwrap();
        sync.push(millis(at.elapsed()));
        due += Duration::from_millis(500) / a_second;
        tokio::time::sleep_until(due.into()).await;
        due += Duration::from_millis(500) / a_second;
        let new = new_delivery(body.clone());
        let (id, at) = (new.delivery_id.to_string(), Instant::now());
        acceptor.accept(new).await.unwrap();
        durable.push(millis(at.elapsed()));
        given.push((id, at));
    }
    while begun.lock().unwrap().len() < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    working.await.unwrap().unwrap();
    let begun = begun.lock().unwrap();
    let handler = Figure::of(given.iter().map(|(id, at)| millis(begun[id].duration_since(*at))));
    Waits { handler, durable: Figure::of(durable), sync: Figure::of(sync) }
}

fn new_delivery(body: Bytes) -> NewDelivery {
    NewDelivery {
        delivery_id: Uuid::now_v7(),
        app_id: 1,
        guid: guid_as_github_makes_it().to_string(),
        event: "issue_comment".to_owned(),
        action: Some("created".to_owned()),
        installation_id: Some(1),
        repository: Some("octo/app".to_owned()),
        content_type: "application/json".to_owned(),
        body,
        received_at: clock::now(),
        ignored: None,
    }
}

/// Milliseconds from the first byte of a delivery until GitHub is asked something because of it; on an idle machine.
pub fn to_first_call(server: &Server, github: &GitHub, request: &mut Request, count: usize) -> Figure {
    let mut line = TcpStream::connect(server.address).unwrap();
    line.set_nodelay(true).unwrap();
    let mut took = Vec::new();
    for _ in 0..count {
        let before = come_to_rest(github);
        let sent = Instant::now();
        line.write_all(request.fresh()).unwrap();
        while github.requests_since(before).is_empty() {
            assert!(sent.elapsed() < Duration::from_secs(20), "GitHub was never asked");
            std::thread::sleep(Duration::from_micros(100));
        }
        took.push(millis(sent.elapsed()));
        assert!(line.read(&mut [0; 4096]).unwrap() > 0);
    }
    come_to_rest(github);
    // The first one mints a token and meets cold caches; it counts like the others.
    Figure::of(took)
}

/// Wait until GitHub has not been asked anything for a while; how many requests it had by then.
fn come_to_rest(github: &GitHub) -> usize {
    let mut seen = usize::MAX;
    loop {
        let now = github.journal().len();
        if now == seen {
            return now;
        }
        seen = now;
        std::thread::sleep(Duration::from_millis(60));
    }
}
