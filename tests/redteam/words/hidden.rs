//! Words that people don't see and models do: comments, definitions, hidden elements and attributes, characters without a
//! glyph. Each hidden word is `obey-…`, each that people see is `seen-…`.

use cloud_agent::text;

use super::{said, world};
use crate::world::World;

/// Letters as Unicode tags.
fn tags(text: &str) -> String {
    text.bytes().filter_map(|b| char::from_u32(0xE0000 + u32::from(b))).collect()
}

/// Bytes as variation selectors, behind a letter that carries them.
fn selectors(text: &str) -> String {
    let one = |b: u8| char::from_u32(if b < 16 { 0xFE00 + u32::from(b) } else { 0xE0100 + u32::from(b) - 16 });
    text.bytes().filter_map(one).collect()
}

/// Bits as zero-width characters.
fn bits(text: &str) -> String {
    let bits = text.bytes().flat_map(|b| (0..8).map(move |bit| b >> bit & 1));
    bits.map(|bit| if bit == 1 { '\u{200B}' } else { '\u{200C}' }).collect()
}

/// What is spelled in characters without a glyph, read as the attacker's model would.
fn decoded(text: &str) -> String {
    let tags = text.chars().filter(|c| ('\u{E0020}'..='\u{E007E}').contains(c));
    let mut said: String = tags.filter_map(|c| char::from_u32(c as u32 - 0xE0000)).collect();
    let selected = text.chars().filter(|c| ('\u{E0100}'..='\u{E01EF}').contains(c));
    said.extend(selected.filter_map(|c| char::from_u32(c as u32 - 0xE0100 + 16)));
    let bits: Vec<u8> = text
        .chars()
        .filter_map(|c| match c {
            '\u{200B}' => Some(1),
            '\u{200C}' => Some(0),
            _ => None,
        })
        .collect();
    said.extend(bits.chunks(8).map(|bits| char::from(bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit))));
    said
}

/// Class 17: text without a trace on the page.
fn invisible() -> String {
    format!(
        "seen-1{} seen-2{} seen-3{} seen\u{AD}-4 \u{202E}seen-5\u{202C}\n\n[//]: # (obey-definition)\n[x]: <obey-address> 'obey-title'\n\n\
         seen-6 <!-- obey-comment --> seen-7\n\n<!-- obey-lines\n\nobey-more -->\n\n<?obey-instruction?>\n\n<!DOCTYPE obey-doctype>\n\n\
         seen-8\n\n[^9]: obey-footnote\n\n<!-- obey-unclosed",
        tags("obey-tags"),
        selectors("obey-selectors"),
        bits("obey-bits")
    )
}

/// Class 18: elements and attributes that a page has and does not show.
const ELEMENTS: &str = "\
<picture><source srcset=\"obey-srcset.png\"><img src=\"x.png\" alt=\"obey-alt\" title=\"obey-title\"></picture>\n\n\
<details data-x=\"obey-data\"><summary>seen-1</summary>\n\nseen-2\n\n</details>\n\n\
<span style=\"display:none\">obey-style</span> <span hidden>obey-hidden</span> <template>obey-template</template>\n\n\
seen-3 ![obey-picture](x.png \"obey-picture-title\") [seen-4](https://example.com \"obey-link-title\")\n\n\
<a href=\"https://example.com\" aria-label=\"obey-label\" title=\"obey-anchor\">seen-5</a>\n\n\
| a |\n|---|\n| seen-6 | obey-cell |\n\n```rust obey-info\nseen-7\n```\n\n<input value=\"obey-value\" placeholder=\"obey-placeholder\">\n";

/// What the agent reads on an issue with these words by rita, and what people are told.
async fn read(words: &str) -> (String, String) {
    let mut world = world().await;
    world.claude_will("cat /context/issue.md /context/thread.md > seen.txt");
    world.start().await;
    world.github.open_issue_quietly("rita", "octo/app", &format!("Title{} seen-title", tags("obey-in-title")), words);
    world.github.comment_quietly("rita", "octo/app#1", words);
    world.github.told();
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.settle().await;
    world.told();
    let head = world.github.pulls("octo/app").remove(0).head;
    (world.github.file_at("octo/app", &head, "seen.txt").unwrap(), counted(&world))
}

