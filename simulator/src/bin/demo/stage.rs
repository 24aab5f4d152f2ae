//! The stage: a GitHub and a model on loopback, a repository with a bug in it, and the bot with its settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use simulator::model::{Usage, demo_files, line_of_mistake};
use simulator::{GitHub, Model, Role, Script};

use crate::bot::{Bot, Recipe, free_port, sibling};

pub const REPO: &str = "octo/calc";
pub const PERSON: &str = "alice";
/// Who opens the pull request that is reviewed.
pub const TEAMMATE: &str = "bob";
/// Turns reviews on, on the default branch.
const SETTINGS: (&str, &str) = (".github/cloud-agent.yml", "review: { on: [opened, synchronize] }\n");
/// So that a person can follow; the real one takes longer.
const THINKS: Duration = Duration::from_millis(10);
/// What a run with the real model may cost.
const REAL_BUDGET: &str = "1";

/// Everything that runs. The order of the fields is the order in which it ends.
#[derive(Debug)]
pub struct Stage {
    pub bot: Bot,
    pub recipe: Recipe,
    pub github: GitHub,
    /// None when the real one is used.
    pub model: Option<Model>,
    _dir: tempfile::TempDir,
}

/// What is there before the bot: the world and its settings.
#[derive(Debug)]
pub struct Set {
    pub recipe: Recipe,
    github: GitHub,
    model: Option<Model>,
    dir: tempfile::TempDir,
    url: String,
    key: String,
}

impl Set {
    /// Put up the world.
    pub async fn build(real_model: bool) -> Result<Self> {
        let program = sibling("cloud-agent")?;
        let claude = claude()?;
        let port = free_port()?;
        let dir =
            tempfile::Builder::new().prefix("cloud-agent-demo-").tempdir().context("make a temporary directory")?;
        let github = GitHub::start().await;
        let mut files = demo_files();
        files.push(SETTINGS);
        github.create_repo(REPO, &files);
        github.make_public(REPO);
        github.person(PERSON, Role::Write);
        github.person(TEAMMATE, Role::Write);
        let url = format!("http://127.0.0.1:{port}");
        github.deliver_to(format!("{url}/webhooks/github"));
        let key = format!("ca_{}", uuid::Uuid::new_v4().simple());

        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
        set("PATH", &std::env::var("PATH").context("PATH is not set")?);
        set("LISTEN", &format!("127.0.0.1:{port}"));
        set("PUBLIC_URL", &url);
        set("DATA_DIR", &dir.path().join("data").display().to_string());
        set("ADMIN_API_KEY", &key);
        set("GITHUB_URL", github.url());
        set("GITHUB_API_URL", github.api_url());
        set("GITHUB_APP_ID", &github.app_id().to_string());
        set("GITHUB_APP_PRIVATE_KEY", github.private_key_pem());
        set("GITHUB_WEBHOOK_SECRET", &github.webhook_secret());
        set("CLAUDE_BIN", &claude.display().to_string());
        set("LOG_FORMAT", "text");
        let model = if real_model {
            real(&mut set)?;
            None
        } else {
            let model = Model::start().await;
            model.will(played(Script::fix_demo(&json!({}))));
            let seen = github.clone();
            model.will_for(move |prompt| script_for(&seen, prompt).map(played));
            set("ANTHROPIC_BASE_URL", model.url());
            set("ANTHROPIC_API_KEY", &model.api_key());
            Some(model)
        };
        let recipe = Recipe { program, env, log: dir.path().join("bot.log") };
        Ok(Self { recipe, github, model, dir, url, key })
    }

    /// Start the bot.
    pub async fn enter(self) -> Result<Stage> {
        let started = Bot::start(&self.recipe, self.url, self.key).await;
        let bot = started.with_context(|| format!("the bot did not start; its log:\n\n{}", self.recipe.tail()))?;
        Ok(Stage { bot, recipe: self.recipe, github: self.github, model: self.model, _dir: self.dir })
    }
}

fn played(script: Script) -> Script {
    script.slowly(THINKS).with_usage(usage())
}

/// What the scripted model does on a pull request, which depends on the code as it is there.
fn script_for(github: &GitHub, prompt: &str) -> Option<Script> {
    if prompt.contains("Another reviewer has found") {
        return Some(Script::verify_demo());
    }
    let (before, after) = prompt.split_once("pull request #")?;
    let number: u64 = after.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok()?;
    let calc = github.file_at(REPO, &format!("refs/pull/{number}/head"), "calc.sh").unwrap_or_default();
    let mistake = line_of_mistake(&calc);
    Some(match mistake {
        _ if before.ends_with("Review ") => Script::review_demo(mistake, prompt.contains("/context/earlier.md")),
        Some(_) => Script::fix_review_demo(),
        None => Script::nothing_to_fix_demo(),
    })
}

/// What the scripted model claims for each answer: about what the real one uses on a task of this size.
fn usage() -> Usage {
    Usage {
        input_tokens: Some(300),
        output_tokens: Some(120),
        cache_read_input_tokens: Some(16_000),
        cache_creation_input_tokens: Some(700),
    }
}

/// What else the bot gets of the visitor's environment then. GitHub is on loopback and plain HTTP, so only the proxy for
/// HTTPS is passed on.
const OTHERS: [&str; 8] = [
    "ANTHROPIC_BASE_URL",
    "CLAUDE_MODEL",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Settings for the real model: the visitor's own, as far as they are set.
fn real<T>(set: &mut impl FnMut(&str, &str) -> T) -> Result<()> {
    let given = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let Some(key) = given("ANTHROPIC_API_KEY") else {
        bail!(
            "--real-model needs ANTHROPIC_API_KEY in the environment: `ANTHROPIC_API_KEY=… script/demo --real-model`"
        );
    };
    set("ANTHROPIC_API_KEY", &key);
    set("BUDGET_RUN_USD", &given("BUDGET_RUN_USD").unwrap_or_else(|| REAL_BUDGET.to_owned()));
    for name in OTHERS {
        if let Some(value) = given(name) {
            set(name, &value);
        }
    }
    Ok(())
}

/// The pinned Claude Code CLI that `script/setup` installs.
fn claude() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join(".cache/npm/node_modules/.bin/claude");
    path.canonicalize().context("Claude Code is not installed; `script/setup demo` installs it")
}
