//! Properties that must hold for any files, any edits and any findings, however odd.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use similar::{ChangeTag, TextDiff};

use super::*;

/// A file at the base and at the head.
type Versions = (Option<String>, Option<String>);

const NAMES: [&str; 4] = ["a.rs", "b/a.rs", "with space.txt", "ä.txt"];

fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just(String::new()),
        "[a-c]{1,2}",
        Just("-- a/x".to_owned()),
        Just("++ b/x".to_owned()),
        Just("@@ -1 +1 @@".to_owned()),
        Just("diff --git a/x b/x".to_owned()),
        Just("\\ No newline at end of file".to_owned()),
    ];
    (vec(line, 0..50), any::<bool>()).prop_map(|(lines, ends)| {
        let text = lines.join("\n");
        if ends && !text.is_empty() { text + "\n" } else { text }
    })
}

/// A text and what became of it: some lines deleted, doubled or changed.
fn edited() -> impl Strategy<Value = Versions> {
    (text(), vec(0..40_u8, 50), 0..8_u8).prop_map(|(old, edits, fate)| {
        let mut new = String::new();
        for (line, edit) in old.split_inclusive('\n').zip(edits) {
            match edit {
                0 => (),
                1 => new.extend(["new\n", line]),
                2 => new.push_str(&line.to_uppercase()),
                _ => new.push_str(line),
            }
        }
        match fate {
            0 => (None, Some(new)),
            1 => (Some(old), None),
            _ => (Some(old), Some(new)),
        }
    })
}

fn repository() -> impl Strategy<Value = BTreeMap<String, Versions>> {
    btree_map(proptest::sample::select(&NAMES[..]).prop_map(str::to_owned), edited(), 0..4)
}

/// The diff as git would write it, but written by another hand.
fn written(files: &BTreeMap<String, Versions>) -> String {
    let mut out = String::new();
    for (path, (old, new)) in files.iter().filter(|(_, (old, new))| old != new) {
        out.extend(["diff --git a/", path, " b/", path, "\n"]);
        out += match (old, new) {
            (None, _) => "new file mode 100644\n",
            (_, None) => "deleted file mode 100644\n",
            _ => "",
        };
        out += "index 1111111..2222222\n";
        let name = |side: &str, text: &Option<String>| match text {
            Some(_) => format!("{side}/{path}{}", if path.contains(' ') { "\t" } else { "" }),
            None => "/dev/null".to_owned(),
        };
        let texts = (old.clone().unwrap_or_default(), new.clone().unwrap_or_default());
        let lines = TextDiff::from_lines(&texts.0, &texts.1);
        out += &lines.unified_diff().context_radius(3).header(&name("a", old), &name("b", new)).to_string();
    }
    out
}

/// The lines that GitHub takes comments on, counted from the texts and not from the diff: changed ones, and three around.
fn commentable(versions: &Versions) -> Vec<(Side, u32)> {
    let texts = (versions.0.clone().unwrap_or_default(), versions.1.clone().unwrap_or_default());
    let lines = TextDiff::from_lines(&texts.0, &texts.1);
    let all: Vec<_> = lines.iter_all_changes().collect();
    let mut out = Vec::new();
    for (at, change) in all.iter().enumerate() {
        let near = &all[at.saturating_sub(3)..(at + 4).min(all.len())];
        if near.iter().any(|it| it.tag() != ChangeTag::Equal) {
            out.extend(change.old_index().map(|index| (Side::Left, index as u32 + 1)));
            out.extend(change.new_index().map(|index| (Side::Right, index as u32 + 1)));
        }
    }
    out
}

