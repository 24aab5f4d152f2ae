//! One point: where the process is killed, once, and whether the world comes out the same.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cloud_agent::clock;
use cloud_agent::store::Queue;
use simulator::github::Moment;

use super::story::Story;
use crate::world::{Database, Postgres, Proxy, World};

/// For what comes after the end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at the world.
const LOOK: Duration = Duration::from_millis(10);

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Requests to GitHub: REST, GraphQL, git.
    Call,
    /// Messages to the model.
    Model,
    /// Writes that the database makes durable.
    Write,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// The `n`-th of a kind, 1 for the first. Written `mention/sqlite/write/before/7`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    pub story: Story,
    pub engine: Engine,
    pub kind: Kind,
    pub moment: Moment,
    pub n: usize,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = if self.engine == Engine::Sqlite { "sqlite" } else { "postgres" };
        let kind = match self.kind {
            Kind::Call => "call",
            Kind::Model => "model",
            Kind::Write => "write",
        };
        let moment = if self.moment == Moment::Before { "before" } else { "after" };
        write!(f, "{}/{engine}/{kind}/{moment}/{}", self.story.name(), self.n)
    }
}

impl Point {
    /// Run the story, be killed at this point, start again, and look at the world at rest. What was passing when the process
    /// was killed goes into `killed_at`; nothing does if the story came to its end before.
    pub async fn attempt(self, server: Option<&Arc<Postgres>>, killed_at: &OnceLock<String>) -> String {
        let name = self.to_string().replace('/', "_");
        let database = match server {
            Some(server) => Database::on(server, &name),
            None => Database::sqlite(),
        };
        let picture = self.in_world(World::on(database).await, server.map(|it| (it, name.as_str())), killed_at).await;
        if let Some(server) = server {
            server.forget(&name);
        }
        picture
    }

    async fn in_world(
        self,
        mut world: World,
        server: Option<(&Arc<Postgres>, &str)>,
        killed_at: &OnceLock<String>,
    ) -> String {
        // Renewals are writes too; there would be the more of them the slower the machine is.
        world.set("LEASE", "1m");
        self.story.prepare(&mut world);
        let proxy = match server {
            Some((server, name)) => Some(Proxy::before(&server.socket(), name).await),
            None => None,
        };
        if let Some(proxy) = &proxy {
            world.set("DATABASE_URL", proxy.url());
        }
        let report = world.data_dir().with_file_name("crashed");
        let victim = world.victim();
        match (self.kind, &proxy) {
            (Kind::Call, _) => world.github.wire().set(self.n, self.moment, move || victim.kill()),
            (Kind::Model, _) => world.model.wire().set(self.n, self.moment, move || victim.kill()),
            (Kind::Write, Some(proxy)) => proxy.wire().set(self.n, self.moment, move || victim.kill()),
            (Kind::Write, None) => {
                world.set("LD_PRELOAD", preloaded().to_str().unwrap());
                world.set("CRASH_COMMIT", &self.n.to_string());
                world.set("CRASH_MOMENT", if self.moment == Moment::Before { "before" } else { "after" });
                world.set("CRASH_REPORT", report.to_str().unwrap());
            }
        }

        let mut asked = false;
        if world.start_doomed().await {
            asked = true;
            self.story.ask(&world).await;
            rest_or_death(&mut world).await;
        }
        let what = match (self.kind, &proxy) {
            (Kind::Call, _) => world.github.wire().tripped(),
            (Kind::Model, _) => world.model.wire().tripped(),
            (Kind::Write, Some(proxy)) => proxy.wire().tripped(),
            (Kind::Write, None) => report.exists().then(|| format!("commit {}", self.n)),
        };
        if let Some(what) = what {
            let _ = killed_at.set(what);
            while !world.has_died() {
                tokio::time::sleep(LOOK).await;
            }
        }
        if world.has_died() {
            assert!(killed_at.get().is_some(), "the process ended by itself\n{}", world.log());
            world.set("LD_PRELOAD", "");
            // Before there was a schema, nothing was asked for either.
            if asked {
                world.claims_lapse().await;
            }
            // What could not be delivered is known to GitHub before the bot asks for it.
            world.github.quiesce().await;
            let again = clock::now();
            world.start_process().await;
            world.has_swept_since(again).await;
            if !asked {
                self.story.ask(&world).await;
            }
        }
        world.settle().await;
        nothing_is_left(&world).await;
        let picture = self.story.picture(&world).await;
        world.told();
        picture
    }
}

/// What a run leaves on the machine is removed just after its end.
async fn nothing_is_left(world: &World) {
    let began = Instant::now();
    while !world.left_overs().is_empty() {
        assert!(began.elapsed() < PATIENCE, "this is left over: {}\n{}", world.left_overs().join(", "), world.log());
        tokio::time::sleep(LOOK).await;
    }
}

/// Wait until the process has nothing left to do, or is dead. The last write is seen before the process dies of it, so a rest
/// has to last.
async fn rest_or_death(world: &mut World) {
    const LOOKS: u32 = 20;
    let (began, mut rests) = (Instant::now(), 0);
    while !world.has_died() && rests < LOOKS {
        assert!(began.elapsed() < 3 * PATIENCE, "neither at rest nor dead\n{}", world.log());
        world.github.quiesce().await;
        let open = (world.store().open_jobs(Queue::Delivery).await, world.store().open_jobs(Queue::Task).await);
        let rests_now = matches!(open, (Ok(0), Ok(0))) && world.left_overs().is_empty();
        rests = if rests_now { rests + 1 } else { 0 };
        tokio::time::sleep(LOOK).await;
    }
}

/// The library that watches SQLite's log, compiled once a test.
fn preloaded() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/crash/preload.c");
        let made = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{}.so", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&made).arg(source).arg("-ldl");
        let compiled = compiler.status().expect("a C compiler `cc`: run script/setup");
        assert!(compiled.success(), "the library that kills SQLite's commits does not compile: {compiler:?}");
        made
    })
}
