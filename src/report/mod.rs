//! Stage 5: GitHub hears: a reaction, one comment that follows the work, a pull request, a check run. Each write has its
//! intent stored first and is made once.

mod outbox;
mod progress;
mod publish;
mod words;

use serde_json::json;

pub use outbox::{Outbox, Undone};
pub use progress::{Comment, View};
pub use publish::{check, pull};
pub use words::{Money, progress_words};

use crate::github::{ReactTo, Reaction, Repo};
use crate::task::{Account, Refusal, Trigger};
use crate::text;

/// What reacts carry for a trigger on this thread.
pub fn react_to(trigger: &Trigger, number: u64) -> ReactTo {
    match trigger {
        Trigger::Comment { id } => ReactTo::Comment(*id),
        Trigger::Opened | Trigger::Labeled => ReactTo::Issue(number),
    }
}

/// React, once a subject and reaction.
pub async fn react(outbox: &Outbox<'_>, repo: &Repo, to: ReactTo, reaction: Reaction) -> Result<(), Undone> {
    let target = match to {
        ReactTo::Issue(number) => format!("issue-{number}"),
        ReactTo::Comment(id) => format!("comment-{id}"),
        ReactTo::ReviewComment(id) => format!("review-comment-{id}"),
    };
    let key = format!("{}:{target}:{}", repo.key(), reaction.name());
    // Reacting twice is the same as once, so there is nothing to look for first.
    outbox.once(&key, || async { Ok(None::<()>) }, || repo.react(to, reaction)).await
}

/// Tell a refusal: at most once a person, reason and thread, and what concerns only the person once in a repository.
pub async fn refuse(
    outbox: &Outbox<'_>,
    repo: &Repo,
    names: &crate::config::Github,
    number: u64,
    asker: &Account,
    refusal: Refusal,
) -> Result<(), Undone> {
    let place = if refusal.is_about_the_person() { String::new() } else { format!("{number}:") };
    let key = format!("{}:refusal:{place}{}:{}", repo.key(), asker.id, refusal.code());
    let marker = format!("<!-- cloud-agent:refusal={}:{} -->", asker.id, refusal.code());
    let body = text::render(
        "report/refusal.md",
        &json!({
            "marker": marker, "reason": refusal.code(), "person": format!("@{}", asker.login),
            "mention": names.mention, "label": names.label,
        }),
    );
    say(outbox, repo, number, &key, &marker, &body).await
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

async fn say(outbox: &Outbox<'_>, repo: &Repo, number: u64, key: &str, marker: &str, body: &str) -> Result<(), Undone> {
    outbox.once(key, || repo.find_comment(number, marker), || repo.comment(number, body)).await.map(|_: u64| ())
}
