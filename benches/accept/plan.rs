//! What is measured, in which order. Servers that are compared take turns, so that whatever else the machine does
//! meets both.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud_agent::store::{Queue, Store};
use simulator::{GitHub, Model, Options};
use tokio::runtime::Runtime;

use super::figures::{Figure, heading, micros};
use super::payload::{self, Request};
use super::postgres::Postgres;
use super::process::{Server, cpu_of_children};
use super::{latency, limits, load, start};

/// How much is measured.
pub struct Plan {
    rounds: usize,
    time: Duration,
    starts: usize,
    samples: usize,
}

pub const QUICK: Plan = Plan { rounds: 3, time: Duration::from_secs(1), starts: 5, samples: 200 };
pub const FULL: Plan = Plan { rounds: 5, time: Duration::from_secs(2), starts: 15, samples: 1000 };

/// What can be asked for by name; nothing named is everything.
pub const PARTS: [&str; 7] = ["sqlite", "postgres", "accept", "start", "memory", "latency", "cpu"];

/// Everything that the measurements share.
struct Bench {
    plan: &'static Plan,
    runtime: Runtime,
    dir: PathBuf,
    github: GitHub,
    model: Model,
    /// Speaks to nobody: stored as ignored.
    ignored: Request,
    /// Has the bot's name between backquotes: goes into the queue, is claimed, read, unpacked, parsed and found to
    /// ask nothing, so that the whole way of a delivery is walked and GitHub is not asked.
    looked_at: Request,
    /// Asks for help: GitHub is asked at once.
    help: Request,
}

enum Engine {
    Sqlite,
    Postgres(Postgres),
}

pub fn carry_out(plan: &'static Plan, parts: &[&str]) {
    let unknown: Vec<_> = parts.iter().filter(|it| !PARTS.contains(it)).collect();
    assert!(unknown.is_empty(), "{unknown:?}: the parts are {}", PARTS.join(" "));
    let wants = |names: &[&str], name: &str| !parts.iter().any(|it| names.contains(it)) || parts.contains(&name);
    let (engines, figures) = PARTS.split_at(2);
    let temp = tempfile::Builder::new().prefix("accept").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // PostgreSQL may run as another user, who has to pass.
    std::fs::set_permissions(temp.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let bench = Bench::prepare(plan, temp.path());
    println!("load average before: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
    heading("What the machine can do");
    limits::show(temp.path(), &bench.payload());
    for name in engines {
        if !wants(engines, name) {
            continue;
        }
        let engine = match *name {
            "sqlite" => Engine::Sqlite,
            _ => Engine::Postgres(Postgres::start(&temp.path().join("pg"))),
        };
        for (figure, measure) in figures.iter().zip(MEASUREMENTS) {
            if wants(figures, figure) {
                measure(&bench, &engine);
            }
        }
    }
    println!("\nload average after: {}", std::fs::read_to_string("/proc/loadavg").unwrap().trim());
}

/// In the order of the last five of `PARTS`.
const MEASUREMENTS: [fn(&Bench, &Engine); 5] = [Bench::accept, Bench::start, Bench::memory, Bench::wait, Bench::cost];

impl Engine {
    fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite, synchronous=FULL",
            Self::Postgres(_) => "PostgreSQL, fsync on",
        }
    }

    fn database(&self, bench: &Bench, name: &str) -> String {
        match self {
            Self::Sqlite => format!("sqlite://{}", bench.dir.join(format!("{name}.db")).display()),
            Self::Postgres(it) => it.create(name),
        }
    }

    /// CPU time of the database's own processes.
    fn cpu(&self) -> Duration {
        match self {
            Self::Sqlite => Duration::ZERO,
            Self::Postgres(it) => cpu_of_children(it.pid()),
        }
    }
}

/// One kind of request to one server, over all rounds.
#[derive(Default)]
struct Case {
    a_second: Figure,
    p50: Figure,
    p99: Figure,
    cpu: Figure,
    database_cpu: Figure,
}

impl Bench {
    fn prepare(plan: &'static Plan, dir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let generous =
            Options { content_budget: (1_000_000, 1_000_000), primary_limit: 1_000_000, ..Options::default() };
        let (github, model) = runtime.block_on(async { (GitHub::start_with(generous).await, Model::start().await) });
        github.create_repo(payload::REPOSITORY, &[("README.md", "hello\n")]);
        github.person("alice", simulator::Role::Write);
        github.open_issue_quietly("alice", payload::REPOSITORY, "A question", "");
        let secret = github.webhook_secret();
        let request = |text: &str| Request::new(&secret, &payload::comment(&github, "rita", text));
        Self {
            plan,
            dir: dir.to_owned(),
            ignored: request("You are totally right! I'll get this fixed right away."),
            looked_at: request("You are totally right! People write `@cloud-agent` for that."),
            help: request("@cloud-agent help"),
            runtime,
            github,
            model,
        }
    }

