//! What a model wrote: a key that we hold does not leave in any spelling, and nothing that GitHub would act on is left.

use std::sync::Once;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloud_agent::text::{hold, outgoing, redact, redact_held};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use secrecy::SecretString;

use super::{choice, text};

const KEY: &str = "fz-7Kq_secret.Of/These+Fuzz9Tests";
const REDACTED: &str = "[redacted]";
/// Spellings below; further choices put no key in.
const WAYS: usize = 14;

/// The first byte chooses how the key is spelled, the second where in the text it stands.
pub fn holds(data: &[u8]) {
    static HELD: Once = Once::new();
    HELD.call_once(|| hold(&SecretString::from(KEY)));
    let (way, rest) = choice(data);
    let (at, rest) = choice(rest);
    let mut said = text(rest);
    if let Some(key) = spelled(way % (WAYS + 4), &said) {
        let at = said.char_indices().map(|(at, _)| at).cycle().nth(at).unwrap_or_default();
        said.insert_str(at, &key);
    }

    let redacted = redact(&said);
    no_key(&redacted, &said);
    no_key(&redact_held(&said), &said);
    assert_eq!(redact(&redacted), redacted, "a second time, of {said:?}");

    let out = outgoing(&said);
    no_key(&out, &said);
    is_tame(&out, &said);
    assert_eq!(outgoing(&out), out, "a second time, of {said:?}");
}

fn spelled(way: usize, before: &str) -> Option<String> {
    let bytes = KEY.as_bytes();
    let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let each = |spell: &dyn Fn(char) -> String| KEY.chars().map(spell).collect::<Vec<_>>().concat();
    let before: String = before.chars().take(7).collect();
    Some(match way {
        0 => KEY.to_owned(),
        1 => STANDARD.encode(format!("{before}{KEY}{before}")),
        2 => URL_SAFE_NO_PAD.encode(format!("{before}{KEY}{before}")),
        3 => hex.concat(),
        4 => hex.join(":").to_uppercase(),
        5 => format!("%{}", hex.join("%")),
        6 => KEY.replace('_', "%5F").replace('/', "%2F").replace('+', "%2B"),
        7 => KEY.chars().rev().collect(),
        8 => each(&|c| format!("{c}\u{200B}")),
        9 => KEY.replace('e', "e\n> "),
        10 => KEY.replace('e', "e<b></b>"),
        11 => each(&|c| format!("&#{};", c as u32)),
        12 => KEY.replace('s', "**s**"),
        13 => format!("\\x{}", hex.join("\\x")),
        _ => return None,
    })
}

/// Looked for by undoing the spellings, one after another, in what stands between redactions.
fn no_key(out: &str, of: &str) {
    let bare = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let key = bare(KEY);
    let mut needles = vec![key.chars().rev().collect(), bare(&hex::encode(KEY)), key];
    for shift in 0..3 {
        let whole = STANDARD.encode(format!("{}{KEY}", &"xyz"[..shift]));
        // Without the letters that hold bits of the neighbours, of which the last are `=` or two more.
        needles.push(bare(&whole[(shift * 8).div_ceil(6)..whole.len() - 4]));
    }
    for part in out.split(REDACTED) {
        for view in [part.to_owned(), undone(part)] {
            let view = bare(&view);
            for needle in &needles {
                assert!(!view.contains(needle.as_str()), "{needle} in {out:?} of {of:?}");
            }
        }
    }
}

/// Percent signs and numbered entities as what they mean.
fn undone(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let percent = rest.strip_prefix('%').and_then(|it| Some((u32::from_str_radix(it.get(..2)?, 16).ok()?, 3)));
        let entity = rest.strip_prefix("&#").and_then(|it| {
            let end = it.find(';').filter(|end| *end < 8)?;
            Some((it[..end].parse().ok()?, end + 3))
        });
        match percent.or(entity).and_then(|(code, length)| Some((char::from_u32(code)?, length))) {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// What a parser still finds that GitHub or a browser would act on.
fn is_tame(out: &str, of: &str) {
    let parser = Parser::new_ext(out, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES);
    assert_eq!(parser.reference_definitions().iter().count(), 0, "a definition in {out:?} of {of:?}");
    let mut in_code = false;
    for event in parser {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => panic!("{html:?} in {out:?} of {of:?}"),
            Event::Start(Tag::Image { dest_url, .. }) => panic!("a picture {dest_url:?} in {out:?} of {of:?}"),
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(said) if !in_code => {
                let mentions = said
                    .match_indices('@')
                    .any(|(at, _)| said[at + 1..].starts_with(|c: char| c.is_ascii_alphanumeric()));
                assert!(!mentions, "a mention in {said:?} of {of:?}");
            }
            _ => (),
        }
    }
}
