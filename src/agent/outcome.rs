//! What came of a run: an answer, or the one reason why there is none.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stream::ResultLine;
use super::{clip, one_line};
use crate::gateway::{Trouble, UpstreamTrouble};
use crate::sandbox::{Exit, Limit};

/// How a run ended. A run that was stopped is no error of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Answered(Answer),
    Stopped(Why),
}

/// What the agent says it did. Written inside a sandbox: judge it, and filter it before it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// One line of at most 72 characters; empty when the agent gave no structured answer.
    pub title: String,
    /// Markdown.
    pub summary: String,
    pub details: String,
    pub verification: String,
    /// Unknown when the agent gave no structured answer.
    pub changed: Option<bool>,
    /// What became of the review threads that it was given.
    pub threads: Vec<ThreadAnswer>,
    /// The structured answer as it was given; who asked with another schema reads it here. It has the shape of that schema
    /// if Claude Code checked it, which is no promise.
    pub structured: Option<Value>,
}

/// What the agent says about one review thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadAnswer {
    /// As the agent wrote it: it has to be one that it was given.
    pub id: String,
    /// Markdown; may be empty.
    pub reply: String,
    /// Whether its commits do what the thread asks.
    pub settled: bool,
}

/// Why there is no answer. What to say about it stands in the templates, by `code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    Budget,
    Turns,
    /// The wall clock of the run.
    Time,
    Cancelled,
    ModelRefusedKey,
    /// The account behind the key has no money left.
    ModelOutOfCredit,
    /// The API does not have the model that was asked for, or this run may not use it.
    ModelUnknown,
    ModelOverloaded,
    ModelRateLimited,
    ModelUnreachable,
    PromptTooLong,
    /// There is no session to go on with, or none that can be read. The work can begin anew; next to nothing was spent. One
    /// that has only grown too long is `PromptTooLong`.
    SessionLost,
    /// The model declined.
    Refused,
    /// It ended well and said nothing.
    NoAnswer,
    /// It ended without a result, or with one that we don't know. `tail` is what it last said.
    Crashed {
        exit: Option<i32>,
        tail: String,
    },
    Memory,
    Disk,
    /// The disk of the machine, which others may have filled as well.
    HostDisk,
    Lifetime,
}

/// Why we ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Cancelled,
    Time,
    Budget,
}

/// All that is known when a run has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The last one counts: a turn can be followed by another.
    pub result: Option<&'a ResultLine>,
    pub exit: Option<Exit>,
    pub stop: Option<Stop>,
    pub trouble: Option<&'a UpstreamTrouble>,
    /// It was to go on with a session.
    pub resumed: bool,
    /// A session has begun, or gone on.
    pub begun: bool,
    pub stderr: &'a str,
}

const LONGEST_TITLE: usize = 72;
const LONGEST_PART: usize = 60_000;
const MOST_THREADS: usize = 200;

/// Decide what a run came to. A good result stands even if a limit was reached while it was written; only a person who
/// said stop is believed over it.
pub fn decide(facts: &Facts) -> Outcome {
    if facts.stop == Some(Stop::Cancelled) {
        return Outcome::Stopped(Why::Cancelled);
    }
    if let Some(result) = facts.result.filter(|result| !result.is_error) {
        // Half a sentence is what is left of a stream that was cut, again and again; the agent meant to go on.
        if result.structured_output.is_none()
            && let Some(trouble) = facts.trouble.filter(|trouble| trouble.kind == Trouble::Unreachable)
        {
            return Outcome::Stopped(of_trouble(trouble, facts));
        }
        return answer(result).map_or(Outcome::Stopped(Why::NoAnswer), Outcome::Answered);
    }
    Outcome::Stopped(why(facts))
}

fn answer(result: &ResultLine) -> Option<Answer> {
    if let Some(given) = &result.structured_output {
        let part = |name: &str| clip(given[name].as_str().unwrap_or_default().trim(), LONGEST_PART);
        return Some(Answer {
            title: title(&given["title"]),
            summary: part("summary"),
            details: part("details"),
            verification: part("verification"),
            changed: given["changed"].as_bool(),
            threads: threads(&given["threads"]),
            structured: Some(given.clone()),
        });
    }
    // Claude Code reminds the model once of the structured answer and then lets it be.
    let text = result.result.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
    Some(Answer { summary: clip(text, LONGEST_PART), ..Answer::default() })
}

/// The threads that were answered. A thread counts once, and one without an id not at all.
fn threads(given: &Value) -> Vec<ThreadAnswer> {
    let mut threads = Vec::<ThreadAnswer>::new();
    for one in given.as_array().into_iter().flatten().take(MOST_THREADS) {
        // An id that is a number to GitHub may come as one.
        let id = one["id"].as_str().map(str::to_owned).or_else(|| one["id"].as_u64().map(|id| id.to_string()));
        let id = clip(id.unwrap_or_default().trim(), 200);
        if !id.is_empty() && threads.iter().all(|known| known.id != id) {
            let reply = clip(one["reply"].as_str().unwrap_or_default().trim(), LONGEST_PART);
            threads.push(ThreadAnswer { id, reply, settled: one["settled"] == true });
        }
    }
    threads
}