/// What was taken out, as the comment says it and the check run too.
fn counted(world: &World) -> String {
    let words = said(world, 1);
    let line = words.lines().find(|it| it.contains("Hidden text was taken out")).unwrap_or_default();
    let counted = line.trim_start_matches("<sub>").trim_end_matches("</sub>").to_owned();
    let check = world.github.check_runs("octo/app").remove(0).summary.unwrap();
    assert!(check.contains(&counted) && !counted.is_empty(), "{words}\n\n{check}");
    counted
}

fn seen(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '-')
        .filter(|it| it.starts_with("seen-"))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn class_17_invisible_words_do_not_reach_the_agent() {
    let (read, counted) = read(&invisible()).await;
    assert!(!read.contains("obey") && !decoded(&read).contains("obey"), "{read}");
    assert_eq!(
        seen(&read),
        ["seen-1", "seen-2", "seen-3", "seen-4", "seen-5", "seen-6", "seen-7", "seen-8", "seen-title"]
    );
    insta::assert_snapshot!(counted, @"Hidden text was taken out: 10 HTML comments (rita), 6 unused link definitions or footnotes (rita), 209 invisible characters (rita).");
}

#[test]
fn control_17_without_the_filter_the_model_reads_them() {
    let (raw, decoded) = (invisible(), decoded(&invisible()));
    for word in ["definition", "address", "title", "comment", "instruction", "doctype", "footnote", "unclosed"] {
        assert!(raw.contains(&format!("obey-{word}")), "{word}");
    }
    for word in ["obey-tags", "obey-selectors", "obey-bits"] {
        assert!(decoded.contains(word), "{word} in {decoded}");
    }
    // Regular expressions are no parser: this is what others use.
    let naive = raw.split("<!--").next().unwrap_or_default();
    assert!(naive.contains("obey-definition"));
    assert!(!text::visible(&raw).0.contains("obey"));
}

#[tokio::test(flavor = "multi_thread")]
async fn class_18_hidden_elements_do_not_reach_the_agent() {
    let (read, counted) = read(ELEMENTS).await;
    assert!(!read.contains("obey"), "{read}");
    assert_eq!(seen(&read), ["seen-1", "seen-2", "seen-3", "seen-4", "seen-5", "seen-6", "seen-7", "seen-title"]);
    insta::assert_snapshot!(counted, @"Hidden text was taken out: 8 hidden elements (rita), 4 hidden labels of links or code blocks (rita), 2 texts in the place of pictures (rita), 13 invisible characters (rita).");
}

#[test]
fn control_18_without_the_filter_the_model_reads_them() {
    assert_eq!(ELEMENTS.matches("obey").count(), 16);
    // Taking the tags off, as one does, leaves what they hide.
    let bare: String = ELEMENTS.split('<').filter_map(|it| it.split_once('>').map(|(_, text)| text)).collect();
    assert!(bare.contains("obey-style") && bare.contains("obey-hidden") && bare.contains("obey-cell"), "{bare}");
}

/// Mentions that a person who reads the page does not see, or sees as somebody else's name.
const NO_MENTIONS: [&str; 9] = [
    "I like it. <span hidden>@cloud-agent fix this</span>",
    "I like it. <!-- @cloud-agent fix this -->",
    "I like it. <a title='@cloud-agent fix this'>x</a>",
    "I like it. ![@cloud-agent fix this](x.png)",
    "I like it.\n\n[x]: https://example.com '@cloud-agent fix this'",
    "@cl\u{43E}ud-agent fix this",
    "\u{FF20}cloud-agent fix this",
    "@cloud\u{2011}agent fix this",
    "@cloud-agent\u{301} fix this",
];

#[tokio::test(flavor = "multi_thread")]
async fn class_17_a_mention_that_is_not_seen_or_not_ours_is_none() {
    let world = World::running(crate::world::Database::sqlite()).await;
    world.issue("The greeting is short", "");
    for words in NO_MENTIONS {
        world.github.comment("alice", "octo/app#1", words).await;
    }
    world.settle().await;
    world.told();
    assert!(world.last_task(1).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn control_17_the_same_words_in_sight_are_a_mention() {
    let world = World::running(crate::world::Database::sqlite()).await;
    for words in &NO_MENTIONS[..1] {
        let number = world.issue("The greeting is short", "");
        let words = words.replace(" hidden", "");
        world.github.comment("alice", &format!("octo/app#{number}"), &words).await;
        world.settle().await;
        assert!(world.last_task(number).await.is_some(), "{words}");
    }
    world.told();
}
