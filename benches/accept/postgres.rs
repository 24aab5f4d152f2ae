//! A PostgreSQL of our own in a directory of our own, with the settings that make commits durable.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that ends with its handle.
pub struct Postgres {
    server: Child,
    dir: PathBuf,
}

impl Postgres {
    /// Start one in `dir`; it listens on a socket there and nowhere else.
    pub fn start(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        give_to_postgres(dir);
        let data = dir.join("data");
        let status = as_postgres("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "initdb failed");
        // fsync and synchronous_commit are on by default; they are named so that nobody has to know.
        let server = as_postgres("postgres")
            .args(["-c", "listen_addresses=", "-c", "fsync=on", "-c", "synchronous_commit=on"])
            .arg("-k")
            .arg(dir)
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let it = Self { server, dir: dir.to_owned() };
        let started = Instant::now();
        while !Command::new(binary("pg_isready")).arg("-q").arg("-h").arg(dir).status().unwrap().success() {
            assert!(started.elapsed() < Duration::from_secs(30), "PostgreSQL did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        it
    }

    /// The URL of a new, empty database.
    pub fn create(&self, name: &str) -> String {
        let status = as_postgres("createdb").arg("-h").arg(&self.dir).args(["-U", "postgres", name]).status().unwrap();
        assert!(status.success(), "createdb failed");
        format!("postgres://postgres@{}/{name}", self.dir.to_str().unwrap().replace('/', "%2F"))
    }

    pub fn pid(&self) -> u32 {
        self.server.id()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT: immediate shutdown of the server and its children.
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.server.id() as i32),
            nix::sys::signal::Signal::SIGQUIT,
        );
        let _ = self.server.wait();
    }
}

/// A program of PostgreSQL, as Debian's `postgres` when we are root: it does not run as root.
fn as_postgres(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    if nix::unistd::geteuid().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg("--pdeathsig=KILL").arg(binary(program)).current_dir("/tmp");
    command
}

fn give_to_postgres(dir: &Path) {
    if nix::unistd::geteuid().is_root() {
        assert!(Command::new("chown").arg("postgres:postgres").arg(dir).status().unwrap().success());
    }
}

fn binary(name: &str) -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let newest = installed.map(|it| it.path().join("bin").join(name)).filter(|it| it.exists()).max();
    newest.unwrap_or_else(|| panic!("PostgreSQL is not installed: run script/setup"))
}
