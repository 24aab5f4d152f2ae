//! Conversations on lines and files of a pull request: each under its line of the diff, or beside the file when the line has
//! gone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::diff::{Notes, coloured_lines};
use super::markdown::{Link, escape};
use super::said;
use crate::github::reviews::{Inline, Review, Side};
use crate::github::state::State;

/// Lines of code above a comment whose line has left the diff.
const CONTEXT: usize = 4;

/// All threads of a pull request where its diff shows them, and those of files that the diff no longer has.
pub(crate) fn notes(state: &State, link: &Link, repo: u64, number: u64, files: &[String]) -> (Notes, String) {
    let mut threads: BTreeMap<u64, Vec<&Inline>> = BTreeMap::new();
    for comment in state.inlines_of(repo, number) {
        threads.entry(comment.thread()).or_default().push(comment);
    }
    let (mut notes, mut lost) = (Notes::default(), String::new());
    for (root, comments) in &threads {
        let Some(first) = comments.first() else { continue };
        let html = thread(state, link, *root, comments);
        let path = &first.spot.path;
        match first.line {
            _ if !files.contains(path) => lost.push_str(&html),
            Some(line) => {
                let left = first.spot.side == Side::Left;
                notes.lines.entry((path.clone(), left, line)).or_default().push_str(&html);
            }
            None if first.outdated() => notes.below.entry(path.clone()).or_default().push_str(&html),
            None => notes.above.entry(path.clone()).or_default().push_str(&html),
        }
    }
    (notes, lost)
}

/// What a review points at: links to its threads.
pub(crate) fn pointers(state: &State, review: &Review) -> String {
    let mut out = String::new();
    for comment in state.inlines_of_review(review.id).filter(|it| it.in_reply_to.is_none()) {
        let done = if state.resolved.contains_key(&comment.id) { " <span class=\"mark\">resolved</span>" } else { "" };
        let _ = write!(
            out,
            "<li><a href=\"#t{}\"><code>{}</code></a> {}{done}</li>",
            comment.id,
            escape(&place(comment)),
            escape(&title(&comment.body)),
        );
    }
    if out.is_empty() { out } else { format!("<ul class=\"pointers\">{out}</ul>") }
}

fn thread(state: &State, link: &Link, root: u64, comments: &[&Inline]) -> String {
    let mut out = String::new();
    let Some(first) = comments.first() else { return out };
    if first.outdated() {
        let lines: Vec<&str> = first.diff_hunk.lines().skip(1).collect();
        let shown = &lines[lines.len().saturating_sub(CONTEXT)..];
        let _ = write!(out, "<div class=\"diff\"><table>{}</table></div>", coloured_lines(shown));
    }
    for comment in comments {
        let link = Link { repo: link.repo.clone(), before: before(comment) };
        out.push_str(&said(
            state,
            &link,
            (comment.author, ""),
            comment.created_at,
            &comment.body,
            &comment.reactions,
            "",
        ));
    }
    let outdated = if first.outdated() { " <span class=\"mark\">outdated</span>" } else { "" };
    let place = escape(&place(first));
    match state.resolved.get(&root) {
        Some(by) => format!(
            "<details class=\"thread resolved\" id=\"t{root}\"><summary>✓ <b>{}</b> resolved <code>{place}</code> \
             {}{outdated}</summary>{out}</details>",
            escape(state.login(*by).trim_end_matches("[bot]")),
            escape(&title(&first.body)),
        ),
        None => {
            let top = match (first.spot.line, first.outdated()) {
                (None, _) => "<p class=\"dim\">On the whole file</p>".to_owned(),
                (_, true) => format!("<p class=\"dim\"><code>{place}</code>{outdated}</p>"),
                _ => String::new(),
            };
            format!("<div class=\"thread\" id=\"t{root}\">{top}{out}</div>")
        }
    }
}

/// The lines that a suggestion replaces, from the piece of the diff that ends with the comment's line.
fn before(comment: &Inline) -> Vec<String> {
    let Some(line) = comment.spot.line else { return Vec::new() };
    let count = usize::try_from(line - comment.spot.start.unwrap_or(line).min(line)).unwrap_or_default() + 1;
    let hunk = comment.diff_hunk.lines().skip(1).filter(|it| !it.starts_with(['-', '\\']));
    let lines: Vec<String> = hunk.map(|it| it.get(1..).unwrap_or_default().to_owned()).collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

fn place(comment: &Inline) -> String {
    match comment.spot.line {
        Some(line) => format!("{}:{line}", comment.spot.path),
        None => comment.spot.path.clone(),
    }
}

/// The first line of a comment, without its marks.
fn title(body: &str) -> String {
    let line = body.lines().find(|it| !it.trim().is_empty() && !it.starts_with("<!--")).unwrap_or_default();
    line.split(" <sub>").next().unwrap_or_default().replace("**", "").chars().take(100).collect()
}
