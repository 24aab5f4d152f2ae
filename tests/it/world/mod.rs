//! The stage: a cloud-agent, a GitHub and a model around it, a database of either kind, and a Claude who does as told.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cloud_agent::cli::{self, Running};
use cloud_agent::store::{Queue, Store, StoredTask};
use simulator::github::Role;
use simulator::{GitHub, Model};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

mod claude;
mod crew;
mod database;
mod machines;
pub mod needs;
mod proxy;
mod receiver;
mod sql;
mod steady;
mod trip;

pub use claude::real_claude;
pub use crew::Hand;
pub use database::{Database, Postgres};
pub use proxy::Proxy;
pub use receiver::{Does, Receiver};
pub use steady::steady;
pub use trip::Victim;

/// Longest that a story may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct World {
    pub github: GitHub,
    pub model: Model,
    store: Store,
    database: Database,
    dir: TempDir,
    settings: Vec<(String, String)>,
    people: Vec<(String, u64)>,
    bot: Bot,
    victim: Victim,
}

/// The program under test: in this process, or in one that can be killed.
enum Bot {
    Absent,
    Here(Box<Running>),
    There(Child),
}

impl World {
    /// A world with one repository, `octo/app`, and a few people named after what they may do.
    pub async fn on(database: Database) -> Self {
        Self::beside(database, GitHub::start().await).await
    }

