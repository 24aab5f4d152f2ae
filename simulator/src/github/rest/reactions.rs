//! Reactions to issues and comments: 201 when new, 200 when it was there already.

use super::Call;
use super::review_comments::this_comment;
use crate::github::acts::Target;
use crate::github::answer::Answer;
use crate::github::shapes::REACTIONS;

type Result = std::result::Result<Answer, Answer>;

pub(crate) fn of_issue(call: &mut Call<'_>) -> Result {
    let issue = call.issue()?;
    Ok(list(call, &issue.reactions))
}

pub(crate) fn of_comment(call: &mut Call<'_>) -> Result {
    let note = call.note()?;
    Ok(list(call, &note.reactions))
}

pub(crate) fn to_issue(call: &mut Call<'_>) -> Result {
    let number = call.issue()?.number;
    add(call, Target::Issue(number))
}

pub(crate) fn to_comment(call: &mut Call<'_>) -> Result {
    let id = call.note()?.id;
    add(call, Target::Comment(id))
}

pub(crate) fn off_issue(call: &mut Call<'_>) -> Result {
    let number = call.issue()?.number;
    remove(call, Target::Issue(number))
}

pub(crate) fn off_comment(call: &mut Call<'_>) -> Result {
    let id = call.note()?.id;
    remove(call, Target::Comment(id))
}

pub(crate) fn of_inline(call: &mut Call<'_>) -> Result {
    let comment = this_comment(call)?;
    Ok(list(call, &comment.reactions))
}

pub(crate) fn to_inline(call: &mut Call<'_>) -> Result {
    let id = this_comment(call)?.id;
    add(call, Target::Inline(id))
}

pub(crate) fn off_inline(call: &mut Call<'_>) -> Result {
    let id = this_comment(call)?.id;
    remove(call, Target::Inline(id))
}

fn list(call: &Call<'_>, reactions: &[crate::github::state::Reaction]) -> Answer {
    let wanted = reactions.iter().filter(|it| call.asked("content").is_none_or(|content| it.content == content));
    call.page(wanted.map(|it| call.world.reaction_object(call.state, it, call.now)).collect())
}

fn add(call: &mut Call<'_>, target: Target) -> Result {
    let content = call.text("content").unwrap_or_default().to_owned();
    if !REACTIONS.iter().any(|(word, _)| *word == content) {
        return Err(Answer::invalid_field("Reaction", "content", "invalid"));
    }
    let done = call.world.reacts(call.state, call.by, call.repo, target, &content);
    let (reaction, new) = done.ok_or_else(Answer::not_found)?;
    let object = call.world.reaction_object(call.state, &reaction, call.now);
    Ok(Answer::json(if new { 201 } else { 200 }, &object))
}

fn remove(call: &mut Call<'_>, target: Target) -> Result {
    let id = call.number("reaction")?;
    let gone = call.world.unreacts(call.state, call.repo, target, id);
    if gone { Ok(Answer::nothing()) } else { Err(Answer::not_found()) }
}
