//! See `tests/properties/sanitiser.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloud_agent_fuzz::play("sanitiser", data));
