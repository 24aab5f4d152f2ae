//! What a delivery asks for, if anything. Pure: the payload comes in, an ask or a reason goes out.

use super::payload::{Envelope, IssueEvent};
use crate::task::{Account, Command, Place, Said, Trigger, parse};

/// The words that the bot listens to.
#[derive(Debug, Clone)]
pub struct Names {
    /// What stands after the `@`.
    pub mention: String,
    pub label: String,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Ask(Box<Ask>),
    /// Nothing to do, and why.
    Nothing(&'static str),
}

/// Somebody wants something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub place: Place,
    /// Who did it, which is not always who wrote the text.
    pub asker: Account,
    pub trigger: Trigger,
    pub command: Command,
    pub on_pull: bool,
    pub default_branch: String,
    pub title: String,
    pub body: String,
    /// Who wrote the issue; nobody when the account is gone.
    pub author: Option<Account>,
    pub labels: Vec<String>,
    /// Comments on the thread so far, by GitHub's count.
    pub comments: u64,
    pub comment: Option<Said>,
}

const NOT_READ: &str = "we do not act on this event";
const A_BOT: &str = "bots are not listened to";
const NO_MENTION: &str = "it does not speak to us";

/// Decide from the envelope alone whether anybody needs to look; this runs before the delivery is stored, so it is
/// cheap and says "look" when in doubt.
pub fn ignorable(event: &str, envelope: &Envelope, names: &Names) -> Option<&'static str> {
    match (event, envelope.action.as_deref()) {
        ("ping", _) => return Some("GitHub only says hello"),
        ("issue_comment", Some("created")) | ("issues", Some("opened" | "labeled")) => (),
        _ => return Some(NOT_READ),
    }
    if envelope.sender.as_ref().is_some_and(|sender| sender.kind == "Bot") {
        return Some(A_BOT);
    }
    let text = match (event, envelope.action.as_deref()) {
        ("issues", Some("labeled")) => {
            let ours = envelope.label.as_ref().is_some_and(|label| label.name.eq_ignore_ascii_case(&names.label));
            return (!ours).then_some("it is not our label");
        }
        ("issues", _) => envelope.issue.as_ref(),
        _ => envelope.comment.as_ref(),
    };
    let text = text.and_then(|it| it.body.as_deref()).unwrap_or_default();
    (!names_us(text, &names.mention)).then_some(NO_MENTION)
}

/// Whether the mention's letters occur at all.
fn names_us(text: &str, mention: &str) -> bool {
    let needle = mention.as_bytes();
    text.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// Read a delivery of an event that we act on. `us` is the bot's own account id.
pub fn hear(event: &str, payload: &[u8], names: &Names, us: u64) -> Result<Heard, serde_json::Error> {
    if !matches!(event, "issue_comment" | "issues") {
        return Ok(Heard::Nothing(NOT_READ));
    }
    let it: IssueEvent = serde_json::from_slice(payload)?;
    // Before anything else: what we say comes back as deliveries.
    if it.sender.id == us || it.comment.as_ref().and_then(|it| it.user.as_ref()).is_some_and(|user| user.id == us) {
        return Ok(Heard::Nothing("it is our own"));
    }
    if it.sender.kind == "Bot" {
        return Ok(Heard::Nothing(A_BOT));
    }
    let said = |text: &Option<String>| parse(text.as_deref().unwrap_or_default(), &names.mention);
    let (trigger, command) = match (event, it.action.as_str(), &it.comment) {
        ("issue_comment", "created", Some(comment)) => (Trigger::Comment { id: comment.id }, said(&comment.body)),
        ("issues", "opened", _) => (Trigger::Opened, said(&it.issue.body)),
        ("issues", "labeled", _) if it.label.as_ref().is_some_and(|it| it.name.eq_ignore_ascii_case(&names.label)) => {
            (Trigger::Labeled, Some(Command::Do(String::new())))
        }
        ("issues", "labeled", _) => return Ok(Heard::Nothing("it is not our label")),
        _ => return Ok(Heard::Nothing(NOT_READ)),
    };
    let Some(command) = command else {
        return Ok(Heard::Nothing(NO_MENTION));
    };
    // A transferred issue is `opened` by whoever transferred it: the words are not the sender's, so they are no order.
    let wrote = match (&trigger, &it.comment) {
        (Trigger::Comment { .. }, Some(comment)) => comment.user.as_ref(),
        (Trigger::Opened, _) => it.issue.user.as_ref(),
        _ => Some(&it.sender),
    };
    if wrote.is_none_or(|user| user.id != it.sender.id) {
        return Ok(Heard::Nothing("it is not the sender who wrote this"));
    }
    let Some(installation) = it.installation else {
        return Ok(Heard::Nothing("it names no installation"));
    };
    Ok(Heard::Ask(Box::new(Ask {
        place: Place {
            installation_id: installation.id,
            repository_id: it.repository.id,
            repository: it.repository.full_name,
            number: it.issue.number,
        },
        asker: Account { id: it.sender.id, login: it.sender.login },
        trigger,
        command,
        on_pull: it.issue.pull_request.is_some(),
        default_branch: it.repository.default_branch,
        title: it.issue.title,
        body: it.issue.body.unwrap_or_default(),
        author: it.issue.user.map(|user| Account { id: user.id, login: user.login }),
        labels: it.issue.labels.into_iter().map(|label| label.name).collect(),
        comments: it.issue.comments,
        comment: it.comment.map(|comment| Said {
            author: comment.user.map_or_else(|| "ghost".to_owned(), |user| user.login),
            trusted: None,
            body: comment.body.unwrap_or_default(),
            at: comment.created_at,
        }),
    })))
}
