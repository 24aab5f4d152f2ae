//! The database's troubles: a connection that breaks at a commit, a server that is replaced, a disk that is full.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use futures::StreamExt as _;
use simulator::github::Moment;

use super::cell::{Story, outcome};
use super::{judge, table};
use crate::world::{Database, Proxy, World};

/// PostgreSQL servers at once.
const AT_ONCE: usize = 6;

const BEFORE: &str = "PostgreSQL: the connection breaks before a durable write, at each in turn";
const AFTER: &str = "PostgreSQL: the connection breaks after a durable write, at each in turn";
const ACCEPTING: &str = "PostgreSQL: stopped when a delivery comes, started later";
const RUNNING: &str = "PostgreSQL: stopped and started while the agent works";

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_meets_every_fault_of_the_database() {
    let (mut before, mut after) = (None, None);
    if table::is_played(HEADING, BEFORE, 0) || table::is_played(HEADING, AFTER, 0) {
        let (undisturbed, writes) = cut(None).await;
        assert_eq!((undisturbed.as_str(), writes > 20), ("done", true), "{writes} writes");
        before = Some(every(writes, Moment::Before).await);
        after = Some(every(writes, Moment::After).await);
    }
    let (mut accepting, mut running) = (None, None);
    if table::is_played(HEADING, ACCEPTING, 0) {
        accepting = Some(table::aside(replaced_while_accepting).await);
    }
    if table::is_played(HEADING, RUNNING, 0) {
        running = Some(table::aside(replaced_while_running).await);
    }
    let mut rows = vec![row(BEFORE, before), row(AFTER, after), row(ACCEPTING, accepting), row(RUNNING, running)];
    for (what, when) in [("a delivery comes", When::Accepting), ("the agent works", When::Working)] {
        let name = format!("SQLite: the disk is full when {what}, and later has room");
        let mut words = None;
        // Where no disk can be made the table is held as it was seen elsewhere.
        if table::is_played(HEADING, &name, 0)
            && let Some(disk) = Full::mount()
        {
            words = Some(full(disk, when).await);
        }
        rows.push(row(&name, words));
    }
    table::hold(HEADING, "trouble", &["outcome".to_owned()], rows);
}

const HEADING: &str = "The database";

fn row(what: &str, words: Option<String>) -> table::Row {
    table::Row { name: what.to_owned(), cells: vec![words] }
}

/// The outcomes over the writes of the story.
async fn every(writes: usize, moment: Moment) -> String {
    let row = if moment == Moment::Before { BEFORE } else { AFTER };
    let points: Vec<usize> = (1..=writes).filter(|n| table::is_asked_for(row, *n)).collect();
    println!("The connection breaks {moment:?} {} of {writes} writes.", points.len());
    let playing = points.into_iter().map(|n| async move {
        let (words, _) = table::aside(async move || cut(Some((n, moment))).await).await;
        if words != "done" && words != "503, then done" {
            println!("=== {moment:?} write {n}: {words}");
        }
        words
    });
    let outcomes: BTreeSet<String> = futures::stream::iter(playing).buffer_unordered(AT_ONCE).collect().await;
    let known = table::stands(HEADING, row);
    // Which write is at which point differs from run to run, and a part of the points shows a part of the outcomes.
    if std::env::var_os("UPDATE_DOCS").is_none() && outcomes.iter().all(|it| known.split(" or ").any(|one| one == it)) {
        return known;
    }
    outcomes.into_iter().collect::<Vec<_>>().join(" or ")
}

/// The story with the connection broken once; its outcome, and how many writes there were.
async fn cut(at: Option<(usize, Moment)>) -> (String, usize) {
    let mut world = World::on(Database::postgres()).await;
    let proxy = Proxy::before(&world.postgres().socket(), "postgres").await;
    let (n, moment) = at.unwrap_or((usize::MAX, Moment::Before));
    world.set("DATABASE_URL", proxy.url());
    // A claim that was lost with the connection lapses first.
    world.set("LEASE", "5s");
    Story::Mention.set_up(&mut world).await;
    // The proxy hangs up at that moment, and nothing else happens. How a start fails is another story.
    proxy.wire().set(n, moment, || ());
    let words = heard_at_last(&mut world).await;
    (words, proxy.wire().passed())
}

/// A mention, sent again by GitHub's button until it is taken.
async fn heard_at_last(world: &mut World) -> String {
    let delivered = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    let mut words = String::new();
    if !(200..300).contains(&delivered.status) {
        words = format!("{}, then ", delivered.status);
        let redelivered = async || (200..300).contains(&world.github.redeliver(&delivered.guid).await);
        world.wait_for("the delivery to be taken", redelivered).await;
    }
    ended(world, words).await
}

