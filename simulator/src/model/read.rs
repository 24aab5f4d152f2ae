//! Reading a conversation: where it stands, what was asked, where the CLI works.

use serde_json::{Value, json};

/// The content blocks of a message, also when its content is a plain string.
fn blocks(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        Value::Array(blocks) => blocks.clone(),
        _ => Vec::new(),
    }
}

fn is_reminder(block: &Value) -> bool {
    block["text"].as_str().unwrap_or_default().trim_start().starts_with("<system-reminder>")
}

/// A user message with something other than tool results and reminders in it.
fn is_prompt(message: &Value) -> bool {
    if message["role"] != "user" {
        return false;
    }
    let blocks = blocks(message);
    !blocks.iter().any(|it| it["type"] == "tool_result")
        && blocks.iter().any(|it| it["type"] == "text" && !is_reminder(it))
}

fn messages(body: &Value) -> &[Value] {
    body["messages"].as_array().map_or(&[], Vec::as_slice)
}

/// How many tool results there are since the last prompt: the step of the script to play.
pub(crate) fn results(body: &Value) -> usize {
    let mut results = 0;
    for message in messages(body) {
        if is_prompt(message) {
            results = 0;
        } else if message["role"] == "user" {
            results += blocks(message).iter().filter(|it| it["type"] == "tool_result").count();
        }
    }
    results
}

/// What the tools have said since the last prompt.
pub(crate) fn outputs(body: &Value) -> String {
    let mut outputs = Vec::new();
    for message in messages(body) {
        if is_prompt(message) {
            outputs.clear();
        }
        for result in blocks(message).iter().filter(|it| it["type"] == "tool_result") {
            outputs.extend(blocks(result).iter().filter_map(|it| it["text"].as_str().map(str::to_owned)));
        }
    }
    outputs.join("\n")
}

/// How many prompts there are.
pub(crate) fn prompts(body: &Value) -> usize {
    messages(body).iter().filter(|it| is_prompt(it)).count()
}

fn prompt_text(message: &Value) -> String {
    let texts: Vec<String> = blocks(message)
        .iter()
        .filter(|it| it["type"] == "text" && !is_reminder(it))
        .filter_map(|it| it["text"].as_str().map(str::to_owned))
        .collect();
    texts.join("\n")
}

/// The text of the first prompt.
pub(crate) fn first_prompt(body: &Value) -> String {
    messages(body).iter().find(|it| is_prompt(it)).map(prompt_text).unwrap_or_default()
}

/// The text of the newest prompt.
pub fn last_prompt(body: &Value) -> String {
    messages(body).iter().rev().find(|it| is_prompt(it)).map(prompt_text).unwrap_or_default()
}

/// Where the CLI says it works; scripted edits need absolute paths.
pub fn working_directory(body: &Value) -> String {
    let mut texts = match &body["system"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => blocks.iter().filter_map(|it| it["text"].as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    for message in messages(body) {
        texts.extend(blocks(message).iter().filter_map(|it| it["text"].as_str().map(str::to_owned)));
    }
    for mark in ["Primary working directory:", "Working directory:", "cwd:"] {
        let after = texts.iter().find_map(|it| it.split_once(mark).map(|it| it.1));
        if let Some(path) = after.and_then(|it| it.split_whitespace().next()) {
            return path.to_owned();
        }
    }
    "/workspace".to_owned()
}
