//! Addresses: what of a link's or a picture's destination is no text in disguise.

use std::fmt::Write as _;

/// An address longer than this says something.
const LONGEST: usize = 300;

/// Whether this reads as words rather than as one name.
pub fn is_wordy(text: &str) -> bool {
    let text = text.trim();
    text.contains(char::is_whitespace) || text.chars().count() > 30
}

/// A link's destination without what it says to whoever reads it; `None` if it may stay as it is.
pub fn link(url: &str) -> Option<String> {
    match scheme(url) {
        None | Some("http" | "https") => (),
        Some("mailto") if !url.contains('?') && url.len() < 100 => return None,
        Some(_) => return Some(String::new()),
    }
    if url.chars().count() <= LONGEST && !speaks(url) {
        return None;
    }
    let path = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    if path.len() < url.len() && path.chars().count() <= LONGEST && !speaks(path) {
        return Some(path.to_owned());
    }
    Some(origin(url).unwrap_or_default())
}

/// Where a picture comes from: GitHub's own in full, of others the host.
pub fn image(url: &str) -> String {
    let Some(origin) = origin(url) else {
        return match scheme(url) {
            None if !speaks(url) && url.len() <= LONGEST => url[..url.find('?').unwrap_or(url.len())].to_owned(),
            _ => String::new(),
        };
    };
    let host = origin.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let path = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let ours = host == "github.com" || host.ends_with(".githubusercontent.com");
    if ours && path.len() <= LONGEST && !speaks(path) { path.to_owned() } else { origin }
}

/// Whether an image's destination is one at all, and no text.
pub fn shows_something(url: &str) -> bool {
    origin(url).is_some() || (scheme(url).is_none() && !speaks(url))
}

/// As Markdown takes a destination between parentheses.
pub fn escaped(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            '(' | ')' | '<' | '>' | '\\' | '|' | '"' | '`' | '*' | '[' | ']' => {
                let _ = write!(out, "%{:02X}", c as u32);
            }
            '&' => out.push_str("&amp;"),
            c if c.is_whitespace() || c.is_control() => out.push_str("%20"),
            c => out.push(c),
        }
    }
    out
}

fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    // `//host/path` and `path:with` colons are no schemes; an unknown one is.
    named.then_some(match scheme {
        it if it.eq_ignore_ascii_case("http") => "http",
        it if it.eq_ignore_ascii_case("https") => "https",
        it if it.eq_ignore_ascii_case("mailto") => "mailto",
        it => it,
    })
}

fn origin(url: &str) -> Option<String> {
    let parsed = url::Url::parse(url).ok()?;
    matches!(parsed.scheme(), "http" | "https")
        .then(|| format!("{}://{}/", parsed.scheme(), parsed.host_str().unwrap_or_default()))
}

/// Whether an address holds a sentence: three words or more, once its spaces are spaces.
fn speaks(url: &str) -> bool {
    let spaced = url.replace("%20", " ").replace("%0A", " ").replace("%0a", " ").replace(['+', '\u{A0}'], " ");
    spaced.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count() > 2
}
