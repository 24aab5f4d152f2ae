//! Argument injection: what a comment says is the prompt, and never a flag, a setting, an address or a command of the CLI.

use cloud_agent::agent::command::{self, Invocation};
use cloud_agent::agent::{Session, Tools};
use serde_json::json;
use simulator::Script;
use std::process::{Command, Stdio};
use uuid::Uuid;

use super::world;
use crate::world::real_claude;

const IN_A_FILE: &str = "words-that-only-a-file-has";

/// Run the real CLI by itself, with our command line, in a directory with the file, and see what it sends to the model.
async fn by_itself(prompt: Vec<u8>, mentions: bool) -> Vec<String> {
    let world = world().await;
    world.model.will(Script::says("Done."));
    let invocation = Invocation {
        session: Session::New(Uuid::new_v4()),
        model: None,
        max_turns: 2,
        budget_micros: 1_000_000,
        system_prompt: None,
        tools: Tools::ReadOnly,
        schema: command::ANSWER_SCHEMA.to_owned(),
        env: [("ANTHROPIC_API_KEY", world.model.api_key()), ("ANTHROPIC_BASE_URL", world.model.url().to_owned())]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
    };
    let exec = invocation.exec();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("notes.txt"), IN_A_FILE).unwrap();
    let mut claude = Command::new(real_claude());
    claude.args(&exec.argv[1..]).current_dir(dir.path()).env_clear().envs(&exec.env);
    claude.env("HOME", dir.path()).env("PATH", std::env::var("PATH").unwrap());
    if mentions {
        claude.env_remove("CLAUDE_CODE_DISABLE_FILE_MENTIONS");
    }
    let mut child = claude.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    tokio::task::spawn_blocking(move || {
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &prompt).unwrap();
        child.wait().unwrap()
    })
    .await
    .unwrap();
    world.model.requests().iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn class_12_a_leading_slash_reaches_the_model_as_words() {
    let requests = by_itself(command::user_message("/compact @notes.txt"), false).await;
    assert!(requests.iter().any(|it| it.contains("/compact @notes.txt")), "{requests:?}");
    assert!(requests.iter().all(|it| !it.contains(IN_A_FILE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn control_12_the_bare_cli_attaches_the_file_and_keeps_the_command() {
    let requests = by_itself(command::user_message("look at @notes.txt"), true).await;
    assert!(requests.iter().any(|it| it.contains(IN_A_FILE)), "{requests:?}");
    let bare = json!({ "type": "user", "message": { "role": "user", "content": "/compact @notes.txt" } });
    let requests = by_itself(format!("{bare}\n").into_bytes(), false).await;
    assert!(requests.iter().all(|it| !it.contains("/compact @notes.txt")), "the model never hears of it: {requests:?}");
}
