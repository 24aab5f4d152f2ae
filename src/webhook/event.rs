//! What a delivery asks for, if anything. Pure: the payload comes in, an ask or a reason goes out.

use super::edited::{self, Edited};
use super::installation::{self, Change};
use super::payload::{CheckEvent, Common, Envelope, Issue, IssueEvent, MergeGroupEvent, Pull, PullEvent, User};
pub use crate::task::Wants;
use crate::task::{Account, Command, Place, Said, Trigger, parse, speaks};
use crate::text;

/// The words that the bot listens to.
#[derive(Debug, Clone)]
pub struct Names {
    /// What stands after the `@`.
    pub mention: String,
}

/// Who we are on GitHub.
#[derive(Debug, Clone, Copy)]
pub struct Us {
    /// The account that our comments are by; not the App's id.
    pub bot_id: u64,
    pub app_id: u64,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Ask(Box<Ask>),
    /// A pull request came, moved or went, and nobody said anything.
    Pull(Box<Moved>),
    /// Somebody pressed a button on a check of ours.
    Click(Box<Click>),
    /// A text that something may have been asked by is another now.
    Edited(Box<Edited>),
    /// A merge queue wants to know whether this commit may go in.
    MergeGroup {
        place: Place,
        head_sha: String,
    },
    /// An installation or a repository has changed as a whole.
    Installation(Change),
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
    /// The label that was set, which the repository's settings may have made ours.
    pub label: Option<String>,
    pub on_pull: bool,
    pub default_branch: String,
    pub title: String,
    pub body: String,
    /// Who wrote the issue; nobody when the account is gone.
    pub author: Option<Account>,
    pub labels: Vec<String>,
    /// Whether the thread has comments, as far as the payload says.
    pub has_comments: bool,
    pub comment: Option<Said>,
    /// The review that the comment or text belongs to: what is said in one review is one ask.
    pub review: Option<u64>,
    /// Nobody named the bot: it is the author of what was reviewed.
    pub unnamed: bool,
    /// When it was said or done, by GitHub's clock, ISO 8601; empty when the delivery does not say.
    pub asked_at: String,
}

/// A pull request that came, moved or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub ask: Ask,
    /// GitHub's word: `opened`, `reopened`, `ready_for_review`, `synchronize`, `closed`.
    pub action: String,
    /// The sender's account is a bot's; the repository's settings say whether it counts.
    pub by_bot: bool,
    /// The commit that the head is at since.
    pub head_sha: Option<String>,
}

/// A button on one of our check runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// The number is not known from the delivery: a fork's check names no pull request.
    pub place: Place,
    pub asker: Account,
    pub head_sha: String,
    pub default_branch: String,
    /// The task of the run that was clicked; none when it was the whole suite.
    pub task_id: Option<String>,
    pub wants: Wants,
    /// The delivery's own key, so that one click is one task.
    pub check_id: u64,
}

pub(super) const NOT_READ: &str = "we do not act on this event";
const A_BOT: &str = "bots are not listened to";
const NO_MENTION: &str = "it does not speak to us";
const OURS: &str = "it is our own";
const NO_INSTALLATION: Heard = Heard::Nothing("it names no installation");

/// Decide from the envelope alone whether anybody needs to look; this runs before the delivery is stored, so it is
/// cheap and says "look" when in doubt.
pub fn ignorable(event: &str, envelope: &Envelope, names: &Names) -> Option<&'static str> {
    let action = envelope.action.as_deref().unwrap_or_default();
    if edited::is_edit(event, action) {
        return by_bot(envelope).then_some(A_BOT);
    }
    if let Some(why) = never_read(event, action) {
        return Some(why);
    }
    let texts = match (event, action) {
        ("issue_comment" | "pull_request_review_comment", "created") => [envelope.comment.as_ref(), None],
        ("issues", "opened") => [envelope.issue.as_ref(), None],
        // Of a bot's own pull request every review may concern it.
        ("pull_request_review", "submitted") => [envelope.review.as_ref(), None],
        // Which label is ours, and which bots count, is the repository's to say.
        ("issues", "labeled") => return by_bot(envelope).then_some(A_BOT),
        _ => return None,
    };
    if by_bot(envelope) {
        return Some(A_BOT);
    }
    let of_bot = envelope.pull_request.as_ref().and_then(|it| it.user.as_ref()).is_some_and(|it| it.kind == "Bot");
    if event == "pull_request_review" && of_bot {
        return None;
    }
    let mut texts = texts.into_iter().flatten().filter_map(|it| it.body.as_deref());
    (!texts.any(|text| speaks(text, &names.mention))).then_some(NO_MENTION)
}

