//! The API held against its own description: schemathesis asks all that the description allows and much that it does not, of
//! the real server, and looks whether the answers are among those that it describes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::api::{get, read};
use crate::world::{Database, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_a_page_that_runs_nothing() {
    let mut world = World::on(Database::sqlite()).await;
    world.set("ADMIN_API_KEY", "ca_test");
    world.start().await;
    let page = read(reqwest::get(format!("http://{}/api/v1", world.address())).await.unwrap()).await;
    assert_eq!((page.status, page.kind.as_str()), (200, "text/html; charset=utf-8"));
    let described = get(&world, "", "openapi.json").await.json();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.text.contains(&format!("<article id=\"{id}\">")), "{path}: {id}");
        }
    }
    for name in described["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.text.contains(&format!("<article id=\"schema-{name}\">")), "{name}");
    }
    // Whatever it links to on itself is there.
    for to in page.text.split("href=\"#").skip(1).map(|it| it.split('"').next().unwrap()) {
        assert!(page.text.contains(&format!("id=\"{to}\"")), "#{to}");
    }
    assert!(page.text.contains("problem+json</code>") && !page.text.contains('`'), "code is shown as code");
    assert!(page.text.contains("curl -X POST") && page.text.contains("prefers-color-scheme: dark"));
    assert!(page.text.contains("&#x27;&quot;") || page.text.contains("&quot;"), "what the description says is no HTML");
    let style = page.text.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let digest = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let rest = policy.replace(&format!("style-src 'sha256-{digest}'"), "STYLE");
    assert_eq!(rest, "default-src 'none'; STYLE; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    for never in ["<script", "<img", "<link", "<iframe", "style=", " on", "javascript:"] {
        let found = page.text.split('<').any(|tag| format!("<{}", tag.split('>').next().unwrap()).contains(never));
        assert!(!found, "{never}");
    }
}

/// Requests that are made up for each operation, where `SCHEMATHESIS_EXAMPLES` does not say.
const EXAMPLES: &str = "3";

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
