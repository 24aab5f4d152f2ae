//! The verdict on a cell, by what people on GitHub see. What must never be is in capitals.

use crate::world::World;

/// Whether this is something that must never be.
pub fn is_wrong(words: &str) -> bool {
    words.split([',', ' ', ':']).any(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase()))
}

pub fn mention(world: &World) -> String {
    let bot = world.github.bot_login();
    let thread = world.github.comments("octo/app#1");
    let said: Vec<_> = thread.iter().filter(|it| it.author == bot).collect();
    let (pulls, checks) = (world.github.pulls("octo/app"), world.github.check_runs("octo/app"));
    let branches = world.github.branches("octo/app").len();
    if said.len() > 1 || pulls.len() > 1 || checks.len() > 1 || branches > 2 {
        return "DOUBLED".to_owned();
    }
    let reacted = |with: &str| thread[0].reactions.iter().any(|it| it.ends_with(with));
    let words = said.first().map(|it| it.body.as_str()).unwrap_or_default();
    if pulls.is_empty() {
        return match () {
            () if words.contains("### I could not") => "failed, told",
            () if words.contains(":not_a_writer") => "refused, told",
            () if words.contains("cloud-agent:refusal") => "failed, told",
            () if reacted("confused") => "failed, 😕",
            () => "SILENT",
        }
        .to_owned();
    }
    let completed = checks.first().is_some_and(|it| it.conclusion.as_deref() == Some("success"));
    without(&[
        (reacted("eyes"), "👀"),
        (!said.is_empty(), "comment"),
        (said.is_empty() || words.contains("### Opened #"), "last words"),
        (completed, "check"),
        (reacted("rocket"), "🚀"),
    ])
}

pub fn review(world: &World) -> String {
    let (reviews, checks) = (world.github.reviews("octo/app#1"), world.github.check_runs("octo/app"));
    if reviews.len() > 1 || checks.len() > 1 || world.github.review_comments("octo/app#1").len() > 1 {
        return "DOUBLED".to_owned();
    }
    let check = checks.first();
    let ended = check.is_some_and(|it| it.status == "completed");
    if reviews.is_empty() {
        return match ended && check.is_some_and(|it| it.conclusion.as_deref() != Some("success")) {
            true => "failed, told",
            false => "SILENT",
        }
        .to_owned();
    }
    without(&[(check.is_some(), "check"), (check.is_none() || ended, "the check's end")])
}

pub fn push(world: &World) -> String {
    let (reviews, checks) = (world.github.reviews("octo/app#1"), world.github.check_runs("octo/app"));
    let (threads, comments) = (world.github.threads("octo/app#1"), world.github.review_comments("octo/app#1"));
    if reviews.len() > 1 || checks.len() > 2 || comments.len() > 1 {
        return "DOUBLED".to_owned();
    }
    if checks.len() < 2 || checks.iter().any(|it| it.status != "completed") {
        return "SILENT".to_owned();
    }
    without(&[(threads.iter().all(|it| it.resolved_by.is_some()), "resolving")])
}

/// `done`, and what is missing of it.
fn without(parts: &[(bool, &str)]) -> String {
    let missing: Vec<&str> = parts.iter().filter(|it| !it.0).map(|it| it.1).collect();
    if missing.is_empty() { "done".to_owned() } else { format!("done, no {}", missing.join(", no ")) }
}
