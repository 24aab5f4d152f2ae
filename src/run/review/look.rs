//! The agent's part of a review: each part of the diff is looked at, then what was found is looked at a second time.

use std::time::{Duration, Instant};

use serde_json::json;
use tracing::warn;
use uuid::Uuid;

use super::passes::Passes;
use super::read::{Subject, pull};
use crate::agent::{Session, Tools};
use crate::run::agent::{Asking, Room, sandbox_trouble};
use crate::run::context::Pages;
use crate::run::{Halt, Run};
use crate::task::Ending;
use crate::task::review::{
    EarlierAnswer, Finding, Found, KnownState, REVIEW_SCHEMA, VERIFY_SCHEMA, Verdict, read_answer, read_verdicts,
};
use crate::text;

/// Bytes of the whole diff that are given besides what is new.
const WHOLE: usize = 2 << 20;

/// What the agent said, over all parts.
pub struct Looked {
    pub findings: Vec<Finding>,
    pub summary: String,
    pub verdict: Verdict,
    pub earlier: Vec<EarlierAnswer>,
    /// Parts that were looked at; the budget may not be enough for all.
    pub parts: usize,
}

impl Looked {
    pub fn nothing() -> Self {
        Self { findings: Vec::new(), summary: String::new(), verdict: Verdict::Good, earlier: Vec::new(), parts: 0 }
    }
}

/// Ask about each part.
pub async fn look(run: &Run<'_>, room: &Room, subject: &Subject, passes: &mut Passes) -> Result<Looked, Halt> {
    let words = context(run, room, subject).await?;
    run.show(|view| view.step = "agent");
    let mut looked = Looked::nothing();
    let of = subject.plan.parts.len();
    let started = Instant::now();
    for part in 1..=of {
        let mut page = words.clone();
        if let Some(page) = page.as_object_mut() {
            page.insert("diff".to_owned(), json!(format!("/context/diff-{part}.patch")));
            page.insert("part".to_owned(), json!(part));
            page.insert("of".to_owned(), json!(of));
        }
        let asking = Asking {
            prompt: text::render("prompt/review.md", &page),
            schema: REVIEW_SCHEMA,
            tools: Tools::Review,
            session: Session::New(Uuid::new_v4()),
            model: None,
            // All parts together have the time of a run.
            spent: started.elapsed(),
            turns: None,
        };
        let structured = match passes.ask(run, room, asking, subject.plan.parts[part - 1].diff.as_bytes()).await {
            Ok(answer) => answer,
            // What is looked at is worth telling; what is not is said.
            Err(Halt::End(ending)) if part > 1 && !matches!(ending.code.as_str(), "cancelled" | "closed") => {
                run.log.step("review", &format!("ended after {} of {of} parts: {}", part - 1, ending.code));
                break;
            }
            Err(other) => return Err(other),
        };
        let Some(structured) = structured else {
            return Err(Halt::End(Ending::new("no_answer", "")));
        };
        let answer = read_answer(&structured);
        if answer.dropped > 0 {
            warn!("{} findings of the agent's answer could not be read", answer.dropped);
        }
        looked.findings.extend(answer.findings);
        looked.earlier.extend(answer.earlier);
        let summary = answer.summary.trim();
        // Parts are looked at one by one, and may be spoken of alike.
        if !looked.summary.contains(summary) {
            if !looked.summary.is_empty() {
                looked.summary.push_str("\n\n");
            }
            looked.summary.push_str(summary);
        }
        if severity(answer.verdict) > severity(looked.verdict) {
            looked.verdict = answer.verdict;
        }
        looked.parts = part;
    }
    Ok(looked)
}