fn title(value: &Value) -> String {
    let line = one_line(value.as_str().unwrap_or_default(), 1000);
    if line.chars().count() <= LONGEST_TITLE {
        return line;
    }
    let cut: String = line.chars().take(LONGEST_TITLE - 1).collect();
    format!("{}…", cut.trim_end())
}

fn why(facts: &Facts) -> Why {
    match facts.exit.and_then(|exit| exit.limit) {
        Some(Limit::Memory) => return Why::Memory,
        Some(Limit::Disk) => return Why::Disk,
        Some(Limit::HostDisk) => return Why::HostDisk,
        Some(Limit::Lifetime) => return Why::Lifetime,
        None => {}
    }
    match facts.stop {
        Some(Stop::Time) => return Why::Time,
        Some(Stop::Budget) => return Why::Budget,
        Some(Stop::Cancelled) | None => {}
    }
    if facts.resumed && is_lost(facts) {
        return Why::SessionLost;
    }
    let Some(result) = facts.result else {
        // It died without a word. If the model was in trouble at the time, that is the likelier story than a crash.
        return facts.trouble.map_or_else(|| crashed(facts), |trouble| of_trouble(trouble, facts));
    };
    match (result.terminal_reason.as_deref(), result.subtype.as_str()) {
        (Some("budget_exhausted"), _) | (_, "error_max_budget_usd") => return Why::Budget,
        (Some("max_turns"), _) | (_, "error_max_turns") => return Why::Turns,
        (Some("prompt_too_long"), _) => return Why::PromptTooLong,
        _ => {}
    }
    if result.stop_reason.as_deref() == Some("refusal") {
        return Why::Refused;
    }
    match result.api_error_status {
        Some(status) => of_status(status, result, facts),
        None if result.terminal_reason.as_deref() == Some("api_error") => {
            facts.trouble.map_or_else(|| of_words(result, facts), |trouble| of_trouble(trouble, facts))
        }
        // Somebody else interrupted it, or it is a kind of end that we have not met yet.
        None => crashed(facts),
    }
}

/// Whether the session that was to go on is to blame: Claude Code found no transcript that it can read, or the model API
/// refuses the conversation in it.
fn is_lost(facts: &Facts) -> bool {
    let exited = facts.exit.is_some_and(|exit| exit.signal.is_none());
    let Some(result) = facts.result else { return exited && !facts.begun && facts.trouble.is_none() };
    match result.api_error_status {
        Some(400) => result.num_turns <= 1 && of_status(400, result, facts).code() == "crashed",
        Some(_) => false,
        // "No conversation found with session ID: …", before anything else.
        None => exited && !facts.begun && result.subtype == "error_during_execution",
    }
}

fn of_status(status: u16, result: &ResultLine, facts: &Facts) -> Why {
    // The gateway knows the API's own words, the result only Claude Code's; but an older trouble explains nothing.
    let ours = facts.trouble.filter(|trouble| trouble.status.is_none_or(|seen| seen == status));
    match status {
        _ if ours.is_some_and(|trouble| trouble.kind != Trouble::BadRequest) => {
            ours.map_or_else(|| crashed(facts), |trouble| of_trouble(trouble, facts))
        }
        // The gateway's own refusal, which is no trouble with the API.
        402 => Why::Budget,
        400 if result.result.as_deref().is_some_and(|text| text.contains("Credit balance is too low")) => {
            Why::ModelOutOfCredit
        }
        401 | 403 => Why::ModelRefusedKey,
        404 => Why::ModelUnknown,
        429 => Why::ModelRateLimited,
        503 | 529 => Why::ModelOverloaded,
        500.. => Why::ModelUnreachable,
        _ => crashed(facts),
    }
}

fn of_trouble(trouble: &UpstreamTrouble, facts: &Facts) -> Why {
    match trouble.kind {
        Trouble::KeyRefused => Why::ModelRefusedKey,
        Trouble::OutOfCredit => Why::ModelOutOfCredit,
        Trouble::ModelUnknown => Why::ModelUnknown,
        Trouble::RateLimited => Why::ModelRateLimited,
        Trouble::Overloaded => Why::ModelOverloaded,
        Trouble::Unreachable => Why::ModelUnreachable,
        Trouble::BadRequest => crashed(facts),
    }
}

/// Errors without a status: the request never got an answer.
fn of_words(result: &ResultLine, facts: &Facts) -> Why {
    let text = result.result.as_deref().unwrap_or_default().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["not logged in", "/login"]) {
        Why::ModelRefusedKey
    } else if says(&["connection", "unable to connect", "timed out", "timeout"]) {
        Why::ModelUnreachable
    } else {
        crashed(facts)
    }
}

fn crashed(facts: &Facts) -> Why {
    let said = facts.result.and_then(|result| {
        let text = result.result.clone().unwrap_or_else(|| result.errors.join("\n"));
        (!text.trim().is_empty()).then_some(text)
    });
    let tail = said.unwrap_or_else(|| facts.stderr.to_owned());
    let exit = facts.exit.and_then(|exit| exit.code.or(exit.signal.map(|signal| 128 + signal)));
    Why::Crashed { exit, tail: clip(tail.trim(), 4000) }
}

