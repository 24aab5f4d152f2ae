//! One cell: a world of its own in which one thing goes wrong, brought to rest and looked at.

use std::time::{Duration, Instant};

use cloud_agent::clock;
use cloud_agent::store::{self, Queue, Store};
use cloud_agent::task::Gone;
use simulator::github::Request;

use super::columns::Trouble;
use super::judge;
use super::routes::{BACKGROUND, Route};
use crate::world::{Database, World};

/// What is done next later than this is waited for by nobody here, in milliseconds.
const LONG: i64 = 40_000;
/// Longest that a story may take to come to rest.
const PATIENCE: Duration = Duration::from_mins(5);

/// What happens in the world of a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Story {
    /// A mention on an issue becomes a pull request.
    Mention,
    /// A pull request is opened and reviewed.
    Review,
    /// A push to a reviewed pull request mends what was found.
    Push,
}

/// How a world has come to rest.
pub enum Rest {
    /// Nothing is open.
    Ended,
    /// What is open goes on much later.
    Waits,
    /// It does not come to rest.
    Never,
}

impl Story {
    /// A world in which everything is ready for the story to begin.
    pub async fn ready(self) -> World {
        let mut world = World::on(Database::sqlite()).await;
        // Many worlds share the machine; a lease that lapses meanwhile is another story. Shorter than `LONG`: when a
        // lease ends is when a job is due.
        world.set("LEASE", "30s");
        self.set_up(&mut world).await;
        world
    }

    pub async fn set_up(self, world: &mut World) {
        const FINDING: &str =
            r#"[{"path":"README.md","line":1,"severity":"serious","title":"Wrong","reasoning":"So."}]"#;
        match self {
            Self::Mention => {
                world.claude_will("echo 'hello, world' > README.md");
                world.issue("The greeting is short", "");
            }
            Self::Review | Self::Push => {
                world.claude_finds(FINDING);
                world.settings("review:\n  on: [opened, synchronize]\n");
            }
        }
        world.start().await;
        if self == Self::Push {
            world.pull("change", &[("README.md", "hello, wurld\n")]).await;
            world.settle().await;
            world.claude_finds("[]");
            world.stop().await;
            world.start().await;
        }
        let before = world.github.journal().len();
        let checked = async || before > 0 || !world.github.journal().is_empty();
        world.wait_for("the first health check", checked).await;
    }

    /// What people do. GitHub's button is pressed when the delivery was not taken.
    pub async fn begin(self, world: &World) -> bool {
        match self {
            Self::Mention => {
                let delivered = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
                return delivered.status == 202;
            }
            Self::Review => {
                world.github.branch_from("octo/app", "change", "main");
                world.github.push_quietly("bob", "octo/app", "change", &[("README.md", "hello, wurld\n")], "Greet");
                world.github.open_pull("bob", "octo/app", "change", "main", "Greet").await;
            }
            Self::Push => {
                world.github.push("bob", "octo/app", "change", &[("README.md", "hello, world\n")], "Mend it").await;
            }
        }
        true
    }

    fn seen(self, world: &World) -> String {
        match self {
            Self::Mention => judge::mention(world),
            Self::Review => judge::review(world),
            Self::Push => judge::push(world),
        }
    }
}

/// Play the story with this trouble at this request; what came of it.
pub async fn play(story: Story, strike: Option<(&Route, &Trouble)>) -> String {
    let mut world = story.ready().await;
    if story == Story::Push {
        world.github.told();
    }
    if let Some((route, trouble)) = strike {
        trouble.strike(&world, route);
    }
    let before = world.github.journal().len();
    story.begin(&world).await;
    let mut words = outcome(story, &mut world).await;
    if strike.is_none() {
        complete(story, &world.github.journal()[before..]);
    }
    if judge::is_wrong(&words) {
        let (what, fault) = strike.map_or(("nothing", "wrong"), |(route, trouble)| (route.what, trouble.name));
        let told = world.told();
        println!("=== {what}, {fault}: {words}\n{told}\n{}", world.github.requests_since(0).join("\n"));
    }
    if world.github.violations().iter().any(|it| !it.is_empty()) {
        words = format!("{words}, AGAINST THE API'S DESCRIPTION");
    }
    world.stop().await;
    world.told();
    words
}

