//! The properties that the fuzzer plays (`script/fuzz`), over their seeds and some thousand inputs made of them; the same
//! ones each time.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "../properties/mod.rs"]
mod properties;

/// Inputs made of the seeds for each property.
const ROUNDS: usize = 3_000;
/// And for the one that makes 64 KiB of each.
const LONG_ROUNDS: usize = 60;
/// Longer inputs are for the fuzzer, which has the time.
const LONGEST: usize = 2_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The seeds of a property by the names of their files, and one that is empty.
fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let dir = root().join("fuzz/seeds").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<_> = files.iter().map(|file| (file.display().to_string(), fs::read(file).unwrap())).collect();
    assert!(seeds.len() >= 3, "{name} has seeds");
    seeds.into_iter().chain([("nothing".to_owned(), Vec::new())]).collect()
}

/// The words of a dictionary in libFuzzer's format: a text in quotes on a line.
fn words(name: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(root().join(format!("fuzz/dict/{name}.dict"))).unwrap();
    let quoted = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (_, rest) = line.split_once('"')?;
        rest.strip_suffix('"')
    });
    let words: Vec<Vec<u8>> = quoted.map(unescaped).collect();
    assert!(!words.is_empty(), "{name} has a dictionary");
    words
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'x') => {
                    let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other.unwrap(),
            },
            other => other,
        });
    }
    out
}

/// Numbers that look random and are always the same (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end.max(1)
    }
}

/// A seed after a few of the things that a fuzzer does to one.
fn changed(seeds: &[(String, Vec<u8>)], words: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut data = seeds[numbers.below(seeds.len())].1.clone();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(data.len() + 1);
        let end = (at + numbers.below(12)).min(data.len());
        match numbers.below(6) {
            0 => _ = data.splice(at..at, words[numbers.below(words.len())].iter().copied()),
            1 => _ = data.splice(at..end, words[numbers.below(words.len())].iter().copied()),
            2 => _ = data.drain(at..end),
            3 => data.insert(at, numbers.below(256) as u8),
            4 => {
                let part = data[at..end].to_vec();
                let to = numbers.below(data.len() + 1);
                data.splice(to..to, part);
            }
            _ => {
                let other = &seeds[numbers.below(seeds.len())].1;
                let from = numbers.below(other.len() + 1);
                let part = &other[from..(from + numbers.below(60)).min(other.len())];
                data.splice(at..at, part.iter().copied());
            }
        }
    }
    data.truncate(LONGEST);
    data
}

fn play(name: &str) {
    let (_, holds) = properties::ALL.iter().find(|(it, _)| *it == name).unwrap();
    let holds = |told: &str, data: &[u8]| {
        let outcome = catch_unwind(AssertUnwindSafe(|| holds(data)));
        assert!(outcome.is_ok(), "`{name}` does not hold for {told}: {:?}", String::from_utf8_lossy(data));
    };
    let (seeds, words) = (seeds(name), words(name));
    for (file, data) in &seeds {
        holds(file, data);
    }
    let mut numbers = Numbers(0x00C1_0D1D_A6E7);
    for round in 0..if name == "long" { LONG_ROUNDS } else { ROUNDS } {
        holds(&format!("round {round}"), &changed(&seeds, &words, &mut numbers));
    }
}

macro_rules! properties {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                play(stringify!($name));
            }
        )*

        #[test]
        fn every_property_has_a_test_and_a_target() {
            let names: Vec<&str> = properties::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
            for name in names {
                assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} has no target");
            }
        }
    };
}

properties! { command delivery diff egress hello long outgoing rules sanitiser settings stream }
