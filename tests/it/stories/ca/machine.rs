//! Somebody's machine with `ca` on it, and a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::world::{World, steady};

pub struct Machine {
    pub home: TempDir,
    env: Vec<(String, String)>,
}

/// What a command said, and how it ended.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Both, with what differs from run to run made the same.
    pub fn steady(&self) -> String {
        steady(&format!("# {}\n{}{}", self.code, self.out, self.err))
    }

    /// The lines of its output as JSON.
    pub fn json(&self) -> Vec<serde_json::Value> {
        assert_eq!(self.err, "", "{}", self.out);
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Machine {
    /// One on which nothing is set.
    pub fn bare() -> Self {
        Self { home: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    /// One that holds the admin key of a world.
    pub fn of(world: &World) -> Self {
        let machine = Self::bare();
        machine.with("CA_URL", &format!("http://{}", world.address())).with("CA_API_KEY", "ca_test")
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(it, _)| it != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same one, on which nothing is set any more.
    pub fn unset(mut self) -> Self {
        self.env.clear();
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ca"));
        let env = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        command.args(args).env_clear().env("HOME", self.home.path()).env("TERM", "xterm").envs(env);
        command
    }

    pub async fn ca(&self, args: &[&str]) -> Said {
        self.ca_reads(args, "").await
    }

    /// Run a script line by line, as somebody types it, until one fails.
    pub async fn shell(&self, script: &str) -> Said {
        let beside = Path::new(env!("CARGO_BIN_EXE_ca")).parent().unwrap().display();
        let mut command = Command::new("sh");
        let env = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let path = format!("{beside}:{}", std::env::var("PATH").unwrap());
        command.args(["-exc", script]).current_dir(self.home.path()).env_clear().env("HOME", self.home.path());
        command.env("PATH", path).envs(env);
        Self::heard(command, "").await
    }

    /// Run it with something on its standard input.
    pub async fn ca_reads(&self, args: &[&str], input: &str) -> Said {
        Self::heard(self.command(args), input).await
    }

    /// Run it with its output going elsewhere.
    pub async fn ca_into(&self, args: &[&str], out: impl Into<Stdio>) -> Said {
        let mut command = tokio::process::Command::from(self.command(args));
        let child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        Said { code: output.status.code().unwrap(), out: String::new(), err }
    }

    async fn heard(command: Command, input: &str) -> Said {
        let mut command = tokio::process::Command::from(command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may have gone without reading.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Run it on a terminal.
    pub fn terminal(&self, args: &[&str]) -> Terminal {
        let size = Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = self.command(args).stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Terminal::on(pty.master, child)
    }
}

/// A running `ca`, with somebody in front of it.
pub struct Terminal {
    keyboard: File,
    child: Child,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn on(master: OwnedFd, child: Child) -> Self {
        let keyboard = File::from(master);
        let mut reader = keyboard.try_clone().unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let seen = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It fails when the last program on the terminal has gone.
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                seen.lock().unwrap().extend_from_slice(&bytes[..n]);
            }
        });
        Self { keyboard, child, screen }
    }

    pub fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    pub fn presses_ctrl_c(&self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
    }

    /// Everything that was written to it so far.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    pub async fn shows(&self, world: &World, text: &str) {
        world.wait_for(&format!("`{text}` on the terminal"), async || self.screen().contains(text)).await;
    }

    /// Its exit code, once it has ended.
    pub async fn ends(&mut self) -> i32 {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