    fn payload(&self) -> serde_json::Value {
        payload::comment(&self.github, "rita", "You are totally right! I'll get this fixed right away.")
    }

    fn product(&self, database: &str, name: &str) -> Server {
        Server::product(database, &self.dir.join(name), &self.github, &self.model)
    }

    /// Accepts a second, in turns with the reference.
    fn accept(&self, engine: &Engine) {
        heading(&format!("Accepting on {}", engine.name()));
        let url = engine.database(self, "product_accept");
        let product = self.product(&url, "product_accept").ready();
        let reference = Server::reference(&engine.database(self, "reference"), &self.github.webhook_secret()).ready();
        start::to_first_answer(&product, start::HEALTH);
        let store = self.runtime.block_on(Store::connect(&url.into())).unwrap();
        println!(
            "min / median / max of {} rounds of {:?}; `looked at` counts what handling costs too,",
            self.plan.rounds, self.plan.time
        );
        println!("and its last column says how many a second came off the queue, the time to empty it included\n");
        println!("| connections | what | accepts/s | p50 ms | p99 ms | CPU µs each | database's | handled/s |");
        println!("|---|---|---|---|---|---|---|---|");
        for connections in [1, 8, 64] {
            let mut cases = [Case::default(), Case::default(), Case::default()];
            let mut handled = Figure::default();
            let (mut ratio_ignored, mut ratio_looked) = (Figure::default(), Figure::default());
            for server in [&reference, &product] {
                load::flood(server.address, &self.ignored, connections, Duration::from_millis(300));
            }
            for _ in 0..self.plan.rounds {
                let mut speed = [0.0; 3];
                let turns = [(&reference, &self.ignored), (&product, &self.ignored), (&product, &self.looked_at)];
                for (n, (server, request)) in turns.into_iter().enumerate() {
                    let (cpu, database_cpu, began) = (server.cpu(), engine.cpu(), Instant::now());
                    let sent = load::flood(server.address, request, connections, self.plan.time);
                    assert_eq!(sent.refused, 0, "requests were refused");
                    if n == 2 {
                        self.empty(&store);
                        handled.add(sent.count() as f64 / began.elapsed().as_secs_f64());
                    }
                    let each = |it: Duration| micros(it) / sent.count() as f64;
                    let case = &mut cases[n];
                    case.cpu.add(each(server.cpu().saturating_sub(cpu)));
                    case.database_cpu.add(each(engine.cpu().saturating_sub(database_cpu)));
                    case.p50.add(sent.took.median());
                    case.p99.add(sent.took.quantile(0.99));
                    case.a_second.add(sent.a_second());
                    speed[n] = sent.a_second();
                }
                ratio_ignored.add(speed[1] / speed[0]);
                ratio_looked.add(speed[2] / speed[0]);
            }
            for (name, case) in ["reference", "ignored", "looked at"].into_iter().zip(&cases) {
                let last = if name == "looked at" { handled.spread(0) } else { String::new() };
                println!(
                    "| {connections} | {name} | {} | {:.2} | {} | {:.0} | {:.0} | {last} |",
                    case.a_second.spread(0),
                    case.p50.median(),
                    case.p99.spread(2),
                    case.cpu.median(),
                    case.database_cpu.median(),
                );
            }
            println!("| {connections} | **ratio, ignored** | **{}** | | | | | |", ratio_ignored.spread(2));
            println!("| {connections} | ratio, looked at | {} | | | | | |", ratio_looked.spread(2));
        }
        let (all, own) = product.resident();
        println!("\nresident afterwards, MiB: {all:.1}, of which {own:.1} are not the program's file");
        self.runtime.block_on(store.close());
    }

