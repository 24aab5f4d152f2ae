//! The words of a review: the check run's title and summary, the review's own text, each comment.

use serde_json::{Value, json};

use super::check::cost;
use crate::config::Config;
use crate::github::{Annotation, Conclusion, Level};
use crate::report::View;
use crate::report::words::{blocked, ending_words, hidden, later, snapshot};
use crate::store::StoredTask;
use crate::task::review::{Entry, Finding, Reviewed, Severity, Spot, suggestion_block};
use crate::task::{Ending, Gone, Lane};
use crate::text;

/// A completed check run.
pub struct Concluded {
    pub conclusion: Conclusion,
    pub title: String,
    pub summary: String,
    pub annotations: Vec<Annotation>,
}

/// The marker of a review; it counts only together with its author.
pub fn review_marker(task: &StoredTask) -> String {
    format!("<!-- cloud-agent:review={} -->", task.id)
}

/// The marker of a finding's comment.
pub fn finding_marker(id: &str) -> String {
    format!("<!-- cloud-agent:finding={id} -->")
}

/// How the check run of a review ends.
pub fn check_words(config: &Config, task: &StoredTask, view: &View, ending: &Ending) -> Concluded {
    let gate = task.snapshot.rules().review.gate;
    match (&view.reviewed, ending.code.as_str()) {
        (Some(reviewed), "reviewed") => {
            // Under a gate, what nobody has looked at must not pass.
            let fails = reviewed.serious() > 0 || !reviewed.is_whole();
            let conclusion = match (reviewed.open(), gate && fails) {
                (_, true) => Conclusion::Failure,
                (0, _) => Conclusion::Success,
                _ => Conclusion::Neutral,
            };
            let summary = summary(config, task, view, reviewed, true);
            let annotations = reviewed.found.iter().filter_map(annotation).collect();
            Concluded { conclusion, title: title(reviewed), summary, annotations }
        }
        (_, code) => {
            let conclusion = match code {
                "cancelled" | "closed" | "superseded" => Conclusion::Cancelled,
                code if Gone::coded(code).is_some() => Conclusion::Cancelled,
                // A required check must not pass because nobody has looked.
                _ if gate => Conclusion::Failure,
                _ => Conclusion::Neutral,
            };
            let title = match code {
                "cancelled" => "Stopped",
                "closed" => "The pull request was closed",
                "superseded" => "A newer push is reviewed instead",
                _ => "I could not review this",
            };
            let words = ending_words(config, task, view, ending);
            Concluded { conclusion, title: title.to_owned(), summary: words, annotations: Vec::new() }
        }
    }
}

/// The result in a line; GitHub shows nothing else in the conversation.
pub fn title(reviewed: &Reviewed) -> String {
    let new = reviewed.found.len();
    let serious = match reviewed.serious() {
        0 => String::new(),
        many => format!(", {many} serious"),
    };
    let files = reviewed.files == 0 && reviewed.open() == 0;
    match (new, reviewed.open_before()) {
        _ if files => "Nothing to look at".to_owned(),
        (0, 0) if !reviewed.is_whole() => "Nothing found in what was looked at".to_owned(),
        (0, 0) => "Nothing found".to_owned(),
        (0, old) => format!("Nothing new, {} still open{serious}", count(old, "finding")),
        (new, 0) => format!("{}{serious}", count(new, "finding")),
        (new, old) => format!("{}, {old} still open{serious}", count(new, "new finding")),
    }
}

fn count(many: usize, what: &str) -> String {
    format!("{many} {what}{}", if many == 1 { "" } else { "s" })
}

/// The text of the check run, or of the review itself.
pub fn summary(config: &Config, task: &StoredTask, view: &View, reviewed: &Reviewed, check: bool) -> String {
    let (elapsed, cost, turns) = cost(view);
    let rows: Vec<Value> = reviewed.found.iter().map(row).collect();
    let still: Vec<Value> = reviewed
        .still
        .iter()
        .map(|it| {
            json!({ "severity": severity(it.severity), "path": cell(&it.path), "title": cell(&text::outgoing(&it.title)),
                    "dismissed": it.dismissed })
        })
        .collect();
    let pull = task.snapshot.pull.as_ref();
    let body = text::render(
        "report/review/summary.md",
        &json!({
            "check": check,
            "marker": review_marker(task),
            "summary": text::outgoing(&reviewed.summary),
            "title": title(reviewed),
            "head": short(&reviewed.head),
            "since": reviewed.since.as_deref().map(short),
            "files": reviewed.files,
            "rows": rows,
            "still": still,
            "fixed": reviewed.fixed.len(),
            "refuted": reviewed.refuted,
            "left_out": reviewed.left_out.iter().map(left_out).collect::<Vec<_>>(),
            "blocked": blocked(&reviewed.blocked),
            "removed": hidden(&view.removed),
            "later": later(task, view),
            "snapshot": snapshot(task),
            "mistake": task.snapshot.rules_mistake().map(|mistake| mistake.to_string()),
            "fork": task.snapshot.lane == Lane::Untrusted && pull.is_some_and(|pull| !pull.same_repository),
            "gate": task.snapshot.rules().review.gate,
            "serious": reviewed.serious(),
            "whole": reviewed.is_whole(),
            "elapsed": elapsed,
            "cost": cost,
            "turns": turns,
            "mention": config.github.mention,
        }),
    );
    text::cut(&body, text::LONGEST_COMMENT)
}

