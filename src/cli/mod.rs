//! Door: the command lines. `cloud-agent` runs the server; `ca` talks to one.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{self, Config};
use crate::store::{Sole, Store};
use crate::text;

mod backup;
pub mod ca;
mod delivered;
mod doctor;
mod listen;
mod log;
mod patient;
mod private;
mod serve;
mod settings;

pub use serve::{Running, start};

/// A GitHub App that your team hosts itself: mention it on an issue, and Claude Code does the work in a sandbox.
#[derive(Debug, Parser)]
#[command(name = "cloud-agent", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take webhooks and run tasks, in one process.
    #[command(after_help = SERVE)]
    Serve(Box<Config>),
    /// Run tasks that another process has accepted. Needs a PostgreSQL that both share.
    Work(Box<Config>),
    /// Bring the database up to date and exit. `serve` and `work` do it too when they start.
    Migrate(MigrateArgs),
    /// Copy a SQLite database into a file, while `serve` uses it.
    Backup(backup::BackupArgs),
    /// Look at this machine, the GitHub App, the model and the sandbox, and say what to mend.
    Doctor(Box<Config>),
    /// Print the settings in force, with secrets masked; or look at a repository's own settings.
    Config(Box<settings::Settings>),
}

#[derive(Debug, clap::Args)]
struct MigrateArgs {
    #[command(flatten)]
    store: config::Store,
    #[command(flatten)]
    log: config::Log,
}

const EXAMPLES: &str = "\
Every setting is an environment variable or a flag, secrets are variables alone:
`cloud-agent serve --help` lists them.

First steps:
  cloud-agent doctor      what is missing before it can run
  cloud-agent serve       take webhooks on http://127.0.0.1:3000/webhooks/github
  cloud-agent config      what is set, and what the defaults are";

const SERVE: &str = "\
The least that is needed:
  GITHUB_APP_ID=123456 GITHUB_APP_PRIVATE_KEY_FILE=app.pem GITHUB_WEBHOOK_SECRET=… \\
  ANTHROPIC_API_KEY=… PUBLIC_URL=https://agent.example.com cloud-agent serve

SIGTERM stops taking work, waits DRAIN_SECONDS for runs to end, and gives the rest back to be resumed.";

/// Run the server's command line.
pub fn main() -> ExitCode {
    private::keep_memory();
    private::filter_panics(|words| match tracing::dispatcher::has_been_set() {
        true => tracing::error!("{words}"),
        false => tell_error(words),
    });
    let mut command = Cli::command();
    let given = command.get_matches_mut();
    if let Some(variable) = private::secret_in_argv(&command, &given) {
        tell_error(&format!("everybody on this machine can read command lines: set {variable} instead of the flag"));
        return ExitCode::from(2);
    }
    let cli = match Cli::from_arg_matches(&given) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    // One TLS provider, named before anything opens a connection.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

/// Settings from `(VARIABLE, value)` pairs instead of the environment, for programs that carry a server inside.
pub fn config_of(settings: &[(String, String)]) -> Result<Config> {
    let mut command = Serving::command();
    let mut args = vec!["cloud-agent".to_owned()];
    for (name, value) in settings {
        let argument = command
            .get_arguments()
            .find(|it| it.get_env().is_some_and(|env| env == name.as_str()))
            .and_then(|it| it.get_long())
            .with_context(|| format!("there is no setting {name}"))?;
        args.push(format!("--{argument}={value}"));
    }
    let matches = command.try_get_matches_from_mut(args)?;
    Ok(Serving::from_arg_matches(&matches)?.config)
}

#[derive(Parser)]
struct Serving {
    #[command(flatten)]
    config: Config,
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(config) => {
            log::start(&config.log)?;
            serve::serve(*config).await
        }
        Command::Work(config) => {
            log::start(&config.log)?;
            serve::work(*config).await
        }
        Command::Migrate(args) => {
            log::start(&args.log)?;
            args.store.make_data_dir()?;
            let _sole = Sole::take(&args.store.database_url(), Sole::PATIENCE).await?;
            let store = Store::connect(&args.store.database_url()).await?;
            store.migrate().await?;
            store.close().await;
            tracing::info!("The database is up to date");
            Ok(ExitCode::SUCCESS)
        }
        Command::Backup(args) => backup::backup(&args).await,
        Command::Doctor(config) => doctor::doctor(*config).await,
        Command::Config(args) => settings::settings(&args),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    tell_error(&format!("{error:#}"));
    ExitCode::FAILURE
}

fn tell_error(words: &str) {
    #[expect(clippy::print_stderr, reason = "the log may not be set up yet")]
    {
        eprintln!("cloud-agent: {}", text::redact(words));
    }
}
