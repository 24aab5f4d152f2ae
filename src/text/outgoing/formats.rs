//! What keys look like that are not ours: the formats that their makers document, each with its length, so that commit
//! ids, UUIDs and encoded pictures stay what they are.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::{REDACTED, view::View};
use crate::text::is_invisible;

/// What may follow the beginning of a key.
#[derive(Debug, Clone, Copy)]
enum Of {
    Letters,
    /// Letters, `_` and `-`.
    Words,
    /// The same and `.`: some hold a JWT.
    Dotted,
    /// Capitals and digits.
    Capitals,
    Hex,
    Base64,
}

impl Of {
    fn has(self, b: u8) -> bool {
        match self {
            Self::Letters => b.is_ascii_alphanumeric(),
            Self::Words => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'),
            Self::Dotted => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'),
            Self::Capitals => b.is_ascii_uppercase() || b.is_ascii_digit(),
            Self::Hex => b.is_ascii_hexdigit(),
            Self::Base64 => b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='),
        }
    }
}

/// Beginning, alphabet, and how many characters follow at least and at most.
type Format = (&'static str, Of, usize, usize);

const ANY: usize = usize::MAX;
const FORMATS: &[Format] = &[
    // GitHub; tokens of installations are some 520 characters long since 2026 and hold dots.
    ("ghp_", Of::Letters, 30, ANY),
    ("gho_", Of::Letters, 30, ANY),
    ("ghu_", Of::Dotted, 30, ANY),
    ("ghs_", Of::Dotted, 30, ANY),
    ("ghr_", Of::Letters, 30, ANY),
    ("github_pat_", Of::Words, 30, ANY),
    // Models
    ("sk-ant-", Of::Words, 20, ANY),
    ("sk-proj-", Of::Words, 20, ANY),
    ("sk-svcacct-", Of::Words, 20, ANY),
    ("hf_", Of::Letters, 34, 40),
    // Clouds
    ("AKIA", Of::Capitals, 16, 16),
    ("ASIA", Of::Capitals, 16, 16),
    ("AIza", Of::Words, 35, 35),
    ("ya29.", Of::Words, 30, ANY),
    ("GOCSPX-", Of::Words, 20, 40),
    ("AccountKey=", Of::Base64, 40, ANY),
    ("SharedAccessKey=", Of::Base64, 40, ANY),
    ("dop_v1_", Of::Hex, 64, 64),
    ("dapi", Of::Hex, 32, 32),
    // Work and money
    ("xoxb-", Of::Words, 20, ANY),
    ("xoxp-", Of::Words, 20, ANY),
    ("xoxa-", Of::Words, 20, ANY),
    ("xoxr-", Of::Words, 20, ANY),
    ("xoxs-", Of::Words, 20, ANY),
    ("xoxe-", Of::Words, 20, ANY),
    ("xoxe.xox", Of::Words, 20, ANY),
    ("xapp-", Of::Words, 20, ANY),
    ("hooks.slack.com/services/T", Of::Base64, 20, ANY),
    ("sk_live_", Of::Letters, 16, ANY),
    ("sk_test_", Of::Letters, 16, ANY),
    ("rk_live_", Of::Letters, 16, ANY),
    ("rk_test_", Of::Letters, 16, ANY),
    ("whsec_", Of::Base64, 24, ANY),
    ("shpat_", Of::Hex, 32, 32),
    ("SG.", Of::Dotted, 60, 80),
    ("lin_api_", Of::Letters, 30, ANY),
    // Packages
    ("npm_", Of::Letters, 36, 36),
    ("pypi-AgE", Of::Words, 50, ANY),
    ("rubygems_", Of::Hex, 48, 48),
    ("glpat-", Of::Dotted, 20, ANY),
    ("dckr_pat_", Of::Words, 20, ANY),
    ("AGE-SECRET-KEY-1", Of::Capitals, 50, ANY),
    // Our own API's
    ("ca_", Of::Hex, 64, 76),
];
/// Beginnings that are read by more than an alphabet.
const JWT: &str = "eyJ";
const PEM: &str = "-----BEGIN ";
const ADDRESS: &str = "://";
const AZURE: &str = "8Q~";

static BEGINNINGS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let all = FORMATS.iter().map(|(begins, ..)| *begins).chain([JWT, PEM, ADDRESS, AZURE]);
    match AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(all) {
        Ok(automaton) => automaton,
        Err(error) => unreachable!("the beginnings are part of the program: {error}"),
    }
});

/// Where something looks like a key: in the text as it is, and as it reads without what stands between its letters.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = find_in(text);
    if text.contains(['<', '%', '\\', '&', '*', '`', '~']) || !text.is_ascii() {
        let bare = |c| (!matches!(c, '*' | '`' | '~' | '\\')).then_some(c);
        for view in [View::joined(text, bare), View::unescaped(text, bare)] {
            found.extend(find_in(&view.text).iter().map(|part| view.source(part)));
        }
    }
    if text.contains('\n') {
        // A key over several lines, in a quote perhaps; one that ends with its line is found above.
        let view = View::lines(text);
        let whole: Vec<usize> = found.iter().map(|part| part.start).collect();
        let over_lines = find_in(&view.text).into_iter().filter(|part| is_sure(&view.text[part.clone()]));
        found.extend(
            over_lines
                .map(|part| view.source(&part))
                .filter(|part| text[part.clone()].contains('\n') && !whole.contains(&part.start)),
        );
    }
    found
}

