//! `cloud-agent config`: the settings in force, by variable, secrets masked; and what a repository's own file says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use secrecy::SecretString;

use crate::config::{self, Config, Kind, shown as plain};
use crate::task::rules;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Settings {
    #[command(subcommand)]
    repository: Option<Repository>,
    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Subcommand)]
enum Repository {
    /// Look at a repository's settings: print all that are in force, or what is wrong with the file, and where.
    Check {
        #[arg(default_value = rules::FILE)]
        file: PathBuf,
    },
    /// Print the JSON schema of a repository's settings, for editors.
    Schema,
}

/// `cloud-agent config`, and the commands below it.
pub fn settings(args: &Settings) -> Result<ExitCode> {
    match &args.repository {
        Some(Repository::Check { file }) => return check(file),
        Some(Repository::Schema) => print(rules::SCHEMA),
        None => {
            for (name, value) in lines(&args.config) {
                print(&format!("{name}={value}\n"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Mistakes as compilers print them, so that editors find the place.
fn check(file: &Path) -> Result<ExitCode> {
    let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    match rules::read_bytes(&bytes) {
        Ok(rules) => {
            print(&rules.effective());
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => {
            for mistake in mistakes {
                #[expect(clippy::print_stderr, reason = "this is what the command is for")]
                {
                    eprintln!("{}:{mistake}", file.display());
                }
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

fn print(text: &str) {
    #[expect(clippy::print_stdout, reason = "this is what the command is for")]
    {
        print!("{text}");
    }
}

/// Variables and their values as they can be shown.
fn lines(config: &Config) -> Vec<(&'static str, String)> {
    let Config { server, store, github, model, runs, sandbox, gate, callbacks, log } = config;
    vec![
        ("LISTEN", server.address().to_string()),
        ("PUBLIC_URL", plain(&server.public_url)),
        ("ADMIN_API_KEY", masked(server.admin_api_key.as_ref())),
        ("DRAIN_SECONDS", server.drain_seconds.to_string()),
        ("REQUEST_TIMEOUT", server.request_timeout.to_string()),
        ("BODIES_MB", server.bodies_mb.to_string()),
        ("WRITE_TIMEOUT", server.write_timeout.to_string()),
        ("DATA_DIR", store.data_dir.display().to_string()),
        ("DATABASE_URL", masked_url(&store.database_url())),
        ("ENCRYPTION_KEY", masked(store.encryption_key.as_ref())),
        ("RETENTION_DELIVERIES", store.retention.deliveries.to_string()),
        ("RETENTION_EVENTS", store.retention.events.to_string()),
        ("RETENTION_TRANSCRIPTS", store.retention.transcripts.to_string()),
        ("RETENTION_TASKS", store.retention.tasks.to_string()),
        ("DISK_FREE_MB", store.disk_free_mb.to_string()),
        ("GITHUB_URL", plain(&github.url)),
        ("GITHUB_API_URL", plain(&github.api_url())),
        ("GITHUB_APP_ID", github.app_id.map(|id| id.to_string()).unwrap_or_default()),
        ("GITHUB_APP_PRIVATE_KEY", masked(github.private_key.as_ref())),
        ("GITHUB_APP_PRIVATE_KEY_FILE", shown(github.private_key_file.as_ref().map(|it| it.display()))),
        ("GITHUB_WEBHOOK_SECRET", masked(github.webhook_secret.as_ref())),
        ("GITHUB_WRITE_SPACING_MS", github.write_spacing_ms.to_string()),
        ("SWEEP_INTERVAL", github.sweep_interval.to_string()),
        ("MENTION", github.mention.clone()),
        ("LABEL", github.label.clone()),
        ("ANTHROPIC_API_KEY", masked(model.api_key.as_ref())),
        ("ANTHROPIC_BASE_URL", plain(&model.base_url)),
        ("CLAUDE_MODEL", model.model.clone().unwrap_or_default()),
        ("CLAUDE_VERIFY_MODEL", model.verify_model.clone()),
        ("CLAUDE_BIN", model.claude_bin.display().to_string()),
        ("CLAUDE_SHA256", model.claude_sha256().unwrap_or_default().to_owned()),
        ("MODEL_PRICES", model.model_prices.clone()),
        ("RUNS", runs.runs.to_string()),
        ("RUNS_PER_REPOSITORY", runs.runs_per_repository.to_string()),
        ("RUN_TIMEOUT", runs.run_timeout.to_string()),
        ("RUN_TURNS", runs.run_turns.to_string()),
        ("BUDGET_RUN_USD", runs.budget_run_usd.to_string()),
        ("TASKS_PER_THREAD_HOUR", runs.tasks_per_thread_hour.to_string()),
        ("BOT_TASKS_PER_THREAD_HOUR", runs.bot_tasks_per_thread_hour.to_string()),
        ("TASKS_PER_PERSON_HOUR", runs.tasks_per_person_hour.to_string()),
        ("LEASE", runs.lease.to_string()),
        ("HANDOVER", runs.handover.to_string()),
        ("WAIT_LIMIT", runs.wait_limit.to_string()),
        ("COMMENT_INTERVAL", runs.comment_interval.to_string()),
        ("SANDBOX", sandbox.sandbox.clone()),
        ("SANDBOX_MEMORY_MB", sandbox.memory_mb.to_string()),
        ("SANDBOX_PROCESSES", sandbox.processes.to_string()),
        ("SANDBOX_DISK_MB", sandbox.disk_mb.to_string()),
        ("EGRESS", sandbox.egress().join(",")),
        ("GATE_MOST", gate.most().into_iter().map(Kind::name).collect::<Vec<_>>().join(",")),
        ("GATE_FILE_MB", gate.file_mb.to_string()),
        ("GATE_FILES", gate.files.to_string()),
        ("CALLBACK_HOSTS", callbacks.hosts().join(",")),
        ("CALLBACK_TIMEOUT", callbacks.timeout.to_string()),
        ("CALLBACK_RETRY", callbacks.retry.to_string()),
        ("CALLBACK_TRIES", callbacks.tries.to_string()),
        ("LOG_FORMAT", shown(log.log_format.map(|it| format!("{it:?}").to_lowercase()))),
        ("RUST_LOG", log.filter.clone()),
    ]
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn masked(secret: Option<&SecretString>) -> String {
    secret.map(|_| "********".to_owned()).unwrap_or_default()
}

/// A database URL without its password.
fn masked_url(url: &SecretString) -> String {
    use secrecy::ExposeSecret as _;
    match url::Url::parse(url.expose_secret()) {
        Ok(it) if config::password_in(&it).is_some() => plain(&it),
        Ok(_) => url.expose_secret().to_owned(),
        // Whatever is wrong with it, a password may be in it.
        Err(_) if url.expose_secret().starts_with("sqlite:") => url.expose_secret().to_owned(),
        Err(_) => "********".to_owned(),
    }
}
