//! The properties that the fuzz targets play, which the tests play too.

use std::fs;

#[path = "../../tests/properties/mod.rs"]
pub mod properties;

use properties::long;

/// Play one input of a property.
pub fn play(name: &str, data: &[u8]) {
    let (_, holds) = properties::ALL.iter().find(|(it, _)| *it == name).expect("a property of this name");
    holds(data);
}

/// How much longer than a quarter of it a long text may take: four times is what it should, sixteen is its square.
const LONGER: u64 = 9;
/// What reading may take at least, in nanoseconds: below that there is too little to compare.
const NOTHING: u64 = 500_000_000;

/// The same for one that makes a long text of its input, whose time may not grow with the square of its length. A limit in
/// seconds would tell more of the fuzzer's counters, which slow some code a hundred times, than of the code.
pub fn timed(data: &[u8]) {
    let time = |length| {
        let before = spent();
        long::reads(data, length);
        spent() - before
    };
    let (quarter, whole) = (time(long::LENGTH / 4), time(long::LENGTH));
    assert!(
        whole < NOTHING.max(quarter * LONGER),
        "{} KiB took {} ms, a quarter of them {}",
        long::LENGTH >> 10,
        whole / 1_000_000,
        quarter / 1_000_000
    );
}

/// What this thread has had of a processor, in nanoseconds: on a busy machine a clock tells nothing.
fn spent() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or_default()
}
