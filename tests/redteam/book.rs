//! The list of attacks in `docs/attacks.md`: which story stands for which class, made from the stories' names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Classes of attacks that have hit programs like this one, in the order of their numbers.
const CLASSES: [&str; 25] = [
    "Titles and comments ask the agent for its environment, and it answers with it in public",
    "An issue's title installs something, which a cache carries into a run that has secrets",
    "The pull request brings an `.mcp.json` whose servers the agent starts",
    "The pull request brings settings: hooks, helpers that run, another model address",
    "What the run leaves behind runs later: settings, links that lead out, git's own configuration",
    "The environment of a process is read through `/proc`",
    "A login that ends in `[bot]` is trusted, and tools of the host are the way out",
    "Words from strangers become instructions, and the answer is carried out",
    "A public issue makes the agent read a private repository and publish it",
    "Images and links in the answer carry data to whoever serves them",
    "A linter's configuration runs code where the App's key is",
    "Words after a command become settings or arguments",
    "A branch's or file's name is run, or read as an option",
    "A pull request of a fork asks for work with the base repository's rights",
    "A link in the checkout leads to the host's files, and a schema's address carries them out",
    "Instructions in an image that a file of the head names",
    "Text that people do not see and models read",
    "Markup that a page hides and a model reads",
    "The text or the commit is changed after somebody trusted was asked about it",
    "Somebody trusted asks, and the content is a stranger's",
    "A file of the checkout sets variables and servers of the command line tool",
    "Asking until the money is gone",
    "The agent's own program is replaced or updates itself",
    "The agent changes workflows, owners, lockfiles, its own settings",
    "Deliveries that GitHub did not send, or sent before",
];

#[test]
fn every_class_has_its_story_and_its_control() {
    let names = names();
    let mut book = String::new();
    let mut missing = Vec::new();
    for (number, class) in (1..).zip(CLASSES) {
        let stories = said(&names, &format!("class_{number:02}_"));
        let controls = said(&names, &format!("control_{number:02}_"));
        if stories.is_empty() || controls.is_empty() {
            missing.push(number);
        }
        writeln!(book, "| {number} | {class} | {} | {} |", stories.join("; "), controls.join("; ")).unwrap();
    }
    assert!(missing.is_empty(), "without a story or without a control: {missing:?}");
    let mut escapes = String::new();
    for name in names.keys().filter(|name| name.starts_with("cve_")) {
        let (id, story) = split_cve(name);
        let controls = said(&names, &format!("control_cve_{}_", id.replace("CVE-", "").replace('-', "_")));
        assert!(!controls.is_empty(), "{name} has no control");
        writeln!(escapes, "| {id} | {story} | {} |", controls.join("; ")).unwrap();
    }
    hold(&book, &escapes);
}

/// The names of the functions below this folder, and the files they stand in.
fn names() -> BTreeMap<String, PathBuf> {
    let mut names = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redteam")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let name = line.trim_start().split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next());
                if let Some(name) = name.filter(|it| ["class_", "control_", "cve_"].iter().any(|a| it.starts_with(a))) {
                    names.insert(name.to_owned(), path.clone());
                }
            }
        }
    }
    names
}

/// What the functions with this beginning say, in words.
fn said(names: &BTreeMap<String, PathBuf>, beginning: &str) -> Vec<String> {
    names.keys().filter_map(|name| name.strip_prefix(beginning)).map(|rest| rest.replace('_', " ")).collect()
}

/// `cve_2017_5226_what` as its number and words.
fn split_cve(name: &str) -> (String, String) {
    let mut parts = name.splitn(4, '_').skip(1);
    let (year, number) = (parts.next().unwrap(), parts.next().unwrap());
    (format!("CVE-{year}-{number}"), parts.next().unwrap_or_default().replace('_', " "))
}

/// Hold the lists against the document, or write them there.
fn hold(book: &str, escapes: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/attacks.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let head = text.split("\n| ").next().unwrap().trim_end();
    let made = format!(
        "{head}\n\n| | attack | what the attacker does not get | control: gets it |\n|---|---|---|---|\n{book}\n\
         ## Escapes with a number of their own\n\n| | what does not happen | control: it does |\n|---|---|---|\n{escapes}"
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, made).unwrap();
    } else {
        assert!(made == text, "docs/attacks.md is not what the stories say: UPDATE_DOCS=1 script/test book");
    }
}
