//! The real Claude Code CLI accepts the scripted model and really runs its tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use simulator::model::demo_files;
use simulator::{Model, Script};

/// `CLAUDE_CLI`, or the one that the project's scripts install.
fn cli() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/npm/node_modules/.bin/claude");
    let path = std::env::var_os("CLAUDE_CLI").map_or(installed, PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing: run `npm install --prefix .cache/npm @anthropic-ai/claude-code`, or set CLAUDE_CLI",
        path.display()
    );
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_repairs_the_program() {
    let model = Model::start().await;
    model.will(Script::fix_demo(&json!({})));
    let (home, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (path, content) in demo_files() {
        std::fs::write(work.path().join(path), content).unwrap();
    }
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
        let done = Command::new("git").args(identity).args(args).current_dir(work.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    git(&["init", "-q"]);
    git(&["config", "user.name", "x"]);
    git(&["config", "user.email", "x@example.com"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "Start"]);
    let schema = json!({
        "type": "object",
        "properties": {
            "title": { "type": "string" }, "summary": { "type": "string" }, "details": { "type": "string" },
            "verification": { "type": "string" }, "changed": { "type": "boolean" },
        },
        "required": ["title", "summary", "details", "verification", "changed"],
    });
    let out = Command::new(cli())
        .args(["-p", "--output-format", "stream-json", "--verbose", "--model", "claude-sonnet-4-5"])
        .args(["--tools", "Bash,Edit,Read,Write,Glob,Grep,TodoWrite", "--permission-mode", "acceptEdits"])
        .args(["--allowedTools", "Bash", "--json-schema", &schema.to_string(), "Repair the calculator."])
        .current_dir(work.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path())
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("ANTHROPIC_API_KEY", model.api_key())
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        // Otherwise the CLI has TaskCreate and TaskUpdate instead of TodoWrite, whatever --tools says.
        .env("CLAUDE_CODE_ENABLE_TASKS", "0")
        .output()
        .unwrap();
    let lines = String::from_utf8_lossy(&out.stdout).into_owned();
    let result: Value = serde_json::from_str(lines.lines().last().unwrap_or_default()).unwrap_or_default();
    if let Some(keep) = std::env::var_os("SIMULATOR_KEEP_STREAM") {
        std::fs::write(keep, &lines).unwrap();
    }
    assert_eq!(result["structured_output"]["changed"], true, "{lines}\n{}", String::from_utf8_lossy(&out.stderr));
    let failed = lines.lines().filter(|it| it.contains("\"is_error\":true")).count();
    assert_eq!(failed, 1, "only the first test run fails\n{lines}");
    assert_eq!(git(&["log", "-1", "--format=%s"]), "Make add() add\n");
    assert!(git(&["show", "HEAD:calc.sh"]).contains("$1 + $2"));
}