async fn ended(world: &mut World, before: String) -> String {
    let words = outcome(Story::Mention, world).await;
    let told = world.told();
    if judge::is_wrong(&words) {
        println!("=== {words}\n{told}\n{}", world.github.requests_since(0).join("\n"));
    }
    world.stop().await;
    world.told();
    format!("{before}{words}")
}

async fn replaced_while_accepting() -> String {
    let mut world = World::on(Database::postgres()).await;
    Story::Mention.set_up(&mut world).await;
    world.postgres().stop();
    let delivered = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.postgres().start_again();
    let redelivered = async || world.github.redeliver(&delivered.guid).await == 202;
    world.wait_for("the delivery to be taken", redelivered).await;
    let words = ended(&mut world, format!("{}, then ", delivered.status)).await;
    println!("{words}: {:?}", world.store().delivery_decision(&delivered.guid).await);
    words
}

async fn replaced_while_running() -> String {
    let mut world = World::on(Database::postgres()).await;
    world.set("LEASE", "5s");
    Story::Mention.set_up(&mut world).await;
    world.claude_waits("echo 'hello, world' > README.md");
    Story::Mention.begin(&world).await;
    world.claude_is_waiting().await;
    world.postgres().stop();
    world.claude_goes_on();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Whoever begins anew does not wait.
    world.claude_will("echo 'hello, world' > README.md");
    world.postgres().start_again();
    ended(&mut world, String::new()).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Accepting,
    Working,
}

/// A small disk for the database, which can be filled.
struct Full {
    dir: PathBuf,
}

impl Full {
    /// None, with the reason, where nobody lets us mount one. In CI somebody has to.
    fn mount() -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("disk").tempdir_in("/tmp").unwrap().keep();
        let options = format!("size=12m,mode=0777,uid={}", nix::unistd::geteuid());
        for before in [&[][..], &["sudo", "-n"]] {
            let words: Vec<&str> =
                before.iter().copied().chain(["mount", "-t", "tmpfs", "-o", &options, "tmpfs"]).collect();
            let mounted = Command::new(words[0]).args(&words[1..]).arg(&dir).output();
            if mounted.is_ok_and(|it| it.status.success()) {
                return Some(Self { dir });
            }
        }
        let _ = std::fs::remove_dir(&dir);
        assert!(std::env::var_os("CI").is_none(), "CI must let these tests mount a tmpfs");
        println!("Not seen here: a full disk. Only root, or who may `sudo mount`, can mount a tmpfs.");
        None
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut ballast = std::fs::File::options().create(true).append(true).open(self.dir.join("ballast")).unwrap();
        while ballast.write_all(&[1; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.dir.join("ballast")).unwrap();
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        for before in [&[][..], &["sudo", "-n"]] {
            let words: Vec<&str> = before.iter().copied().chain(["umount", "--lazy"]).collect();
            if Command::new(words[0]).args(&words[1..]).arg(&self.dir).output().is_ok_and(|it| it.status.success()) {
                break;
            }
        }
        let _ = std::fs::remove_dir(&self.dir);
    }
}

async fn full(disk: Full, when: When) -> String {
    let mut world = World::on(Database::sqlite_in(&disk.dir)).await;
    world.set("LEASE", "5s");
    Story::Mention.set_up(&mut world).await;
    if when == When::Working {
        world.claude_waits("echo 'hello, world' > README.md");
        Story::Mention.begin(&world).await;
        world.claude_is_waiting().await;
    }
    disk.fill();
    use_up(&world).await;
    if when == When::Working {
        world.claude_goes_on();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let published = !world.github.pulls("octo/app").is_empty();
        world.claude_will("echo 'hello, world' > README.md");
        disk.make_room();
        return ended(&mut world, (if published { "went on, then " } else { "paused, then " }).to_owned()).await;
    }
    let delivered = world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    disk.make_room();
    let redelivered = async || world.github.redeliver(&delivered.guid).await == 202;
    world.wait_for("the delivery to be taken", redelivered).await;
    let words = ended(&mut world, format!("{}, then ", delivered.status)).await;
    println!("{words}: {:?}", world.store().delivery_decision(&delivered.guid).await);
    words
}

/// Have the bot store things until there is no page left in the files that it has.
async fn use_up(world: &World) {
    let room = world.issue("Talk", "");
    let place = format!("octo/app#{room}");
    for size in [20_000, 1_000] {
        for n in 0..200 {
            let mut noise = String::new();
            while noise.len() < size {
                noise.push_str(&uuid::Uuid::new_v4().to_string());
            }
            let delivered = world.github.comment("bob", &place, &noise).await;
            assert!(n < 199, "the disk is never full");
            if delivered.status == 503 {
                break;
            }
        }
    }
    world.github.told();
}
