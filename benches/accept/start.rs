//! From starting the process to its first good answer, and what it holds in memory when it has nothing to do.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::figures::millis;
use super::process::Server;

pub const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Milliseconds from spawning a server to the first 2xx to this request.
pub fn to_first_answer(server: &Server, request: &[u8]) -> f64 {
    let mut line = loop {
        match TcpStream::connect(server.address) {
            Ok(line) => break line,
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
        assert!(server.spawned.elapsed() < Duration::from_secs(30), "the server did not start");
    };
    line.write_all(request).unwrap();
    let mut answer = [0; 1024];
    let read = line.read(&mut answer).unwrap();
    let took = millis(server.spawned.elapsed());
    assert!(answer[..read].starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer[..read]));
    took
}

/// Wait until a server has used next to no CPU for a while.
pub fn come_to_rest(server: &Server, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        let before = server.cpu();
        std::thread::sleep(Duration::from_millis(500));
        if server.cpu() == before {
            return;
        }
    }
}
