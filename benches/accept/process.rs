//! The servers under test, each a process of its own, and what the kernel says of them.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use simulator::{GitHub, Model};

/// The word that makes the program of this measurement the reference server.
pub const MODE: &str = "reference-server";

/// A server that ends with its handle.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub spawned: Instant,
}

impl Server {
    /// `cloud-agent serve`, as an operator starts it: log in JSON to a file, every other setting at its default.
    pub fn product(database: &str, dir: &Path, github: &GitHub, model: &Model) -> Self {
        Self::product_with(database, dir, github, model, &[])
    }

    /// The same with some settings.
    pub fn product_with(database: &str, dir: &Path, github: &GitHub, model: &Model, settings: &[(&str, &str)]) -> Self {
        let address = free_address();
        std::fs::create_dir_all(dir).unwrap();
        // Another build can be named, to compare it with this one.
        let program = std::env::var_os("CLOUD_AGENT").unwrap_or_else(|| env!("CARGO_BIN_EXE_cloud-agent").into());
        let mut command = Command::new(program);
        command
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("LISTEN", address.to_string())
            .env("DATA_DIR", dir)
            .env("DATABASE_URL", database)
            .env("GITHUB_URL", github.url())
            .env("GITHUB_API_URL", github.api_url())
            .env("GITHUB_APP_ID", github.app_id().to_string())
            .env("GITHUB_APP_PRIVATE_KEY", github.private_key_pem())
            .env("GITHUB_WEBHOOK_SECRET", github.webhook_secret())
            .env("GITHUB_WRITE_SPACING_MS", "0")
            .env("ANTHROPIC_API_KEY", model.api_key())
            .env("ANTHROPIC_BASE_URL", model.url())
            .envs(settings.iter().copied())
            .stderr(File::options().create(true).append(true).open(dir.join("log")).unwrap());
        Self::spawn(command, address)
    }

    /// This very program, in its hidden mode.
    pub fn reference(database: &str, secret: &str) -> Self {
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([MODE, database, &address.to_string()]).env("SECRET", secret);
        Self::spawn(command, address)
    }

    fn spawn(mut command: Command, address: SocketAddr) -> Self {
        let spawned = Instant::now();
        Self { child: command.stdin(Stdio::null()).spawn().unwrap(), address, spawned }
    }

    /// Wait until it takes connections.
    pub fn ready(self) -> Self {
        while TcpStream::connect(self.address).is_err() {
            assert!(self.spawned.elapsed() < Duration::from_secs(30), "the server did not start");
            std::thread::sleep(Duration::from_micros(500));
        }
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time so far, of all its threads, user and system.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.pid())
    }

    /// Resident memory in MiB: all of it, and the part that is not the program's own file.
    pub fn resident(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let mib = |name: &str| {
            let kib = status.lines().find_map(|it| it.strip_prefix(name)).unwrap();
            kib.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
        };
        (mib("VmRSS:"), mib("RssAnon:"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.pid() as i32), Signal::SIGTERM);
        let told = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && told.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process and its ended threads, from `/proc/<pid>/stat`: in hundredths of a second.
pub fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// CPU time of all processes whose parent is this one: PostgreSQL's backends.
pub fn cpu_of_children(parent: u32) -> Duration {
    let is_child = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok()) == Some(parent)
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
    all.filter(|pid| is_child(*pid)).map(cpu_of).sum()
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
