//! The JSON in a delivery's body: bare or in a form, with half characters mended.

use std::borrow::Cow;

/// The JSON in a body: all of it, or the `payload` field of a form. In words when there is none.
pub fn json_of<'a>(content_type: &str, raw: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let json = match content_type {
        "application/x-www-form-urlencoded" => url::form_urlencoded::parse(raw)
            .find(|(name, _)| name == "payload")
            .map(|(_, payload)| Cow::Owned(payload.into_owned().into_bytes()))
            .ok_or_else(|| "the form has no `payload`".to_owned())?,
        "application/json" | "" => Cow::Borrowed(raw),
        other => return Err(format!("content type {other} is neither application/json nor a form")),
    };
    Ok(match mended(&json) {
        Some(mended) => Cow::Owned(mended),
        None => json,
    })
}

/// JSON in which escaped halves of a surrogate pair that stand alone have become U+FFFD; `None` if there are none. People
/// can write them into a comment, and a strict reader would throw the whole delivery away.
fn mended(json: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while at + 1 < json.len() {
        if json[at] != b'\\' {
            at += 1;
            continue;
        }
        let (half, next) = (half(json, at), half(json, at + 6));
        match (half, next) {
            (Some(Half::High), Some(Half::Low)) => at += 12,
            (Some(_), _) => {
                out.get_or_insert_with(|| json.to_vec())[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            // Any other escape: its second byte may be a backslash too.
            (None, _) => at += 2,
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    High,
    Low,
}

/// The half that is escaped at `at`, if one is.
fn half(json: &[u8], at: usize) -> Option<Half> {
    let escape = json.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Option<&str>) {
        assert_eq!(mended(json.as_bytes()).map(|it| String::from_utf8(it).unwrap()).as_deref(), expected, "{json}");
    }

    #[test]
    fn halves_that_stand_alone_are_mended() {
        check(r#""\ud83d\ude80 whole""#, None);
        check(r#""\ud83d alone""#, Some(r#""\ufffd alone""#));
        check(r#""\ude80\ud83d""#, Some(r#""\ufffd\ufffd""#));
        check(r#""\ud83d\ud83d\ude80""#, Some(r#""\ufffd\ud83d\ude80""#));
        check(r#""no escape: \\ud83d""#, None);
        check(r#""\u0000 \ud8""#, None);
    }
}