/// Whether the event's name alone says that nobody needs to look.
pub fn never_read(event: &str, action: &str) -> Option<&'static str> {
    match (event, action) {
        ("ping", _) => Some("GitHub only says hello"),
        ("issue_comment" | "pull_request_review_comment", "created")
        | ("issues", "opened" | "labeled")
        | ("pull_request_review", "submitted")
        | ("pull_request", "opened" | "reopened" | "ready_for_review" | "synchronize" | "closed" | "labeled")
        | ("check_run", "rerequested" | "requested_action")
        | ("check_suite", "rerequested")
        | ("merge_group", "checks_requested") => None,
        _ if installation::is_change(event, action) => None,
        _ => Some(NOT_READ),
    }
}

fn by_bot(envelope: &Envelope) -> bool {
    envelope.sender.as_ref().is_some_and(|sender| sender.kind == "Bot")
}

/// Read a delivery of an event that we act on.
pub fn hear(event: &str, payload: &[u8], names: &Names, us: Us) -> Result<Heard, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Action {
        action: Option<String>,
    }
    let action = serde_json::from_slice::<Action>(payload)?.action.unwrap_or_default();
    if edited::is_edit(event, &action) {
        return edited::hear(event, payload, &names.mention, us);
    }
    match event {
        "issue_comment" | "issues" => Ok(issue(event, serde_json::from_slice(payload)?, names, us)),
        "pull_request" => Ok(pull(serde_json::from_slice(payload)?, names, us)),
        "pull_request_review" | "pull_request_review_comment" => {
            Ok(review(serde_json::from_slice(payload)?, names, us))
        }
        "check_run" | "check_suite" => Ok(check(serde_json::from_slice(payload)?, us)),
        "merge_group" => {
            let it: MergeGroupEvent = serde_json::from_slice(payload)?;
            Ok(match place(&it.common, 0) {
                _ if it.common.action != "checks_requested" => Heard::Nothing(NOT_READ),
                Some(place) => Heard::MergeGroup { place, head_sha: it.merge_group.head_sha },
                None => NO_INSTALLATION,
            })
        }
        _ => installation::hear(event, payload),
    }
}

