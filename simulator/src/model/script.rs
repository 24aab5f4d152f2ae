//! Scripts: what the scripted model says, step by step, or how it fails.

use std::time::Duration;

use serde_json::{Value, json};

use super::read::{last_prompt, outputs, results, working_directory};

/// One content block of an answer, in the API's own form.
pub type Block = Value;

/// What an answer claims to have used. Costs follow from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cache_read_input_tokens: Option<u64>,
    pub cache_creation_input_tokens: Option<u64>,
}

/// One answer of the model.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub content: Vec<Block>,
    /// Taken from the content if not given: `tool_use` or `end_turn`.
    pub stop_reason: Option<String>,
    pub usage: Usage,
    pub headers: Vec<(String, String)>,
}

/// A text block. `{CWD}` is replaced by the CLI's working directory, `{ARG}` by what the prompt has in `[[…]]`, and
/// `{AFTER:words}` by what the tools' output has right after these words, up to a space or a colon.
pub fn text(words: &str) -> Block {
    json!({ "type": "text", "text": words })
}

/// A thinking block.
pub fn thinking(words: &str) -> Block {
    json!({ "type": "thinking", "thinking": words, "signature": "c2NyaXB0ZWQ=" })
}

/// A call of any tool, with the same replacements in its input.
pub fn tool(name: &str, input: Value) -> Block {
    let mut block = json!({ "type": "tool_use", "name": name });
    block["input"] = input;
    block
}

/// A call of the Bash tool.
pub fn bash(command: &str) -> Block {
    tool("Bash", json!({ "command": command, "description": "Run a command" }))
}

impl From<Vec<Block>> for Step {
    fn from(content: Vec<Block>) -> Self {
        Self { content, ..Self::default() }
    }
}

/// What goes wrong in the middle of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// An `error` event instead of the rest.
    ErrorEvent,
    /// The connection is closed.
    Cut,
}

/// What to do with one request.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Error { status: u16, kind: String, message: String, headers: Vec<(String, String)> },
    Hang,
    Say { step: Step, trouble: Option<Trouble>, delay: Duration },
}

#[derive(Clone, Debug)]
enum Kind {
    /// The step is chosen by the number of tool results since the last prompt; the last one is repeated.
    Steps(Vec<Step>),
    Error {
        status: u16,
        kind: String,
        message: String,
        headers: Vec<(String, String)>,
    },
    /// So many requests meet the first script, then the other one.
    First {
        times: u64,
        first: Box<Script>,
        then: Box<Script>,
    },
    /// Bash for ever.
    Loop {
        command: String,
        usage: Usage,
    },
    Hang,
    Broken(Trouble),
}

/// How the model behaves in one run.
#[derive(Clone, Debug)]
pub struct Script {
    kind: Kind,
    usage: Usage,
    delay: Duration,
}

impl Script {
    fn new(kind: Kind) -> Self {
        Self { kind, usage: Usage::default(), delay: Duration::ZERO }
    }

    /// One answer per step. The step played is the number of tool results since the last prompt, so the client's real
    /// tools run, and a resumed session begins anew with its new prompt. A step with two tool calls takes two numbers:
    /// pad with [`Script::steps`]' next entry accordingly, or use one call a step.
    pub fn steps<S: Into<Step>>(steps: Vec<S>) -> Self {
        Self::new(Kind::Steps(steps.into_iter().map(Into::into).collect()))
    }

    /// One short answer without tools.
    pub fn hello() -> Self {
        Self::says("Hello from the scripted model.")
    }

    /// One answer without tools.
    pub fn says(words: &str) -> Self {
        Self::steps(vec![vec![text(words)]])
    }

    /// Runs one shell command, then gives this `StructuredOutput`.
    pub fn runs(command: &str, answer: Value) -> Self {
        Self::steps(vec![vec![bash(command)], vec![tool("StructuredOutput", answer)], vec![text("Done.")]])
    }

    /// Answers every request with an error, for example 401 `authentication_error`, 529 `overloaded_error`. The CLI
    /// retries unless `x-should-retry: false` is among the headers.
    pub fn error(status: u16, kind: &str, message: &str, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::new(Kind::Error { status, kind: kind.to_owned(), message: message.to_owned(), headers })
    }

    /// Fails the first `times` requests of the run with this status, then goes on.
    pub fn flaky(times: u64, status: u16, then: Script) -> Self {
        let kind = if status == 529 { "overloaded_error" } else { "api_error" };
        Self::first(times, Script::error(status, kind, "Overloaded", &[]), then)
    }

    /// The first `times` requests of the run meet one script, those after it another.
    pub fn first(times: u64, first: Script, then: Script) -> Self {
        Self::new(Kind::First { times, first: Box::new(first), then: Box::new(then) })
    }

