//! The tables of `docs/faults.md`: made by the tests, and held against what is committed.

use std::path::PathBuf;

use futures::StreamExt as _;

use super::cell::{Story, play};
use super::columns::columns;
use super::judge::is_wrong;
use super::routes::Route;

/// Cells at once. Most of them wait for something most of the time.
const AT_ONCE: usize = 8;

/// Without `FAULTS=all` one of so many is played.
const SELECTION: usize = 6;
/// What stands for a cell that was never played; it is, when somebody asks for it with `FAULTS`.
const UNPLAYED: &str = "·";

/// A row of a table. What was not played stays as it stands.
pub struct Row {
    pub name: String,
    pub cells: Vec<Option<String>>,
}

/// Whether a cell of a row is to be played at all: it has been, or somebody asks for it.
pub fn is_played(heading: &str, row: &str, column: usize) -> bool {
    if let Ok(words) = std::env::var("FAULTS") {
        return words == "all" || row.contains(&words);
    }
    let text = std::fs::read_to_string(document()).unwrap();
    standing(section(&text, heading).1, row).get(column).is_some_and(|it| it != UNPLAYED)
}

/// What stands in the first cell of a row.
pub fn stands(heading: &str, row: &str) -> String {
    let text = std::fs::read_to_string(document()).unwrap();
    standing(section(&text, heading).1, row).first().cloned().unwrap_or_default()
}

/// Whether the `n`-th cell, which has this name, is to be played.
pub fn is_asked_for(name: &str, n: usize) -> bool {
    match std::env::var("FAULTS").as_deref() {
        Err(_) => n.is_multiple_of(SELECTION),
        Ok("all") => true,
        Ok(words) => name.contains(words),
    }
}

/// Play the cells of a story and hold the outcomes against the document.
pub async fn of_routes(story: Story, heading: &str) {
    assert_eq!(play(story, None).await, "done", "without any trouble");
    let (routes, columns) = (story.routes(), columns());
    let cells = (0..routes.len()).flat_map(|row| (0..columns.len()).map(move |column| (row, column)));
    let playing = cells.map(|(row, column)| {
        let (route, trouble) = (&routes[row], columns[column].clone());
        let name = format!("{}, {}", route.what, trouble.name);
        let known = std::env::var_os("FAULTS").is_some() || is_played(heading, &title(route), column);
        async move {
            let words = if route.reads() && trouble.applied {
                // A request that changes nothing has nothing to come before.
                Some(String::new())
            } else if known && is_asked_for(&name, row + column) {
                let words = aside(async move || play(story, Some((route, &trouble))).await).await;
                println!("{name}: {words}");
                Some(words)
            } else {
                None
            };
            (row, column, words)
        }
    });
    let mut played: Vec<_> = futures::stream::iter(playing).buffer_unordered(AT_ONCE).collect().await;
    played.sort_unstable();
    let head: Vec<String> = columns.iter().map(|it| it.name.to_owned()).collect();
    let rows = routes.iter().enumerate().map(|(row, route)| Row {
        name: title(route),
        cells: played.iter().filter(|it| it.0 == row).map(|it| it.2.clone()).collect(),
    });
    hold(heading, "request", &head, rows.collect());
}

fn title(route: &Route) -> String {
    let path = route.path.replace("/repos/{o}/{r}", "…").replace("/app/installations/{id}", "…");
    let path = path.replace("/{o}/{r}", "…").replace("{*path}", "{path}");
    format!("{}<br><sub>`{} {path}`</sub>", route.what, route.method)
}

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md")
}

/// Play in a thread and a runtime of its own: worlds block now and then, and must not hold each other up.
pub async fn aside<T: Send + 'static>(play: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    tokio::task::spawn_blocking(move || runtime().block_on(play())).await.unwrap()
}

/// Compare a table with the committed one, or write it there.
pub fn hold(heading: &str, corner: &str, head: &[String], rows: Vec<Row>) {
    let wrong = rows.iter().flat_map(|row| row.cells.iter().flatten().map(|it| (row.name.clone(), it.clone())));
    let wrong: Vec<_> = wrong.filter(|it| is_wrong(&it.1)).collect();
    let played = rows.iter().flat_map(|row| &row.cells).flatten().filter(|it| !it.is_empty()).count();
    println!("{heading}: {played} cells were played.");
    let path = document();
    // Each table is written by a process of its own.
    let lock = std::fs::File::create(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults.lock")).unwrap();
    lock.lock().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, committed, after) = section(&text, heading);
    let mut table = format!("| {corner} | {} |\n|---|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let stands = standing(committed, &row.name);
        let words = row.cells.into_iter().enumerate();
        let words = words.map(|(at, words)| words.or_else(|| stands.get(at).cloned()).unwrap_or(UNPLAYED.to_owned()));
        table.extend(["| ", &row.name, " | ", &words.collect::<Vec<_>>().join(" | "), " |\n"]);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{table}{after}")).unwrap();
    } else {
        let diff = similar::TextDiff::from_lines(committed, &table).unified_diff().context_radius(0).to_string();
        assert!(
            diff.is_empty(),
            "what happens differs from docs/faults.md, {heading:?}:\n{diff}\nIf that is meant: UPDATE_DOCS=1 script/faults"
        );
    }
    assert!(wrong.is_empty(), "this must never be: {wrong:?}");
}

/// The cells of a row as they are committed, without its name.
fn standing(table: &str, name: &str) -> Vec<String> {
    let start = format!("| {name} | ");
    let rest = table.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix(" |"));
    rest.map_or_else(Vec::new, |rest| rest.split(" | ").map(str::to_owned).collect())
}

/// The text up to the table below a heading, the table, and what comes after.
fn section<'a>(text: &'a str, heading: &str) -> (&'a str, &'a str, &'a str) {
    let title = format!("## {heading}\n");
    let start = text.find(&title).unwrap_or_else(|| panic!("docs/faults.md has no {title:?}"));
    let body = start + title.len();
    let end = text[body..].find("\n## ").map_or(text.len(), |it| body + it);
    let table = text[body..end].find("\n|").map_or(end, |it| body + it + 1);
    let after = text[table..end].rfind("|\n").map_or(table, |it| table + it + 2);
    (&text[..table], &text[table..after], &text[after..])
}
