//! What accepting costs: `cloud-agent serve` beside a bare reference, in turns, on SQLite and on PostgreSQL.
//!
//! To read on: `plan.rs` (what is measured, in which order), `load.rs` (the sender), `reference.rs` (the server that
//! does nothing but verify, compress and store), `latency.rs` (from a delivery to its handler), `start.rs`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that fails should stop and say where")]

mod figures;
mod latency;
mod limits;
mod load;
mod payload;
mod plan;
mod postgres;
mod process;
mod reference;
mod start;

fn main() {
    // cargo passes `--bench`; what is left is ours.
    let words: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [process::MODE, url, address] => reference::serve(url, address),
        [] | ["quick"] => plan::carry_out(&plan::QUICK, &[]),
        ["full"] => plan::carry_out(&plan::FULL, &[]),
        ["quick", parts @ ..] => plan::carry_out(&plan::QUICK, parts),
        ["full", parts @ ..] => plan::carry_out(&plan::FULL, parts),
        other => panic!("{other:?}: say quick or full, and the parts: {}", plan::PARTS.join(" ")),
    }
}
