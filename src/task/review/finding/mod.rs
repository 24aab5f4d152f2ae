//! What a review says: findings, a summary, what became of earlier findings. Read from an answer that may be odd anywhere:
//! what can't be used is dropped and counted, and nothing makes the whole answer fail.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Findings of one answer that are looked at; a review with more is a runaway.
pub const MOST_FINDINGS: usize = 200;
const LONGEST_PATH: usize = 1_000;
const LONGEST_TITLE: usize = 200;
const LONGEST_TEXT: usize = 8_000;
/// A longer replacement is no quick fix any more, and half of one is none at all: it is dropped, not clipped.
const LONGEST_REPLACEMENT: usize = 8_000;
/// What a finding counts that says nothing of it.
const UNSURE: u8 = 50;

/// The side of a diff, in GitHub's words: `Right` is the file at the head, `Left` at the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Side {
    Right,
    Left,
}

impl Side {
    /// As GitHub's API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "RIGHT",
            Self::Left => "LEFT",
        }
    }
}

/// How much harm the defect does; ordered, the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Correctness,
    Security,
    Performance,
    Concurrency,
    Data,
    Api,
    Tests,
    Docs,
    Other,
}

impl Category {
    pub const ALL: [Self; 9] = [
        Self::Correctness,
        Self::Security,
        Self::Performance,
        Self::Concurrency,
        Self::Data,
        Self::Api,
        Self::Tests,
        Self::Docs,
        Self::Other,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Correctness => "correctness",
            Self::Security => "security",
            Self::Performance => "performance",
            Self::Concurrency => "concurrency",
            Self::Data => "data",
            Self::Api => "api",
            Self::Tests => "tests",
            Self::Docs => "docs",
            Self::Other => "other",
        }
    }
}

/// One defect, where it is and what would mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub path: String,
    /// First line of several; smaller than `line`, never there without it.
    #[serde(default)]
    pub start_line: Option<u32>,
    /// The line, or the last of several; `None` when the finding is about the file.
    #[serde(default)]
    pub line: Option<u32>,
    pub side: Side,
    pub severity: Severity,
    pub category: Category,
    /// One line.
    pub title: String,
    #[serde(default)]
    pub reasoning: String,
    /// What to put in place of exactly the lines `start_line..=line`; no newline at its end.
    #[serde(default)]
    pub replacement: Option<String>,
    /// Percent.
    pub confidence: u8,
}

impl Finding {
    /// First and last line.
    pub fn lines(&self) -> Option<(u32, u32)> {
        let line = self.line?;
        Some((self.start_line.unwrap_or(line).min(line), line))
    }

    /// The weight by which findings are ranked: worst first, then surest.
    pub fn weight(&self) -> (Severity, u8) {
        (self.severity, self.confidence)
    }
}

/// The agent's opinion of the whole change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Good,
    Concerns,
    Serious,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Concerns => "concerns",
            Self::Serious => "serious",
        }
    }
}

/// What the agent says of a finding that an earlier review posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierAnswer {
    pub id: String,
    pub state: EarlierState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EarlierState {
    Fixed,
    Present,
}

/// All that a review pass answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewAnswer {
    pub findings: Vec<Finding>,
    pub summary: String,
    pub verdict: Verdict,
    pub earlier: Vec<EarlierAnswer>,
    /// Items that could not be used.
    #[serde(default)]
    pub dropped: usize,
}

/// What a second pass says of one finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondLook {
    /// Of the finding in the list that was shown.
    pub index: usize,
    pub holds: bool,
    pub why: String,
}

/// Read an answer by `review.schema.json`.
pub fn read_answer(answer: &Value) -> ReviewAnswer {
    let mut dropped = 0;
    let mut findings: Vec<Finding> = Vec::new();
    for item in items(answer, "findings") {
        match read_finding(item) {
            Some(finding) if findings.len() < MOST_FINDINGS => findings.push(finding),
            _ => dropped += 1,
        }
    }
    let mut earlier: Vec<EarlierAnswer> = Vec::new();
    for item in items(answer, "earlier") {
        let id = words(item, "id", LONGEST_TITLE);
        let state = match word(item, "state").as_str() {
            "fixed" => Some(EarlierState::Fixed),
            "present" => Some(EarlierState::Present),
            _ => None,
        };
        match (id, state) {
            (Some(id), Some(state)) => earlier.push(EarlierAnswer { id, state }),
            _ => dropped += 1,
        }
    }
    let worst = findings.iter().map(|it| it.severity).max();
    let verdict = match (word(answer, "verdict").as_str(), worst) {
        ("good", _) => Verdict::Good,
        ("concerns", _) => Verdict::Concerns,
        ("serious", _) | (_, Some(Severity::High)) => Verdict::Serious,
        (_, Some(_)) => Verdict::Concerns,
        (_, None) => Verdict::Good,
    };
    let summary = words(answer, "summary", LONGEST_TEXT).unwrap_or_default();
    ReviewAnswer { findings, summary, verdict, earlier, dropped }
}

/// Read an answer by `verify.schema.json`; of several about one finding the first counts.
pub fn read_verdicts(answer: &Value) -> Vec<SecondLook> {
    let mut looks: Vec<SecondLook> = Vec::new();
    for item in items(answer, "verdicts").take(10 * MOST_FINDINGS) {
        let index = item.get("index").and_then(number).and_then(|it| usize::try_from(it).ok());
        let holds = match item.get("holds") {
            Some(Value::Bool(holds)) => Some(*holds),
            Some(Value::String(said)) => said.trim().to_ascii_lowercase().parse().ok(),
            _ => None,
        };
        if let (Some(index), Some(holds)) = (index, holds)
            && looks.iter().all(|it| it.index != index)
        {
            looks.push(SecondLook { index, holds, why: words(item, "why", LONGEST_TEXT).unwrap_or_default() });
        }
    }
    looks
}