    /// Wait until nothing is left in the queue.
    fn empty(&self, store: &Store) {
        let began = Instant::now();
        while self.runtime.block_on(store.open_jobs(Queue::Delivery)).unwrap() > 0 {
            assert!(began.elapsed() < Duration::from_mins(2), "the queue did not empty");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// From starting the process to the first good answer.
    fn start(&self, engine: &Engine) {
        heading(&format!("Starting on {}", engine.name()));
        let mut fresh = Figure::default();
        let (mut health, mut delivery) = (Figure::default(), Figure::default());
        let mut request = self.ignored.clone();
        for n in 0..self.plan.starts {
            let name = format!("start{n}");
            let url = engine.database(self, &name);
            fresh.add(start::to_first_answer(&self.product(&url, &name), start::HEALTH));
            health.add(start::to_first_answer(&self.product(&url, &name), start::HEALTH));
            delivery.add(start::to_first_answer(&self.product(&url, &name), request.fresh()));
        }
        println!("to the first 2xx, ms                   min / median / max");
        println!("  /healthz, on a new database          {}", fresh.spread(1));
        println!("  /healthz                             {}", health.spread(1));
        println!("  a delivery, stored                   {}", delivery.spread(1));
    }

    /// Resident memory at rest: after the start, and after a thousand deliveries.
    fn memory(&self, engine: &Engine) {
        heading(&format!("Memory on {}", engine.name()));
        let product = self.product(&engine.database(self, "memory"), "memory");
        start::to_first_answer(&product, start::HEALTH);
        std::thread::sleep(Duration::from_secs(2));
        let (all, own) = product.resident();
        println!("idle after the start, MiB: {all:.1}, of which {own:.1} are not the program's file");
        load::steady(product.address, &self.looked_at, 200, Duration::from_secs(5));
        start::come_to_rest(&product, Duration::from_secs(5));
        let (all, own) = product.resident();
        println!("idle after 1,000 deliveries, MiB: {all:.1}, of which {own:.1} are not the program's file");
    }

    /// From a delivery to its handler, and to the first call to GitHub.
    fn wait(&self, engine: &Engine) {
        heading(&format!("Waiting on {}", engine.name()));
        let body: Bytes = zstd::bulk::compress(&serde_json::to_vec(&self.payload()).unwrap(), 1).unwrap().into();
        println!("ms                                             p50 / p99 / max");
        for a_second in [20, 100] {
            let url = engine.database(self, &format!("wait{a_second}"));
            let count = if a_second == 20 { self.plan.samples / 4 } else { self.plan.samples };
            let waiting = latency::to_handler(&url, &self.dir, body.clone(), a_second, count);
            let waits = self.runtime.block_on(waiting);
            println!("  delivery -> handler, {a_second:>3} a second             {}", waits.handler.tail(2));
            println!("  delivery -> durable, {a_second:>3} a second             {}", waits.durable.tail(2));
            println!("  a bare fdatasync in between                  {}", waits.sync.tail(2));
        }
        let product = self.product(&engine.database(self, "call"), "call");
        start::to_first_answer(&product, start::HEALTH);
        start::come_to_rest(&product, Duration::from_secs(3));
        let took = latency::to_first_call(&product, &self.github, &mut self.help.clone(), self.plan.samples / 8);
        println!("  request -> first call to GitHub, idle        {}", took.tail(2));
    }

    /// CPU of a delivery at a hundred a second.
    fn cost(&self, engine: &Engine) {
        heading(&format!("CPU at 100 deliveries a second on {}", engine.name()));
        let url = engine.database(self, "cost");
        let product = self.product(&url, "cost").ready();
        let store = self.runtime.block_on(Store::connect(&url.into())).unwrap();
        load::steady(product.address, &self.looked_at, 100, Duration::from_secs(1));
        println!("                 CPU ms each, min / median / max   database's   answer ms p50 / p99 / max");
        for (name, request) in [("ignored", &self.ignored), ("looked at", &self.looked_at)] {
            let (mut cpu, mut database_cpu) = (Figure::default(), Figure::default());
            let mut took = Vec::new();
            for _ in 0..self.plan.rounds {
                let before = (product.cpu(), engine.cpu());
                let sent = load::steady(product.address, request, 100, self.plan.time * 2);
                self.empty(&store);
                let each = |it: Duration| micros(it) / 1e3 / sent.count() as f64;
                cpu.add(each(product.cpu().saturating_sub(before.0)));
                database_cpu.add(each(engine.cpu().saturating_sub(before.1)));
                took.extend(sent.took.values());
            }
            println!(
                "{name:<16} {:<33} {:<12} {}",
                cpu.spread(2),
                format!("{:.2}", database_cpu.median()),
                Figure::of(took).tail(2)
            );
        }
        self.runtime.block_on(store.close());
    }
}
