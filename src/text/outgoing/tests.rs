//! What must not leave does not, and everything else is left as it was.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use secrecy::SecretString;

use super::*;
use crate::clock;

const KEY: &str = "wh-5ecret_Of-These.Tests/Zq8+Lm2";

fn hold_the_key() {
    hold(&SecretString::from(KEY));
}

#[test]
fn secrets_do_not_leave() {
    let long = format!("ghs_123_{}.{}.{}", "a".repeat(40), "b".repeat(380), "c".repeat(86));
    for secret in [long.as_str(), &format!("ghp_{}", "x".repeat(36)), &format!("sk-ant-api03-{}", "y".repeat(40))] {
        assert_eq!(redact(&format!("token: {secret} end")), "token: [redacted] end");
    }
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter";
    assert_eq!(redact(key), "[redacted]\nafter");
    let odd = format!("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END{}\nafter", "\u{fffd}".repeat(30));
    assert!(redact(&odd).starts_with("[redacted]\u{fffd}"), "an end that is cut inside of a character");
    assert_eq!(redact("ghs_short sk-ant-x"), "ghs_short sk-ant-x");
}

#[test]
fn a_models_words_are_tamed() {
    for (input, expected) in [
        ("thanks @alice", "thanks @\u{2060}alice"),
        ("use `@alice` and\n```\n@alice fixes #1\n```", "use `@alice` and\n```\n@alice fixes #1\n```"),
        ("This fixes #12, see #13", "This fixe\u{2060}s #12, see #13"),
        ("Closes: a/b#1 and resolved GH-2", "Close\u{2060}s: a/b#1 and resolve\u{2060}d GH-2"),
        ("fix https://github.com/a/b/issues/1", "fi\u{2060}x https://github.com/a/b/issues/1"),
        ("a fix for the parser", "a fix for the parser"),
        ("hi &#64;alice", "hi &amp;#64;alice"),
        ("<!-- cloud-agent:task=1 --> hi", "&lt;!-- cloud-agent:task=1 --> hi"),
        ("![x](https://evil.example/?q=1)", "[x](https://evil.example/?q=1) (evil.example)"),
        ("see [docs](https://evil.example/a)", "see [docs](https://evil.example/a) (evil.example)"),
        ("see [docs](https://evil.example/a) (evil.example)", "see [docs](https://evil.example/a) (evil.example)"),
        ("see [docs][1]\n\n[1]: https://docs.github.com/a 'x'", "see [docs](https://docs.github.com/a)"),
        ("see [evil.example](https://evil.example)", "see [evil.example](https://evil.example)"),
        ("see [docs](http:/evil.example)", "see [docs](http:/evil.example) (evil.example)"),
        ("see [docs](//evil.example/a)", "see [docs](//evil.example/a) (evil.example)"),
        ("see [docs](a//b) and [docs](/a//b)", "see [docs](a//b) and [docs](/a//b)"),
        ("    <!-- cloud-agent:task=1 -->", "&lt;!-- cloud-agent:task=1 -->"),
        ("[a]: b\n\n    <!-- cloud-agent:task=1 -->", "&lt;!-- cloud-agent:task=1 -->"),
        ("plain **bold** text", "plain **bold** text"),
        (
            "```mermaid\nA@{ img: \"https://evil.example/1\" }\n```",
            "```text\nA@{ img: \"https://evil.example/1\" }\n```",
        ),
        ("- ~~~ Mer&#109;aid x\n  //e.example\n  ~~~", "- ~~~ text\n  //e.example\n  ~~~"),
        ("```mermaid\nA --> B\n```", "```mermaid\nA --> B\n```"),
    ] {
        assert_eq!(outgoing(input), expected, "{input}");
    }
}

