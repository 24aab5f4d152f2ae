//! See `tests/properties/long.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloud_agent_fuzz::timed(data));
