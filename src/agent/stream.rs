//! What Claude Code writes, line by line, turned into the few things that somebody wants to know.
//!
//! The schema is not documented as stable and grows weekly: what is unknown is skipped, what is missing is empty, and
//! nothing that a sandbox can write makes this fail.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lines::{LONGEST_LINE, LineSplitter, Piece};
use super::todo::{Board, Todo};
use super::{clip, one_line};

/// Longest text in an event that is stored.
const LONGEST_TEXT: usize = 16 << 10;
const LONGEST_BRIEF: usize = 200;

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A session begins, or goes on after a message.
    Init { session_id: String, model: String, version: String },
    /// The agent says something.
    Text(String),
    /// The agent calls a tool. `brief` is one line, such as `Bash: sh test.sh` or `Edit: src/calc.sh`.
    Tool { id: String, name: String, brief: String },
    /// The tool with this id has answered. `brief` is the first line of `text`.
    ToolResult { id: String, is_error: bool, brief: String, text: String },
    /// The agent's list of what to do, whole, each time it changes.
    Todos(Vec<Todo>),
    /// A model request failed and is tried again.
    Retry { attempt: u32, status: Option<u16> },
    /// A tool call was not allowed.
    Denied { name: String, message: String },
    /// A turn has ended. The last one counts.
    Result(Box<ResultLine>),
    /// An answer to something that we asked on standard input.
    Control,
    /// A line was too long to be kept.
    Cut { bytes: u64 },
    /// Anything else.
    Other,
}

/// How a turn ended, in Claude Code's words. `is_error` decides, never `subtype`: an API error is a "success".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultLine {
    pub subtype: String,
    pub is_error: bool,
    pub result: Option<String>,
    pub errors: Vec<String>,
    pub api_error_status: Option<u16>,
    pub api_error_type: Option<String>,
    pub stop_reason: Option<String>,
    pub terminal_reason: Option<String>,
    pub session_id: Option<String>,
    pub num_turns: u32,
    pub duration_ms: u64,
    /// As told, over the whole of a resumed session; the gateway's own count is what is billed.
    pub cost_micros: i64,
    pub structured_output: Option<Value>,
    /// Tool calls that were not allowed.
    pub denials: usize,
}

/// Reads a process's standard output.
#[derive(Debug)]
pub struct Stream {
    lines: LineSplitter,
    board: Board,
}

impl Default for Stream {
    fn default() -> Self {
        Self { lines: LineSplitter::new(LONGEST_LINE), board: Board::default() }
    }
}

impl Stream {
    /// What these bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let pieces = self.lines.push(bytes);
        pieces.into_iter().flat_map(|piece| self.piece(piece)).collect()
    }

    /// The process has ended.
    pub fn end(&mut self) -> Vec<Line> {
        let piece = self.lines.end();
        piece.into_iter().flat_map(|piece| self.piece(piece)).collect()
    }

    /// Output was dropped here.
    pub fn gap(&mut self) {
        self.lines.gap();
    }

    fn piece(&mut self, piece: Piece) -> Vec<Line> {
        match piece {
            Piece::Line(line) => self.line(&line),
            Piece::Cut { bytes } => vec![Line::Cut { bytes }],
        }
    }

    /// One line of JSON can hold several things, and `Other` is what holds none.
    pub fn line(&mut self, line: &[u8]) -> Vec<Line> {
        // A stray byte in a tool's output must not lose the line.
        let line = String::from_utf8_lossy(line);
        let Ok(json) = serde_json::from_str::<Value>(&line) else { return vec![Line::Other] };
        let lines = match json["type"].as_str() {
            Some("system") => vec![system(&json)],
            Some("assistant") => self.assistant(&json),
            Some("user") => self.user(&json),
            Some("result") => vec![Line::Result(Box::new(ResultLine::read(&json)))],
            Some("control_response" | "control_request") => vec![Line::Control],
            _ => vec![],
        };
        if lines.is_empty() { vec![Line::Other] } else { lines }
    }

    fn assistant(&mut self, json: &Value) -> Vec<Line> {
        let mut lines = Vec::new();
        for block in blocks(json) {
            match block["type"].as_str() {
                // What a subagent says is said to the agent, not to us.
                Some("text") if json["parent_tool_use_id"].is_null() => {
                    lines.extend(
                        block["text"].as_str().filter(|text| !text.is_empty()).map(|text| Line::Text(text.to_owned())),
                    );
                }
                Some("tool_use") => {
                    let (id, name, input) = (string(&block["id"]), string(&block["name"]), &block["input"]);
                    lines.extend(self.board.call(&id, &name, input).map(Line::Todos));
                    lines.push(Line::Tool { brief: brief(&name, input), id, name });
                }
                _ => {}
            }
        }
        lines
    }

    fn user(&mut self, json: &Value) -> Vec<Line> {
        let mut lines = Vec::new();
        let results: Vec<&Value> = blocks(json).iter().filter(|block| block["type"] == "tool_result").collect();
        for block in &results {
            let id = string(&block["tool_use_id"]);
            let is_error = block["is_error"] == true;
            // `tool_use_result` stands beside the message and belongs to its only block.
            if results.len() == 1 && !is_error {
                lines.extend(self.board.result(&id, &json["tool_use_result"]).map(Line::Todos));
            }
            let text = said(&block["content"]);
            lines.push(Line::ToolResult { id, is_error, brief: one_line(&text, LONGEST_BRIEF), text });
        }
        lines
    }
}

