//! The house rules, as a test: what can be checked is checked here, and the complaint explains the rule.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lower rows know nothing of higher rows; modules on one row may know each other.
const LAYERS: &[&[&str]] = &[
    &["config", "clock", "text"],
    &["task"],
    &["store", "github", "sandbox", "agent", "gateway"],
    &["report", "queue"],
    &["app"],
    &["run"],
    &["webhook", "api", "web"],
    &["cli"],
];

/// `(word, the only places that may use it, why)`.
const DOORS: &[(&str, &[&str], &str)] = &[
    ("octocrab::", &["github/"], "only `github/` speaks to GitHub's API"),
    ("sqlx::", &["store/"], "only `store/` knows SQL"),
    ("std::env::var", &["config/"], "only `config` reads the environment"),
    ("process::Command", &["sandbox/"], "only `sandbox/` starts processes"),
    ("unsafe {", &["sandbox/local/"], "unsafe code stays in the sandbox"),
];

const MAX_LINES: usize = 400;

/// Words that say how or where the project was made instead of what it is.
const FOREIGN: &[&str] = &[
    concat!("registry.npm", "js.org/"),
    concat!("index.", "crates.io"),
    "/root/.",
    "/home/user",
    env!("CARGO_MANIFEST_DIR"),
];

#[test]
fn source_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = complaints(&root.join("src"));
    for other in ["simulator/src", "simulator/tests", "tests"] {
        found.extend(shape(&root.join(other), other));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_map_names_every_module_in_the_order_of_the_sentence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let declared: Vec<&str> = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let stages: Vec<&str> = declared.iter().copied().filter(|it| STAGES.contains(it)).collect();
    assert_eq!(stages, STAGES, "declare the stages in `lib.rs` in the order of the pipeline");
    for module in declared {
        assert!(map.contains(&format!("{module}/")) || map.contains(&format!("{module}.rs")), "map lacks `{module}`");
    }
}

const STAGES: &[&str] = &["webhook", "task", "queue", "run", "sandbox", "agent", "gateway", "report"];

/// What every Rust file owes its reader.
fn shape(dir: &Path, shown: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources(dir) {
        let code = product(&text);
        if !text.starts_with("//! ") {
            found.push(format!("{shown}/{name}: say in one `//!` sentence what this file is for"));
        }
        let lines = code.lines().count();
        if MAX_LINES < lines {
            found.push(format!("{shown}/{name}: {lines} lines; over {MAX_LINES}, find the seam and split it"));
        }
        // The rule itself has to spell these words.
        if !name.ends_with("tidy.rs") {
            for word in FOREIGN.iter().filter(|word| text.contains(**word)) {
                found.push(format!("{shown}/{name}: `{word}` belongs to somebody's machine"));
            }
        }
    }
    found
}

fn complaints(src: &Path) -> Vec<String> {
    let mut found = shape(src, "src");
    for (name, text) in sources(src) {
        let code = product(&text);
        if code.contains("cfg(test)") || code.contains("cfg(not(test))") {
            found.push(format!("src/{name}: production code must not know that it is being tested"));
        }
        for (word, homes, why) in DOORS {
            if code.contains(word) && !homes.iter().any(|home| name.starts_with(home)) {
                found.push(format!("src/{name}: `{word}` is not for here: {why}"));
            }
        }
        for (line, other) in uses(code) {
            let (Some(here), Some(there)) = (layer(&module_of(&name)), layer(&other)) else {
                continue;
            };
            if here < there {
                found.push(format!("src/{name}:{line}: `{}` may not know `{other}`", module_of(&name)));
            }
        }
    }
    found
}

/// The file without its tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

/// `(line, module)` for every `crate::module` mentioned outside comments, also inside `use crate::{…}`.
fn uses(code: &str) -> Vec<(usize, String)> {
    let word =
        |text: &str| -> String { text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let mut out = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let line_code = line.split("//").next().unwrap_or_default();
        for rest in line_code.split("crate::").skip(1) {
            match rest.strip_prefix('{') {
                Some(many) => out.extend(many.split(',').map(|it| (index + 1, word(it)))),
                None => out.push((index + 1, word(rest))),
            }
        }
    }
    out
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

fn module_of(name: &str) -> String {
    name.split(['/', '.']).next().unwrap_or_default().to_owned()
}

/// Rust files below a folder, by their path in it.
fn sources(dir: &Path) -> BTreeMap<String, String> {
    fn walk(dir: &Path, root: &Path, out: &mut BTreeMap<String, String>) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, out);
            } else if path.extension().is_some_and(|it| it == "rs") {
                out.insert(path.strip_prefix(root).unwrap().display().to_string(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(dir, dir, &mut out);
    out
}

#[test]
fn a_messy_tree_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("lib.rs", "//! The map.\nmod task;\n");
    put("task/mod.rs", "//! Pure.\nuse crate::{github, text};\n");
    put("task/state.rs", "use std::fmt;\n#[cfg(test)]\nfn now() {}\n");
    put("report/mod.rs", "//! Tells.\nuse crate::task::Task;\n// see crate::cli\nuse octocrab::Octocrab;\n");
    insta::assert_snapshot!(complaints(dir.path()).join("\n"), @r"
    src/task/state.rs: say in one `//!` sentence what this file is for
    src/report/mod.rs: `octocrab::` is not for here: only `github/` speaks to GitHub's API
    src/task/mod.rs:2: `task` may not know `github`
    src/task/state.rs: production code must not know that it is being tested
    ");
}
