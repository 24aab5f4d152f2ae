//! Diffs and what is said of them: every comment is on a line that the diff has, and no finding is lost.

use std::collections::{BTreeMap, BTreeSet};

use cloud_agent::task::review::{
    Category, Diff, FileDiff, Finding, LineKind, Placed, Rung, Severity, Side, place, read_answer, suggestion_block,
};

use super::choice;

/// Comments that there is room for.
const ROOM: usize = 8;
/// Files and lines of a diff that findings are made for.
const MOST: usize = 6;

/// The first byte moves the findings about. A diff; after a line `=====`, an agent's answer about it in JSON.
pub fn holds(data: &[u8]) {
    const RULE: &[u8] = b"\n=====\n";
    let (shift, rest) = choice(data);
    let at = rest.windows(RULE.len()).position(|it| it == RULE);
    let (bytes, answer) = at.map_or((rest, &[][..]), |at| (&rest[..=at], &rest[at + RULE.len()..]));

    let diff = Diff::parse(bytes);
    let mut end = 0;
    for file in &diff.files {
        assert!(end <= file.range.start && file.range.end <= bytes.len(), "files follow each other");
        assert!(bytes[file.range.clone()].starts_with(b"diff --"), "a file begins with its header");
        end = file.range.end;
        assert!(!file.path().is_empty() && diff.file(file.path()).is_some());
        is_whole(file);
    }

    let mut findings = made_up(&diff, shift as u32);
    if let Ok(answer) = serde_json::from_slice(answer) {
        findings.extend(read_answer(&answer).findings);
    }
    let heads: BTreeMap<String, String> = diff.files.iter().map(|file| (file.path().to_owned(), head(file))).collect();
    let placed = place(findings.clone(), &diff, &|path| heads.get(path).cloned(), ROOM);
    fits(&placed, &diff, findings.len());
    for annotation in &placed.annotations {
        let lines = heads.get(&annotation.path).map_or(0, |text| text.lines().count().max(1)) as u32;
        assert!(1 <= annotation.start_line && annotation.start_line <= annotation.end_line, "{annotation:?}");
        assert!(annotation.end_line <= lines, "{annotation:?} of {lines}");
    }
}

/// The counts of a hunk are those of its lines, and its lines are numbered without gaps.
fn is_whole(file: &FileDiff) {
    for hunk in &file.hunks {
        for side in [Side::Left, Side::Right] {
            let numbers: Vec<u32> = hunk.lines.iter().filter_map(|line| line.number(side)).collect();
            assert_eq!(numbers, hunk.span(side).collect::<Vec<_>>(), "{hunk:?}");
        }
        for line in &hunk.lines {
            let sides = (line.old.is_some(), line.new.is_some());
            let expected = match line.kind {
                LineKind::Context => (true, true),
                LineKind::Added => (false, true),
                LineKind::Deleted => (true, false),
            };
            assert!(sides == expected && !line.text.contains('\n'), "{line:?}");
        }
    }
    for side in [Side::Left, Side::Right] {
        for line in [1, 2, 7, u32::MAX].into_iter().chain(file.changed(side)) {
            assert!(1 <= file.across(side, line), "{line} is nowhere");
        }
    }
}

/// The file at the head, as far as the diff tells.
fn head(file: &FileDiff) -> String {
    let lines = file.hunks.iter().flat_map(|hunk| &hunk.lines).filter_map(|line| Some((line.new?, line.text.as_str())));
    let known: BTreeMap<u32, &str> = lines.filter(|(number, _)| *number < 1_000).collect();
    let last = known.keys().next_back().copied().unwrap_or(1);
    (1..=last).flat_map(|number| [known.get(&number).copied().unwrap_or("?"), "\n"]).collect()
}

/// Findings on, beside and far from the lines of the diff.
fn made_up(diff: &Diff, shift: u32) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in diff.files.iter().take(MOST) {
        for side in [Side::Left, Side::Right] {
            for line in file.hunks.iter().flat_map(|hunk| hunk.span(side)).take(MOST) {
                let line = (line + shift % 5).saturating_sub(2).max(1);
                let start = line.saturating_sub(shift % 3).max(1);
                findings.push(Finding {
                    path: file.path().to_owned(),
                    start_line: Some(start).filter(|start| *start < line),
                    line: Some(line).filter(|_| !shift.is_multiple_of(7)),
                    side,
                    severity: [Severity::Low, Severity::Medium, Severity::High][shift as usize % 3],
                    category: Category::Other,
                    title: "A finding".to_owned(),
                    reasoning: String::new(),
                    replacement: Some("replaced\n```\n".to_owned()).filter(|_| !shift.is_multiple_of(2)),
                    confidence: 50,
                });
            }
        }
    }
    for finding in &mut findings {
        finding.start_line = finding.start_line.filter(|_| finding.line.is_some());
    }
    findings
}

fn fits(placed: &Placed, diff: &Diff, count: usize) {
    for it in &placed.inline {
        let file = diff.file(&it.path).unwrap_or_else(|| panic!("{it:?} is on no file of the diff"));
        let hunk = file.hunk_of(it.side, it.line).unwrap_or_else(|| panic!("{it:?} is on no line of the diff"));
        assert!(hunk.lines.iter().any(|line| line.number(it.side) == Some(it.line)), "{it:?}");
        if let Some(start) = it.start_line {
            assert!(start < it.line && hunk.span(it.side).contains(&start), "{it:?}");
        }
        let finding = &placed.findings[it.finding];
        if let Some(code) = &it.suggestion {
            let own = (it.side, it.start_line, Some(it.line)) == (Side::Right, finding.start_line, finding.line);
            assert!(own && it.moved_from.is_none(), "{it:?} would replace other lines");
            let block = suggestion_block(code);
            let fence: String = block.chars().take_while(|c| *c == '`').collect();
            assert_eq!(block.matches(&fence).count(), 2, "{block}");
        }
    }
    assert!(placed.inline.len() + placed.files.len() <= ROOM);
    let mut said: Vec<usize> = placed.inline.iter().map(|it| it.finding).collect();
    said.extend(placed.files.iter().map(|it| it.0));
    said.extend(placed.annotations.iter().map(|it| it.finding));
    said.extend((0..count).filter(|at| placed.rungs[*at] == Rung::Table));
    let once: BTreeSet<usize> = said.iter().copied().collect();
    assert!(said.len() == count && once.len() == count && placed.table.len() == count, "each finding once");
}