/// What people see once the world has come to rest; of one that waits, also once the trouble is over.
pub async fn outcome(story: Story, world: &mut World) -> String {
    match rest(world).await {
        Rest::Never => "STUCK".to_owned(),
        _ if !world.github.all_faults_met() => "NOT MET".to_owned(),
        Rest::Ended => seen(story, world).await,
        Rest::Waits => {
            let mut words = match (says_so(world).await, is_silent(world).await) {
                (true, true) => "waits".to_owned(),
                (false, _) => "WAITS UNSAID".to_owned(),
                (_, false) => "WAITS, NOT SILENTLY".to_owned(),
            };
            time_passes(world).await;
            let then = match rest(world).await {
                Rest::Ended => seen(story, world).await,
                _ => "STUCK".to_owned(),
            };
            if then != "done" {
                words = format!("{words}, then {then}");
            }
            words
        }
    }
}

async fn seen(story: Story, world: &World) -> String {
    if let Some(words) = left(world).await {
        return words;
    }
    match story.seen(world) {
        words if words == "SILENT" && is_gone(world).await => "stopped".to_owned(),
        words => words,
    }
}

/// Whether it ended because GitHub says that the App is not installed: there is nobody to tell on GitHub.
async fn is_gone(world: &World) -> bool {
    let gone = Gone::Uninstalled;
    let decided = format!("select count(*) from delivery where decision = '{}'", gone.says());
    let task = world.last_task(1).await.and_then(|task| task.ending);
    task.is_some_and(|ending| ending.code == gone.code()) || world.sql(&decided).await > 0
}

pub async fn rest(world: &World) -> Rest {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        world.github.quiesce().await;
        let store = world.store();
        match work(store).await {
            Ok((0, _)) => {
                world.github.quiesce().await;
                return Rest::Ended;
            }
            Ok((_, false)) => return Rest::Waits,
            // Also a database that does not answer: nobody knows what is in it.
            Ok((_, true)) | Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Rest::Never
}

/// How many jobs are open, and whether one of them is due soon.
async fn work(store: &Store) -> Result<(usize, bool), store::Error> {
    let (mut open, mut at_work) = (0, false);
    for queue in Queue::ALL {
        let jobs = store.claims(queue).await?;
        let due = store.next_due(queue).await?.unwrap_or_default();
        open += jobs.len();
        at_work |= !jobs.is_empty() && due < clock::now() + LONG;
    }
    Ok((open, at_work))
}

/// Whether a task that waits is in the state that says so.
async fn says_so(world: &World) -> bool {
    let task = world.last_task(1).await;
    task.is_none_or(|task| task.state.is_final() || task.state.name() == "waiting")
}

/// Whether nothing is sent on behalf of an installation for a while.
async fn is_silent(world: &World) -> bool {
    let sent = || {
        let journal = world.github.journal();
        journal.iter().filter(|it| !it.path.starts_with("/app") && !it.path.starts_with("/users/")).count()
    };
    let before = sent();
    tokio::time::sleep(Duration::from_secs(1)).await;
    sent() == before
}

/// The trouble is over, and what waits is due.
async fn time_passes(world: &mut World) {
    world.github.no_more_faults();
    world.stop().await;
    world.sql("update job set run_at = 0").await;
    // What holds calls back over all processes.
    if world.sql("select count(*) from sqlite_master where name = 'pace'").await == 1 {
        world.sql("delete from pace").await;
    }
    world.start().await;
}

/// What must not be left when everything has ended: writes that nobody knows the result of, files of runs.
async fn left(world: &World) -> Option<String> {
    // The last writes are recorded a moment after the job is gone.
    for _ in 0..40 {
        let runs = std::fs::read_dir(world.data_dir().join("runs")).map_or(0, Iterator::count);
        if runs == 0 && world.sql("select count(*) from effect where state = 'intended'").await == 0 {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Some("SOMETHING LEFT".to_owned())
}

/// Every request of the story has a row, and every row a request.
fn complete(story: Story, journal: &[Request]) {
    for request in journal {
        let mut known = Story::known().map(|it| (it.method, it.path)).chain(BACKGROUND.iter().copied());
        let known = known.any(|(method, path)| request.is(method, path));
        assert!(known, "the table has no row for {} {}?{}", request.method, request.path, request.query);
    }
    for Route { what, method, path, nth } in story.routes() {
        let met = journal.iter().filter(|it| it.is(method, path)).count();
        assert!(met > *nth, "the story has only {met} of {method} {path}: {what}");
    }
}
