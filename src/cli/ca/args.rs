//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use secrecy::SecretString;
use url::Url;

use super::address::{GITHUB, MaybeUrl, github};
use super::moment::{Since, Until};
use crate::api::Scope;
use crate::config::{Dollars, Span};

/// Give a cloud-agent server work, watch it and manage it.
#[derive(Debug, Parser)]
#[command(name = "ca", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// The server; else the one of `ca login`, else http://localhost:3000.
    #[arg(long, env = "CA_URL", global = true)]
    url: Option<MaybeUrl>,
    /// Only here to be refused: a flag can be read by everybody on the machine.
    #[arg(long, env = "CA_API_KEY", hide_env_values = true, hide = true, global = true)]
    pub api_key: Option<SecretString>,
    /// Print what the server sent: one object, or one on each line where there are several. Errors are an object too.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The server that was named.
    pub fn url(&self) -> Option<&Url> {
        self.url.as_ref()?.0.as_ref()
    }
}

const EXAMPLES: &str = "\
First steps:
  ca login https://agent.example.com
  ca task create \"The greeting is too short\" --repo octo/app --follow
  ca pr review 123 --repo octo/app
  ca task logs --follow 0197…

CA_URL and CA_API_KEY win over what `ca login` keeps. NO_COLOR turns colours off.

Exit codes: 0 done, 1 failed or not reached, 2 wrong usage, 3 the task was cancelled, 4 timed out,
5 not allowed, 130 no longer watched (the task goes on).";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep a server and its key, so that no command needs them. Reads the key from the terminal or from standard input.
    Login {
        /// The server.
        server: Option<Url>,
    },
    /// Forget what `login` keeps.
    Logout,
    /// Tasks: what was asked, and what became of it.
    #[command(subcommand)]
    Task(Task),
    /// Pull requests.
    #[command(subcommand)]
    Pr(Pr),
    /// Issues.
    #[command(subcommand)]
    Issue(Issue),
    /// What GitHub has told the server, what was decided and why.
    #[command(args_conflicts_with_subcommands = true)]
    Deliveries {
        #[command(flatten)]
        list: DeliveryList,
        #[command(subcommand)]
        command: Option<Deliveries>,
    },
    /// Keys that open the API.
    #[command(subcommand)]
    Keys(Keys),
    /// What tasks have cost.
    Usage(Usage),
    /// Whether the server is ready, and what is wrong.
    Status,
    /// Print a script that completes these commands in a shell.
    Completions { shell: Shell },
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Ask for something. Prints the task's id.
    Create {
        /// What to do, in plain words; `-` reads it from standard input. What it links of GitHub is read too.
        prompt: String,
        /// `owner/name`, or its address.
        #[arg(long)]
        repo: Option<String>,
        /// The branch to begin with and to go into; the default branch when absent.
        #[arg(long)]
        r#ref: Option<String>,
        #[command(flatten)]
        terms: Terms,
    },
    /// One task.
    Get { task: String },
    /// The newest tasks.
    List(TaskList),
    /// What happened in a task.
    Logs {
        task: String,
        /// Go on until the task has ended; the exit code says how.
        #[arg(short, long)]
        follow: bool,
    },
    /// Wait until a task has ended; the exit code says how.
    Wait {
        task: String,
        /// The longest to wait, such as 90s, 30m or 2h.
        #[arg(long)]
        timeout: Option<Span>,
    },
    /// Stop a task.
    Cancel { task: String },
    /// Go on with a task that has ended: with the newest conversation about its issue or pull request, on the pull request that it
    /// has opened.
    Resume {
        task: String,
        /// What to do next; `-` reads it from standard input.
        prompt: String,
        #[command(flatten)]
        again: Again,
    },
    /// Ask for the same once more.
    Retry {
        task: String,
        #[command(flatten)]
        again: Again,
    },
    /// Show what a task has changed: coloured on a terminal, elsewhere as `git apply` takes it.
    Diff { task: String },
    /// Write what a task has left into a directory: `changes.patch`, `commits.bundle`, `files.tar`, `transcript.jsonl`.
    Download(Download),
}

#[derive(Debug, Args)]
pub struct Download {
    pub task: String,
    /// Which of them; all that are there when absent.
    pub names: Vec<String>,
    /// The directory, made when it is not there.
    #[arg(short, long, default_value = ".")]
    pub output: PathBuf,
    /// Replace files that are there already.
    #[arg(long)]
    pub force: bool,
}

/// On what terms a task is made.
#[derive(Debug, Args)]
pub struct Terms {
    /// Most that it may cost, in US dollars.
    #[arg(long)]
    pub budget: Option<Dollars>,
    #[command(flatten)]
    pub again: Again,
}

/// How asking is repeated and watched.
#[derive(Debug, Args)]
pub struct Again {
    /// Watch it until it has ended; the exit code says how.
    #[arg(short, long)]
    pub follow: bool,
    /// Asking twice with the same key makes one task; a new key each time when absent.
    #[arg(long)]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    pub brought: Brought,
}

/// What is brought along for the task.
#[derive(Debug, Args)]
pub struct Brought {
    /// Have this address called when the task has ended. CA_CALLBACK_SECRET is what the call is signed with.
    #[arg(long, value_name = "URL")]
    pub callback: Option<String>,
    /// Only here to be refused: a flag can be read by everybody on the machine.
    #[arg(long, env = "CA_CALLBACK_SECRET", hide_env_values = true, hide = true)]
    pub callback_secret: Option<SecretString>,
    /// Pay for the model with the key in CA_ANTHROPIC_API_KEY, for this task alone.
    #[arg(long)]
    pub own_key: bool,
    /// Only here to be refused: a flag can be read by everybody on the machine.
    #[arg(long, env = "CA_ANTHROPIC_API_KEY", hide_env_values = true, hide = true)]
    pub anthropic_api_key: Option<SecretString>,
    /// Work on GitHub with the token in CA_GITHUB_TOKEN, in the name of whoever has it, for this task alone: also where the App is
    /// not installed.
    #[arg(long)]
    pub own_token: bool,
    /// Only here to be refused: a flag can be read by everybody on the machine.
    #[arg(long, env = "CA_GITHUB_TOKEN", hide_env_values = true, hide = true)]
    pub github_token: Option<SecretString>,
}

