//! The API held against its own description: schemathesis asks all that the description allows and much that it does not, of
//! the real server, and looks whether the answers are among those that it describes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::world::{Database, World};

/// Requests that are made up for each operation, where `SCHEMATHESIS_EXAMPLES` does not say.
const EXAMPLES: &str = "10";

/// What `script/setup` has installed.
fn schemathesis() -> PathBuf {
    let program = root().join(".cache/python/venv/bin/schemathesis");
    assert!(program.exists(), "run script/setup: {} is not there", program.display());
    program
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_what_is_described() {
    let program = schemathesis();
    let mut world = World::on(Database::sqlite()).await;
    world.claude_will("echo 'hello, world' > README.md");
    world.set("ADMIN_API_KEY", "ca_test");
    // What is asked for too often is another matter.
    world.set("TASKS_PER_PERSON_HOUR", "100000");
    world.start_process().await;
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.settle().await;

    let mut command = Command::new(program);
    command
        .args(["--config-file", root().join("script/python/schemathesis.toml").to_str().unwrap()])
        .args(["run", &format!("http://{}/api/v1/openapi.json", world.address())])
        .args(["--max-examples", &std::env::var("SCHEMATHESIS_EXAMPLES").unwrap_or(EXAMPLES.to_owned())])
        // What it leaves behind goes with the test.
        .current_dir(world.data_dir())
        .env("CA_API_KEY", "ca_test");
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    println!("{said}");
    assert!(status.success(), "{said}");
    // Of what it has made some tasks may still run.
    world.kill();
    world.told();
}
