//! What of the agent's answer is new, what is fixed, and where each finding will be said.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::look::Looked;
use super::read::{Subject, pull};
use crate::run::checkout::{Tree, git_trouble};
use crate::run::{Halt, Run};
use crate::task::review::{
    Entry, Finding, Found, Known, KnownState, LeftOutLine, Now, Placed, Reviewed, Side, Spot, Still, fingerprint_of,
    name_files, place, reconcile,
};
use crate::text;

/// Comments of one review: more than that nobody reads, and they take GitHub a while.
const COMMENTS: usize = 50;
/// A file that is larger is not looked into for code that moved, in bytes.
const LARGEST_FILE: u64 = 2 << 20;
/// Names that are shown of files that were left out.
const NAMED: usize = 3;

/// The answer, held against the ledger.
pub struct Sorted {
    pub new: Vec<Found>,
    /// Known findings that are fixed, and known ones that stay.
    fixed: Vec<String>,
    open: BTreeSet<String>,
    /// Texts at the head, of the files that findings are about.
    head: BTreeMap<String, String>,
}

/// Tell what is new from what was said before.
pub async fn sort(tree: &Tree, subject: &Subject, looked: &Looked) -> Result<Sorted, Halt> {
    let trouble = |error| git_trouble("checkout", error);
    let renames = subject.whole.renames();
    let mut paths: BTreeSet<String> = looked.findings.iter().map(|it| it.path.clone()).collect();
    for it in &subject.known {
        paths.extend(renames.get(&it.known.path).cloned());
        paths.insert(it.known.path.clone());
    }
    // Whatever a file was called, it is looked for by each of its names.
    for file in &subject.whole.files {
        if [&file.old_path, &file.new_path].into_iter().flatten().any(|name| paths.contains(name)) {
            paths.extend(file.old_path.iter().chain(&file.new_path).cloned());
        }
    }
    let names: Vec<String> = paths.into_iter().collect();
    let asked: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let texts = |files: Vec<Option<Vec<u8>>>| -> BTreeMap<String, String> {
        let read = names.iter().zip(files).filter_map(|(name, bytes)| Some((name.clone(), bytes?)));
        read.filter_map(|(name, bytes)| Some((name, String::from_utf8(bytes).ok()?))).collect()
    };
    let head_files = tree.mirror.files(&tree.base, &asked, LARGEST_FILE).await.map_err(trouble)?;
    // A file that is too large to be read is there all the same.
    let there = tree.mirror.present(&tree.base, &asked).await.map_err(trouble)?;
    let head = texts(head_files);
    let base = texts(tree.mirror.files(&subject.fork_point, &asked, LARGEST_FILE).await.map_err(trouble)?);

    let at_head = |path: &str| head.get(path).cloned();
    let mut findings = looked.findings.clone();
    name_files(&mut findings, &subject.whole, &at_head);
    let found = findings
        .into_iter()
        .map(|finding| {
            let text = match finding.side {
                Side::Right => head.get(&finding.path),
                Side::Left => base.get(&finding.path),
            };
            Found { fingerprint: fingerprint_of(&finding, text.map(String::as_str)), finding }
        })
        .collect();
    let known: Vec<Known> = subject.known.iter().map(|it| it.known.clone()).collect();
    let gone = |path: &str| !there.contains(path.as_bytes());
    let now = Now { renames: &renames, head: &at_head, gone: &gone, earlier: &looked.earlier };
    let reconciled = reconcile(&known, found, &now);
    let open = reconciled.open.into_iter().chain(reconciled.repeated.into_iter().map(|(_, id)| id)).collect();
    Ok(Sorted { new: reconciled.new, fixed: reconciled.fixed, open, head })
}

