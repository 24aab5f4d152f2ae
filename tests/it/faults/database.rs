//! The database's troubles: a connection that breaks at a commit, a server that is replaced, a disk that is full.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use futures::StreamExt as _;

use super::cell::{Story, outcome};
use super::proxy::{Cut, Proxy};
use super::{judge, table};
use crate::world::{Database, World};

/// PostgreSQL servers at once.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_meets_every_fault_of_the_database() {
    let (undisturbed, commits) = cut(Cut::Never).await;
    assert_eq!((undisturbed.as_str(), commits > 3), ("done", true), "{commits} commits");
    let before = every(commits, Cut::BeforeCommit).await;
    let after = every(commits, Cut::AfterCommit).await;
    println!("Cut {commits} commits, before and after.");
    let (accepting, running) =
        tokio::join!(table::aside(replaced_while_accepting), table::aside(replaced_while_running));
    let mut rows = vec![
        row("PostgreSQL: the connection breaks before a commit, at each in turn", &before),
        row("PostgreSQL: the connection breaks after a commit, at each in turn", &after),
        row("PostgreSQL: stopped when a delivery comes, started later", &accepting),
        row("PostgreSQL: stopped and started while the agent works", &running),
    ];
    for (what, when) in [("a delivery comes", When::Accepting), ("the agent works", When::Working)] {
        let words = match Full::mount() {
            Some(disk) => full(disk, when).await,
            // Only where no disk can be made; the table is then held as it was seen elsewhere.
            None => FULL[when as usize].to_owned(),
        };
        rows.push(row(&format!("SQLite: the disk is full when {what}, and later has room"), &words));
    }
    table::hold("The database", "trouble", &["outcome".to_owned()], &rows);
}

const FULL: [&str; 2] = ["503, then done", "paused, then done"];

fn row(what: &str, words: &str) -> Vec<String> {
    vec![what.to_owned(), words.to_owned()]
}

/// The outcomes over all commits of the story.
async fn every(commits: usize, when: fn(usize) -> Cut) -> String {
    let playing = (1..=commits).map(|at| async move {
        let (words, _) = table::aside(async move || cut(when(at)).await).await;
        if words != "done" && words != "503, then done" {
            println!("=== cut {:?}: {words}", when(at));
        }
        words
    });
    let outcomes: BTreeSet<String> = futures::stream::iter(playing).buffer_unordered(AT_ONCE).collect().await;
    outcomes.into_iter().collect::<Vec<_>>().join(" or ")
}

/// The story with one cut; its outcome, and how many commits there were.
async fn cut(at: Cut) -> (String, usize) {
    let database = Database::postgres();
    let mut world = World::on(database).await;
    // The schema is made directly: how the first start fails is another story.
    world.store().migrate().await.unwrap();
    let proxy = Proxy::start(&world.postgres().socket_dir(), at);
    world.set("DATABASE_URL", &proxy.url());
    world.set("LEASE", "10s");
    Story::Mention.set_up(&mut world).await;
    let words = heard_at_last(&mut world).await;
    (words, proxy.commits())
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
    ended(&mut world, format!("{}, then ", delivered.status)).await
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
    ended(&mut world, format!("{}, then ", delivered.status)).await
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
