//! The first words of a tunnel: let through only with the right name in them, however they come in.

use cloud_agent::gateway::hello::{Wrong, read};
use cloud_agent::gateway::host::Place;
use futures::FutureExt as _;

use super::choice;

const HOST: &str = "registry.example.com";

/// The first byte says how much comes early, the rest is what the client says.
pub fn holds(data: &[u8]) {
    let (early, said) = choice(data);
    let (first, rest) = said.split_at(early.min(said.len()));
    let whole = judged(said, &[]);
    match (&whole, judged(first, rest)) {
        (Some(Ok(kept)), Some(Ok(parts))) => {
            assert_eq!(kept, said, "all of it is the server's");
            assert!(said.starts_with(&parts));
            assert!(said.starts_with(&[0x16, 3]), "that is no handshake of TLS");
            assert!(
                said.to_ascii_lowercase().windows(HOST.len()).any(|it| it == HOST.as_bytes()),
                "where is the name?"
            );
        }
        (Some(Err(one)), Some(Err(other))) => {
            assert_eq!(*one, other, "in two parts it is judged in another way");
            if let Wrong::Other(name) = one {
                assert_ne!(name, HOST);
                assert!(name.len() <= 100 && name.is_ascii() && !name.contains(char::is_control), "{name:?}");
            }
        }
        (None, None) => (),
        (one, other) => panic!("{one:?} at once, {other:?} in two parts"),
    }
}

/// What `read` says; nothing when the client hangs up before it can tell.
fn judged(early: &[u8], rest: &[u8]) -> Option<Result<Vec<u8>, Wrong>> {
    let place = Place::parse(&format!("{HOST}:443")).expect("a place");
    let mut client = rest;
    // Bytes in memory never make anybody wait.
    read(&mut client, early.to_vec(), &place).now_or_never().expect("no waiting").ok()
}