fn finding() -> impl Strategy<Value = Finding> {
    let path = prop_oneof![
        6 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => Just("nowhere.rs".to_owned()),
        1 => ".{0,6}",
    ];
    let number = || prop_oneof![8 => (1..50_u32).prop_map(Some), 1 => any::<u32>().prop_map(Some), 1 => Just(None)];
    let severity = proptest::sample::select(&[Severity::Low, Severity::Medium, Severity::High][..]);
    let replacement = proptest::option::of("[a-c\n`]{0,5}");
    (path, number(), number(), any::<bool>(), severity, replacement, 0..=100_u8).prop_map(
        |(path, start_line, line, left, severity, replacement, confidence)| Finding {
            path,
            start_line,
            line,
            side: if left { Side::Left } else { Side::Right },
            severity,
            category: Category::Other,
            title: "title".to_owned(),
            reasoning: String::new(),
            replacement,
            confidence,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_finding_has_one_place_that_github_takes(
        files in repository(),
        findings in vec(finding(), 0..50),
        limit in 0..60_usize,
    ) {
        let diff = Diff::parse(written(&files).as_bytes());
        let head = |path: &str| files.get(path).and_then(|it| it.1.clone());
        let placed = place(findings.clone(), &diff, &head, limit);

        let mut everywhere: Vec<usize> = placed.inline.iter().map(|it| it.finding).collect();
        everywhere.extend(placed.files.iter().map(|it| it.0));
        everywhere.extend(placed.annotations.iter().map(|it| it.finding));
        everywhere.extend((0..findings.len()).filter(|index| placed.rungs[*index] == Rung::Table));
        everywhere.sort_unstable();
        prop_assert_eq!(&everywhere, &(0..findings.len()).collect::<Vec<_>>());
        let mut table = placed.table.clone();
        table.sort_unstable();
        prop_assert_eq!(table, everywhere);
        prop_assert!(placed.inline.len() + placed.files.len() <= limit);

        let lines: BTreeMap<&String, _> = files.iter().map(|(path, it)| (path, commentable(it))).collect();
        for it in &placed.inline {
            let lines = &lines[&it.path];
            let from = it.start_line.unwrap_or(it.line);
            prop_assert!(it.start_line.is_none_or(|start| start < it.line));
            for line in from..=it.line {
                prop_assert!(lines.contains(&(it.side, line)), "{:?} is not in {:?}", it, lines);
            }
            let finding = &findings[it.finding];
            if let (Some(base), Some(head), None) = (&files[&it.path].0, &files[&it.path].1, it.moved_from) {
                // Said of another side or not: it is the line that was meant.
                let said = if finding.side == Side::Left { base } else { head };
                let posted = if it.side == Side::Left { base } else { head };
                let at = |text: &'_ str, line: u32| text.lines().nth(line as usize - 1).map(str::to_owned);
                let (start, line) = finding.lines().unwrap();
                prop_assert_eq!(at(said, line), at(posted, it.line));
                if let Some(first) = it.start_line {
                    prop_assert_eq!(at(said, start), at(posted, first));
                }
            }
            if let Some(code) = &it.suggestion {
                // What GitHub would make of it differs, and only in these lines.
                let text = files[&it.path].1.as_deref().unwrap();
                let before: Vec<&str> = text.lines().collect();
                let (from, to) = (from as usize - 1, it.line as usize);
                prop_assert!(to <= before.len());
                prop_assert_ne!(before[from..to].join("\n"), code.clone());
                prop_assert!(it.moved_from.is_none() && it.side == Side::Right);
                prop_assert_eq!((finding.start_line, finding.line), (it.start_line, Some(it.line)));
            }
        }
        for it in &placed.annotations {
            let last = head(&it.path).unwrap().lines().count().max(1) as u32;
            prop_assert!(1 <= it.start_line && it.start_line <= it.end_line && it.end_line <= last, "{:?}", it);
        }
        for (_, path) in &placed.files {
            prop_assert!(diff.file(path).is_some());
        }
    }

    #[test]
    fn a_diff_is_read_as_it_was_written(files in repository()) {
        let written = written(&files);
        let diff = Diff::parse(written.as_bytes());
        let changed: Vec<&String> = files.iter().filter(|(_, it)| it.0 != it.1).map(|it| it.0).collect();
        prop_assert_eq!(diff.files.iter().map(FileDiff::path).collect::<Vec<_>>(), changed);
        for file in &diff.files {
            let mut lines = Vec::new();
            for row in file.hunks.iter().flat_map(|hunk| &hunk.lines) {
                lines.extend(row.old.map(|number| (Side::Left, number)));
                lines.extend(row.new.map(|number| (Side::Right, number)));
            }
            prop_assert_eq!(lines, commentable(&files[file.path()]));
            for row in file.hunks.iter().flat_map(|hunk| &hunk.lines) {
                let (text, number) = match row.new {
                    Some(number) => (&files[file.path()].1, number),
                    None => (&files[file.path()].0, row.old.unwrap()),
                };
                prop_assert_eq!(text.as_deref().unwrap().lines().nth(number as usize - 1), Some(row.text.as_str()));
            }
        }
    }

    #[test]
    fn nothing_makes_the_parser_panic(
        files in repository(),
        edits in vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3_u8), 0..20),
    ) {
        let mut bytes = written(&files).into_bytes();
        for (at, byte, how) in edits.into_iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at.max(1)),
            }
        }
        survives(&bytes)?;
    }

    #[test]
    fn nor_do_pieces_of_headers(pieces in vec(piece(), 0..40)) {
        survives(&pieces.concat())?;
    }

    #[test]
    fn a_fingerprint_survives_shifting(
        file in text(),
        above in text(),
        at in any::<proptest::sample::Index>(),
        more in 0..6_u32,
    ) {
        // A first line that is not blank stays the neighbour of what comes after it.
        let file = format!("first\nsecond\n{file}");
        let last = file.lines().count() as u32;
        let start = 2 + at.index(last as usize - 1) as u32;
        let line = (start + more).min(last);
        let print = fingerprint(&file, start, line);
        prop_assert!(still_there(&file, &print));
        let shifted = format!("{above}\n{file}");
        let shift = shifted.lines().count() as u32 - last;
        prop_assert_eq!(fingerprint(&shifted, start + shift, line + shift), print.clone());
        prop_assert!(still_there(&shifted, &print));
    }

    #[test]
    fn every_file_is_in_one_part_or_left_out(files in repository(), part_bytes in 0..900_usize, parts in 0..4_usize) {
        let raw = written(&files);
        let diff = Diff::parse(raw.as_bytes());
        let limits = Limits { part_bytes, file_bytes: 700, parts };
        let plan = plan(&diff, raw.as_bytes(), &Attributes::parse("*.txt -diff"), &|path| path != "a.rs", limits);
        let mut all: Vec<&str> = plan.parts.iter().flat_map(|part| &part.files).map(String::as_str).collect();
        all.extend(plan.left_out.iter().map(|it| it.path.as_str()));
        all.sort_unstable();
        prop_assert_eq!(all, files.iter().filter(|(_, it)| it.0 != it.1).map(|it| it.0.as_str()).collect::<Vec<_>>());
        prop_assert!(plan.parts.len() <= parts);
        for part in &plan.parts {
            prop_assert!(part.diff.len() <= part_bytes || (part.files.len() == 1 && part.diff.len() <= 700));
        }
    }

    #[test]
    fn any_answer_can_be_read(answer in json()) {
        for answer in [answer.clone(), serde_json::json!({"findings": [answer.clone()], "earlier": [answer.clone()], "verdicts": [answer]})] {
            let read = read_answer(&answer);
            for it in &read.findings {
                prop_assert!(!it.title.is_empty() && !it.path.is_empty() && it.confidence <= 100);
                prop_assert!(it.start_line.is_none_or(|start| it.line.is_some_and(|line| 0 < start && start < line)));
            }
            read_verdicts(&answer);
        }
    }
}