fn issue(event: &str, it: IssueEvent, names: &Names, us: Us) -> Heard {
    // Before anything else: what we say comes back as deliveries.
    if it.common.sender.id == us.bot_id || is(it.comment.as_ref().and_then(|it| it.user.as_ref()), us) {
        return Heard::Nothing(OURS);
    }
    if it.common.sender.kind == "Bot" {
        return Heard::Nothing(A_BOT);
    }
    // What a task said with a person's own token comes back under that name.
    if it.comment.as_ref().and_then(|it| it.body.as_deref()).is_some_and(text::is_marked) {
        return Heard::Nothing(OURS);
    }
    let said = |text: &Option<String>| parse(text.as_deref().unwrap_or_default(), &names.mention);
    let (trigger, command) = match (event, it.common.action.as_str(), &it.comment) {
        ("issue_comment", "created", Some(comment)) => (Trigger::Comment { id: comment.id }, said(&comment.body)),
        ("issues", "opened", _) => (Trigger::Opened, said(&it.issue.body)),
        ("issues", "labeled", _) => (Trigger::Labeled, Some(Command::Do(String::new()))),
        _ => return Heard::Nothing(NOT_READ),
    };
    let Some(command) = command else {
        return Heard::Nothing(NO_MENTION);
    };
    // A transferred issue is `opened` by whoever transferred it: the words are not the sender's, so they are no order.
    let wrote = match (&trigger, &it.comment) {
        (Trigger::Comment { .. }, Some(comment)) => comment.user.as_ref(),
        (Trigger::Opened, _) => it.issue.user.as_ref(),
        _ => Some(&it.common.sender),
    };
    if wrote.is_none_or(|user| user.id != it.common.sender.id) {
        return Heard::Nothing("it is not the sender who wrote this");
    }
    let Some(place) = place(&it.common, it.issue.number) else {
        return NO_INSTALLATION;
    };
    let Issue { title, body, user, labels, pull_request, comments, updated_at, .. } = it.issue;
    let asked_at = it.comment.as_ref().map(|comment| comment.created_at.clone()).or(updated_at).unwrap_or_default();
    Heard::Ask(Box::new(Ask {
        place,
        asker: account(it.common.sender),
        label: it.label.filter(|_| trigger == Trigger::Labeled).map(|label| label.name),
        trigger,
        command,
        on_pull: pull_request.is_some(),
        default_branch: it.common.repository.default_branch,
        title,
        body: body.unwrap_or_default(),
        author: user.map(account),
        labels: labels.into_iter().map(|label| label.name).collect(),
        has_comments: comments > 0,
        comment: it.comment.map(|comment| said_by(comment.user, comment.body, comment.created_at)),
        review: None,
        unnamed: false,
        asked_at,
    }))
}

fn pull(it: PullEvent, names: &Names, us: Us) -> Heard {
    // What we push onto somebody's pull request is looked at like anybody's push, or the check on its head would be
    // missing; a review pushes nothing, so this ends.
    let own_push = it.common.action == "synchronize" && !is(it.pull_request.user.as_ref(), us);
    if it.common.sender.id == us.bot_id && !own_push {
        return Heard::Nothing(OURS);
    }
    let Some(place) = place(&it.common, it.pull_request.number) else {
        return NO_INSTALLATION;
    };
    let action = it.common.action.clone();
    let by_bot = it.common.sender.kind == "Bot" && it.common.sender.id != us.bot_id;
    let label = it.label.map(|label| label.name).filter(|_| action == "labeled");
    let wrote = it.pull_request.user.as_ref().is_some_and(|user| user.id == it.common.sender.id);
    let command = match action.as_str() {
        "labeled" if by_bot => return Heard::Nothing(A_BOT),
        "labeled" => Some(Command::Review),
        "opened" if wrote && !by_bot => parse(it.pull_request.body.as_deref().unwrap_or_default(), &names.mention),
        "opened" | "reopened" | "ready_for_review" | "synchronize" | "closed" => None,
        _ => return Heard::Nothing(NOT_READ),
    };
    let trigger = match (&command, action.as_str()) {
        (Some(_), "labeled") => Trigger::Labeled,
        (Some(_), _) => Trigger::Opened,
        (None, _) => Trigger::Pull,
    };
    let speaks = command.is_some();
    let head_sha = it.pull_request.head.as_ref().map(|head| head.sha.clone());
    let ask = on_pull(place, it.common, it.pull_request, trigger, command.unwrap_or(Command::Review), label);
    match speaks {
        true => Heard::Ask(Box::new(ask)),
        false => Heard::Pull(Box::new(Moved { ask, action, by_bot, head_sha })),
    }
}

