//! What was asked some time ago, or reaches us out of order, is held against how things stand now: the object is read
//! again before anything is done.

use super::event::{Ask, Heard, Us};
use super::handle::{Desk, Trouble, heard};
use crate::clock::{self, Millis};
use crate::github::{ReactTo, Reaction, Remark};
use crate::report;
use crate::store::{StoredDelivery, StoredTask};
use crate::task::{Account, Command, Trigger, parse};

/// Older than this, an ask is late even if GitHub has brought it.
const LATE: Millis = 2 * 60 * 1000;

const STOPPED: &str = "somebody has stopped it before it began";

/// Why nobody wants it any more, if that is so.
pub async fn is_moot(desk: &Desk<'_>, ask: &Ask) -> Result<Option<&'static str>, Trouble> {
    if !is_late(desk, ask).await? {
        return Ok(is_stopped_already(desk, ask).await?.then_some(STOPPED));
    }
    let (repo, number) = (&desk.repo, ask.place.number);
    let Some(now) = repo.issue_now(number).await? else {
        return Ok(Some("the issue or pull request is gone"));
    };
    let on = report::react_to(&ask.trigger, number);
    if let Some(on) = on {
        if !repo.has_comment(on).await? {
            return Ok(Some("the comment is gone meanwhile"));
        }
        if was_answered(desk, on).await? {
            return Ok(Some("it was answered before this database was there"));
        }
    }
    if let Some(label) = &ask.label
        && !now.labels.iter().any(|it| it.name.eq_ignore_ascii_case(label))
    {
        return Ok(Some("the label is gone meanwhile"));
    }
    if matches!(ask.command, Command::Stop | Command::Resume | Command::Help) {
        return Ok(None);
    }
    let closed = now.closed_at.as_deref().is_some_and(|at| asked_at(ask).is_none_or(|asked| asked < at));
    // Of a closed pull request people are told, wherever they have asked in words.
    if now.state == "closed" && closed && !(ask.on_pull && ask.trigger.is_said()) {
        return Ok(Some("it was closed meanwhile"));
    }
    Ok(was_stopped(desk, ask).await?.then_some(STOPPED))
}

/// Whether a stop that finds nothing to stop is about something that was asked before it, and has not begun yet: what asks
/// looks for a stop first. While somebody is at that, nobody knows.
pub async fn stops_what_waits(desk: &Desk<'_>, stop: &Ask) -> Result<bool, Trouble> {
    let since = clock::now() - desk.app.config.runs.wait_limit.0.as_millis() as Millis;
    let mut stops = false;
    for (delivery, held) in desk.app.store.waiting_since(&stop.place, since, STOPPED).await? {
        let asked = ask_in(desk, &delivery).filter(|it| begins_something(it) && is_after(stop, it));
        if asked.is_some() && held {
            let why = "what it is to stop is being looked at".to_owned();
            return Err(Trouble::Later { at: clock::now(), why });
        }
        stops |= asked.is_some();
    }
    Ok(stops)
}

/// Whether a stop that was said after it is here already, looked at or not.
async fn is_stopped_already(desk: &Desk<'_>, ask: &Ask) -> Result<bool, Trouble> {
    if !begins_something(ask) {
        return Ok(false);
    }
    // GitHub does not bring things in their order.
    let store = &desk.app.store;
    let Some(received) = store.kept_delivery(desk.delivery_id).await?.map(|it| it.received_at) else {
        return Ok(false);
    };
    for delivery in store.said_since(&ask.place, received - LATE).await? {
        let stop = ask_in(desk, &delivery).filter(|it| it.command == Command::Stop && is_after(it, ask));
        if let Some(stop) = stop
            && (stop.asker.id == ask.asker.id || desk.repo.role_of(&stop.asker).await?.can_write())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn begins_something(ask: &Ask) -> bool {
    !matches!(ask.command, Command::Stop | Command::Resume | Command::Help | Command::Approve { .. })
}

/// Whether this was said later than that, in the same thread.
fn is_after(this: &Ask, that: &Ask) -> bool {
    let (at, before) = (this.asked_at.as_str(), that.asked_at.as_str());
    this.place.number == that.place.number
        && match (&this.trigger, &that.trigger) {
            (Trigger::Comment { id }, Trigger::Comment { id: other }) => id > other,
            // Nobody can say anything before that.
            (_, Trigger::Opened) => true,
            _ => !before.is_empty() && at > before,
        }
}

/// What somebody asks for in a delivery, if anything.
fn ask_in(desk: &Desk<'_>, delivery: &StoredDelivery) -> Option<Ask> {
    let us = Us { bot_id: desk.us, app_id: desk.app.config.github.app_id.unwrap_or_default() };
    match heard(desk.app, delivery, us) {
        Ok(Ok(Heard::Ask(it))) => Some(*it),
        _ => None,
    }
}

/// The tasks that a stop is about: one that was asked for after it goes on.
pub async fn meant<'t>(desk: &Desk<'_>, ask: &Ask, tasks: &'t [StoredTask]) -> Result<Vec<&'t StoredTask>, Trouble> {
    let Some(said) = asked_at(ask).filter(|at| !at.is_empty()) else { return Ok(tasks.iter().collect()) };
    let late = is_late(desk, ask).await?;
    let is_meant = |task: &&StoredTask| match &task.snapshot.comment {
        Some(comment) => comment.at.as_str() <= said,
        // By our own clock, which is only near to GitHub's.
        None => !late || clock::iso(task.created_at).as_str() <= said,
    };
    Ok(tasks.iter().filter(is_meant).collect())
}

/// Whether GitHub did not bring it, or brought it long after it was said.
async fn is_late(desk: &Desk<'_>, ask: &Ask) -> Result<bool, Trouble> {
    let old = asked_at(ask).and_then(clock::read_iso).is_some_and(|at| at < clock::now() - LATE);
    Ok(old || desk.dry || desk.app.store.late_source(desk.delivery_id).await?.is_some())
}

fn asked_at(ask: &Ask) -> Option<&str> {
    ask.comment.as_ref().map(|comment| comment.at.as_str())
}

/// Whether we have reacted on GitHub, and this database knows nothing of it: it was lost, or an older one put back.
async fn was_answered(desk: &Desk<'_>, on: ReactTo) -> Result<bool, Trouble> {
    let reactions = [Reaction::Eyes, Reaction::Confused, Reaction::Rocket];
    let keys = reactions.map(|it| report::reaction_key(&desk.repo, on, it));
    Ok(!desk.app.store.is_intended(&keys).await? && desk.repo.have_reacted(on).await?)
}

/// Whether the asker or somebody who may write has said `stop` after it.
async fn was_stopped(desk: &Desk<'_>, ask: &Ask) -> Result<bool, Trouble> {
    let Trigger::Comment { id } = ask.trigger else { return Ok(false) };
    let Some(since) = asked_at(ask).filter(|at| !at.is_empty()) else { return Ok(false) };
    let mention = &desk.app.config.github.mention;
    let stops =
        |it: &Remark| it.id > id && parse(it.body.as_deref().unwrap_or_default(), mention) == Some(Command::Stop);
    let later = desk.repo.said_since(ask.place.number, since).await?;
    for user in later.iter().filter(|it| stops(it)).filter_map(|it| it.user.as_ref()) {
        let account = Account { id: user.id, login: user.login.clone() };
        if user.id == ask.asker.id || desk.repo.role_of(&account).await?.can_write() {
            return Ok(true);
        }
    }
    Ok(false)
}