/// Whatever was read must be fit to be placed on.
fn survives(bytes: &[u8]) -> Result<(), TestCaseError> {
    let diff = Diff::parse(bytes);
    let mut at = 0;
    for file in &diff.files {
        prop_assert!(at <= file.range.start && file.range.end <= bytes.len());
        at = file.range.end;
        for hunk in &file.hunks {
            for side in [Side::Left, Side::Right] {
                let numbers: Vec<u32> = hunk.lines.iter().filter_map(|line| line.number(side)).collect();
                prop_assert_eq!(numbers, hunk.span(side).collect::<Vec<_>>());
            }
        }
        for line in [1, 7, u32::MAX] {
            file.across(Side::Left, line);
            file.across(Side::Right, line);
        }
    }
    let limits = Limits { part_bytes: 100, file_bytes: 100, parts: 100 };
    plan(&diff, bytes, &Attributes::parse(&String::from_utf8_lossy(bytes)), &|_| true, limits);
    Ok(())
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: [&[u8]; 22] = [
        b"diff --git a/x b/x\n",
        b"diff --git \"a/",
        b"\\303",
        b"\\\"",
        b"\" \"b/y\"\n",
        b"diff --cc x\n",
        b"@@ -1,3 +1,4 @@\n",
        b"@@ -0,0 +1,4294967295 @@\n",
        b"@@ -4294967295 +1 @@\n",
        b"@@ -1,2 +1 @@\n",
        b"--- a/x\n",
        b"+++ /dev/null\n",
        b"+a\n",
        b"-b\n",
        b" c\n",
        b"\\ No newline at end of file\n",
        b"rename from \"",
        b"rename to y\n",
        b"deleted file mode 160000\n",
        b"new file mode 100644\n",
        b"Binary files a/x and b/x differ\n",
        b"\n",
    ];
    prop_oneof![8 => proptest::sample::select(known.to_vec()).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..5)]
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..50_u64).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        proptest::sample::select(&["LEFT", "high", "fixed", "true", "85%", "L7"][..]).prop_map(Value::from),
    ];
    let fields = [
        "findings",
        "earlier",
        "verdicts",
        "path",
        "start_line",
        "line",
        "side",
        "severity",
        "title",
        "reasoning",
        "replacement",
        "confidence",
        "id",
        "state",
        "index",
        "holds",
        "why",
    ];
    leaf.prop_recursive(3, 40, 10, move |inner| {
        let field = proptest::sample::select(fields.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(field, inner, 0..14).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
