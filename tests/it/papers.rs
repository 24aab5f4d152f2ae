//! What the documents tell people to type and to put into files: the settings to copy, the commands for a bad day.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Load settings as the file says, and start the server with them.
fn serve(settings: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("set -a; . {}; set +a; exec {} serve", settings.display(), env!("CARGO_BIN_EXE_cloud-agent"));
    let output = Command::new("bash")
        .args(["-euc", &script])
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn settings_that_are_copied_and_not_filled_in_start_nothing() {
    let example = read(".env.example");
    let said = serve(&root().join(".env.example"));
    assert!(said.contains("GITHUB_WEBHOOK_SECRET is empty"), "{said}");
    // The one of the README.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    let secret = read("README.md");
    let secret = secret.lines().find_map(|line| line.trim().strip_prefix("GITHUB_WEBHOOK_SECRET=")).unwrap();
    std::fs::write(&file, format!("{example}\nGITHUB_WEBHOOK_SECRET={secret}\n")).unwrap();
    assert!(serve(&file).contains("which everybody can read in the documentation"));
}

#[test]
fn a_key_on_one_line_in_double_quotes_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    let example = read(".env.example");
    let line = example.lines().find_map(|line| line.strip_prefix("#GITHUB_APP_PRIVATE_KEY=")).unwrap();
    let script = format!("set -a; . {}; set +a; printf %s \"$GITHUB_APP_PRIVATE_KEY\"", file.display());
    std::fs::write(&file, format!("GITHUB_APP_PRIVATE_KEY={line}\n")).unwrap();
    let output = Command::new("bash").args(["-euc", &script]).output().unwrap();
    let read = String::from_utf8_lossy(&output.stdout).replace("\\n", "\n");
    assert!(
        read.starts_with("-----BEGIN RSA PRIVATE KEY-----\n") && read.ends_with("\n-----END RSA PRIVATE KEY-----"),
        "{read}"
    );
}

#[test]
fn the_prices_that_are_shown_as_the_default_are_the_default() {
    use cloud_agent::gateway::price::Prices;

    let example = read(".env.example");
    let shown = example.lines().find_map(|line| line.strip_prefix("#MODEL_PRICES=")).unwrap();
    let sorted = |prices: Prices| {
        let text = prices.to_string();
        let mut rows: Vec<String> = text.split(',').map(str::to_owned).collect();
        rows.sort();
        rows
    };
    assert_eq!(sorted(shown.parse().unwrap()), sorted(Prices::default()));
}

/// Only whether it could be typed: with `--help` behind it nothing is asked of a server.
#[test]
fn the_commands_for_a_bad_day_are_ones_that_there_are() {
    let text = read("docs/operations.md");
    let page = text.split("## When something is wrong").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let spans = page.split('`').skip(1).step_by(2).filter(|it| it.starts_with("ca "));
    let loops = page.lines().filter_map(|line| line.trim().strip_prefix("ca ")?.split(" | ").next());
    let typed: Vec<String> = spans.map(|it| it[3..].to_owned()).chain(loops.map(str::to_owned)).collect();
    assert!(typed.len() > 10, "{typed:?}");
    for line in typed {
        let output =
            Command::new(env!("CARGO_BIN_EXE_ca")).args(line.split_whitespace()).arg("--help").output().unwrap();
        assert!(output.status.success(), "ca {line}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
