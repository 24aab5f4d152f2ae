//! The properties that the fuzz targets play, which the tests play too.

use std::fs;

#[path = "../../tests/properties/mod.rs"]
pub mod properties;

/// What 64 KiB may take at most of a processor, in nanoseconds; it takes some hundredths of that unless its square is taken.
const LONGEST: u64 = 2_000_000_000;

/// Play one input of a property.
pub fn play(name: &str, data: &[u8]) {
    let (_, holds) = properties::ALL.iter().find(|(it, _)| *it == name).expect("a property of this name");
    holds(data);
}

/// The same for one that makes a long text of its input, and may not take long.
pub fn timed(name: &str, data: &[u8]) {
    let before = spent();
    play(name, data);
    let took = spent() - before;
    assert!(took < LONGEST, "that took {} ms", took / 1_000_000);
}

/// What this thread has had of a processor, in nanoseconds: on a busy machine a clock tells nothing.
fn spent() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or_default()
}
