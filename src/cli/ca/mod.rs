//! `ca`: give a server work, watch it and manage it, from a terminal or a script. It speaks HTTP and shares only types with
//! the server.
//!
//! | | |
//! |---|---|
//! | `args.rs`, `moment.rs`, `address.rs` | what can be typed |
//! | `login.rs`, `saved.rs` | which server, and the key to it |
//! | `tasks.rs` | tasks, and reviews and fixes, which are tasks |
//! | `artifacts.rs` | what a task has left: its diff, its files |
//! | `follow.rs` | a task that is watched: Ctrl-C, the exit code |
//! | `picture.rs` | what its live view shows |
//! | `stream.rs`, `sse.rs` | its log as it happens, each event once |
//! | `manage.rs` | deliveries, keys, usage |
//! | `show.rs` | answers as lines for people |
//! | `server.rs` | requests and answers |
//! | `trouble.rs` | what goes wrong, what to do then, and the exit codes |
//! | `screen.rs` | what reaches the terminal, and what must not |

mod address;
mod args;
mod artifacts;
mod follow;
mod login;
mod manage;
mod moment;
mod picture;
mod saved;
mod screen;
mod server;
mod show;
mod sse;
mod stream;
mod tasks;
mod trouble;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, FromArgMatches as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use args::{Cli, Command, Issue, Pr};
use saved::Saved;
use screen::{tell, tell_error, tell_problem};
use server::Server;
use trouble::Trouble;

/// The server when nobody names one.
const HERE: &str = "http://localhost:3000";

/// What every command needs.
struct Ca {
    server: Server,
    json: bool,
}

impl Ca {
    /// The server that was named, by a flag, a variable or `ca login`. A key that is kept goes to the server that it is of.
    fn new(cli: &Cli) -> Result<Self> {
        // A variable that was read from a file may end with its end of line.
        let given = cli.api_key.as_ref().map(|key| key.expose_secret().trim());
        let given = given.filter(|key| !key.is_empty()).map(SecretString::from);
        let kept = match (cli.url(), &given) {
            (Some(_), Some(_)) => None,
            _ => saved::path().and_then(|path| saved::read(&path))?,
        };
        let url = cli.url().cloned().or_else(|| kept.as_ref().map(|it| it.url.clone()));
        let url = url.map_or_else(|| HERE.parse().context("the usual server"), Ok)?;
        let key = given.or_else(|| kept.filter(|it: &Saved| own_server(&it.url, &url)).map(|it| it.key));
        Ok(Self { server: Server::new(url, key)?, json: cli.json })
    }
}

/// Whether two addresses are of the same server.
fn own_server(one: &Url, other: &Url) -> bool {
    one.as_str().trim_end_matches('/') == other.as_str().trim_end_matches('/')
}

/// Run `ca`.
pub fn main() -> ExitCode {
    super::private::keep_memory();
    let mut command = Cli::command();
    let typed: Vec<_> = std::env::args_os().collect();
    let given = match command.try_get_matches_from_mut(&typed) {
        Ok(given) => given,
        Err(error) if error.use_stderr() && typed.iter().any(|it| it == "--json") => {
            screen::use_json();
            return failed(&Trouble::Usage(error.render().to_string().trim_end().to_owned()).into());
        }
        Err(error) => error.exit(),
    };
    if given.get_flag("json") {
        screen::use_json();
    }
    if let Some(variable) = super::private::secret_in_argv(&command, &given) {
        let instead = if variable == "CA_API_KEY" { "run `ca login`, or " } else { "" };
        let says =
            format!("everybody on this machine can read command lines: {instead}set {variable} instead of the flag");
        return failed(&Trouble::Usage(says).into());
    }
    let cli = match Cli::from_arg_matches(&given) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    if let Command::Completions { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "ca", &mut script);
        tell(String::from_utf8_lossy(&script).trim_end());
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let code = runtime.block_on(run(&cli)).unwrap_or_else(|error| failed(&error));
    // An unanswered question may still be read.
    runtime.shutdown_background();
    code
}

fn failed(error: &anyhow::Error) -> ExitCode {
    match screen::is_json() {
        true => tell_problem(&trouble::as_problem(error)),
        false => tell_error(&format!("{error:#}")),
    }
    error.downcast_ref().map_or(ExitCode::FAILURE, Trouble::code)
}

async fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Login { server } => return login::login(cli, server.as_ref()).await,
        Command::Logout => return login::logout(cli),
        _ => (),
    }
    let ca = Ca::new(cli)?;
    match &cli.command {
        Command::Task(command) => tasks::run(&ca, command).await,
        Command::Pr(Pr::Review(subject)) => tasks::on_subject(&ca, "review", "pull", subject, None).await,
        Command::Issue(Issue::Fix { subject, words }) => {
            tasks::on_subject(&ca, "fix", "issues", subject, words.as_deref()).await
        }
        Command::Deliveries { list, command } => manage::deliveries(&ca, list, command.as_ref()).await,
        Command::Keys(command) => manage::keys(&ca, command).await,
        Command::Usage(asked) => manage::usage(&ca, asked).await,
        Command::Status => status(&ca).await,
        Command::Login { .. } | Command::Logout | Command::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}

/// What `/readyz` says.
async fn status(ca: &Ca) -> Result<ExitCode> {
    #[derive(Deserialize)]
    struct Ready {
        status: String,
        parts: BTreeMap<String, String>,
    }
    let answer = ca.server.get(&["readyz"], &[]).await?;
    let code = if answer.status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if ca.json {
        tell(&answer.json);
    } else {
        let ready: Ready = answer.read()?;
        tell(&screen::status(&ready.status));
        for (part, says) in ready.parts {
            tell(&format!("  {part:<12} {}", if says == "ok" { screen::status("ok") } else { says }));
        }
    }
    Ok(code)
}
