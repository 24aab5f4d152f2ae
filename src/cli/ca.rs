//! `ca`: watch a server's tasks from a terminal or a script. It speaks HTTP and shares only types with the server.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::api::{LogLine, TaskView};
use crate::text;

/// Watch the tasks of a cloud-agent server.
#[derive(Debug, Parser)]
#[command(name = "ca", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// The server.
    #[arg(long, env = "CA_URL", default_value = "http://localhost:3000", global = true)]
    url: Url,
    /// The key; the server keeps its own in DATA_DIR/admin-api-key.
    #[arg(long, env = "CA_API_KEY", hide_env_values = true, global = true)]
    api_key: Option<SecretString>,
    /// Print JSON as the server sent it.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tasks: what was asked, and what became of it.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Whether the server is ready, and what is wrong.
    Status,
}

#[derive(Debug, Subcommand)]
enum TaskCommand {
    /// The newest tasks.
    List {
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// One task.
    Get { task: String },
    /// What happened in a task.
    Logs {
        task: String,
        /// Go on until the task has ended.
        #[arg(short, long)]
        follow: bool,
    },
    /// Wait until a task has ended.
    Wait { task: String },
}

const EXAMPLES: &str = "\
  export CA_API_KEY=$(cat data/admin-api-key)
  ca task list
  ca task logs --follow 0197…

Exit codes: 0 done, 1 failed or not reached, 2 wrong usage, 3 cancelled, 5 not allowed.";

const WRONG_USAGE: u8 = 2;
const CANCELLED: u8 = 3;
const NOT_ALLOWED: u8 = 5;

/// Run `ca`.
pub fn main() -> ExitCode {
    super::private::keep_memory();
    let mut command = Cli::command();
    let given = command.get_matches_mut();
    if let Some(variable) = super::private::secret_in_argv(&command, &given) {
        tell_error(&format!(
            "ca: everybody on this machine can read command lines: set {variable} instead of the flag"
        ));
        return ExitCode::from(WRONG_USAGE);
    }
    let cli = match Cli::from_arg_matches(&given) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ran = runtime.context("start").and_then(|runtime| runtime.block_on(run(&cli)));
    match ran {
        Ok(code) => code,
        Err(error) => {
            tell_error(&format!("ca: {error:#}"));
            match error.downcast_ref::<NotAllowed>() {
                Some(_) => ExitCode::from(NOT_ALLOWED),
                None => ExitCode::FAILURE,
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum NotAllowed {
    #[error("the server does not take this key: set CA_API_KEY to what stands in its DATA_DIR/admin-api-key")]
    Key,
    #[error("{0}")]
    Scope(String),
}

async fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Status => {
            let status: Value = get(cli, "readyz").await?;
            tell(&serde_json::to_string_pretty(&status)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Task(TaskCommand::List { limit }) => {
            #[derive(Deserialize)]
            struct Tasks {
                tasks: Vec<TaskView>,
            }
            let found: Tasks = get(cli, &format!("api/v1/tasks?limit={limit}")).await?;
            if cli.json {
                tell(&serde_json::to_string_pretty(&found.tasks)?);
            } else {
                found.tasks.iter().for_each(|task| tell(&row(task)));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Task(TaskCommand::Get { task }) => {
            let task: TaskView = get(cli, &format!("api/v1/tasks/{task}")).await?;
            tell(&if cli.json { serde_json::to_string_pretty(&task)? } else { card(&task) });
            Ok(ExitCode::SUCCESS)
        }
        Command::Task(TaskCommand::Logs { task, follow }) => logs(cli, task, *follow, true).await,
        Command::Task(TaskCommand::Wait { task }) => logs(cli, task, true, false).await,
    }
}

/// Print a task's log, to its end with `follow`; the code says how the task ended.
async fn logs(cli: &Cli, id: &str, follow: bool, print: bool) -> Result<ExitCode> {
    #[derive(Deserialize)]
    struct Events {
        events: Vec<LogLine>,
    }
    let mut after = 0;
    loop {
        // Read before the events: what is written after the end is read once more below.
        let task: TaskView = get(cli, &format!("api/v1/tasks/{id}")).await?;
        loop {
            let page: Events = get(cli, &format!("api/v1/tasks/{id}/logs?after={after}")).await?;
            let Some(last) = page.events.last() else { break };
            after = last.seq;
            for event in page.events.iter().filter(|_| print) {
                tell(&if cli.json { serde_json::to_string(event)? } else { event.text() });
            }
        }
        if task.ended_at.is_some() {
            if follow {
                tell(&if cli.json { serde_json::to_string(&task)? } else { row(&task) });
            }
            return Ok(match task.status.as_str() {
                "completed" => ExitCode::SUCCESS,
                "cancelled" => ExitCode::from(CANCELLED),
                _ => ExitCode::FAILURE,
            });
        }
        if !follow {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn get<T: DeserializeOwned>(cli: &Cli, path: &str) -> Result<T> {
    let url = cli.url.join(path).context("CA_URL can't be used")?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let mut request = client.get(url);
    if let Some(key) = &cli.api_key {
        request = request.bearer_auth(key.expose_secret());
    }
    let answer =
        request.send().await.with_context(|| format!("reach the server at {} (CA_URL); does it run?", cli.url))?;
    let status = answer.status();
    if status.as_u16() == 401 {
        return Err(NotAllowed::Key.into());
    }
    let body = answer.text().await.context("read the server's answer")?;
    // `readyz` says what is wrong with a 503; that is an answer too.
    if !status.is_success() && path != "readyz" {
        let detail = serde_json::from_str::<Value>(&body).ok().and_then(|it| it["detail"].as_str().map(str::to_owned));
        let says = detail.unwrap_or_else(|| format!("the server answered {status}"));
        if status.as_u16() == 403 {
            return Err(NotAllowed::Scope(says).into());
        }
        bail!(says);
    }
    serde_json::from_str(&body).context("the server's answer can't be read; is CA_URL a cloud-agent server?")
}

fn row(task: &TaskView) -> String {
    let what = task.ending.as_deref().filter(|code| *code != task.status);
    let what = what.or(task.waits_for.as_deref()).unwrap_or_default();
    format!(
        "{}  {:<10} {:<14} {}#{}  {}  ${}",
        task.task_id,
        task.status,
        what,
        task.repository,
        task.number,
        text::line(&task.prompt, 50),
        text::dollars(task.cost_micros)
    )
}

fn card(task: &TaskView) -> String {
    let mut lines = vec![
        format!("task     {}", task.task_id),
        format!("status   {}{}", task.status, waits(task)),
        format!("issue    {}#{}, asked by {}", task.repository, task.number, task.requester),
        format!("prompt   {}", text::line(&task.prompt, 100)),
        format!("lane     {}{}", task.lane, task.ground.as_ref().map(|it| format!(" ({it})")).unwrap_or_default()),
        format!("cost     ${}, {} turns", text::dollars(task.cost_micros), task.turns),
    ];
    lines.extend(task.ending.as_ref().map(|ending| format!("ending   {ending}")));
    lines.extend(task.snapshot.as_ref().map(|hash| format!("snapshot {}", hash.chars().take(12).collect::<String>())));
    lines.extend(task.pull.map(|pull| format!("pull     #{pull}")));
    lines.extend(task.branch.as_ref().map(|branch| format!("branch   {branch}")));
    if let Some(blocked) = &task.blocked {
        lines.extend(blocked.hosts.iter().map(|it| format!("refused  {} ({} times)", it.host, it.times)));
        if blocked.more > 0 {
            lines.push(format!("refused  and {} more ({} times)", blocked.more, blocked.more_times));
        }
    }
    lines.extend(task.says.as_ref().map(|says| format!("\n{says}")));
    lines.join("\n")
}

/// What it waits for, and until when.
fn waits(task: &TaskView) -> String {
    let Some(on) = &task.waits_for else { return String::new() };
    let until = task.waits_until.map(|at| format!(" until {}", text::time_of_day(at))).unwrap_or_default();
    let says = task.waits_says.as_ref().map(|says| format!(": {}", text::line(says, 100))).unwrap_or_default();
    format!(" for {on}{until}{says}")
}

fn tell(line: &str) {
    use std::io::Write as _;
    // What people and the agent wrote must not speak to the terminal.
    let line = line.replace(|c: char| text::is_invisible(c) && !matches!(c, '\n' | '\t'), "?");
    let mut out = std::io::stdout();
    // A closed pipe (`ca task list | head`) is no error.
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

fn tell_error(line: &str) {
    use std::io::Write as _;
    let (open, close) = if std::io::stderr().is_terminal() { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
    let _ = writeln!(std::io::stderr(), "{open}{line}{close}");
}
