//! A database of either kind: a SQLite file, or a PostgreSQL of the test's own in a temporary directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub enum Database {
    Sqlite,
    /// In a directory of its own.
    SqliteIn(PathBuf),
    /// A database of this name on a server.
    Postgres(Arc<Postgres>, String),
}

/// A server that lives as long as the test.
pub struct Postgres {
    server: Mutex<Child>,
    dir: TempDir,
}

impl Database {
    pub fn sqlite() -> Self {
        Self::Sqlite
    }

    pub fn sqlite_in(dir: &Path) -> Self {
        Self::SqliteIn(dir.to_owned())
    }

    /// Start a PostgreSQL that listens on a socket in its own directory and nowhere else.
    pub fn postgres() -> Self {
        Self::Postgres(Arc::new(Postgres::start()), "postgres".to_owned())
    }

    /// A database of its own on a server that runs already: starting one takes longer.
    pub fn on(server: &Arc<Postgres>, name: &str) -> Self {
        server.run("createdb", name);
        Self::Postgres(server.clone(), name.to_owned())
    }

    pub fn url(&self, dir: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite://{}", dir.join("cloud-agent.db").display()),
            Self::SqliteIn(dir) => format!("sqlite://{}", dir.join("cloud-agent.db").display()),
            Self::Postgres(server, name) => server.url(name),
        }
    }
}

impl Postgres {
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        let data = dir.path().join("data");
        copy(&template(), &data);
        give_to_postgres(dir.path());
        let server = Mutex::new(Self::spawn(dir.path()));
        let it = Self { server, dir };
        it.wait();
        it
    }

    fn url(&self, database: &str) -> String {
        let socket = self.dir.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{socket}/{database}")
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join(".s.PGSQL.5432")
    }

    /// Remove a database, whoever is connected to it.
    pub fn forget(&self, name: &str) {
        self.run("dropdb", name);
    }

    fn run(&self, program: &str, database: &str) {
        let mut command = Command::new(binary(program));
        command.arg("-h").arg(self.dir.path()).args(["-U", "postgres"]);
        if program == "dropdb" {
            command.arg("--force");
        }
        assert!(command.arg(database).status().unwrap().success(), "{program} {database}");
    }

    fn spawn(dir: &Path) -> Child {
        let mut command = as_postgres(&binary("postgres"));
        // Durability is not what these stories test; the accept benchmark and the crash stories use real settings.
        command
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60"])
            .args(["-c", "shared_buffers=16MB", "-c", "wal_level=minimal", "-c", "max_wal_senders=0"])
            .arg("-k")
            .arg(dir)
            .arg("-D")
            .arg(dir.join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::from(std::fs::File::create(dir.join("log")).unwrap()))
            .spawn()
            .unwrap()
    }

    /// Stop at once, as a machine does that loses power, but with its disk as it was.
    pub fn stop(&self) {
        let mut server = self.server.lock().unwrap();
        // SIGQUIT: immediate shutdown of the server and its children.
        if let Ok(pid) = i32::try_from(server.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGQUIT);
        }
        let _ = server.wait();
    }

    pub fn start_again(&self) {
        *self.server.lock().unwrap() = Self::spawn(self.dir.path());
        self.wait();
    }

    fn wait(&self) {
        let started = Instant::now();
        let ready = || {
            let status = Command::new(binary("pg_isready")).arg("-q").arg("-h").arg(self.dir.path()).status();
            status.is_ok_and(|it| it.success())
        };
        while !ready() {
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(30), "PostgreSQL did not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An empty cluster, made once and copied: `initdb` takes seconds, a copy takes a moment.
fn template() -> PathBuf {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let made = base.join("postgres-template");
    let lock = std::fs::File::create(base.join("postgres-template.lock")).unwrap();
    lock.lock().unwrap();
    if !made.join("PG_VERSION").exists() {
        let dir = tempfile::Builder::new().prefix("initdb").tempdir_in("/tmp").unwrap();
        give_to_postgres(dir.path());
        let fresh = dir.path().join("data");
        let status = as_postgres(&binary("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "-D"])
            .arg(&fresh)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "initdb failed");
        let _ = std::fs::remove_dir_all(&made);
        copy(&fresh, &made);
    }
    made
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg("--reflink=auto").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// A command that may not run as root, run as Debian's `postgres` when we are root.
fn as_postgres(program: &Path) -> Command {
    let mut command;
    if nix::unistd::geteuid().is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]).arg(program);
    } else {
        command = Command::new("setpriv");
        command.arg("--pdeathsig=KILL").arg(program);
    }
    command.current_dir("/tmp");
    command
}

fn give_to_postgres(dir: &Path) {
    if nix::unistd::geteuid().is_root() {
        let status = Command::new("chown").arg("-R").arg("postgres:postgres").arg(dir).status().unwrap();
        assert!(status.success());
    }
}

fn binary(name: &str) -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let newest = installed.map(|it| it.path().join("bin").join(name)).filter(|it| it.exists()).max();
    newest.unwrap_or_else(|| panic!("PostgreSQL is not installed: run script/setup"))
}