fn row(entry: &Entry) -> Value {
    let finding = &entry.finding;
    let place = match finding.lines() {
        Some((first, last)) if first < last => format!("{}:{first}-{last}", finding.path),
        Some((_, line)) => format!("{}:{line}", finding.path),
        None => finding.path.clone(),
    };
    let said = match entry.spot {
        Spot::Line { moved_from: Some(_), .. } => "near",
        Spot::Line { .. } => "comment",
        Spot::File { .. } => "file",
        Spot::Annotation { .. } => "annotation",
        Spot::Table => "table",
    };
    json!({
        "severity": severity(finding.severity), "place": cell(&place), "title": cell(&text::outgoing(&finding.title)),
        "said": said,
        // What no comment says stands here in full.
        "reasoning": match entry.spot {
            Spot::Line { .. } | Spot::File { .. } => String::new(),
            _ => text::outgoing(&finding.reasoning),
        },
    })
}

fn left_out(line: &crate::task::review::LeftOutLine) -> Value {
    json!({
        "why": line.why, "count": line.count,
        "paths": line.paths.iter().map(|path| format!("`{}`", cell(path))).collect::<Vec<_>>().join(", "),
        "more": line.count - line.paths.len().min(line.count),
    })
}

/// A comment on a line or file.
pub fn comment(entry: &Entry) -> String {
    let Finding { severity: weight, category, title, reasoning, .. } = &entry.finding;
    let (moved, suggestion) = match &entry.spot {
        Spot::Line { moved_from, suggestion, .. } => (moved_from.map(lines), suggestion.as_deref()),
        _ => (None, None),
    };
    let moved = moved.or_else(|| match (&entry.spot, entry.finding.lines()) {
        (Spot::File { .. }, Some((first, last))) => Some(lines((Some(first).filter(|it| *it < last), last))),
        _ => None,
    });
    let body = text::render(
        "report/review/comment.md",
        &json!({
            "severity": severity(*weight),
            "category": category.name(),
            "title": text::outgoing(title),
            "reasoning": text::outgoing(reasoning),
            "moved": moved,
            "suggestion": suggestion.map(suggestion_block),
            // What GitHub can't take over with a click is still worth reading.
            "proposed": proposed(&entry.finding).filter(|_| suggestion.is_none()),
            "marker": finding_marker(&entry.id),
        }),
    );
    text::cut(&body, text::LONGEST_COMMENT)
}

/// A replacement as a block of code; none that looks like it holds a credential.
fn proposed(finding: &Finding) -> Option<String> {
    let code = finding.replacement.as_deref().filter(|code| text::redact(code) == **code)?;
    Some(text::fenced("", code))
}

fn lines((first, last): (Option<u32>, u32)) -> String {
    first.map_or_else(|| format!("line {last}"), |first| format!("lines {first}–{last}"))
}

fn annotation(entry: &Entry) -> Option<Annotation> {
    let Spot::Annotation { path, start_line, end_line } = &entry.spot else { return None };
    let level = match entry.finding.severity {
        Severity::High => Level::Failure,
        Severity::Medium => Level::Warning,
        Severity::Low => Level::Notice,
    };
    Some(Annotation {
        path: path.clone(),
        start_line: *start_line,
        end_line: *end_line,
        level,
        title: text::outgoing(&entry.finding.title),
        // GitHub takes no empty one.
        message: match entry.finding.reasoning.trim() {
            "" => text::outgoing(&entry.finding.title),
            reasoning => text::outgoing(reasoning),
        },
    })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::High => "serious",
        Severity::Medium => "medium",
        Severity::Low => "minor",
    }
}

/// A text that stays in its cell of a table.
fn cell(text: &str) -> String {
    text.replace(|c: char| c.is_control() || c == '`', " ").replace('|', "\\|")
}

fn short(sha: &str) -> String {
    sha.chars().take(7).collect()
}
