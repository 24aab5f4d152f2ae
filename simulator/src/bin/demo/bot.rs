//! The real `cloud-agent`, as a process beside the demo: started, asked over its API, ended with all that it started.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

/// How long the bot may take to answer after its start.
const START: Duration = Duration::from_secs(30);
/// How long it gets to end by itself, each time it is told to.
const PATIENCE: Duration = Duration::from_secs(2);
/// Lines of the log that a failure shows.
const TAIL: usize = 25;

/// The program that runs the bot, and its whole environment.
#[derive(Debug)]
pub struct Recipe {
    pub program: PathBuf,
    pub env: BTreeMap<String, String>,
    pub log: PathBuf,
}

impl Recipe {
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(verb).env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }

    /// `cloud-agent doctor`: an error with its words when runs can't work on this machine.
    pub fn examine(&self) -> Result<()> {
        let output = self.command("doctor").output().with_context(|| format!("start {}", self.program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let words = [output.stdout, output.stderr].concat();
        let words = String::from_utf8_lossy(&words);
        let said: Vec<&str> = words.lines().filter(|it| !it.starts_with("ok ") && !it.contains("PUBLIC_URL")).collect();
        bail!("cloud-agent can't run tasks on this machine. `cloud-agent doctor` says:\n\n{}", said.join("\n"))
    }

    /// The end of the bot's log.
    pub fn tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

/// A running bot. Dropping it ends it, and whatever is left in its process group.
#[derive(Debug)]
pub struct Bot {
    child: Child,
    http: reqwest::Client,
    pub url: String,
    pub key: String,
}

impl Bot {
    /// Start it and wait until it answers.
    pub async fn start(recipe: &Recipe, url: String, key: String) -> Result<Self> {
        let log = File::create(&recipe.log).with_context(|| format!("write {}", recipe.log.display()))?;
        let child = recipe
            .command("serve")
            // A group of its own: Ctrl-C is for the demo, which then ends the bot in good order.
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .with_context(|| format!("start {}", recipe.program.display()))?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let mut bot = Self { child, http, url, key };
        let began = Instant::now();
        while bot.http.get(format!("{}/readyz", bot.url)).send().await.is_err() {
            bot.must_live()?;
            if START < began.elapsed() {
                bail!("the bot does not answer at {}", bot.url);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(bot)
    }

    /// An error if the process has ended.
    pub fn must_live(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the bot has ended ({status})"),
            None => Ok(()),
        }
    }

    /// `GET` from its API.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.http.get(format!("{}/api/v1/{path}", self.url)).bearer_auth(&self.key).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    fn ended_within(&mut self, time: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < time {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let Ok(id) = i32::try_from(self.child.id()) else { return };
        let pid = Pid::from_raw(id);
        // The first asks it to drain, the second to end at once; the sandboxes end with it.
        let ended = (0..2).any(|_| {
            let _ = kill(pid, Signal::SIGTERM);
            self.ended_within(PATIENCE)
        });
        if !ended {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = self.child.wait();
        }
        let _ = killpg(pid, Signal::SIGKILL);
    }
}

/// A port of loopback that is free now.
pub fn free_port() -> Result<u16> {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).context("take a port on 127.0.0.1")?;
    Ok(socket.local_addr()?.port())
}

/// A program that was built beside this one.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("find the demo's own program")?;
    let path = here.parent().unwrap_or(Path::new(".")).join(name);
    if !path.exists() {
        bail!("{} is not built; run `script/demo`, which builds it", path.display());
    }
    Ok(path)
}