    /// The same with a GitHub of another kind.
    pub async fn beside(database: Database, github: GitHub) -> Self {
        let model = Model::start().await;
        let dir = tempfile::tempdir().unwrap();
        github.create_repo("octo/app", &[("README.md", "hello\n")]);
        let roles = [Role::Write, Role::Write, Role::Read, Role::Triage, Role::Admin];
        let people = ["alice", "bob", "rita", "tom", "ada"].into_iter().zip(roles);
        let people = people.map(|(login, role)| (login.to_owned(), github.person(login, role))).collect();
        let url = database.url(dir.path());
        let store = Store::connect(&url.clone().into()).await.unwrap();
        let settings = [
            ("LISTEN", "127.0.0.1:0"),
            ("DATA_DIR", dir.path().join("data").to_str().unwrap()),
            ("DATABASE_URL", &url),
            // Processes that share a database share it.
            ("ENCRYPTION_KEY", "5ea1ab1e5ea1ab1e5ea1ab1e5ea1ab1e5ea1ab1e5ea1ab1e5ea1ab1e5ea1ab1e"),
            ("GITHUB_URL", github.url()),
            ("GITHUB_API_URL", github.api_url()),
            ("GITHUB_APP_ID", &github.app_id().to_string()),
            ("GITHUB_APP_PRIVATE_KEY", github.private_key_pem()),
            ("GITHUB_WEBHOOK_SECRET", &github.webhook_secret()),
            ("GITHUB_WRITE_SPACING_MS", "0"),
            ("ANTHROPIC_API_KEY", &model.api_key()),
            ("ANTHROPIC_BASE_URL", model.url()),
            // The comments in between depend on timing; one story looks at them.
            ("COMMENT_INTERVAL", "1h"),
            ("DRAIN_SECONDS", "0"),
            ("LEASE", "3s"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let mut world =
            Self { github, model, store, database, dir, settings, people, bot: Bot::Absent, victim: Victim::default() };
        world.claude_will("true");
        world
    }

    /// As `on`, with the bot running in this process.
    pub async fn running(database: Database) -> Self {
        let mut world = Self::on(database).await;
        world.start().await;
        world
    }

    /// Change a setting; it holds from the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(it, _)| it != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Start the bot in this process.
    pub async fn start(&mut self) {
        let config = cli::config_of(&self.settings).unwrap();
        let running = crew::alone(config).await;
        self.github.deliver_to(format!("http://{}/webhooks/github", running.address.unwrap()));
        self.bot = Bot::Here(Box::new(running));
    }

    /// Start the bot as a process of its own, as an operator does.
    pub async fn start_process(&mut self) {
        self.launch();
        self.wait_for("the bot to answer", async || self.answers().await).await;
    }

    /// As `start_process`, without waiting for it.
    fn launch(&mut self) {
        let port = free_port();
        self.set("LISTEN", &format!("127.0.0.1:{port}"));
        let child = self.program("serve").stderr(self.log_file()).spawn().unwrap();
        self.victim.is(&child);
        self.bot = Bot::There(child);
        self.github.deliver_to(format!("http://127.0.0.1:{port}/webhooks/github"));
    }

    /// By hand: this is asked every few milliseconds, and an HTTP client reads all root certificates first.
    async fn answers(&self) -> bool {
        let Ok(mut door) = TcpStream::connect(self.address()).await else { return false };
        let asked = door.write_all(b"GET /healthz HTTP/1.1\r\nHost: bot\r\nConnection: close\r\n\r\n").await;
        asked.is_ok() && door.read_u8().await.is_ok()
    }

    /// Run a command of the program with this world's settings to its end: exit code and all that it wrote.
    pub async fn command(&self, verb: &str) -> (Option<i32>, String) {
        let mut command = self.program(verb);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text)
    }

    fn program(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-agent"));
        command
            .args(verb.split(' '))
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .envs(self.settings.iter().cloned());
        command
    }

    fn log_file(&self) -> Stdio {
        let file = std::fs::File::options().create(true).append(true).open(self.dir.path().join("bot.log"));
        Stdio::from(file.unwrap())
    }

    /// `kill -9`, in the middle of whatever it does.
    pub fn kill(&mut self) {
        let Bot::There(child) = &mut self.bot else { panic!("only a process of its own can be killed") };
        child.kill().unwrap();
        child.wait().unwrap();
        self.bot = Bot::Absent;
    }

    /// Signal the process of the bot, and go on.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let Bot::There(child) = &self.bot else { panic!("only a process of its own takes signals") };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// The number of the bot's process.
    pub fn pid(&self) -> u32 {
        let Bot::There(child) = &self.bot else { panic!("it is no process") };
        child.id()
    }

    /// Wait until the process of the bot has ended by itself.
    pub async fn ended(&mut self) {
        let Bot::There(mut child) = std::mem::replace(&mut self.bot, Bot::Absent) else { panic!("it is no process") };
        tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    }

    /// What happened in the newest task of an issue, by kind and step.
    pub async fn steps(&self, number: u64) -> Vec<String> {
        let Some(task) = self.last_task(number).await else { return Vec::new() };
        let events = self.store.events(&task.id.to_string(), 0, 1000).await.unwrap();
        let said = events.iter().map(|event| {
            let body: serde_json::Value = serde_json::from_str(&event.body).unwrap_or_default();
            format!("{} {}", event.kind, body["text"].as_str().unwrap_or_default())
        });
        said.collect()
    }

    /// Stop the bot as a deploy does.
    pub async fn stop(&mut self) {
        match std::mem::replace(&mut self.bot, Bot::Absent) {
            Bot::Here(running) => running.stop().await,
            Bot::There(mut child) => {
                nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
                    nix::sys::signal::Signal::SIGTERM,
                )
                .unwrap();
                child.wait().unwrap();
            }
            Bot::Absent => (),
        }
    }

