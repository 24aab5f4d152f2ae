//! The tables of `docs/faults.md`: made by the tests, and held against what is committed.

use std::path::PathBuf;

use futures::StreamExt as _;

use super::cell::{Story, play};
use super::columns::columns;
use super::judge::is_wrong;

/// Cells at once. Most of them wait for something most of the time.
const AT_ONCE: usize = 8;

/// Play every cell of a story and hold the outcomes against the document.
pub async fn of_routes(story: Story, heading: &str) {
    assert_eq!(play(story, None).await, "done", "without any trouble");
    let (routes, columns) = (story.routes(), columns());
    let only = std::env::var("FAULTS_ONLY").ok();
    let cells = (0..routes.len()).flat_map(|row| (0..columns.len()).map(move |column| (row, column)));
    let playing = cells.map(|(row, column)| {
        let (route, trouble) = (&routes[row], columns[column].clone());
        let name = format!("{}, {}", route.what, trouble.name);
        // A request that changes nothing has nothing to come before; and somebody may look into one cell only.
        let left_out = (route.reads() && trouble.applied) || only.as_ref().is_some_and(|only| !name.contains(only));
        async move {
            let words = match left_out {
                true => String::new(),
                false => aside(async move || play(story, Some((route, &trouble))).await).await,
            };
            println!("{name}: {words}");
            (row, column, words)
        }
    });
    let mut played: Vec<_> = futures::stream::iter(playing).buffer_unordered(AT_ONCE).collect().await;
    played.sort_unstable();
    if let Some(only) = only {
        panic!("played only {only:?}: {:?}", played.iter().filter(|it| !it.2.is_empty()).collect::<Vec<_>>());
    }
    let head: Vec<String> = columns.iter().map(|it| it.name.to_owned()).collect();
    let rows: Vec<Vec<String>> = routes
        .iter()
        .enumerate()
        .map(|(row, route)| {
            let words = played.iter().filter(|it| it.0 == row).map(|it| it.2.clone());
            let path = route.path.replace("/repos/{o}/{r}", "…").replace("/app/installations/{id}", "…");
            let path = path.replace("/{o}/{r}", "…").replace("{*path}", "{path}");
            std::iter::once(format!("{}<br><sub>`{} {path}`</sub>", route.what, route.method)).chain(words).collect()
        })
        .collect();
    hold(heading, "request", &head, &rows);
}

/// Play in a thread and a runtime of its own: worlds block now and then, and must not hold each other up.
pub async fn aside<T: Send + 'static>(play: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    tokio::task::spawn_blocking(move || runtime().block_on(play())).await.unwrap()
}

/// Compare a table with the committed one, or write it there.
pub fn hold(heading: &str, corner: &str, head: &[String], rows: &[Vec<String>]) {
    let mut table = format!("| {corner} | {} |\n|---|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        table.extend(["| ", &row.join(" | "), " |\n"]);
    }
    let wrong: Vec<&String> = rows.iter().flatten().filter(|it| is_wrong(it)).collect();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        // Each table is written by a process of its own.
        let lock = std::fs::File::create(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults.lock")).unwrap();
        lock.lock().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, _, after) = section(&text, heading);
        std::fs::write(&path, format!("{before}{table}{after}")).unwrap();
    } else {
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, committed, _) = section(&text, heading);
        let diff = similar::TextDiff::from_lines(committed, &table).unified_diff().context_radius(0).to_string();
        assert!(
            diff.is_empty(),
            "what happens differs from docs/faults.md, {heading:?}:\n{diff}\nIf that is meant: UPDATE_DOCS=1 script/test faults::"
        );
    }
    assert!(wrong.is_empty(), "this must never be: {wrong:?}\n{table}");
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
