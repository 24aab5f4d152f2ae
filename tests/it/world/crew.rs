//! Several processes of the program on one database, which die and come back.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use cloud_agent::cli::{self, Running};
use cloud_agent::config::Config;

use super::{PATIENCE, World, free_port};

/// Start the bot in this process. One before it, on the same SQLite file, has stopped; but processes that were being started
/// meanwhile, of other worlds too, have its lock until they are what they will be.
pub(super) async fn alone(config: Config) -> Running {
    let began = Instant::now();
    loop {
        match cli::start(config.clone(), true).await {
            Ok(running) => return running,
            Err(error) if began.elapsed() < PATIENCE && format!("{error:#}").contains("another process") => (),
            Err(error) => panic!("{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One of them: what it does, and the process while there is one.
pub struct Hand {
    verb: &'static str,
    settings: Vec<(&'static str, String)>,
    child: Option<Child>,
}

impl World {
    /// A process with files of its own. It is not started yet.
    pub fn hand(&self, verb: &'static str, name: &str) -> Hand {
        let data = self.dir.path().join(name).to_str().unwrap().to_owned();
        let mut settings = vec![("DATA_DIR", data)];
        if verb == "serve" {
            let port = free_port();
            settings.push(("LISTEN", format!("127.0.0.1:{port}")));
            self.github.deliver_to(format!("http://127.0.0.1:{port}/webhooks/github"));
        }
        Hand { verb, settings, child: None }
    }
}

impl Hand {
    pub fn start(&mut self, world: &World) {
        if self.child.is_none() {
            let settings = self.settings.iter().map(|(name, value)| (name, value));
            let mut program = world.program(self.verb);
            self.child = Some(program.envs(settings).stderr(world.log_file()).spawn().unwrap());
        }
    }

    /// `kill -9`, in the middle of whatever it does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// As a deploy ends it: it gives back what it has.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    }

    /// As a hurried operator ends it: with a second signal once it has begun to drain.
    pub async fn hurry(&mut self, world: &World) {
        let Some(child) = &self.child else { return };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        let before = world.log().matches("Draining").count();
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        world.wait_for("it to drain", async || world.log().matches("Draining").count() > before).await;
        self.stop().await;
    }

    /// Its disk goes with the machine, which does not run any more.
    pub fn lose_disk(&self) {
        assert!(self.child.is_none(), "it runs");
        std::fs::remove_dir_all(self.data()).unwrap();
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        let (_, at) = self.settings.iter().find(|(it, _)| *it == "LISTEN").expect("it serves");
        at.parse().unwrap()
    }

    /// Whether a working tree of a run on this machine has this file.
    pub fn has_in_a_tree(&self, name: &str) -> bool {
        let runs = std::fs::read_dir(self.data().join("runs")).into_iter().flatten().flatten();
        runs.map(|run| run.path().join("workspace").join(name)).any(|path| path.exists())
    }

    fn data(&self) -> &Path {
        let (_, dir) = self.settings.iter().find(|(it, _)| *it == "DATA_DIR").expect("it has one");
        Path::new(dir)
    }

    /// How it has ended by itself, if it has.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        Some(format!("{} ended with {status}", self.verb))
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.kill();
    }
}
