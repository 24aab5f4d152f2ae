//! Clients that follow one stream, all on one thread, and how long each event took to reach each of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// What stands before the microsecond at which a line was said, and its digits.
const STAMP: &[u8] = b"at=";
const DIGITS: usize = 16;
/// Width of a step of the histogram in microseconds, and how many there are: up to 20 seconds.
const STEP: u64 = 50;
const STEPS: usize = 400_000;
/// How long nothing may come before a stream counts as over.
const QUIET: Duration = Duration::from_secs(3);

/// What all clients together have heard.
pub struct Heard {
    steps: Vec<u64>,
    pub events: u64,
    /// Connections that were closed before everything had come.
    pub lost: usize,
    /// From the first event to the last.
    pub took: Duration,
}

impl Heard {
    /// Milliseconds within which this part of all events has come.
    pub fn quantile(&self, part: f64) -> f64 {
        let wanted = (self.events as f64 * part).ceil() as u64;
        let mut sum = 0;
        let step = self.steps.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        step.map_or(f64::NAN, |step| (step as u64 * STEP) as f64 / 1e3)
    }
}

/// Open so many streams, call `go` once all stand, and hear so many events on each.
pub fn follow(to: SocketAddr, path: &str, key: &str, clients: usize, events: u64, go: impl FnOnce()) -> Heard {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (standing, heard) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\r\n");
        let all: Vec<_> = (0..clients)
            .map(|_| tokio::spawn(one(to, request.clone(), events, standing.clone(), heard.clone())))
            .collect();
        let _ = standing.acquire_many(clients as u32).await.unwrap();
        go();
        let mut sum = Heard { steps: vec![0; STEPS], events: 0, lost: 0, took: Duration::ZERO };
        for client in all {
            let (steps, count, took) = client.await.unwrap();
            sum.events += count;
            sum.lost += usize::from(count < events);
            sum.took = sum.took.max(took);
            for step in steps {
                sum.steps[step as usize] += 1;
            }
        }
        sum
    })
}

/// One client: the step of each event, how many there were, and how long they took to come.
async fn one(
    to: SocketAddr,
    request: String,
    events: u64,
    standing: Arc<Semaphore>,
    heard: Arc<AtomicU64>,
) -> (Vec<u32>, u64, Duration) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = Vec::with_capacity(256 << 10);
    let mut steps = Vec::with_capacity(events as usize);
    stream.read_buf(&mut buffer).await.unwrap();
    assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer));
    standing.add_permits(1);
    let mut begun = None;
    let mut last = Instant::now();
    while (steps.len() as u64) < events {
        let before = heard.load(Ordering::Relaxed);
        match tokio::time::timeout(QUIET, stream.read_buf(&mut buffer)).await {
            Ok(Ok(1..)) => (),
            // Others still hear something: this one is only slow.
            Err(_) if heard.load(Ordering::Relaxed) > before || begun.is_none() => continue,
            _ => break,
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        let count = steps.len();
        let used = stamps(&buffer, |said| {
            steps.push((now.saturating_sub(said) / STEP).min(STEPS as u64 - 1) as u32);
        });
        buffer.drain(..used);
        heard.fetch_add((steps.len() - count) as u64, Ordering::Relaxed);
        last = Instant::now();
        begun.get_or_insert(last);
    }
    let count = steps.len() as u64;
    (steps, count, begun.map_or(Duration::ZERO, |begun| last - begun))
}

/// Call `found` for each stamp that is whole; how many bytes are done with.
fn stamps(buffer: &[u8], mut found: impl FnMut(u64)) -> usize {
    let mut at = 0;
    while let Some(stamp) = find(&buffer[at..]) {
        let from = at + stamp + STAMP.len();
        let Some(digits) = buffer.get(from..from + DIGITS) else { return at + stamp };
        if let Ok(said) = std::str::from_utf8(digits).unwrap_or_default().parse() {
            found(said);
        }
        at = from + DIGITS;
    }
    // The beginning of a stamp may be all that has come of it.
    at.max(buffer.len().saturating_sub(STAMP.len()))
}

fn find(buffer: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let next = at + buffer[at..].iter().position(|byte| *byte == STAMP[0])?;
        if buffer[next..].starts_with(STAMP) {
            return Some(next);
        }
        at = next + 1;
    }
}