/// Formats whose beginning and length leave no doubt when lines are put together.
fn is_sure(found: &str) -> bool {
    ["gh", "sk-ant-"].iter().any(|it| found.starts_with(it))
}

fn find_in(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut done = 0;
    for begins in BEGINNINGS.find_iter(text) {
        if begins.start() < done {
            continue;
        }
        let part = match begins.pattern().as_usize() {
            at if at < FORMATS.len() => by_format(bytes, begins.range(), FORMATS[at]),
            at => match at - FORMATS.len() {
                0 => jwt(bytes, begins.start()),
                1 => pem(text, begins.start()),
                2 => password(text, begins.range()),
                _ => azure(bytes, begins.range()),
            },
        };
        if let Some(part) = part {
            done = part.end;
            found.push(part);
        }
    }
    found
}

fn run(bytes: &[u8], of: Of, most: usize) -> usize {
    bytes.iter().take(most).take_while(|b| of.has(**b)).count()
}

fn by_format(bytes: &[u8], begins: Range<usize>, (_, of, least, most): Format) -> Option<Range<usize>> {
    let inside = begins.start.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_alphanumeric());
    let length = run(&bytes[begins.end..], of, most.saturating_add(1));
    // A letter before it does not make a key another word; a word that happens to hold a beginning is no key.
    let is_key = !inside || is_random(&bytes[begins.end..begins.end + length.min(60)]);
    (is_key && (least..=most).contains(&length)).then_some(begins.start..begins.end + length)
}

/// Letters of both cases and digits, as nobody writes words.
fn is_random(bytes: &[u8]) -> bool {
    let has = |of: fn(&u8) -> bool| bytes.iter().filter(|b| of(b)).count() > 2;
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
}

/// Three parts of base64url, of which two begin with `{"`.
fn jwt(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 8192;
    if start.checked_sub(1).is_some_and(|before| Of::Words.has(bytes[before])) {
        return None;
    }
    let mut at = start;
    for part in 0..3 {
        let length = run(&bytes[at..], Of::Words, LONGEST);
        let begins = part == 2 || bytes[at..].starts_with(b"eyJ");
        if length < 10 || !begins {
            return None;
        }
        at += length;
        if part < 2 {
            (bytes.get(at) == Some(&b'.')).then_some(())?;
            at += 1;
        }
    }
    Some(start..at)
}

/// A private key of any kind, to its end or, without one, as far as it goes.
fn pem(text: &str, start: usize) -> Option<Range<usize>> {
    const LONGEST_NAME: usize = 60;
    let after = &text[start + PEM.len()..];
    let name: &str = &after[..after
        .bytes()
        .take(LONGEST_NAME)
        .take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b' ')
        .count()];
    if !name.contains("PRIVATE KEY") || !after[name.len()..].starts_with("-----") {
        return None;
    }
    let Some(ends) = after.find("-----END") else {
        return Some(start..text.len());
    };
    let last = start + PEM.len() + ends + "-----END".len();
    let rest = &text[last..];
    // A name is ASCII: what is cut off at its longest is no part of a character.
    let closes = rest.bytes().take(LONGEST_NAME).take_while(|b| b.is_ascii() && !matches!(b, b'-' | b'\n')).count();
    let dashes = rest[closes..].bytes().take_while(|b| *b == b'-').count();
    Some(start..last + closes + dashes)
}

/// The password in an address; what stands for one stays.
fn password(text: &str, slashes: Range<usize>) -> Option<Range<usize>> {
    const LONGEST: usize = 1024;
    let before = text[..slashes.start].bytes().next_back()?;
    before.is_ascii_alphanumeric().then_some(())?;
    let rest = &text[slashes.end..];
    let end = rest
        .char_indices()
        .take(LONGEST)
        .find(|(_, c)| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`' | '<' | '>' | '(' | ')'))
        .map_or(rest.len().min(LONGEST), |(at, _)| at);
    let authority = rest.get(..end)?;
    let (user, _) = authority.rsplit_once('@')?;
    let (name, password) = user.split_once(':')?;
    let seen = password.chars().filter(|c| !is_invisible(*c));
    let stands_for_one = seen.eq(REDACTED.chars()) || password.starts_with(['$', '{', '*']) || password.len() < 3;
    let start = slashes.end + name.len() + 1;
    (!stands_for_one).then_some(start..start + password.len())
}

/// A client secret of Entra ID: three characters, then `8Q~`, then 34.
fn azure(bytes: &[u8], sign: Range<usize>) -> Option<Range<usize>> {
    let start = sign.start.checked_sub(3)?;
    let whole = bytes[start..sign.start].iter().all(|b| Of::Dotted.has(*b) || *b == b'~');
    let length = bytes[sign.end..].iter().take(40).take_while(|b| Of::Dotted.has(**b) || **b == b'~').count();
    (whole && (31..=34).contains(&length)).then_some(start..sign.end + length)
}