    /// Calls Bash for ever.
    pub fn loop_bash() -> Self {
        Self::new(Kind::Loop { command: "echo turn {TURN}".to_owned(), usage: Usage::default() })
    }

    /// Calls Bash for ever, and each answer costs so many output tokens.
    pub fn expensive(output_tokens: u64) -> Self {
        let usage = Usage { output_tokens: Some(output_tokens), ..Usage::default() };
        Self::new(Kind::Loop { command: "echo turn {TURN}".to_owned(), usage })
    }

    /// Takes the request and never answers.
    pub fn hang() -> Self {
        Self::new(Kind::Hang)
    }

    /// Closes the connection in the middle of the stream.
    pub fn cut_stream() -> Self {
        Self::new(Kind::Broken(Trouble::Cut))
    }

    /// Sends an `error` event in the middle of the stream.
    pub fn midstream_error() -> Self {
        Self::new(Kind::Broken(Trouble::ErrorEvent))
    }

    /// Stops with `refusal`.
    pub fn refusal() -> Self {
        Self::steps(vec![Step { stop_reason: Some("refusal".to_owned()), ..Step::from(vec![text("")]) }])
    }

    /// Stops with `max_tokens`.
    pub fn max_tokens() -> Self {
        let content = vec![text("This answer was cut")];
        Self::steps(vec![Step { stop_reason: Some("max_tokens".to_owned()), ..Step::from(content) }])
    }

    /// Claims this usage for every answer that does not claim its own.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Waits so long before every event of a stream; makes a demo watchable.
    #[must_use]
    pub fn slowly(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// What to do with this request, the `nth` of its run.
    pub(crate) fn action(&self, body: &Value, nth: u64) -> Action {
        let say = |step: Step, trouble| Action::Say { step: self.complete(step, body), trouble, delay: self.delay };
        match &self.kind {
            Kind::Error { status, kind, message, headers } => Action::Error {
                status: *status,
                kind: kind.clone(),
                message: message.clone(),
                headers: headers.clone(),
            },
            Kind::First { times, first, .. } if nth <= *times => first.action(body, nth),
            Kind::First { then, .. } => then.action(body, nth),
            Kind::Hang => Action::Hang,
            // A request without tools is not the agent's main loop; the CLI wants a title for the session.
            _ if body["tools"].as_array().is_none_or(Vec::is_empty) => {
                say(Step::from(vec![text("{\"title\":\"Scripted session\"}")]), None)
            }
            Kind::Steps(steps) => {
                let last = steps.len().saturating_sub(1);
                say(steps.get(results(body).min(last)).cloned().unwrap_or_default(), None)
            }
            Kind::Loop { command, usage } => {
                let command = command.replace("{TURN}", &results(body).to_string());
                say(Step { usage: usage.clone(), ..Step::from(vec![bash(&command)]) }, None)
            }
            Kind::Broken(trouble) => say(Step::from(vec![text(&"partial text ".repeat(5))]), Some(*trouble)),
        }
    }

    /// Fills in the places, ids and usage of a step.
    fn complete(&self, mut step: Step, body: &Value) -> Step {
        let (cwd, prompt) = (working_directory(body), last_prompt(body));
        let argument = prompt.split_once("[[").and_then(|it| it.1.split_once("]]")).map_or("true", |it| it.0);
        let outputs = outputs(body);
        let filled = |text: &str| after(&text.replace("{CWD}", &cwd).replace("{ARG}", argument), &outputs);
        for block in &mut step.content {
            fill(block, &filled);
            if block["type"] == "tool_use" {
                block["id"] = json!(format!("toolu_{}", &uuid::Uuid::new_v4().simple().to_string()[..24]));
            }
        }
        let usage = &self.usage;
        step.usage.input_tokens = step.usage.input_tokens.or(usage.input_tokens);
        step.usage.output_tokens = step.usage.output_tokens.or(usage.output_tokens);
        step.usage.cache_read_input_tokens = step.usage.cache_read_input_tokens.or(usage.cache_read_input_tokens);
        step.usage.cache_creation_input_tokens =
            step.usage.cache_creation_input_tokens.or(usage.cache_creation_input_tokens);
        step
    }
}

fn fill(value: &mut Value, filled: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = filled(text),
        Value::Array(items) => items.iter_mut().for_each(|it| fill(it, filled)),
        Value::Object(object) => object.values_mut().for_each(|it| fill(it, filled)),
        _ => {}
    }
}

fn after(text: &str, outputs: &str) -> String {
    let Some((before, words, rest)) =
        text.split_once("{AFTER:").and_then(|(before, rest)| rest.split_once('}').map(|it| (before, it.0, it.1)))
    else {
        return text.to_owned();
    };
    let found = outputs.split_once(words).map_or("", |it| it.1);
    let found = found.split(|c: char| c == ':' || c.is_whitespace()).next().unwrap_or_default();
    format!("{before}{found}{rest}")
}