#[test]
fn formats_are_known_and_look_alikes_stay() {
    let b = "b".repeat(60);
    for secret in [
        "AKIAIOSFODNN7EXAMPLE",
        &format!("AIza{}", &b[..35]),
        &format!("npm_{}", &b[..36]),
        &format!("pypi-AgEIcHlwaS5vcmc{b}"),
        &format!("xoxb-123456789012-{b}"),
        &format!("sk_live_{}", &b[..24]),
        &format!("abc8Q~{}", &b[..34]),
        &format!("AccountKey={b}=="),
        &format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{b}"),
        &format!("glpat-{}", &b[..20]),
        &format!("ca_{b}bbbb"),
        &format!("ca_{b}{}", &b[..16]),
    ] {
        assert_eq!(redact(&format!("({secret})")), "([redacted])");
    }
    assert_eq!(redact("postgres://me:hunter22@db/x"), "postgres://me:[redacted]@db/x");
    for text in [
        "3f786850e387550fdab836ed7e6dc881de23001b and 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "https://example.com:8080/@me postgres://$USER:$PASSWORD@db ssh://git@github.com/a/b",
        "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
        "sk-antelope skip_live_ AKIA ghp_short eyJ.eyJ.x xoxb-1 class=\"sk-ant-x\"",
        "npm_config_registry npm_lifecycle_event github_pat_ docs",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn a_letter_before_it_hides_no_key() {
    let key = "ghp_0123456789abcdefABCDEF0123456789abcd";
    assert_eq!(redact(&format!("x{key} 7{key}")), "x[redacted] 7[redacted]");
    for word in ["highs_and_lows_of_the_last_30_days_by_region", "rights_ofThePeopleWhoHaveWrittenThis1"] {
        assert_eq!(redact(word), word);
    }
}

#[test]
fn keys_in_pieces_are_found() {
    let (head, tail) = ("ghp_abcdefghijklmnop", "qrstuvwxyz0123456789");
    for between in ["<b></b>", "\u{200B}", "**", "\n", "\n> ", "&#8203;"] {
        let said = redact(&format!("x {head}{between}{tail} y"));
        assert!(!said.contains("abcdefghijklmnop") && !said.contains(&tail[..10]), "{said}");
    }
    assert_eq!(
        redact("see ghp_ and\nother words of a text that goes on for long"),
        "see ghp_ and\nother words of a text that goes on for long"
    );
}

#[test]
fn a_password_is_taken_out_once() {
    let once = redact("x://user:\u{7}kkkk<b>kkkk@host.example/");
    assert_eq!(once, "x://user:\u{7}[redacted]@host.example/");
    assert_eq!(redact(&once), once);
}

/// Found by the fuzzer: nothing reads `<!` and a `>` further on as a tag, and yet what stood between was passed over.
#[test]
fn keys_in_tags_are_found_in_every_spelling() {
    hold_the_key();
    for way in 0..14 {
        let spelled = spelled(way, "");
        for said in [format!("![[a]: b<!--@alice}}|8 {spelled} bere): i<b>1"), format!("<a href=\"/{spelled}\">x</a>")]
        {
            assert!(redact(&said).contains(REDACTED), "{said}");
            assert!(outgoing(&said).contains(REDACTED), "{said}");
        }
    }
    let token = format!("ghp&#95;{}", "x".repeat(36));
    assert!(!redact(&format!("<!x {token} y>")).contains("xxxx"));
}

#[test]
fn a_key_of_several_lines_is_held_line_by_line() {
    let line = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn0ygWyF8PbnGy0AHB7MaX3CrqlGdrk5Jhx";
    hold(&SecretString::from(format!("-----BEGIN RSA PRIVATE KEY-----\n{line}\n-----END RSA PRIVATE KEY-----\n")));
    assert_eq!(redact(&format!("it is {line}.")), "it is [redacted].");
    assert!(!redact_held(&STANDARD.encode(format!("x{line}"))).contains(&STANDARD.encode(&line[2..])[..20]));
}

#[test]
fn every_token_that_is_still_good_is_held_however_many_there_are() {
    let token = |n: usize| format!("minted-{n:04}-token-{n:04}-of-an-odd-form");
    let soon = clock::now() + 3_600_000;
    hold_until(&SecretString::from(token(0)), clock::now() - 1);
    for n in 1..200 {
        hold_until(&SecretString::from(token(n)), soon);
    }
    for n in [1, 2, 100, 199] {
        assert_eq!(redact_held(&format!("it is {}.", token(n))), "it is [redacted].", "{n}");
    }
    // One that is dead need not be looked for.
    assert_eq!(redact_held("minted-0000-token-0000-of-ano"), "minted-0000-token-0000-of-ano");
}

#[test]
fn values_stay_values() {
    hold_the_key();
    let value = serde_json::json!({ "a": [KEY, 1, null], "b": { "c": format!("x {KEY} y") } });
    assert_eq!(redact_json(&value, redact).to_string(), r#"{"a":["[redacted]",1,null],"b":{"c":"x [redacted] y"}}"#);
}

#[test]
fn long_queries_to_others_are_cut() {
    let long = "x".repeat(120);
    assert_eq!(
        outgoing(&format!("https://evil.example/a?q={long} `https://evil.example/?{long}`")),
        format!("https://evil.example/a `https://evil.example/?{long}`")
    );
    assert_eq!(outgoing(&format!("[a](https://evil.example/?q={long})")), "[a](https://evil.example/) (evil.example)");
    assert_eq!(outgoing(&format!("see www.evil.example/a?q={long} now")), "see www.evil.example/a now");
    let ours = format!("https://github.com/a/b/issues?q={long}");
    assert_eq!(outgoing(&ours), ours);
}

/// Every part in another spelling.
fn each<T>(parts: impl IntoIterator<Item = T>, spelling: impl Fn(T) -> String) -> String {
    let parts: Vec<String> = parts.into_iter().map(spelling).collect();
    parts.concat()
}

/// The ways in which a key is found again.
fn spelled(way: usize, before: &str) -> String {
    let hex = |bytes: &[u8]| -> Vec<String> { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let bytes = KEY.as_bytes();
    match way {
        0 => KEY.to_owned(),
        1 => STANDARD.encode(format!("{before}{KEY}{before}")),
        2 => URL_SAFE_NO_PAD.encode(format!("{before}{KEY}{before}")),
        3 => hex(bytes).concat(),
        4 => hex(bytes).join(":").to_uppercase(),
        5 => each(hex(bytes), |it| format!("%{it}")),
        6 => KEY.replace('_', "%5F").replace('/', "%2F").replace('+', "%2B"),
        7 => KEY.chars().rev().collect(),
        8 => each(KEY.chars(), |c| format!("{c}\u{200B}")),
        9 => KEY.replace('e', "e\n> "),
        10 => KEY.replace('e', "e<b></b>"),
        11 => each(KEY.chars(), |c| format!("&#{};", c as u32)),
        12 => KEY.replace('s', "**s**"),
        _ => each(hex(bytes), |it| format!("\\x{it}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_key_that_we_hold_goes_out(way in 0_usize..14, before in "[a-z ]{0,8}", after in "[ .,a-z]{0,8}") {
        hold_the_key();
        let spelled = spelled(way, &before);
        let said = redact(&format!("{before} {spelled} {after}"));
        prop_assert!(said.contains(REDACTED), "{}", said);
        // Nothing but the ends of an encoded group, which are not the key's alone.
        let rest: usize = said.replace(REDACTED, "").chars().filter(char::is_ascii_alphanumeric).count();
        let said_so = before.len() + after.len();
        prop_assert!(rest <= said_so + if matches!(way, 1 | 2) { 2 * before.len() * 4 / 3 + 8 } else { 0 }, "{}", said);
        prop_assert_eq!(redact(&said), said);
    }

    #[test]
    fn a_text_without_keys_is_unchanged(text in "[a-zA-Z0-9 .,_/+=%&;#<>\n-]{0,200}") {
        hold_the_key();
        prop_assume!(!text.contains("gh") && !text.contains("://"));
        prop_assert_eq!(redact(&text), text);
    }

    #[test]
    fn a_second_time_changes_nothing(text in "[a-c@#:/.!<>()\\[\\]*`&; \n]{0,40}") {
        let once = outgoing(&text);
        prop_assert_eq!(outgoing(&once), once);
    }

    #[test]
    fn no_text_is_too_strange(text in any::<String>()) {
        let _ = (outgoing(&text), redact(&text));
    }
}

#[tokio::test]
async fn a_key_that_was_brought_is_hidden_where_its_task_is_worked_on_and_from_the_logs() {
    const BROUGHT: &str = "b0bb1e5ca1ab1e0ddba11c0ffee5eaf00dfacade";
    let said = format!("It is {BROUGHT}.");
    apart(async {
        hold_brought(&SecretString::from(BROUGHT), i64::MAX);
        assert_eq!(redact(&said), "It is [redacted].");
        let text = said.clone();
        let elsewhere = tokio::task::spawn_blocking(carried(move || redact_held(&text))).await.unwrap();
        assert_eq!(elsewhere, "It is [redacted].");
        assert_eq!(outgoing(&said), "It is [redacted].");
    })
    .await;
    assert_eq!(redact_logged(&said), "It is [redacted].");
    // Everybody else says what they like.
    assert_eq!(redact(&said), said);
    apart(async { assert_eq!(redact(&said), said) }).await;
}
