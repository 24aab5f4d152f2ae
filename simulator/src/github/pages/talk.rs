//! The page of an issue or a pull request: everything that was said and done there.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markdown::{Link, escape};
use super::{badge, checks, diff, said, threads};
use crate::clock::iso;
use crate::github::World;
use crate::github::reviews::{Review, Verdict};
use crate::github::state::{Check, Issue, State};

/// An issue or pull request with everything said about it.
pub(crate) fn page(world: &World, state: &State, repo: u64, issue: &Issue) -> String {
    let link = Link { repo: state.repo(repo).full_name(), ..Link::default() };
    let mut out = format!(
        "<h1>{} <span class=\"dim\">#{}</span></h1><p class=\"head\">{} ",
        escape(&issue.title),
        issue.number,
        badge(issue)
    );
    let author = escape(state.login(issue.author).trim_end_matches("[bot]"));
    if let Some(pull) = &issue.pull {
        let merge = if pull.merged_at.is_some() { "merged into" } else { "wants to merge into" };
        let _ = write!(
            out,
            "<b>{author}</b> {merge} <code class=\"ref\">{}</code> from <code class=\"ref\">{}</code>",
            escape(&pull.base),
            escape(&pull.head),
        );
    } else {
        let _ = write!(out, "<span class=\"dim\"><b>{author}</b> opened this issue</span>");
    }
    for label in &issue.labels {
        let _ = write!(out, " <span class=\"label\">{}</span>", escape(label));
    }
    out.push_str("</p>");
    let text = issue.body.as_deref().unwrap_or("*No description provided.*");
    out.push_str(&said(state, &link, (issue.author, ""), issue.created_at, text, &issue.reactions, ""));
    // Each with its time, so that they stand in the order in which they happened.
    let mut moments: Vec<(String, String)> = Vec::new();
    for note in state.notes.values().filter(|it| it.repo == repo && it.number == issue.number) {
        let html = said(state, &link, (note.author, ""), note.created_at, &note.body, &note.reactions, "");
        moments.push((moment(&iso(note.created_at)), html));
    }
    let seen = state.reviews.values().filter(|it| it.repo == repo && it.number == issue.number);
    for review in seen.filter(|it| it.verdict != Verdict::Pending) {
        let at = review.submitted_at.unwrap_or_default();
        moments.push((moment(&iso(at)), reviewed(state, &link, review, at)));
    }
    let Some(pull) = &issue.pull else { return out + &in_order(moments) };
    let bare = world.bare(repo);
    let head = format!("refs/pull/{}/head", issue.number);
    let (base, _) = world.ends(state, repo, issue.number);
    for commit in bare.commits(&base, &head) {
        let html = format!(
            "<p class=\"commit\"><b>{}</b> {} <code>{}</code></p>",
            escape(commit.author_name.trim_end_matches("[bot]")),
            escape(commit.message.lines().next().unwrap_or_default()),
            &commit.sha[..7],
        );
        moments.push((moment(&commit.date), html));
    }
    out.push_str(&in_order(moments));
    let sha = bare.resolve(&head).unwrap_or_default();
    // Of several runs with a name, the newest counts.
    let runs: BTreeMap<(u64, &str), &Check> = (state.checks.values())
        .filter(|it| it.repo == repo && it.head_sha == sha)
        .map(|it| ((it.app, it.name.as_str()), it))
        .collect();
    let runs: Vec<&Check> = runs.into_values().collect();
    // The page reloads itself after a click, since the answer takes a while.
    let open = issue.open && pull.merged_at.is_none();
    let back = format!("/{}/pull/{}{}", link.repo, issue.number, if open { "?live" } else { "" });
    out.push_str(&checks::list(&link, &runs, &back));
    let stat = bare.stat(&base, &head);
    let (added, deleted) = stat.iter().filter_map(|it| it.0).fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let _ = write!(
        out,
        "<h2>Files changed <span class=\"count\">{}</span> <span class=\"plus\">+{added}</span> \
         <span class=\"minus\">−{deleted}</span></h2>",
        stat.len(),
    );
    let patch = bare.diff(&base, &head, 3);
    let (notes, lost) = threads::notes(state, &link, repo, issue.number, &diff::names(&patch));
    out.push_str(&diff::coloured(&patch, &notes));
    if !lost.is_empty() {
        let _ = write!(out, "<h2>On files that are no longer in the diff</h2><section class=\"box\">{lost}</section>");
    }
    out
}

/// A review with its text. One that only carries a reply is seen in the thread, and makes nothing here.
fn reviewed(state: &State, link: &Link, review: &Review, at: u64) -> String {
    let pointers = threads::pointers(state, review);
    if review.body.is_empty() && pointers.is_empty() && review.verdict == Verdict::Comment {
        return String::new();
    }
    let did = match review.verdict {
        Verdict::Approve => "<span class=\"good\">approved</span>",
        Verdict::RequestChanges => "<span class=\"bad\">requested changes</span>",
        _ => "reviewed",
    };
    said(state, link, (review.author, did), at, &review.body, &[], &pointers)
}

fn in_order(mut moments: Vec<(String, String)>) -> String {
    moments.sort_by(|one, other| one.0.cmp(&other.0));
    moments.into_iter().map(|it| it.1).collect()
}

/// A time up to its seconds, without the zone: all are UTC here.
fn moment(time: &str) -> String {
    time.chars().take("2026-01-01T00:00:00".len()).collect()
}