#[derive(Debug, Args)]
pub struct TaskList {
    /// `queued`, `running`, `publishing`, `waiting`, `completed`, `failed` or `cancelled`.
    #[arg(long)]
    pub status: Option<String>,
    /// `owner/name`.
    #[arg(long)]
    pub repo: Option<String>,
    /// Login of whoever asked.
    #[arg(long)]
    pub requester: Option<String>,
    /// What asked, such as `comment` or `button`.
    #[arg(long)]
    pub source: Option<String>,
    /// Made since then: 12h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z.
    #[arg(long)]
    pub since: Option<Since>,
    #[command(flatten)]
    pub page: Page,
}

/// Which part of a long list.
#[derive(Debug, Args)]
pub struct Page {
    /// Most of one page, 1 to 200; 20 when absent, and 200 with `--all`.
    #[arg(long)]
    pub limit: Option<u32>,
    /// The page after the one that ended with this `next_cursor`.
    #[arg(long)]
    pub cursor: Option<String>,
    /// All pages, one after the other.
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Subcommand)]
pub enum Pr {
    /// Ask for a review.
    Review(Subject),
}

#[derive(Debug, Subcommand)]
pub enum Issue {
    /// Ask for a pull request that settles it.
    Fix {
        #[command(flatten)]
        subject: Subject,
        /// What else to say; `-` reads it from standard input.
        words: Option<String>,
    },
}

/// An issue or a pull request.
#[derive(Debug, Args)]
pub struct Subject {
    /// Its number, or its address.
    pub number: String,
    /// `owner/name`; not needed with an address.
    #[arg(long)]
    pub repo: Option<String>,
    /// Where GitHub is, for a server that works with GitHub Enterprise.
    #[arg(long, env = "CA_GITHUB_URL", default_value = GITHUB, value_parser = github)]
    pub github_url: Url,
    #[command(flatten)]
    pub terms: Terms,
}

#[derive(Debug, Subcommand)]
pub enum Deliveries {
    /// The newest; the same as no command.
    List(DeliveryList),
    /// One, with what GitHub sent.
    Show { delivery: String },
    /// Handle one again, by the rules of now, as a new delivery. Prints its id.
    Replay {
        delivery: String,
        /// Say what would be decided and why, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub struct DeliveryList {
    /// `waiting`, `done`, `ignored` or `failed`.
    #[arg(long)]
    pub status: Option<String>,
    /// Such as `issue_comment`.
    #[arg(long)]
    pub event: Option<String>,
    /// `owner/name`.
    #[arg(long)]
    pub repo: Option<String>,
    /// Received since then: 12h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z.
    #[arg(long)]
    pub since: Option<Since>,
    #[command(flatten)]
    pub page: Page,
}

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key. Prints it, this once.
    Create {
        /// For people: letters, digits, spaces and `-_.`.
        name: String,
        /// What it may do; several times for several.
        #[arg(long, required = true, value_parser = scope)]
        scope: Vec<Scope>,
        /// `owner/name`: it knows nothing of any other. Several times for several.
        #[arg(long)]
        repo: Vec<String>,
        /// When it ends: in 12h, in 30d, at 2026-01-31 or 2026-01-31T12:00:00Z.
        #[arg(long)]
        expires: Option<Until>,
        /// Requests a minute.
        #[arg(long)]
        rate_limit: Option<i64>,
        /// What its tasks may cost in a day, in US dollars.
        #[arg(long)]
        budget_per_day: Option<Dollars>,
    },
    /// The keys that are not revoked.
    List,
    /// Revoke a key by its id. It opens nothing from then on.
    Revoke { key: String },
}

#[derive(Debug, Args)]
pub struct Usage {
    /// What is added up together.
    #[arg(long, value_enum, default_value_t = By::Day)]
    pub by: By,
    /// Tasks made since then: 12h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z; 30 days when absent.
    #[arg(long)]
    pub since: Option<Since>,
    /// Tasks made before then.
    #[arg(long)]
    pub until: Option<Since>,
    /// Comma separated values.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum By {
    Day,
    Repository,
    Person,
    Model,
}

fn scope(name: &str) -> Result<Scope, String> {
    let all = || Scope::ALL.iter().map(|it| it.name()).collect::<Vec<_>>().join(", ");
    Scope::ALL.into_iter().find(|it| it.name() == name).ok_or_else(|| format!("give one of {}", all()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn an_empty_address_is_as_if_absent() {
        let cli = Cli::try_parse_from(["ca", "status", "--url", ""]).unwrap();
        assert!(cli.url().is_none());
        let cli = Cli::try_parse_from(["ca", "--url", "http://x", "pr", "review", "1", "--github-url", ""]).unwrap();
        assert_eq!(cli.url().unwrap().as_str(), "http://x/");
        let Command::Pr(Pr::Review(subject)) = cli.command else { panic!("a review") };
        assert_eq!(subject.github_url.as_str(), "https://github.com/");
        assert!(Cli::try_parse_from(["ca", "status", "--url", "nowhere"]).is_err());
    }

    #[test]
    fn the_commands_hold_together() {
        Cli::command().debug_assert();
    }
}
