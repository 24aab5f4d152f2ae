//! Claude Code's command line and environment, every flag with its reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use uuid::Uuid;

use crate::sandbox::Exec;

/// Where the executable is mounted in a sandbox.
pub const CLAUDE: &str = "/opt/claude/claude";
/// The repository in a sandbox.
pub const WORKSPACE: &str = "/workspace";
/// The text that is appended to the system prompt.
pub const SYSTEM_PROMPT: &str = "/context/system.md";
/// The shape of the structured answer.
pub const ANSWER_SCHEMA: &str = include_str!("../../templates/prompt/answer.schema.json");
/// The same for work on a pull request, with what became of its review threads.
pub const PULL_SCHEMA: &str = include_str!("../../templates/prompt/pull.schema.json");

/// What the agent may use. No subagents, no web: what it needs of the world it gets through Bash and the gateway.
///
/// A choice keeps a model to its task; it is no boundary, which the sandbox is: Bash writes files as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tools {
    /// For work.
    All,
    /// For a review: it may run the tests and ask git, and has nothing to edit with.
    Review,
    /// To look something up and no more.
    ReadOnly,
}

impl Tools {
    /// Which of the two to-do tools exists is the version's choice: `CLAUDE_CODE_ENABLE_TASKS=0` asks 2.1.328 for
    /// `TodoWrite`, whose every call holds the whole list; without it there are `TaskCreate` and `TaskUpdate`, whose list
    /// lives in a home directory that does not outlast the sandbox. A name that does not exist is ignored.
    fn names(self) -> &'static str {
        match self {
            Self::All => "Bash,Edit,Read,Write,Glob,Grep,TodoWrite,TaskCreate,TaskUpdate,TaskList",
            Self::Review => "Bash,Read,Glob,Grep,TodoWrite,TaskCreate,TaskUpdate,TaskList",
            Self::ReadOnly => "Read,Glob,Grep",
        }
    }
}

const RESUME: &str = "--resume";

/// Output beyond this is dropped. A long session writes a few MiB.
const MAX_OUTPUT: u64 = 64 << 20;

/// One call of Claude Code.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub session: Session,
    /// Full id or alias; the CLI's default when absent.
    pub model: Option<String>,
    /// At least 1: the CLI takes 0 for "no limit".
    pub max_turns: u32,
    /// What may be spent, in micro-dollars. The gateway holds the budget; the CLI's own limit is a second net.
    pub budget_micros: i64,
    /// A file in the sandbox that is appended to the system prompt, such as `SYSTEM_PROMPT`.
    pub system_prompt: Option<PathBuf>,
    pub tools: Tools,
    /// JSON schema of the answer, such as `ANSWER_SCHEMA`; what answers another one is in `Answer::structured`.
    pub schema: String,
    /// The gate's variables and whatever else the process should see. Never a secret.
    pub env: BTreeMap<String, String>,
}

/// A conversation that begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    New(Uuid),
    /// Its transcript has to lie at `transcript(id)`.
    Resume(Uuid),
}

impl Session {
    pub fn id(self) -> Uuid {
        match self {
            Self::New(id) | Self::Resume(id) => id,
        }
    }
}

/// Where Claude Code keeps the transcript of a session that ran in `WORKSPACE`; large tool outputs lie beside it in a
/// directory of the same name.
pub fn transcript(session: Uuid) -> PathBuf {
    let place = WORKSPACE.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    Path::new("/home/agent/.claude/projects").join(place).join(format!("{session}.jsonl"))
}

impl Invocation {
    /// The process to start.
    pub fn exec(&self) -> Exec {
        Exec {
            argv: self.argv(),
            env: self.environment(),
            cwd: PathBuf::from(WORKSPACE),
            stdin: true,
            network: true,
            max_output: MAX_OUTPUT,
        }
    }

