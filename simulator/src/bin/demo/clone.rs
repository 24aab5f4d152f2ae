//! Running what the repository holds, as a person would: in a fresh clone, and caged, since a model has written in it.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use simulator::GitHub;
use tokio::process::Command;

use crate::stage::REPO;

/// The command that a person would type.
pub const TEST: &str = "sh test.sh";

/// How a command went in a branch.
#[derive(Debug)]
pub struct Tested {
    pub passed: bool,
    pub output: String,
}

/// Clone a branch into a temporary directory and run a command there.
pub async fn run(github: &GitHub, branch: &str, command: &str) -> Result<Tested> {
    let dir = tempfile::Builder::new().prefix("cloud-agent-demo-clone-").tempdir().context("make a directory")?;
    let url = format!("{}/{REPO}.git", github.url());
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--depth", "1", "--branch", branch, "--", &url]).arg(dir.path());
    git.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    git.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_TERMINAL_PROMPT", "0")]);
    let cloned = git.stdin(Stdio::null()).kill_on_drop(true).output().await.context("start git")?;
    if !cloned.status.success() {
        bail!("can't clone {branch}: {}", String::from_utf8_lossy(&cloned.stderr).trim());
    }
    // No network, nothing of the host but programs, nothing to write to but the clone.
    // Where the bot looks for it too.
    let places = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap", "/run/wrappers/bin/bwrap"];
    let program = places.into_iter().find(|it| Path::new(it).exists());
    let mut cage = Command::new(program.unwrap_or("bwrap"));
    cage.args(["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--dev", "/dev"]);
    cage.args(["--tmpfs", "/tmp", "--ro-bind", "/usr", "/usr"]);
    for path in ["/bin", "/lib", "/lib64", "/sbin", "/nix/store"] {
        cage.args(["--ro-bind-try", path, path]);
    }
    cage.arg("--bind").arg(dir.path()).args(["/work", "--chdir", "/work"]);
    cage.args(["--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin"]).args(command.split(' '));
    cage.stdin(Stdio::null()).kill_on_drop(true);
    let ran = cage.output().await.context("start bwrap")?;
    let output = [ran.stdout, ran.stderr].concat();
    let output = String::from_utf8_lossy(&output).trim().to_owned();
    if output.starts_with("bwrap: ") {
        bail!("the test can't be run in a cage: {output}");
    }
    Ok(Tested { passed: ran.status.success(), output })
}
