//! What must hold for every input that a stranger can write. Each property takes bytes and panics when it is broken; the
//! fuzzer in `fuzz/` plays them for as long as it is let, `tests/it/fuzz.rs` for a second or so each.

mod command;
mod delivery;
mod diff;
mod egress;
mod hello;
pub mod long;
mod outgoing;
mod rules;
mod sanitiser;
mod settings;
mod stream;

/// A property and its name, which is that of its fuzz target, its seeds and its dictionary.
pub type Property = (&'static str, fn(&[u8]));

pub const ALL: [Property; 11] = [
    ("command", command::holds),
    ("delivery", delivery::holds),
    ("diff", diff::holds),
    ("egress", egress::holds),
    ("hello", hello::holds),
    ("long", long::holds),
    ("outgoing", outgoing::holds),
    ("rules", rules::holds),
    ("sanitiser", sanitiser::holds),
    ("settings", settings::holds),
    ("stream", stream::holds),
];

/// Bytes as text, as far as they are one.
fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// The first byte, which chooses among a few, and the rest.
fn choice(data: &[u8]) -> (usize, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (usize::from(*first), rest))
}
