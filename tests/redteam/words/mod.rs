//! Attacks by words: titles, comments, names and what the agent answers.
//!
//! Words are the same in every database, so these stories play on SQLite alone.

use crate::world::{Database, World};

mod answers;
mod bots;
mod doors;
mod held;
mod hidden;
mod names;
mod orders;

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

/// The bot's last word on an issue or pull request.
fn said(world: &World, number: u64) -> String {
    world.github.last_comment(&format!("octo/app#{number}")).unwrap().body
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
