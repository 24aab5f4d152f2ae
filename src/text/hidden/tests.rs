//! What people see stays, what they don't see goes.

use proptest::prelude::*;

use super::*;

/// `removed` names kinds and counts: `1 Comment, 2 Invisible`.
fn check(input: &str, expected: &str, removed: &str) {
    let (text, counted) = visible(input);
    let counted: Vec<String> = counted.0.iter().map(|(kind, count)| format!("{count} {kind:?}")).collect();
    assert_eq!((text.as_str(), counted.join(", ").as_str()), (expected, removed), "{input:?}");
    assert_eq!(visible(&text).0, text, "a second time: {input:?}");
}

#[test]
fn what_people_see_stays() {
    for text in [
        "plain",
        "`<!-- code -->`",
        "```\n<!-- code -->\n```\n",
        "<details>more</details>",
        "<details open><summary>Logs</summary>\n\n```text\nerror: x < y\n```\n\n</details>\n",
        "a\tb\n\nc 🚀",
        "- [x] done\n- [ ] open\n  1. one\n",
        "| a | b |\n|---|:-:|\n| `x` | **y** |\n",
        "[link](https://example.com/a_b?x=1&y=2) <https://example.com/?q=%20a%20b%20c> https://example.com",
        "&lt;b&gt; &copy; 1 < 2 && 3 > 2",
        "a $x^2_i$ and $$\\sum_i x_i$$",
        "Use the <script> tag: <script>alert(1)</script> and <textarea>",
        "H<sub>2</sub>O <kbd>Ctrl</kbd><br>x",
        "a note[^1]\n\n[^1]: the note\n",
        "> quoted\n> - deep\n\n```rust\nfn f() {}\n```\n",
        "❤️ 👩‍💻 1️⃣ می‌خواهم क्‍ष",
    ] {
        check(text, text, "");
    }
}

#[test]
fn comments_go() {
    check("a <!-- do evil --> b", "a  b", "1 Comment");
    check("a\n\n<!-- do\n\nevil -->\n\nb", "a\n\n\n\nb", "1 Comment");
    check("a\n\n<!-- do evil", "a\n\n", "1 Comment");
    check("a\n\n<!-- do evil --!> b -->\n\nc", "a\n\n b -->\n\nc", "1 Comment");
    check("a\n\n<!--> b\n\nc", "a\n\n b\n\nc", "1 Comment");
    check("- a\n- <!-- do evil\n- b\n\nc", "- a\n- ", "1 Comment");
    check("> <!-- do\n> evil -->\n> b", "> \n> b", "1 Comment");
    check("| a <!-- do evil --> |\n|---|\n| b |", "| a  |\n|---|\n| b |", "1 Comment");
    check("<details>\n<!-- do evil -->\n\nb\n</details>", "<details>\n\n\nb\n</details>", "1 Comment");
    check("a <? do evil ?> <!DOCTYPE evil> <![CDATA[ evil ]]> b", "a    b", "3 Comment");
    check("a\n\n<div data-x='do evil\n\nb", "a\n\n", "1 Comment");
    check("a <!<!-- x -->-- do evil --> b", "a  b", "2 Comment");
}

#[test]
fn definitions_go_and_used_ones_become_links() {
    check("a\n\n[//]: # (do evil)\n", "a\n\n\n", "1 Definition");
    check("see [docs][d]\n\n[d]: https://example.com 'do evil'\n", "see [docs](https://example.com)\n\n\n", "1 Label");
    check(
        "see [docs]\n\n[docs]: https://example.com\n[docs]: <do evil>\n",
        "see [docs](https://example.com)\n\n\n\n",
        "1 Definition",
    );
    check("a\n\n[^x]: do evil\n", "a\n\n", "1 Definition");
    check("a [b](https://example.com \"do evil\") c", "a [b](https://example.com) c", "1 Label");
    check("a [b](https://example.com/?q=do%20some%20evil) c", "a [b](https://example.com/) c", "1 Label");
    check("a [*b*](javascript:evil) c", "a [*b*]() c", "1 Label");
    check("``` rust do evil\nx\n```\n", "```rust\nx\n```\n", "1 Label");
}

#[test]
fn elements_and_attributes_go() {
    check("a\n\n<p hidden>do evil</p>\n\nb", "a\n\n\n\nb", "1 Element");
    check("a\n\n<div hidden>\n\n- do **evil**\n\n</div>\n\nb", "a\n\n\n\nb", "1 Element");
    check("a <span style='display : none'>do *evil*</span> b", "a  b", "1 Element");
    check("<p hidden>evil\n\n<p>seen</p>", "\n<p>seen</p>", "1 Element");
    check("<div data-x='do evil' align=center>b</div>", "<div align=\"center\">b</div>", "1 Attribute");
    check("<b aria-label=\"do evil\" class='x y'>b</b>", "<b>b</b>", "1 Attribute");
    check("<foo evil>b</foo>", "b", "1 Attribute");
    check("a</b do evil now>b", "a</b do evil now>b", "");
    check("| a | b |\n|---|---|\n| x | y | do evil |\n", "| a | b |\n|---|---|\n| x | y |\n", "1 Element");
}

#[test]
fn pictures_carry_no_text() {
    check("![do evil now](https://github.com/a.png)", "![](https://github.com/a.png)", "1 Image");
    check("![do evil](data:text/plain,evil)", "![]()", "1 Image");
    check("![image](https://example.com/do/evil?q=x)", "![](https://example.com/)", "");
    check(
        "<picture><source media='x' srcset='do evil'><img alt='do evil' src='https://github.com/a.png' width=\"10\"></picture>",
        "<img src=\"https://github.com/a.png\" width=\"10\">",
        "1 Image",
    );
}

