//! The stories that are interrupted, and the world as it stands when they have come to rest.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::json;
use simulator::Script;

use super::point::Kind;
use crate::stories::findings::{APP, ON, finding, findings};
use crate::world::{World, steady};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Story {
    /// A mention on an issue becomes a pull request.
    Mention,
    /// The same, and the real Claude Code asks the model.
    RealMention,
    /// A pull request gets its review.
    Review,
}

impl Story {
    pub fn name(self) -> &'static str {
        match self {
            Self::Mention => "mention",
            Self::RealMention => "real-mention",
            Self::Review => "review",
        }
    }

    /// What its points are; the real Claude Code is slow, and differs from its actor in asking the model.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Mention | Self::Review => &[Kind::Call, Kind::Write],
            Self::RealMention => &[Kind::Model],
        }
    }

    /// What is there before anybody asks.
    pub fn prepare(self, world: &mut World) {
        match self {
            Self::Mention => {
                world.claude_will("echo 'hello, world' > README.md");
                world.issue("The greeting is short", "");
            }
            Self::RealMention => {
                world.claude_is_real();
                let answer = json!({
                    "title": "Greet the world", "summary": "The greeting was too short.", "details": "",
                    "verification": "I read it again.", "changed": true
                });
                world.model.will(Script::runs("echo 'hello, world' > README.md", answer));
                world.issue("The greeting is short", "");
            }
            Self::Review => {
                let found = [
                    finding("app.txt", 2, "Two is wrong", r#","replacement":"zwei""#),
                    finding("app.txt", 4, "Four is wrong", ""),
                ];
                world.claude_finds(&findings(&found));
                world.settings(ON);
            }
        }
    }

    /// Somebody asks.
    pub async fn ask(self, world: &World) {
        match self {
            Self::Mention | Self::RealMention => {
                drop(world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await);
            }
            Self::Review => drop(world.pull("change", &[("app.txt", APP)]).await),
        }
    }

    /// All that can be seen and all that is stored, without what differs from run to run.
    pub async fn picture(self, world: &World) -> String {
        let github = &world.github;
        let mut out = String::new();
        for it in github.comments("octo/app#1") {
            let _ = writeln!(out, "{} says, with {}:\n{}", it.author, it.reactions.join(", "), it.body);
        }
        for it in github.pulls("octo/app") {
            let _ = writeln!(out, "#{} by {} from {}: {}\n{}", it.number, it.author, it.head, it.title, it.body);
            for commit in github.commits("octo/app", &it.base, &it.head) {
                let _ = writeln!(out, "commit by {}: {}", commit.author_name, commit.message);
            }
            let _ = writeln!(out, "{}", github.diff("octo/app", &it.base, &it.head));
        }
        let _ = writeln!(out, "branches: {}", github.branches("octo/app").join(", "));
        for it in github.reviews("octo/app#1") {
            let _ = writeln!(out, "{} reviews, {}:\n{}", it.author, it.state, it.body);
        }
        for it in github.review_comments("octo/app#1") {
            let _ = writeln!(out, "{} on {}:{:?}:\n{}", it.author, it.path, it.line, it.body);
        }
        for it in github.check_runs("octo/app") {
            let (conclusion, title) = (it.conclusion.unwrap_or_default(), it.title.unwrap_or_default());
            let _ =
                writeln!(out, "check {}: {} {conclusion}, {} notes: {title}", it.name, it.status, it.annotations.len());
            let _ = writeln!(out, "{}", it.summary.unwrap_or_default());
        }
        for it in world.store().tasks(100).await.unwrap() {
            let ending = it.ending.map(|it| it.code).unwrap_or_default();
            let _ = writeln!(out, "task {} on #{}: {}, {ending}", it.kind.name(), it.place.number, it.state.name());
        }
        for it in world.store().findings(github.repo_id("octo/app"), 1).await.unwrap() {
            let said = if it.comment_id.is_some() { "said" } else { "not said" };
            let _ = writeln!(out, "finding {}: {:?}, {said}", it.finding.title, it.known.state);
        }
        // Keys name ids; the same write under two ids is seen on GitHub.
        let effects: BTreeSet<String> = world
            .effects()
            .await
            .iter()
            .map(|(key, state)| format!("write {}: {state}", unnumbered(&steady(key))))
            .collect();
        let _ = writeln!(out, "{}", effects.into_iter().collect::<Vec<_>>().join("\n"));
        steady(&without_turns(&out))
    }
}

/// An agent that began again has taken more turns.
fn without_turns(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split(" turns").peekable();
    while let Some(part) = parts.next() {
        match parts.peek() {
            Some(_) => out.extend([part.trim_end_matches(|it: char| it.is_ascii_digit()), "N turns"]),
            None => out.push_str(part),
        }
    }
    out
}

/// Without the numbers of GitHub's objects.
fn unnumbered(key: &str) -> String {
    let parts = key.split_inclusive(['-', ':', '/']).map(|part| {
        let digits = part.trim_end_matches(['-', ':', '/']);
        if digits.len() > 2 && digits.bytes().all(|it| it.is_ascii_digit()) {
            part.replace(digits, "N")
        } else {
            part.to_owned()
        }
    });
    parts.collect()
}
