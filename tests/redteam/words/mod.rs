//! Attacks by words: titles, comments, names and what the agent answers.
//!
//! Words are the same in every database, so these stories play on SQLite alone.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::world::{Database, World};

mod answers;
mod bots;
mod doors;
mod held;
mod hidden;
mod leaks;
mod money;
mod names;
mod orders;
mod pictures;
mod places;
mod reach;
mod reviews;

/// What looks like a token of GitHub and is none.
const KEY: &str = "ghp_0123456789abcdefABCDEF0123456789abcd";

async fn world() -> World {
    World::on(Database::sqlite()).await
}

/// alice asks for something on a new issue, and everything comes to rest; the issue's number.
async fn ask(world: &World, words: &str) -> u64 {
    let number = world.issue("The greeting is short", "");
    world.github.comment("alice", &format!("octo/app#{number}"), &format!("@cloud-agent {words}")).await;
    world.settle().await;
    number
}

/// An answer of the agent with this in every field that people are shown.
fn answer(title: &str, words: &str) -> String {
    json!({ "title": title, "summary": words, "details": words, "verification": words, "changed": true }).to_string()
}

/// The bot's last word on an issue or pull request.
fn said(world: &World, number: u64) -> String {
    world.github.last_comment(&format!("octo/app#{number}")).unwrap().body
}

/// Everything that the bot has sent to GitHub, and every branch with its commits and files.
fn published(world: &World) -> String {
    let mut all = String::new();
    for request in world.github.journal().iter().filter(|it| it.method != "GET") {
        let _ = writeln!(all, "{} {} {}", request.method, request.path, words_of(&request.body));
    }
    for branch in world.github.branches("octo/app") {
        let _ = writeln!(all, "{branch}\n{}", world.github.diff("octo/app", "main", &branch));
        for commit in world.github.commits("octo/app", "main", &branch) {
            let _ = writeln!(all, "{} {} {}", commit.author_name, commit.author_email, commit.message);
        }
    }
    all
}

/// The texts of a value as they are, not as JSON spells them.
fn words_of(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(items) => items.iter().map(words_of).collect(),
        Value::Object(fields) => fields.values().map(words_of).collect(),
        _ => String::new(),
    }
}

/// The writes to GitHub, by method and path, each once.
fn writes(world: &World) -> Vec<String> {
    let journal = world.github.journal();
    let writes = journal.iter().filter(|it| it.method != "GET" && !it.path.ends_with("/access_tokens"));
    let mut writes: Vec<String> = writes
        .map(|it| {
            let parts =
                it.path.split('/').map(|part| if part.bytes().all(|b| b.is_ascii_digit()) { "N" } else { part });
            // An empty part is before the first slash.
            format!(
                "{} {}",
                it.method,
                parts.collect::<Vec<_>>().join("/").replacen('N', "", 1).trim_start_matches('/')
            )
        })
        .collect();
    writes.sort();
    writes.dedup();
    writes
}