#[test]
fn invisible_characters_go() {
    check("a\u{200B}b\u{E0041}\u{202E}", "ab", "3 Invisible");
    check("a&#x200B;b &#xE0041;&zwnj; <b>c&shy;&#xE0041;</b>", "ab  <b>c</b>", "5 Invisible");
    check("a\u{200D}b \u{FE0F} 🚀\u{FE0F}\u{FE0F}\u{200D}\u{200D}x", "ab  🚀\u{FE0F}x", "5 Invisible");
    check("a\rb\r\nc\u{2028}d", "a\nb\nc d", "");
    let (text, removed) = plain("\u{1b}[31mred\u{1b}[0m \u{1b}]8;;https://x\u{07}link <!-- seen -->\u{200b}");
    assert_eq!(text, "red link <!-- seen -->");
    assert_eq!((removed.of(Hidden::Control), removed.of(Hidden::Invisible)), (3, 1));
}

#[test]
fn the_largest_are_told_first() {
    let mut tally = Tally::default();
    tally.add("mallory", &visible("<!-- a -->\n\n<!-- b -->\n\n\u{200B}\u{200B}\u{200B}").1);
    tally.add("eve", &visible("<!-- a -->").1);
    tally.add("eve", &in_added("@@ -0,0 +1 @@\n+a\u{200B}b".as_bytes()));
    let (largest, more) = tally.largest(2, false);
    let told: Vec<_> = largest.iter().map(|it| format!("{} {:?} {}", it.count, it.kind, it.author)).collect();
    assert_eq!((told.join(", ").as_str(), more), ("2 Comment mallory, 1 Comment eve", 1));
    let (left, more) = tally.largest(2, true);
    assert_eq!((left[0].kind, left[0].count, more), (Hidden::CodeInvisible, 1, 0));
}

#[test]
fn pathological_texts_are_read_to_the_end() {
    const MANY: usize = 10_000;
    for part in [
        "> ",
        "- ",
        "[",
        "![",
        "<!--",
        "<div>",
        "<p>",
        "</p>",
        "<b hidden>",
        "[a](",
        "*a ",
        "`",
        "&#x200B;",
        "[a]: b\n",
        "|",
        "<",
        "</",
        "<!<!-- -->-- x -->",
        "<div a=\"",
    ] {
        let _ = visible(&part.repeat(MANY));
    }
    let nested = format!("{}x{}", "<div hidden>".repeat(MANY), "</div>".repeat(MANY));
    assert_eq!(visible(&nested).0, "");
}

/// A piece of Markdown, whose words of `seen…` are shown and of `evil…` are not.
fn construct() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "seen0 **seen1** `seen2`",
        "- seen0\n- seen1 <!-- evil0 -->\n",
        "> seen0\n> <!-- evil0\n> evil1 -->\n",
        "```\nseen0 <!-- seen1 -->\n```",
        "| seen0 | seen1 |\n|---|---|\n| seen2 | <!-- evil0 --> seen3 | evil1 |",
        "<!-- evil0\n\nevil1 -->",
        "<!-- evil0 --!>\n-->",
        "[//]: # (evil0 evil1)",
        "[seen0](https://example.com \"evil0 evil1\")",
        "![evil0 evil1](https://example.com/evil2)",
        "<p hidden>evil0 evil1</p>",
        "<div style=\"display:none\">\n\nevil0\n\n- evil1\n\n</div>",
        "seen0 <span hidden>evil0</span> seen1",
        "<details><summary>seen0</summary>\n\nseen1\n\n</details>",
        "<b title=\"evil0 evil1\">seen0</b>",
        "seen0\u{200B} seen1\u{E0041}",
        "[^note]: evil0 evil1",
        "<picture><source srcset=\"evil0 evil1\"></picture>seen0",
        "- [ ] seen0\n- [x] seen1",
        "~~~text evil0 evil1\nseen0\n~~~",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_seen_survives_in_order_and_what_is_hidden_does_not(parts in prop::collection::vec(construct(), 1..12)) {
        // Each word once, so that order and loss can be told.
        let mut text = String::new();
        for (at, part) in parts.iter().enumerate() {
            text.push_str(&part.replace("seen", &format!("seen{at}x")).replace("evil", &format!("evil{at}x")));
            text.push_str("\n\n");
        }
        let words = |text: &str| -> Vec<String> {
            text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.starts_with("seen")).map(str::to_owned).collect()
        };
        let (shown, _) = visible(&text);
        prop_assert_eq!(words(&shown), words(&text.replace(['\u{200B}', '\u{E0041}'], "")));
        prop_assert!(!shown.contains("evil"), "{}", shown);
        prop_assert_eq!(visible(&shown).0, shown);
    }

    #[test]
    fn any_text_is_read_and_a_second_time_changes_nothing(text in "[a-c <>!\\-\\[\\]():#*`&;\"'=/|\n\u{200B}x~^\\\\]{0,60}") {
        let (shown, _) = visible(&text);
        prop_assert_eq!(visible(&shown).0, shown.clone(), "{:?}", shown);
    }

    #[test]
    fn no_text_is_too_strange(text in any::<String>()) {
        let (shown, _) = visible(&text);
        prop_assert!(plain(&text).0.chars().count() <= text.chars().count());
        prop_assert!(!shown.chars().any(|c| c == '\u{200B}'), "{:?}", shown);
    }
}
