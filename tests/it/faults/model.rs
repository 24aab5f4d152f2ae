//! The model's troubles, met by the real Claude Code behind the gateway.

use futures::StreamExt as _;
use serde_json::json;
use simulator::Script;

use super::cell::{Story, outcome};
use super::{judge, table};
use crate::world::{Database, World};

/// Each is a process of Node that wants a core.
const AT_ONCE: usize = 4;

/// Trouble of the API, by its name. The CLI tries again by itself, for minutes, unless the API tells it not to.
fn troubles() -> Vec<(&'static str, Script, Script)> {
    let error = |status, kind, message| {
        let once = Script::error(status, kind, message, &[]);
        let lasting = Script::error(status, kind, message, &[("x-should-retry", "false")]);
        (once, lasting)
    };
    let named = |name, (once, lasting)| (name, once, lasting);
    vec![
        named("401", error(401, "authentication_error", "invalid x-api-key")),
        named("402", error(402, "billing_error", "Your credit balance is too low")),
        named("429", error(429, "rate_limit_error", "This request would exceed your rate limit")),
        named("529", error(529, "overloaded_error", "Overloaded")),
        ("hang", Script::hang(), Script::hang()),
        ("cut stream", Script::cut_stream(), Script::cut_stream()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_meets_every_fault_of_the_model() {
    let troubles = troubles();
    let cells = troubles.iter().enumerate().flat_map(|(row, (_, once, lasting))| {
        let answer = json!({ "title": "Greet", "summary": "s", "details": "", "verification": "", "changed": true });
        let works = Script::runs("echo 'hello, world' > README.md", answer);
        [(row, 0, Script::first(1, once.clone(), works)), (row, 1, lasting.clone())]
    });
    let playing = cells.map(|(row, column, script)| async move {
        (row, column, table::aside(async move || play(script).await).await)
    });
    let mut played: Vec<_> = futures::stream::iter(playing).buffer_unordered(AT_ONCE).collect().await;
    played.sort_unstable();
    let rows = troubles.iter().enumerate().map(|(row, (name, ..))| table::Row {
        name: (*name).to_owned(),
        cells: played.iter().filter(|it| it.0 == row).map(|it| Some(it.2.clone())).collect(),
    });
    table::hold("The model", "trouble", &["once".to_owned(), "for good".to_owned()], rows.collect());
}

async fn play(script: Script) -> String {
    let mut world = World::on(Database::sqlite()).await;
    world.claude_is_real();
    world.set("LEASE", "30s");
    world.set("RUN_TIMEOUT", "25s");
    // A task waits for a model that is away; a day is too long for a test.
    world.set("WAIT_LIMIT", "5s");
    world.start().await;
    world.model.will(script);
    world.issue("The greeting is short", "");
    Story::Mention.begin(&world).await;
    let words = outcome(Story::Mention, &mut world).await;
    let said = world.told();
    if judge::is_wrong(&words) {
        println!("=== {words}\n{said}");
    }
    world.stop().await;
    world.told();
    words
}