fn system(json: &Value) -> Line {
    match json["subtype"].as_str() {
        Some("init") => Line::Init {
            session_id: string(&json["session_id"]),
            model: string(&json["model"]),
            version: string(&json["claude_code_version"]),
        },
        Some("api_retry") => {
            Line::Retry { attempt: small(&json["attempt"]).unwrap_or(0), status: small(&json["error_status"]) }
        }
        Some("permission_denied") => {
            Line::Denied { name: string(&json["tool_name"]), message: string(&json["message"]) }
        }
        _ => Line::Other,
    }
}

fn blocks(json: &Value) -> &[Value] {
    json["message"]["content"].as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn small<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    T::try_from(value.as_u64()?).ok()
}

/// The text of a tool result, which is a string or a list of blocks.
fn said(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// A tool call in one line: its name and the one argument that tells the most.
fn brief(name: &str, input: &Value) -> String {
    let key = match name {
        "Bash" => "command",
        "Read" | "Edit" | "Write" => "file_path",
        "Glob" | "Grep" => "pattern",
        "StructuredOutput" => "title",
        "TaskCreate" => "subject",
        "TaskUpdate" => "status",
        _ => "description",
    };
    let argument = input[key].as_str().unwrap_or_default();
    let argument = if key == "file_path" { argument.strip_prefix("/workspace/").unwrap_or(argument) } else { argument };
    let brief = if argument.trim().is_empty() { name.to_owned() } else { format!("{name}: {}", argument.trim()) };
    one_line(&brief, LONGEST_BRIEF)
}

impl ResultLine {
    fn read(json: &Value) -> Self {
        let errors = json["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let dollars = json["total_cost_usd"].as_f64().filter(|dollars| dollars.is_finite()).unwrap_or_default();
        Self {
            subtype: string(&json["subtype"]),
            // A result that does not say is no success.
            is_error: json["is_error"] != false,
            result: optional(&json["result"]),
            errors: errors.iter().map(string).collect(),
            api_error_status: small(&json["api_error_status"]),
            api_error_type: optional(&json["api_error_type"]),
            stop_reason: optional(&json["stop_reason"]),
            terminal_reason: optional(&json["terminal_reason"]),
            session_id: optional(&json["session_id"]),
            num_turns: small(&json["num_turns"]).unwrap_or(0),
            duration_ms: small(&json["duration_ms"]).unwrap_or(0),
            cost_micros: (dollars * 1e6).round() as i64,
            structured_output: Some(&json["structured_output"]).filter(|value| value.is_object()).cloned(),
            denials: json["permission_denials"].as_array().map_or(0, Vec::len),
        }
    }
}

impl Line {
    /// The kind of the event that is stored for this line.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Init { .. } => "init",
            Self::Text(_) => "text",
            Self::Tool { .. } => "tool",
            Self::ToolResult { .. } => "tool_result",
            Self::Todos(_) => "todos",
            Self::Retry { .. } => "retry",
            Self::Denied { .. } => "denied",
            Self::Result(_) => "result",
            Self::Control => "control",
            Self::Cut { .. } => "cut",
            Self::Other => "other",
        }
    }

    /// The body of the event that is stored for this line; long texts are cut.
    pub fn body(&self) -> Value {
        match self {
            Self::Init { session_id, model, version } => {
                json!({"session_id": clip(session_id, 100), "model": clip(model, 100), "version": clip(version, 100)})
            }
            Self::Text(text) => json!({"text": clip(text, LONGEST_TEXT)}),
            Self::Tool { id, name, brief } => json!({"id": clip(id, 100), "name": clip(name, 100), "brief": brief}),
            Self::ToolResult { id, is_error, brief, text } => {
                json!({"id": clip(id, 100), "is_error": is_error, "brief": brief, "text": clip(text, LONGEST_TEXT)})
            }
            Self::Todos(todos) => json!({"todos": todos}),
            Self::Retry { attempt, status } => json!({"attempt": attempt, "status": status}),
            Self::Denied { name, message } => json!({"name": clip(name, 100), "message": clip(message, LONGEST_BRIEF)}),
            Self::Result(result) => json!({
                "is_error": result.is_error,
                "subtype": clip(&result.subtype, 100),
                "terminal_reason": result.terminal_reason.as_deref().map(|reason| clip(reason, 100)),
                "turns": result.num_turns,
                "cost_micros": result.cost_micros,
                "text": clip(result.result.as_deref().unwrap_or_default(), LONGEST_TEXT),
            }),
            Self::Cut { bytes } => json!({"bytes": bytes}),
            Self::Control | Self::Other => json!({}),
        }
    }
}