/// A finding needs a path and something to say; the rest has a sensible reading when it is missing.
fn read_finding(item: &Value) -> Option<Finding> {
    let path = tidy_path(&words(item, "path", LONGEST_PATH)?)?;
    let reasoning = words(item, "reasoning", LONGEST_TEXT).unwrap_or_default();
    let title = words(item, "title", LONGEST_TEXT).unwrap_or_else(|| reasoning.clone());
    let title = crate::text::line(&title, LONGEST_TITLE);
    if title.is_empty() {
        return None;
    }
    let first = item.get("start_line").and_then(line_number);
    let last = item.get("line").and_then(line_number);
    let (start_line, line) = match (first, last) {
        (Some(first), Some(last)) if first != last => (Some(first.min(last)), Some(first.max(last))),
        (first, last) => (None, last.or(first)),
    };
    // Without its first line it is not known what the replacement replaces.
    let replaces = line.is_some() && (item.get("start_line").is_none_or(Value::is_null) || first.is_some());
    Some(Finding {
        path,
        start_line,
        line,
        side: if word(item, "side") == "left" { Side::Left } else { Side::Right },
        severity: match word(item, "severity").as_str() {
            "high" | "critical" => Severity::High,
            "low" | "info" | "minor" => Severity::Low,
            _ => Severity::Medium,
        },
        category: {
            let said = word(item, "category");
            Category::ALL.into_iter().find(|it| it.name() == said).unwrap_or(Category::Other)
        },
        title,
        reasoning,
        replacement: item.get("replacement").and_then(Value::as_str).filter(|_| replaces).and_then(replacement),
        confidence: item.get("confidence").map_or(UNSURE, percent),
    })
}

/// The code to put in place. What hides or can't be typed has no business in code that somebody takes over with a click.
/// An empty one counts as none: answers say "" when they mean nothing, and would delete lines.
fn replacement(code: &str) -> Option<String> {
    let code = code.replace("\r\n", "\n");
    let code = code.strip_suffix('\n').unwrap_or(&code);
    let clean = !code.contains(|c: char| c != '\n' && is_hidden(c));
    (clean && code.len() <= LONGEST_REPLACEMENT && !code.trim().is_empty()).then(|| code.to_owned())
}

/// The file that an answer means, as git names files. `None` for what can be none.
fn tidy_path(said: &str) -> Option<String> {
    let mut path = said.trim().trim_matches('`').replace('\n', "");
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    let path = path.trim_start_matches("./");
    (!path.is_empty() && path != "/" && path != ".").then(|| path.to_owned())
}

/// The file that is meant by a path of which only the end may be right: `a/` and `b/` come from diffs, and the folder of a
/// checkout from an agent that thinks in absolute paths.
pub fn meant(path: &str, exists: &dyn Fn(&str) -> bool) -> String {
    if exists(path) {
        return path.to_owned();
    }
    let bare = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")).filter(|bare| exists(bare));
    if let Some(bare) = bare {
        return bare.to_owned();
    }
    let absolute = path.strip_prefix('/').unwrap_or_default();
    std::iter::successors(Some(absolute), |rest| Some(rest.split_once('/')?.1))
        .find(|rest| !rest.is_empty() && exists(rest))
        .unwrap_or(path)
        .to_owned()
}

fn items<'a>(answer: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    answer.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// A text without what can't be seen, at most so many characters; `None` when nothing is left.
fn words(item: &Value, field: &str, longest: usize) -> Option<String> {
    let text: String = item.get(field)?.as_str()?.chars().filter(|c| *c == '\n' || !is_hidden(*c)).collect();
    let text = crate::text::cut(text.trim(), longest);
    (!text.is_empty()).then_some(text)
}

/// One of few words, in small letters.
fn word(item: &Value, field: &str) -> String {
    item.get(field).and_then(Value::as_str).unwrap_or_default().trim().to_ascii_lowercase()
}

/// What nobody would see who reads the finding, and what looks like none.
fn is_hidden(c: char) -> bool {
    crate::text::is_invisible(c) || (c.is_control() && c != '\t')
}

/// A whole number, whatever it is written as.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(it) => {
            it.as_u64().or_else(|| it.as_f64().filter(|it| (0.0..=1e15).contains(it)).map(|it| it as u64))
        }
        Value::String(it) => {
            let digits = it.trim().trim_start_matches(['L', 'l']);
            digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
        }
        _ => None,
    }
}

/// Lines count from 1. No file that is reviewed has more lines than `i32` counts, which is what GitHub takes.
fn line_number(value: &Value) -> Option<u32> {
    number(value).and_then(|it| u32::try_from(it).ok()).filter(|it| (1..=i32::MAX as u32).contains(it))
}

/// 85, "85%" and 0.85 are one and the same.
fn percent(value: &Value) -> u8 {
    let said = match value {
        Value::Number(it) => it.as_f64(),
        Value::String(it) => it.trim().trim_end_matches('%').trim().parse().ok(),
        _ => None,
    };
    match said {
        Some(part) if 0.0 < part && part <= 1.0 && value.as_u64().is_none() => (part * 100.0).round() as u8,
        Some(percent) if percent.is_finite() => percent.clamp(0.0, 100.0).round() as u8,
        _ => UNSURE,
    }
}

#[cfg(test)]
mod tests;