    /// The log of the process, for a failing test's reader.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("bot.log")).unwrap_or_default()
    }

    /// Where the bot listens.
    pub fn address(&self) -> std::net::SocketAddr {
        match &self.bot {
            Bot::Here(running) => running.address.unwrap(),
            _ => self.settings.iter().find(|(name, _)| name == "LISTEN").unwrap().1.parse().unwrap(),
        }
    }

    pub fn data_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// What must never be seen in a sandbox, by name.
    pub fn secrets(&self) -> Vec<(String, String)> {
        let names =
            ["ENCRYPTION_KEY", "GITHUB_WEBHOOK_SECRET", "ANTHROPIC_API_KEY", "DATABASE_URL", "GITHUB_APP_PRIVATE_KEY"];
        let mut secrets: Vec<_> =
            self.settings.iter().filter(|(name, _)| names.contains(&name.as_str())).cloned().collect();
        for (name, value) in &mut secrets {
            // Line breaks are written differently in JSON; the middle line is enough.
            if name.ends_with("KEY") && value.lines().count() > 3 {
                *value = value.lines().nth(3).unwrap().to_owned();
            }
        }
        secrets
    }

    /// Whether a process of this world's sandboxes is still there.
    pub fn something_runs(&self) -> bool {
        let claude = self.dir.path().join("claude");
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|it| std::fs::read(it.path().join("cmdline")).ok())
            .any(|it| String::from_utf8_lossy(&it).contains(claude.to_str().unwrap()))
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A pull request by bob from a branch of `octo/app` with these files; the bot has heard of it if it runs. Its number.
    pub async fn pull(&self, branch: &str, files: &[(&str, &str)]) -> u64 {
        self.github.branch_from("octo/app", branch, "main");
        self.github.push_quietly("bob", "octo/app", branch, files, "Change things");
        let number = self.github.open_pull("bob", "octo/app", branch, "main", "Change things").await;
        self.github.told();
        number
    }

    /// Put this on the default branch of `octo/app` as the repository's settings.
    pub fn settings(&self, yaml: &str) {
        self.github.push_quietly("ada", "octo/app", "main", &[(".github/cloud-agent.yml", yaml)], "Set the bot up");
        self.github.told();
    }

    /// The newest task of an issue or pull request of `octo/app`.
    pub async fn last_task(&self, number: u64) -> Option<StoredTask> {
        let tasks = self.store.tasks_of_thread(self.github.repo_id("octo/app"), number).await.unwrap();
        tasks.into_iter().next()
    }

    /// An issue by alice that is there already; the bot has not heard of it.
    pub fn issue(&self, title: &str, body: &str) -> u64 {
        let number = self.github.open_issue_quietly("alice", "octo/app", title, body);
        self.github.told();
        number
    }

    /// Somebody's account id.
    pub fn person(&self, login: &str) -> u64 {
        self.people.iter().find(|(it, _)| it == login).unwrap().1
    }

    /// A text in which accounts are named and not numbered.
    pub fn steady_ids(&self, text: &str) -> String {
        let mut text = text.replace(&self.github.bot_id().to_string(), "BOT");
        for (login, id) in &self.people {
            text = text.replace(&id.to_string(), &login.to_uppercase());
        }
        text
    }

    /// Let the bot work until it has nothing left to do and GitHub nothing left to tell it.
    pub async fn settle(&self) {
        self.wait_for("everything to come to rest", async || {
            self.github.quiesce().await;
            let open = (self.store.open_jobs(Queue::Delivery).await, self.store.open_jobs(Queue::Task).await);
            matches!(open, (Ok(0), Ok(0)))
        })
        .await;
        self.github.quiesce().await;
    }

    /// Let the bot decide on everything that it was told.
    pub async fn heard(&self) {
        self.wait_for("every delivery to be decided on", async || {
            matches!(self.store.open_jobs(Queue::Delivery).await, Ok(0))
        })
        .await;
    }

    /// Wait until something is so; never by a guess at how long it takes.
    pub async fn wait_for(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let started = Instant::now();
        while !is_so().await {
            assert!(
                started.elapsed() < PATIENCE,
                "waited in vain for {what}\n--- told ---\n{}\n--- log ---\n{}",
                self.github.story().join("\n"),
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Everything that people on GitHub could see since the last look, in order, with what differs from run to run
    /// made the same.
    pub fn told(&self) -> String {
        self.github.told().iter().map(|line| steady(line)).collect::<Vec<_>>().join("\n")
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A test must look at everything that happened: silence is a claim too.
impl Drop for World {
    fn drop(&mut self) {
        if let Bot::There(child) = &mut self.bot {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- story ---\n{}\n--- log ---\n{}", self.github.story().join("\n"), self.log());
        } else {
            let unread = self.github.told();
            assert!(unread.is_empty(), "the test never looked at:\n{}", unread.join("\n"));
        }
        let _ = &self.database;
    }
}
