//! The process is killed with SIGKILL before and after every durable write and every request to GitHub, one point at a time,
//! and started again: the world at rest is always the same as if nothing had happened.
//!
//! The product knows nothing of it. Requests are counted by the simulator, PostgreSQL's writes by a proxy, SQLite's commits
//! by a preloaded library. A point that failed is tried alone with `CRASH_POINT=mention/sqlite/write/before/7`.

mod point;
mod story;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use insta::assert_snapshot;
use simulator::github::Moment;

use crate::world::Postgres;
use point::{Engine, Kind, Point, Tried};
use story::Story;

/// Points at once.
const LANES: usize = 4;
/// No story has so many points; if it does, the counting is broken.
const MOST: usize = 500;

/// Points of one kind and moment, from the first on until there are none.
struct Series {
    next: Point,
    ended: bool,
    tried: usize,
}

#[derive(Default)]
struct Found {
    failures: Vec<String>,
}

/// Try every point of a story on a database, and tell how many there were.
fn try_all(story: Story, engine: Engine, expected: &str) {
    let began = Instant::now();
    let server = (engine == Engine::Postgres).then(Postgres::start);
    if let Ok(wanted) = std::env::var("CRASH_POINT") {
        return try_one(story, engine, expected, &wanted, server.as_ref());
    }
    let mut all = Vec::new();
    for kind in [Kind::Call, Kind::Write] {
        for moment in [Moment::Before, Moment::After] {
            let next = Point { story, engine, kind, moment, n: 1 };
            all.push(Series { next, ended: false, tried: 0 });
        }
    }
    let all = Mutex::new(all);
    let found = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let (all, found, server) = (&all, &found, server.as_ref());
            scope.spawn(move || {
                while let Some(point) = next(all, lane) {
                    judge(point, expected, server, all, found);
                }
            });
        }
    });
    let mut counts = BTreeMap::new();
    for it in all.into_inner().unwrap() {
        let name = it.next.to_string();
        counts.insert(name.rsplit_once('/').unwrap().0.to_owned(), it.tried);
    }
    let total: usize = counts.values().sum();
    let lines: Vec<String> = counts.iter().map(|(name, tried)| format!("{name}: {tried}")).collect();
    println!("killed at {total} points in {} s\n{}", began.elapsed().as_secs(), lines.join("\n"));
    let failures = found.into_inner().unwrap().failures;
    assert!(failures.is_empty(), "{} points failed\n\n{}", failures.len(), failures.join("\n\n"));
}

/// The next point that nobody has tried, of the series that is the least far.
fn next(all: &Mutex<Vec<Series>>, lane: usize) -> Option<Point> {
    let mut all = all.lock().unwrap();
    let open = all.iter_mut().filter(|it| !it.ended);
    let series = open.min_by_key(|it| it.next.n)?;
    let point = series.next;
    assert!(point.n < MOST, "lane {lane}: {point} is one too many");
    series.next.n += 1;
    Some(point)
}

fn judge(point: Point, expected: &str, server: Option<&Arc<Postgres>>, all: &Mutex<Vec<Series>>, found: &Mutex<Found>) {
    let outcome = attempt(point, server);
    let mut all = all.lock().unwrap();
    let series = all.iter_mut().find(|it| (it.next.kind, it.next.moment) == (point.kind, point.moment)).unwrap();
    let failure = match outcome {
        Ok(Tried { killed_at, picture }) => {
            match killed_at {
                Some(_) => series.tried += 1,
                None => series.ended = true,
            }
            let at = killed_at.unwrap_or_else(|| "nothing".to_owned());
            (picture != expected).then(|| {
                format!("{point}, killed at {at}: the world is not the same\n{}", difference(expected, &picture))
            })
        }
        Err(why) => {
            series.tried += 1;
            Some(format!("{point}: {why}"))
        }
    };
    if let Some(failure) = failure {
        eprintln!("{failure}");
        found.lock().unwrap().failures.push(failure);
    }
}

/// A point on a thread and runtime of its own, whose panic is its failure.
fn attempt(point: Point, server: Option<&Arc<Postgres>>) -> Result<Tried, String> {
    let server = server.cloned();
    let thread = std::thread::Builder::new().name(point.to_string()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(point.attempt(server.as_ref()))
    });
    thread.unwrap().join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned())).unwrap_or_default()
    })
}

fn try_one(story: Story, engine: Engine, expected: &str, wanted: &str, server: Option<&Arc<Postgres>>) {
    for kind in [Kind::Call, Kind::Write] {
        for moment in [Moment::Before, Moment::After] {
            for n in 1..MOST {
                let point = Point { story, engine, kind, moment, n };
                if point.to_string() == wanted {
                    let tried = attempt(point, server).unwrap_or_else(|why| panic!("{point}: {why}"));
                    println!("{point}: killed at {}", tried.killed_at.unwrap_or_else(|| "nothing".to_owned()));
                    assert_eq!(tried.picture, expected, "{}", difference(expected, &tried.picture));
                }
            }
        }
    }
}

fn difference(expected: &str, got: &str) -> String {
    similar::TextDiff::from_lines(expected, got).unified_diff().context_radius(2).to_string()
}

/// The world when nobody interferes.
fn undisturbed(story: Story) -> String {
    let nobody = Point { story, engine: Engine::Sqlite, kind: Kind::Call, moment: Moment::Before, n: MOST };
    attempt(nobody, None).unwrap().picture
}

#[test]
fn every_point_of_a_mention_on_sqlite() {
    try_all(Story::Mention, Engine::Sqlite, &undisturbed(Story::Mention));
}

#[test]
fn every_point_of_a_mention_on_postgres() {
    try_all(Story::Mention, Engine::Postgres, &undisturbed(Story::Mention));
}

#[test]
fn every_point_of_a_review_on_sqlite() {
    try_all(Story::Review, Engine::Sqlite, &undisturbed(Story::Review));
}

#[test]
fn every_point_of_a_review_on_postgres() {
    try_all(Story::Review, Engine::Postgres, &undisturbed(Story::Review));
}

#[test]
fn the_world_without_a_crash() {
    assert_snapshot!(undisturbed(Story::Mention), @"");
    assert_snapshot!(undisturbed(Story::Review), @"");
}