impl Why {
    /// Whether the model is to blame, so that the work can go on when it is back.
    pub fn passes(&self) -> bool {
        matches!(
            self,
            Self::ModelRefusedKey
                | Self::ModelOutOfCredit
                | Self::ModelOverloaded
                | Self::ModelRateLimited
                | Self::ModelUnreachable
        )
    }

    /// A name that never changes, for the store, the API and the templates.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Turns => "turns",
            Self::Time => "time",
            Self::Cancelled => "cancelled",
            Self::ModelRefusedKey => "model_refused_key",
            Self::ModelOutOfCredit => "model_out_of_credit",
            Self::ModelUnknown => "model_unknown",
            Self::ModelOverloaded => "model_overloaded",
            Self::ModelRateLimited => "model_rate_limited",
            Self::ModelUnreachable => "model_unreachable",
            Self::PromptTooLong => "prompt_too_long",
            Self::SessionLost => "session_lost",
            Self::Refused => "refused",
            Self::NoAnswer => "no_answer",
            Self::Crashed { .. } => "crashed",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::HostDisk => "host_disk_floor",
            Self::Lifetime => "lifetime",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(structured: Value) -> Answer {
        let result = ResultLine { structured_output: Some(structured), ..ResultLine::default() };
        answer(&result).unwrap_or_default()
    }

    #[test]
    fn threads_are_read_as_far_as_they_can_be() {
        let given = json!([
            {"id": " PRRT_1 ", "reply": " Done. ", "settled": true},
            {"id": 7, "settled": "yes"},
            {"id": "PRRT_1", "reply": "again", "settled": false},
            {"id": "", "reply": "whose?"}, {"reply": "whose?"}, null, "PRRT_2", 3,
        ]);
        let thread = |id: &str, reply: &str, settled| ThreadAnswer { id: id.into(), reply: reply.into(), settled };
        assert_eq!(read(json!({"threads": given})).threads, [thread("PRRT_1", "Done.", true), thread("7", "", false)]);
        for none in [json!({}), json!({"threads": null}), json!({"threads": {"id": "x"}}), json!({"threads": "x"})] {
            assert_eq!(read(none).threads, []);
        }
        let many: Vec<Value> = (0..1000).map(|id| json!({"id": id})).collect();
        assert_eq!(read(json!({"threads": many})).threads.len(), MOST_THREADS);
    }

    #[test]
    fn another_schema_is_kept_as_it_was_given() {
        let findings = json!({"findings": [{"path": "a", "line": 3}], "summary": ["not", "text"]});
        let answer = read(findings.clone());
        assert_eq!((answer.structured, answer.summary, answer.changed), (Some(findings), String::new(), None));
    }

    #[test]
    fn what_a_cut_stream_leaves_is_no_answer() {
        let half = ResultLine { result: Some("I will now".to_owned()), ..ResultLine::default() };
        let whole = ResultLine { structured_output: Some(json!({"summary": "s"})), ..half.clone() };
        let cut = UpstreamTrouble::own(Trouble::Unreachable, "the model API could not be reached");
        let facts = Facts { result: Some(&half), trouble: Some(&cut), ..Facts::default() };
        assert_eq!(decide(&facts), Outcome::Stopped(Why::ModelUnreachable));
        assert!(matches!(decide(&Facts { trouble: None, ..facts }), Outcome::Answered(_)));
        assert!(matches!(decide(&Facts { result: Some(&whole), ..facts }), Outcome::Answered(_)));
    }

    #[test]
    fn a_lost_session_is_no_crash_and_a_crash_is_none_that_was_lost() {
        let exit = |code| Some(Exit { code: Some(code), signal: None, limit: None });
        let error = |status, turns| ResultLine {
            subtype: if status == 0 { "error_during_execution" } else { "success" }.to_owned(),
            is_error: true,
            api_error_status: (status != 0).then_some(status),
            num_turns: turns,
            result: Some("API Error".to_owned()),
            ..ResultLine::default()
        };
        let none = error(0, 0);
        let lost = Facts { result: Some(&none), exit: exit(1), resumed: true, ..Facts::default() };
        let code = |facts: Facts| match decide(&facts) {
            Outcome::Stopped(why) => why.code(),
            Outcome::Answered(_) => "answered",
        };
        assert_eq!(code(lost), "session_lost");
        assert_eq!(code(Facts { result: None, ..lost }), "session_lost");
        assert_eq!(code(Facts { resumed: false, ..lost }), "crashed");
        assert_eq!(code(Facts { begun: true, ..lost }), "crashed");
        assert_eq!(code(Facts { stop: Some(Stop::Time), ..lost }), "time");
        for (status, turns, want) in [
            (400, 1, "session_lost"),
            (400, 5, "crashed"),
            (401, 1, "model_refused_key"),
            (529, 1, "model_overloaded"),
            (402, 1, "budget"),
        ] {
            let result = error(status, turns);
            assert_eq!(code(Facts { result: Some(&result), begun: true, ..lost }), want, "{status} {turns}");
        }
    }
}