/// Write the files, and give what the prompts of all parts have in common.
async fn context(run: &Run<'_>, room: &Room, subject: &Subject) -> Result<serde_json::Value, Halt> {
    let pull = pull(run)?;
    let snapshot = &run.task.snapshot;
    let mut pages = Pages::new(run.task);
    pages.subject();
    let (thread, threads, checks) = (pages.thread(), pages.threads(pull), pages.checks(pull));
    for (at, part) in subject.plan.parts.iter().enumerate() {
        pages.changes(&format!("diff-{}.patch", at + 1), part.diff.clone());
    }
    if subject.since.is_some() {
        pages.add("whole.patch", subject.raw[..subject.raw.len().min(WHOLE)].to_vec());
    }
    let earlier: Vec<_> = subject
        .known
        .iter()
        .filter(|it| it.known.state != KnownState::Fixed)
        .map(|it| {
            json!({ "id": it.known.id, "path": it.known.path, "line": it.finding.line,
                    "title": text::line(&it.finding.title, 200),
                    "dismissed": it.known.state == KnownState::Dismissed })
        })
        .collect();
    if !earlier.is_empty() {
        let page = text::render("prompt/earlier.md", &pages.with(json!({ "earlier": earlier })));
        pages.add("earlier.md", page);
    }
    let prompt = pages.visible(&run.task.requester.login, &run.task.prompt);
    let guidance = subject.guidance.words();
    let words = pages.with(json!({
        "head_sha": pull.head_sha,
        "base_branch": snapshot.base_branch,
        "egress": run.egress().join(", "),
        "instructions": snapshot.rules().instructions,
        "guidance": guidance,
        "since": subject.since.as_ref().map(|sha| sha.as_str().to_owned()),
        "thread": thread,
        "threads": threads,
        "checks": checks,
        "earlier": !earlier.is_empty(),
        "prompt": prompt,
    }));
    let system = text::render("prompt/system_review.md", &words);
    pages.add("system.md", system);
    run.show(|view| view.removed = pages.removed.clone());
    room.sandbox.put(&pages.files).await.map_err(sandbox_trouble)?;
    Ok(words)
}

/// Which of the findings do not hold, by their places. A second look that fails refutes nothing.
pub async fn verify(run: &Run<'_>, room: &Room, found: &[Found], passes: &mut Passes) -> Result<Vec<usize>, Halt> {
    if found.is_empty() || !run.task.snapshot.rules().review.verify {
        return Ok(Vec::new());
    }
    run.show(|view| view.step = "verify");
    let mut pages = Pages::new(run.task);
    let findings: Vec<_> = found
        .iter()
        .map(|it| {
            json!({ "path": it.finding.path, "line": it.finding.line, "severity": it.finding.severity.name(),
                    "title": it.finding.title, "reasoning": pages.seen("", &it.finding.reasoning) })
        })
        .collect();
    let asking = Asking {
        prompt: text::render("prompt/verify.md", &pages.with(json!({ "findings": findings }))),
        schema: VERIFY_SCHEMA,
        tools: Tools::ReadOnly,
        session: Session::New(Uuid::new_v4()),
        model: Some(run.app.config.model.verify_model.clone()),
        spent: Duration::ZERO,
        turns: None,
    };
    let structured = match passes.ask(run, room, asking, b"").await {
        Ok(answer) => answer,
        Err(Halt::End(ending)) if !matches!(ending.code.as_str(), "cancelled" | "closed") => {
            run.log.step("verify", &format!("no second look: {}", ending.code));
            return Ok(Vec::new());
        }
        Err(other) => return Err(other),
    };
    let verdicts = structured.as_ref().map(read_verdicts).unwrap_or_default();
    for look in verdicts.iter().filter(|look| !look.holds && look.index < found.len()) {
        let title = text::line(&found[look.index].finding.title, 100);
        run.log.step("refuted", &format!("{title}: {}", text::line(&look.why, 300)));
    }
    Ok(verdicts.into_iter().filter(|look| !look.holds).map(|look| look.index).collect())
}

fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Good => 0,
        Verdict::Concerns => 1,
        Verdict::Serious => 2,
    }
}
