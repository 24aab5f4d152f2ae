//! What a long history costs: the same questions asked of a store with finished tasks in it and of an empty one, in turns,
//! on SQLite and on PostgreSQL. `cargo bench --bench scale -- 1000000`, and `sqlite` or `postgres` for one of them.
//!
//! To read on: `measure.rs` (what is asked of the store), `api.rs` (what of the server), `fill.rs` (what the history is made of).
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that fails should stop and say where")]

mod api;
mod fill;
mod measure;
#[path = "../accept/postgres.rs"]
#[expect(dead_code, reason = "the other measurement asks for more")]
mod postgres;
#[path = "../accept/process.rs"]
#[expect(dead_code, reason = "the other measurement asks for more")]
mod process;

/// Finished tasks when nothing else is said: a minute's worth.
const TASKS: i64 = 50_000;

fn main() {
    // cargo passes `--bench`; what is left is ours.
    let words: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let tasks = words.iter().find_map(|word| word.parse().ok()).unwrap_or(TASKS);
    let wants = |name: &str| !words.iter().any(|it| it.parse::<i64>().is_err()) || words.iter().any(|it| it == name);
    let dir = tempfile::Builder::new().prefix("scale").tempdir_in("/tmp").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if wants("sqlite") {
        let url = |name: &str| format!("sqlite://{}", dir.path().join(name).display());
        let (empty, full) = (url("empty.db"), url("full.db"));
        runtime.block_on(measure::compare("SQLite", &empty, &full, tasks));
        runtime.block_on(api::compare("SQLite", &empty, &full, dir.path()));
    }
    if wants("postgres") {
        let server = postgres::Postgres::start(&dir.path().join("postgres"));
        let (empty, full) = (server.create("empty"), server.create("filled"));
        runtime.block_on(measure::compare("PostgreSQL", &empty, &full, tasks));
        runtime.block_on(api::compare("PostgreSQL", &empty, &full, dir.path()));
    }
}