    fn argv(&self) -> Vec<String> {
        let mut argv: Vec<String> = [
            CLAUDE,
            "-p",
            // Messages and an orderly interruption both go in by standard input.
            "--input-format",
            "stream-json",
            "--output-format",
            "stream-json",
            // stream-json is refused without it.
            "--verbose",
            // Nothing of the repository or a home directory is configuration: no hooks, no env, no CLAUDE.md, no MCP.
            "--setting-sources",
            "",
            "--strict-mcp-config",
            "--disable-slash-commands",
            // The sandbox is the boundary; the CLI's rules are none, and a prompt would hang.
            "--permission-mode",
            "bypassPermissions",
            "--permission-prompts",
            "none",
            "--tools",
            self.tools.names(),
            // A resumed session would keep the system prompt of its first run.
            "--system-prompt-snapshot",
            "off",
        ]
        .map(str::to_owned)
        .into();
        let mut flag = |name: &str, value: String| argv.extend([name.to_owned(), value]);
        // The publisher names the requester as co-author; the model should not name itself as another.
        flag("--settings", json!({"attribution": {"commit": "", "pr": ""}}).to_string());
        flag("--json-schema", one_line(&self.schema));
        flag("--max-turns", self.max_turns.max(1).to_string());
        flag("--max-budget-usd", dollars(self.budget_micros));
        if let Some(model) = &self.model {
            flag("--model", model.clone());
        }
        if let Some(file) = &self.system_prompt {
            flag("--append-system-prompt-file", file.to_string_lossy().into_owned());
        }
        match self.session {
            Session::New(id) => flag("--session-id", id.to_string()),
            Session::Resume(id) => flag(RESUME, id.to_string()),
        }
        argv
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let fixed = [
            // Without it the CLI reports to api.anthropic.com, whatever the base URL; here it would hang on that.
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            // One result a run: a command or agent in the background wakes the session up again.
            ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
            // `@/path` in what people write would attach that file.
            ("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1"),
            ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
            // See `Tools::names`. Newer models have no to-do tool at all in print mode unless the second is set.
            ("CLAUDE_CODE_ENABLE_TASKS", "0"),
            ("CLAUDE_CODE_ENABLE_TODO_TOOLS", "1"),
            // Ten tries of ten minutes each would outlast any run.
            ("CLAUDE_CODE_MAX_RETRIES", "4"),
            ("API_TIMEOUT_MS", "300000"),
            ("BASH_DEFAULT_TIMEOUT_MS", "120000"),
            ("BASH_MAX_TIMEOUT_MS", "600000"),
            // True, and what lets it bypass permissions as root, which it is with some providers.
            ("IS_SANDBOX", "1"),
            // A repository's hooks and file system monitor are code that nobody asked for.
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "core.hooksPath"),
            ("GIT_CONFIG_VALUE_0", "/dev/null"),
            ("GIT_CONFIG_KEY_1", "core.fsmonitor"),
            ("GIT_CONFIG_VALUE_1", "false"),
            ("GIT_TERMINAL_PROMPT", "0"),
            // A git of /usr/local looks for it elsewhere.
            ("GIT_CONFIG_SYSTEM", "/etc/gitconfig"),
        ];
        let mut env = self.env.clone();
        env.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        env
    }
}

/// Whether a process goes on with a session.
pub(super) fn resumes(exec: &Exec) -> bool {
    exec.argv.iter().any(|arg| arg == RESUME)
}

/// The schema as one argument. What is no JSON stays as it is, and the CLI says what is wrong with it.
fn one_line(schema: &str) -> String {
    serde_json::from_str::<serde_json::Value>(schema).map_or_else(|_| schema.to_owned(), |value| value.to_string())
}