/// Put everything that is new where GitHub takes it.
pub fn settle(
    run: &Run<'_>,
    subject: &Subject,
    looked: Looked,
    sorted: Sorted,
    refuted: &[usize],
    blocked: Vec<(String, u64)>,
) -> Result<Reviewed, Halt> {
    let mut kept: Vec<Found> = Vec::new();
    for (at, found) in sorted.new.into_iter().enumerate() {
        if !refuted.contains(&at) {
            kept.push(found);
        }
    }
    let refuted = refuted.iter().collect::<BTreeSet<_>>().len();
    let findings: Vec<Finding> = kept.iter().map(|it| it.finding.clone()).collect();
    let head = |path: &str| sorted.head.get(path).cloned();
    let placed = place(findings, &subject.whole, &head, COMMENTS);
    let found = placed.table.iter().map(|at| entry(&placed, *at, &kept[*at].fingerprint)).collect();
    let looked_at: usize = subject.plan.parts[..looked.parts].iter().map(|part| part.files.len()).sum();
    let unseen: Vec<&String> = subject.plan.parts[looked.parts..].iter().flat_map(|part| &part.files).collect();
    Ok(Reviewed {
        head: pull(run)?.head_sha.clone(),
        since: subject.since.as_ref().map(|sha| sha.as_str().to_owned()),
        summary: looked.summary,
        verdict: looked.verdict,
        found,
        still: still(subject, &sorted.open),
        fixed: sorted.fixed,
        refuted,
        files: looked_at,
        left_out: left_out(subject, &unseen),
        blocked,
        removed: run.view().removed,
        first: subject.first,
        posted: false,
        review: None,
    })
}

fn entry(placed: &Placed, at: usize, fingerprint: &str) -> Entry {
    let finding = placed.findings[at].clone();
    let inline = placed.inline.iter().find(|it| it.finding == at).map(|it| Spot::Line {
        path: it.path.clone(),
        start_line: it.start_line,
        line: it.line,
        side: it.side,
        moved_from: it.moved_from,
        // Code that looks like a credential is not posted, not even as a fix.
        suggestion: it.suggestion.clone().filter(|code| text::redact(code) == *code),
    });
    let file = || placed.files.iter().find(|(it, _)| *it == at).map(|(_, path)| Spot::File { path: path.clone() });
    let annotation = || {
        placed.annotations.iter().find(|it| it.finding == at).map(|it| Spot::Annotation {
            path: it.path.clone(),
            start_line: it.start_line,
            end_line: it.end_line,
        })
    };
    let spot = inline.or_else(file).or_else(annotation).unwrap_or(Spot::Table);
    Entry { id: Uuid::now_v7().to_string(), finding, fingerprint: fingerprint.to_owned(), spot }
}

fn still(subject: &Subject, open: &BTreeSet<String>) -> Vec<Still> {
    let stays = subject.known.iter().filter(|it| open.contains(&it.known.id) && it.known.state != KnownState::Fixed);
    stays
        .map(|it| Still {
            id: it.known.id.clone(),
            severity: it.finding.severity,
            title: it.finding.title.clone(),
            path: it.known.path.clone(),
            dismissed: it.known.state == KnownState::Dismissed,
        })
        .collect()
}

/// What was not looked at, by reason, with a few names each.
fn left_out(subject: &Subject, unseen: &[&String]) -> Vec<LeftOutLine> {
    let mut by_reason: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for it in &subject.plan.left_out {
        by_reason.entry(it.why.name().to_owned()).or_default().push(&it.path);
    }
    if !unseen.is_empty() {
        by_reason.insert("budget".to_owned(), unseen.to_vec());
    }
    let mut lines: Vec<LeftOutLine> = by_reason
        .into_iter()
        .map(|(why, paths)| LeftOutLine {
            why,
            count: paths.len(),
            paths: paths.into_iter().take(NAMED).cloned().collect(),
        })
        .collect();
    if !subject.whole_before {
        lines.push(LeftOutLine { why: "before".to_owned(), count: 0, paths: Vec::new() });
    }
    if subject.cut {
        lines.push(LeftOutLine { why: "cut".to_owned(), count: 0, paths: Vec::new() });
    }
    lines
}
