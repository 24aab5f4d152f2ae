//! Runs the simulator for people.
fn main() {}