/// The CLI refuses 0, and the gateway refuses whoever has nothing left.
fn dollars(micros: i64) -> String {
    let micros = micros.max(10_000);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The line on standard input that gives Claude Code its prompt.
pub fn user_message(prompt: &str) -> Vec<u8> {
    // A leading slash would make it a command, which is then refused; a line break before it does not.
    let prompt = if prompt.starts_with('/') { format!("\n{prompt}") } else { prompt.to_owned() };
    line(&json!({"type": "user", "message": {"role": "user", "content": prompt}}))
}

/// The line on standard input that ends the present turn; the result follows at once.
pub fn interrupt() -> Vec<u8> {
    line(&json!({"type": "control_request", "request_id": "stop", "request": {"subtype": "interrupt"}}))
}

fn line(message: &serde_json::Value) -> Vec<u8> {
    format!("{message}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    fn invocation(session: Session) -> Invocation {
        Invocation {
            session,
            model: Some("claude-sonnet-5-5".to_owned()),
            max_turns: 30,
            budget_micros: 4_250_000,
            system_prompt: Some(PathBuf::from(SYSTEM_PROMPT)),
            tools: Tools::All,
            schema: ANSWER_SCHEMA.to_owned(),
            env: BTreeMap::from([("ANTHROPIC_API_KEY".to_owned(), "dummy".to_owned())]),
        }
    }

    fn after<'a>(argv: &'a [String], flag: &str) -> Option<&'a str> {
        argv.iter().position(|arg| arg == flag).map(|at| argv[at + 1].as_str())
    }

    #[test]
    fn the_command_line_holds_what_was_asked() {
        let exec = invocation(Session::New(Uuid::nil())).exec();
        for (flag, value) in [
            ("--setting-sources", ""),
            ("--max-turns", "30"),
            ("--max-budget-usd", "4.250000"),
            ("--model", "claude-sonnet-5-5"),
            ("--append-system-prompt-file", "/context/system.md"),
            ("--session-id", "00000000-0000-0000-0000-000000000000"),
        ] {
            assert_eq!(after(&exec.argv, flag), Some(value), "{flag}");
        }
        assert_eq!(after(&exec.argv, "--resume"), None);
        assert!(exec.stdin && exec.network);
        assert_eq!(exec.env["ANTHROPIC_API_KEY"], "dummy");
        let resumed = invocation(Session::Resume(Uuid::nil())).exec();
        assert_eq!(after(&resumed.argv, "--session-id"), None);
    }

    #[test]
    fn limits_are_never_the_words_for_no_limit() {
        assert_eq!(dollars(0), "0.010000");
        assert_eq!(dollars(-5), "0.010000");
        let none = Invocation { max_turns: 0, ..invocation(Session::New(Uuid::nil())) };
        assert_eq!(after(&none.exec().argv, "--max-turns"), Some("1"));
    }

    #[test]
    fn the_schema_is_one_line_of_json_that_requires_everything() {
        for text in [ANSWER_SCHEMA, PULL_SCHEMA] {
            let schema: serde_json::Value = serde_json::from_str(&one_line(text)).unwrap();
            for object in [&schema, &schema["properties"]["threads"]["items"]] {
                let required = object["required"].as_array().map_or(0, Vec::len);
                assert_eq!(required, object["properties"].as_object().map_or(0, serde_json::Map::len));
            }
            assert!(!one_line(text).contains('\n'));
        }
        // Work is asked for in the same words everywhere.
        let [answer, pull] =
            [ANSWER_SCHEMA, PULL_SCHEMA].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        for (name, property) in answer["properties"].as_object().unwrap() {
            assert!(name == "title" || &pull["properties"][name] == property, "{name}");
        }
    }

    #[test]
    fn a_prompt_is_one_line_and_no_command() {
        let message = String::from_utf8(user_message("/clear\nthis \"now\"")).unwrap();
        assert_eq!(message.matches('\n').count(), 1);
        assert!(message.contains(r#""content":"\n/clear\nthis \"now\"""#));
        assert_eq!(transcript(Uuid::nil()).parent(), Some(Path::new("/home/agent/.claude/projects/-workspace")));
    }
}
