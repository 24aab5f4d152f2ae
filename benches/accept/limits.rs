//! What the machine can do at best, measured in the same run: a sync of one page, and the work on one body.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::figures::{Figure, micros};

pub fn show(dir: &Path, payload: &Value) {
    let body = serde_json::to_vec(payload).unwrap();
    let mut file = std::fs::File::create(dir.join("sync")).unwrap();
    let sync = each(Duration::from_millis(500), || {
        file.write_all(&body[..4096]).unwrap();
        file.sync_data().unwrap();
    });
    let key = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    let verify = each(Duration::from_millis(200), || {
        std::hint::black_box(key.clone().chain_update(&body).finalize());
    });
    let mut packer = zstd::bulk::Compressor::new(1).unwrap();
    let pack = each(Duration::from_millis(200), || {
        std::hint::black_box(packer.compress(&body).unwrap());
    });
    let packed = packer.compress(&body).unwrap().len();
    println!("fdatasync after 4 KiB, µs          p50 / p99 / max  {}", sync.tail(0));
    println!("HMAC-SHA256 of {} B, µs         p50 / p99 / max  {}", body.len(), verify.tail(1));
    println!("zstd -1 to {packed} B, µs             p50 / p99 / max  {}", pack.tail(1));
}

/// Microseconds of each call, for a time.
fn each(time: Duration, mut work: impl FnMut()) -> Figure {
    let started = Instant::now();
    let mut took = Vec::new();
    while started.elapsed() < time {
        let at = Instant::now();
        work();
        took.push(micros(at.elapsed()));
    }
    Figure::of(took)
}