fn review(it: PullEvent, names: &Names, us: Us) -> Heard {
    if it.common.sender.id == us.bot_id {
        return Heard::Nothing(OURS);
    }
    if it.common.sender.kind == "Bot" {
        return Heard::Nothing(A_BOT);
    }
    let Some(place) = place(&it.common, it.pull_request.number) else {
        return NO_INSTALLATION;
    };
    let (wrote, body, at, trigger, id) = match (it.common.action.as_str(), &it.review, &it.comment) {
        ("created", _, Some(comment)) => (
            comment.user.as_ref(),
            &comment.body,
            comment.created_at.clone(),
            Trigger::ReviewComment { id: comment.id, thread: comment.in_reply_to_id.unwrap_or(comment.id) },
            comment.pull_request_review_id,
        ),
        ("submitted", Some(review), _) => {
            let at = review.submitted_at.clone().unwrap_or_default();
            (review.user.as_ref(), &review.body, at, Trigger::Review { id: review.id }, Some(review.id))
        }
        _ => return Heard::Nothing(NOT_READ),
    };
    if wrote.is_none_or(|user| user.id != it.common.sender.id) {
        return Heard::Nothing("it is not the sender who wrote this");
    }
    let text = body.clone().unwrap_or_default();
    let named = parse(&text, &names.mention);
    // On our own pull request a review speaks to us, its author, unless it has nothing to say.
    let state = it.review.as_ref().map(|review| review.state.to_ascii_lowercase()).unwrap_or_default();
    let ours = is(it.pull_request.user.as_ref(), us) && matches!(trigger, Trigger::Review { .. });
    let wants = ours && (state == "changes_requested" || (state == "commented" && !text.trim().is_empty()));
    let command = match named.clone() {
        Some(command) => command,
        None if wants => Command::Do(text.trim().to_owned()),
        None => return Heard::Nothing(NO_MENTION),
    };
    let comment = said_by(Some(it.common.sender.clone()), Some(text), at.clone());
    let ask = on_pull(place, it.common, it.pull_request, trigger, command, None);
    Heard::Ask(Box::new(Ask { comment: Some(comment), review: id, unnamed: named.is_none(), asked_at: at, ..ask }))
}

fn check(it: CheckEvent, us: Us) -> Heard {
    let run = it.check_run.is_some();
    let Some(check) = it.check_run.or(it.check_suite) else {
        return Heard::Nothing(NOT_READ);
    };
    if check.app.as_ref().is_none_or(|app| app.id != us.app_id) {
        return Heard::Nothing("it is another App's check");
    }
    let wants = match (it.common.action.as_str(), it.requested_action.as_ref().map(|it| it.identifier.as_str())) {
        ("rerequested", _) | ("requested_action", Some("rerun")) => Wants::Rerun,
        ("requested_action", Some("fix")) => Wants::Fix,
        ("requested_action", Some("stop")) => Wants::Stop,
        _ => return Heard::Nothing(NOT_READ),
    };
    let Some(place) = place(&it.common, 0) else {
        return NO_INSTALLATION;
    };
    Heard::Click(Box::new(Click {
        place,
        asker: account(it.common.sender),
        default_branch: it.common.repository.default_branch,
        head_sha: check.head_sha,
        task_id: check.external_id.filter(|_| run),
        wants,
        check_id: check.id,
    }))
}

fn on_pull(place: Place, common: Common, pull: Pull, trigger: Trigger, command: Command, label: Option<String>) -> Ask {
    Ask {
        place,
        asker: account(common.sender),
        trigger,
        command,
        label,
        on_pull: true,
        default_branch: common.repository.default_branch,
        title: pull.title,
        body: pull.body.unwrap_or_default(),
        author: pull.user.map(account),
        labels: pull.labels.into_iter().map(|label| label.name).collect(),
        // These payloads don't count them.
        has_comments: true,
        comment: None,
        review: None,
        unnamed: false,
        asked_at: pull.updated_at.unwrap_or_default(),
    }
}

pub(super) fn place(common: &Common, number: u64) -> Option<Place> {
    Some(Place {
        installation_id: common.installation.as_ref()?.id,
        repository_id: common.repository.id,
        repository: common.repository.full_name.clone(),
        number,
    })
}

fn is(user: Option<&User>, us: Us) -> bool {
    user.is_some_and(|user| user.id == us.bot_id)
}

fn account(user: User) -> Account {
    Account { id: user.id, login: user.login }
}

fn said_by(user: Option<User>, body: Option<String>, at: String) -> Said {
    Said {
        author: user.map_or_else(|| "ghost".to_owned(), |user| user.login),
        trusted: None,
        body: body.unwrap_or_default(),
        at,
        changed: String::new(),
    }
}
