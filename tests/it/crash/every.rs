//! All points of a story, several at a time, and what came of them.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use simulator::github::Moment;

use super::point::{Engine, Point};
use super::story::Story;
use crate::world::Postgres;

/// Points at once.
const LANES: usize = 3;
/// One in so many points is tried unless all are asked for. After one write is before the next: with those before and those
/// after in turn, every third state is seen that a crash can leave in SQLite. PostgreSQL's are near those.
const OF_SQLITE: usize = 9;
const OF_POSTGRES: usize = 16;
/// No story has so many points; if one does, the counting is broken.
const MOST: usize = 500;

/// Points of one kind and moment, from the first on until there are none.
struct Series {
    next: Point,
    ended: bool,
    tried: usize,
}

/// What the lanes share.
struct Hunt {
    expected: String,
    stride: usize,
    server: Option<Arc<Postgres>>,
    board: Mutex<Board>,
}

struct Board {
    series: Vec<Series>,
    complaints: Vec<String>,
}

/// Try the points of a story on a database, and tell how many there were.
pub fn every_point_of(story: Story, engine: Engine) {
    let began = Instant::now();
    let stride = match engine {
        _ if std::env::var("CRASH_POINTS").as_deref() == Ok("all") || story == Story::RealMention => 1,
        Engine::Sqlite => OF_SQLITE,
        Engine::Postgres => OF_POSTGRES,
    };
    // After one is before the next, so those after lie in the middle between those before.
    let first = |moment| if moment == Moment::Before { 1 } else { (stride / 2).max(1) };
    let moments = [Moment::Before, Moment::After].into_iter();
    let series = moments.flat_map(|moment| story.kinds().iter().map(move |kind| (*kind, moment)));
    let series = series.map(|(kind, moment)| {
        let next = Point { story, engine, kind, moment, n: first(moment) };
        Series { next, ended: false, tried: 0 }
    });
    let hunt = Hunt {
        expected: undisturbed(story),
        stride,
        server: (engine == Engine::Postgres).then(|| Arc::new(Postgres::start())),
        board: Mutex::new(Board { series: series.collect(), complaints: Vec::new() }),
    };
    if let Ok(wanted) = std::env::var("CRASH_POINT") {
        return hunt.only(&wanted);
    }
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(point) = hunt.next() {
                    hunt.judge(point);
                }
            });
        }
    });
    let board = hunt.board.into_inner().unwrap();
    let total: usize = board.series.iter().map(|it| it.tried).sum();
    println!("{} on {engine:?}: killed at {total} points, in {} s", story.name(), began.elapsed().as_secs());
    for it in &board.series {
        println!("  {:?} {:?}: {}", it.next.moment, it.next.kind, it.tried);
        assert!(it.tried > 1, "so few can't be all");
    }
    assert!(
        board.complaints.is_empty(),
        "{} points failed

{}",
        board.complaints.len(),
        board.complaints.join(
            "

"
        )
    );
}

/// The world when nobody interferes.
pub fn undisturbed(story: Story) -> String {
    let never = Point { story, engine: Engine::Sqlite, kind: story.kinds()[0], moment: Moment::Before, n: MOST };
    attempt(never, None).picture.unwrap_or_else(|why| panic!("{why}"))
}

impl Hunt {
    /// The next point that nobody has tried, of the series that is the least far.
    fn next(&self) -> Option<Point> {
        let mut board = self.board();
        let series = board.series.iter_mut().filter(|it| !it.ended).min_by_key(|it| it.next.n)?;
        let point = series.next;
        assert!(point.n < MOST, "{point} is one too many");
        series.next.n += self.stride;
        Some(point)
    }

    fn judge(&self, point: Point) {
        let tried = attempt(point, self.server.as_ref());
        let complaint = self.complaint(point, &tried);
        let mut board = self.board();
        let same = |it: &&mut Series| (it.next.kind, it.next.moment) == (point.kind, point.moment);
        if let Some(series) = board.series.iter_mut().find(same) {
            series.tried += usize::from(tried.killed_at.is_some());
            series.ended |= tried.killed_at.is_none();
        }
        if let Some(complaint) = complaint {
            eprintln!("{complaint}");
            board.complaints.push(complaint);
        }
    }

    /// What is not as it should be.
    fn complaint(&self, point: Point, tried: &Tried) -> Option<String> {
        let at = tried.killed_at.as_deref().unwrap_or("no point at all");
        let what = match &tried.picture {
            Ok(picture) if *picture == self.expected => return None,
            Ok(picture) => similar::TextDiff::from_lines(&self.expected, picture).unified_diff().to_string(),
            Err(why) => why.clone(),
        };
        Some(format!("{point}, killed at {at}: the world is not the same\n{what}"))
    }

    /// Only the one that has this name, if it is one of these.
    fn only(&self, wanted: &str) {
        let first: Vec<Point> = self.board().series.iter().map(|it| it.next).collect();
        let mut all = first.iter().flat_map(|it| (1..=MOST).map(|n| Point { n, ..*it }));
        let Some(point) = all.find(|it| it.to_string() == wanted) else {
            let family = first[0].to_string();
            let family = family.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
            assert!(!wanted.starts_with(&family), "there is no point {wanted}");
            return;
        };
        let tried = attempt(point, self.server.as_ref());
        println!("{point}: killed at {}", tried.killed_at.as_deref().unwrap_or("no point at all"));
        if let Some(complaint) = self.complaint(point, &tried) {
            panic!("{complaint}");
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap()
    }
}

/// How a point came out.
struct Tried {
    /// What was passing when the process was killed.
    killed_at: Option<String>,
    /// The world at rest, or why it never came to rest.
    picture: Result<String, String>,
}

/// A point on a thread and a runtime of its own, whose panic is its failure.
fn attempt(point: Point, server: Option<&Arc<Postgres>>) -> Tried {
    let killed_at = Arc::new(OnceLock::new());
    let (server, noted) = (server.cloned(), killed_at.clone());
    let thread = std::thread::Builder::new().name(point.to_string()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(point.attempt(server.as_ref(), &noted))
    });
    let picture = thread.unwrap().join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned())).unwrap_or_default()
    });
    Tried { killed_at: killed_at.get().cloned(), picture }
}
