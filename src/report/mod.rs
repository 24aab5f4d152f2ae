//! Stage 5: GitHub hears: a reaction, one comment that follows the work, a pull request, a check run, a review. Each write
//! has its intent stored first and is made once.

pub mod check_run;
pub mod comment;
mod outbox;
mod progress;
mod publish;
pub mod review;
mod settings;
mod threads;
mod words;

use serde_json::json;

pub use outbox::{Outbox, Undone};
pub use progress::{Board, View};
pub use publish::{check, pull, repeat_check};
pub use settings::settings_check;
pub use threads::answer;
pub use words::{Money, hidden, no_check, progress_words, told_ending};

use crate::clock::Millis;
use crate::github::{ReactTo, Reaction, Repo};
use crate::task::breaker::Tripped;
use crate::task::{Account, Approval, Refusal, Trigger};
use crate::text;

/// What carries the reaction to a trigger on this thread. Nothing does where nobody said
/// anything there: the check run or the comment answers.
pub fn react_to(trigger: &Trigger, number: u64) -> Option<ReactTo> {
    match trigger {
        Trigger::Comment { id } => Some(ReactTo::Comment(*id)),
        Trigger::ReviewComment { id, .. } => Some(ReactTo::ReviewComment(*id)),
        // GitHub's REST API has no reactions on reviews.
        Trigger::Opened | Trigger::Labeled | Trigger::Review { .. } => Some(ReactTo::Issue(number)),
        Trigger::Pull | Trigger::Button | Trigger::Api => None,
    }
}

/// React, once a subject and reaction.
pub async fn react(outbox: &Outbox<'_>, repo: &Repo, to: ReactTo, reaction: Reaction) -> Result<(), Undone> {
    let key = reaction_key(repo, to, reaction);
    // Reacting twice is the same as once, so there is nothing to look for first.
    outbox.repeatedly(&key, || repo.react(to, reaction)).await
}

/// The key of a reaction's effect: whoever looks for what was missed sees by it what was heard.
pub fn reaction_key(repo: &Repo, to: ReactTo, reaction: Reaction) -> String {
    let target = match to {
        ReactTo::Issue(number) => format!("issue-{number}"),
        ReactTo::Comment(id) => format!("comment-{id}"),
        ReactTo::ReviewComment(id) => format!("review-comment-{id}"),
    };
    format!("{}:{target}:{}", repo.key(), reaction.name())
}

#[expect(clippy::too_many_arguments, reason = "who, where, why, and how often")]
/// Tell a refusal: at most once a person, reason and thread, and what concerns only the person once in a repository.
pub async fn refuse(
    outbox: &Outbox<'_>,
    repo: &Repo,
    names: &crate::config::Github,
    number: u64,
    asker: &Account,
    refusal: Refusal,
    on_pull: bool,
    // A button is pressed again when its answer is forgotten: once a press. Of an approval this is the head: once a head.
    press: Option<&str>,
) -> Result<(), Undone> {
    let place = if refusal.is_about_the_person() { String::new() } else { format!("{number}:") };
    let once = press.filter(|_| !refusal.is_about_the_person()).map(|press| format!(":{press}")).unwrap_or_default();
    let key = format!("{}:refusal:{place}{}:{}{once}", repo.key(), asker.id, refusal.code());
    let marker = format!("<!-- cloud-agent:refusal={}:{}{once} -->", asker.id, refusal.code());
    let body = text::render(
        "report/refusal.md",
        &json!({
            "marker": marker, "reason": refusal.code(), "person": format!("@{}", asker.login),
            "mention": names.mention, "label": names.label,
            "thread": if on_pull { "pull request" } else { "issue" }, "press": press,
        }),
    );
    say(outbox, repo, number, &key, &marker, &body).await
}

/// Say that a commit was approved, each time that it was.
pub async fn approved(
    outbox: &Outbox<'_>,
    repo: &Repo,
    names: &crate::config::Github,
    number: u64,
    approval: &Approval,
    fork: bool,
    // The same comment asks for something besides.
    more: bool,
) -> Result<(), Undone> {
    let key = format!("{}:approved:{number}:{}:{}", repo.key(), approval.head_sha, approval.at);
    let marker = format!("<!-- cloud-agent:approved={}:{} -->", approval.head_sha, approval.at);
    let words = json!({
        "marker": marker, "by": approval.by, "head": approval.head_sha, "fork": fork, "more": more,
        "mention": names.mention,
    });
    say(outbox, repo, number, &key, &marker, &text::render("report/approved.md", &words)).await
}

/// Say what one can say, at most once a person and thread.
pub async fn help(
    outbox: &Outbox<'_>,
    repo: &Repo,
    names: &crate::config::Github,
    number: u64,
    asker: &Account,
) -> Result<(), Undone> {
    let key = format!("{}:help:{number}:{}", repo.key(), asker.id);
    let marker = format!("<!-- cloud-agent:help={} -->", asker.id);
    let body =
        text::render("report/help.md", &json!({ "marker": marker, "mention": names.mention, "label": names.label }));
    say(outbox, repo, number, &key, &marker, &body).await
}

/// Say that nothing more begins on a thread until somebody resumes, once each time that it comes to that.
pub async fn too_much(
    outbox: &Outbox<'_>,
    repo: &Repo,
    names: &crate::config::Github,
    number: u64,
    why: Tripped,
    count: u32,
    at: Millis,
) -> Result<(), Undone> {
    let key = format!("{}:breaker:{number}:{at}", repo.key());
    let marker = format!("<!-- cloud-agent:breaker={at} -->");
    let words = json!({ "marker": marker, "why": why.name(), "count": count, "mention": names.mention });
    say(outbox, repo, number, &key, &marker, &text::render("report/breaker.md", &words)).await
}

async fn say(outbox: &Outbox<'_>, repo: &Repo, number: u64, key: &str, marker: &str, body: &str) -> Result<(), Undone> {
    comment::make(outbox, repo, number, key, marker, body).await.map(drop)
}
