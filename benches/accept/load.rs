//! The sender: keep-alive connections on loopback, one thread, requests made beforehand, so that it takes little of
//! the machine that it shares with the servers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::figures::{Figure, micros};
use super::payload::Request;

/// Most requests of one connection in one round, whatever the time.
const MOST: usize = 50_000;

/// What came of a round.
pub struct Sent {
    /// Milliseconds of each request.
    pub took: Figure,
    pub elapsed: Duration,
    /// Answers other than 202.
    pub refused: usize,
}

impl Sent {
    pub fn count(&self) -> usize {
        self.took.len()
    }

    pub fn a_second(&self) -> f64 {
        self.count() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Send as fast as answers come, for a time.
pub fn flood(to: SocketAddr, request: &Request, connections: usize, time: Duration) -> Sent {
    runtime().block_on(async {
        let started = Instant::now();
        let senders: Vec<_> = (0..connections)
            .map(|_| {
                let mut request = request.clone();
                tokio::spawn(async move {
                    let mut line = Line::open(to).await;
                    let mut took = Vec::with_capacity(4096);
                    let mut refused = 0;
                    while started.elapsed() < time && took.len() < MOST {
                        let asked = Instant::now();
                        refused += usize::from(line.ask(request.fresh()).await != 202);
                        took.push(micros(asked.elapsed()) / 1e3);
                    }
                    (took, refused)
                })
            })
            .collect();
        let (mut took, mut refused) = (Vec::new(), 0);
        for sender in senders {
            let (some, no) = sender.await.unwrap();
            took.extend(some);
            refused += no;
        }
        Sent { elapsed: started.elapsed(), took: Figure::of(took), refused }
    })
}

/// Send at a steady rate over four connections, whatever the answers do.
pub fn steady(to: SocketAddr, request: &Request, a_second: u32, time: Duration) -> Sent {
    const CONNECTIONS: u32 = 4;
    runtime().block_on(async {
        let started = Instant::now();
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|n| {
                let mut request = request.clone();
                tokio::spawn(async move {
                    let mut line = Line::open(to).await;
                    let (mut took, mut refused) = (Vec::new(), 0);
                    let mut due = started + Duration::from_secs(1) * n / a_second;
                    while due < started + time {
                        tokio::time::sleep_until(due.into()).await;
                        let asked = Instant::now();
                        refused += usize::from(line.ask(request.fresh()).await != 202);
                        took.push(micros(asked.elapsed()) / 1e3);
                        due += Duration::from_secs(1) * CONNECTIONS / a_second;
                    }
                    (took, refused)
                })
            })
            .collect();
        let (mut took, mut refused) = (Vec::new(), 0);
        for sender in senders {
            let (some, no) = sender.await.unwrap();
            took.extend(some);
            refused += no;
        }
        Sent { elapsed: started.elapsed(), took: Figure::of(took), refused }
    })
}

/// A connection that is kept.
pub struct Line {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Line {
    pub async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer: Vec::with_capacity(1024) }
    }

    /// Send a request, read the answer whole; its status.
    pub async fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.unwrap();
        self.answer.clear();
        loop {
            if let Some(whole) = length(&self.answer)
                && self.answer.len() >= whole
            {
                return std::str::from_utf8(&self.answer[9..12]).unwrap().parse().unwrap();
            }
            let read = self.stream.read_buf(&mut self.answer).await.unwrap();
            assert!(read > 0, "the server hung up: {}", String::from_utf8_lossy(&self.answer));
        }
    }
}

/// Length of head and body, once the head is whole.
fn length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let body = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |it| it.parse().unwrap());
    Some(head + body)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
