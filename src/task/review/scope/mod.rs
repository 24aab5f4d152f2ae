//! What is looked at: the diff without what no person wrote, in parts that fit into a prompt; and what was left out, and why.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::parse::unquote;
use super::{Diff, FileDiff, LineKind};

/// Patterns of one `.gitattributes` that are read, and characters of each: what they cost to compile is bounded.
const MOST_PATTERNS: usize = 500;
const LONGEST_PATTERN: usize = 200;
/// Bytes of a line, on average, above which a script or a style sheet was not written by hand.
const MINIFIED_LINE: usize = 500;

const LOCK_FILES: &[&str] = &[
    ".terraform.lock.hcl",
    "Cargo.lock",
    "Cartfile.resolved",
    "Chart.lock",
    "Gemfile.lock",
    "MODULE.bazel.lock",
    "Package.resolved",
    "Pipfile.lock",
    "Podfile.lock",
    "buf.lock",
    "bun.lock",
    "bun.lockb",
    "cabal.project.freeze",
    "composer.lock",
    "conan.lock",
    "deno.lock",
    "flake.lock",
    "gems.locked",
    "go.sum",
    "go.work.sum",
    "gradle.lockfile",
    "mix.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "packages.lock.json",
    "paket.lock",
    "pdm.lock",
    "pixi.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pubspec.lock",
    "rebar.lock",
    "renv.lock",
    "shard.lock",
    "stack.yaml.lock",
    "uv.lock",
    "yarn.lock",
];

/// What the root `.gitattributes` says that matters here. Take it from the base: a pull request must not say which of its
/// own files nobody looks at.
///
/// Patterns are matched with `globset`, not with a matcher for `.gitignore`: there the last pattern that matches decides
/// alone, a folder stands for all that is in it and `!` turns a pattern round; here every line that matches adds its
/// attributes, a folder is only itself and `!` stands before attributes.
#[derive(Debug, Clone)]
pub struct Attributes {
    patterns: GlobSet,
    /// One for each pattern.
    rules: Vec<Marks<Option<bool>>>,
}

/// What lines say of files. `M` is `Option<bool>` for what holds (set, unset, unsaid), and that once more in an `Option`
/// for what a single line changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Marks<M> {
    generated: Option<M>,
    vendored: Option<M>,
    diff: Option<M>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self { patterns: GlobSet::empty(), rules: Vec::new() }
    }
}

impl Attributes {
    /// Read a `.gitattributes`. Lines that can't be read are passed over, as git does.
    pub fn parse(text: &str) -> Self {
        let mut macros = vec![("binary".to_owned(), vec!["-diff".to_owned()])];
        let mut patterns = GlobSetBuilder::new();
        let mut rules = Vec::new();
        for line in text.lines().map(|line| line.trim_matches([' ', '\t', '\r'])) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (pattern, attributes) = split(line);
            let attributes = attributes.split_whitespace().map(str::to_owned);
            if let Some(name) = pattern.strip_prefix("[attr]") {
                macros.push((name.to_owned(), attributes.collect()));
                continue;
            }
            let mut rule = Marks::default();
            for attribute in attributes {
                let of_macro = macros.iter().rev().find(|(name, _)| *name == attribute);
                of_macro.into_iter().flat_map(|(_, many)| many).for_each(|it| rule.take(it));
                rule.take(&attribute);
            }
            if rule != Marks::default()
                && rules.len() < MOST_PATTERNS
                && let Some(glob) = glob(&pattern)
            {
                patterns.add(glob);
                rules.push(rule);
            }
        }
        match patterns.build() {
            Ok(patterns) => Self { patterns, rules },
            // Too much to compile. Then everything is looked at, which errs on the right side.
            Err(_) => Self::default(),
        }
    }

    fn of(&self, path: &str) -> Marks<bool> {
        let mut marks = Marks::default();
        // Indexes come in the order of the lines; of lines that say different things the last counts.
        for index in self.patterns.matches(path) {
            let rule = self.rules[index];
            marks.generated = rule.generated.unwrap_or(marks.generated);
            marks.vendored = rule.vendored.unwrap_or(marks.vendored);
            marks.diff = rule.diff.unwrap_or(marks.diff);
        }
        marks
    }
}

impl Marks<Option<bool>> {
    /// Takes `name`, `-name`, `!name` or `name=value`.
    fn take(&mut self, attribute: &str) {
        let (name, says) = if let Some(name) = attribute.strip_prefix('-') {
            (name, Some(false))
        } else if let Some(name) = attribute.strip_prefix('!') {
            (name, None)
        } else {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, "true"));
            (name, Some(value != "false"))
        };
        match name {
            "linguist-generated" => self.generated = Some(says),
            "linguist-vendored" => self.vendored = Some(says),
            "diff" => self.diff = Some(says),
            _ => (),
        }
    }
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of a part, unless a single file is larger.
    pub part_bytes: usize,
    /// Of one file's diff; a larger one is left out.
    pub file_bytes: usize,
    pub parts: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub files: Vec<String>,
    /// Their diffs, one after the other; bytes that are no UTF-8 are replaced.
    pub diff: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub path: String,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    Generated,
    Vendored,
    Lockfile,
    Binary,
    /// By the repository's own settings.
    Filtered,
    TooLarge,
    /// All parts were full.
    TooMany,
}

impl Why {
    pub fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Vendored => "vendored",
            Self::Lockfile => "lockfile",
            Self::Binary => "binary",
            Self::Filtered => "filtered",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
        }
    }
}

/// Every file of the diff is in one part or left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub parts: Vec<Part>,
    pub left_out: Vec<LeftOut>,
}

/// Divide the work, in the order of the diff. `raw` is what the diff was parsed from; `paths` says which files the
/// repository wants to have looked at.
pub fn plan(diff: &Diff, raw: &[u8], attributes: &Attributes, paths: &dyn Fn(&str) -> bool, limits: Limits) -> Plan {
    let mut plan = Plan::default();
    let mut full = false;
    for file in &diff.files {
        let path = file.path().to_owned();
        let part = raw.get(file.range.clone()).unwrap_or_default();
        let why = if !paths(&path) {
            Some(Why::Filtered)
        } else if let Some(why) = unwritten(file, attributes) {
            Some(why)
        } else {
            (part.len() > limits.file_bytes).then_some(Why::TooLarge)
        };
        if let Some(why) = why {
            plan.left_out.push(LeftOut { path, why });
            continue;
        }
        let text = String::from_utf8_lossy(part);
        let fits = plan.parts.last().is_some_and(|last| last.diff.len() + text.len() <= limits.part_bytes);
        full |= !fits && plan.parts.len() >= limits.parts;
        match plan.parts.last_mut() {
            // Also a smaller file that would still fit: what is left out is then the end of the diff, which is easy to say.
            _ if full => plan.left_out.push(LeftOut { path, why: Why::TooMany }),
            Some(last) if fits => {
                last.files.push(path);
                last.diff.push_str(&text);
            }
            _ => plan.parts.push(Part { files: vec![path], diff: text.into_owned() }),
        }
    }
    plan
}

/// Why nobody needs to read a file: no person wrote it. What the repository says goes before what names suggest.
fn unwritten(file: &FileDiff, attributes: &Attributes) -> Option<Why> {
    let path = file.path();
    let name = path.rsplit('/').next().unwrap_or(path);
    let marks = attributes.of(path);
    if file.binary || marks.diff == Some(false) {
        return Some(Why::Binary);
    }
    match marks.generated {
        Some(true) => return Some(Why::Generated),
        None if LOCK_FILES.contains(&name) => return Some(Why::Lockfile),
        None if minified(name, file) => return Some(Why::Generated),
        _ => (),
    }
    let vendored = marks.vendored.unwrap_or_else(|| path.split('/').any(|folder| folder == "node_modules"));
    vendored.then_some(Why::Vendored)
}

fn minified(name: &str, file: &FileDiff) -> bool {
    const SOURCES: &[&str] = &["js", "mjs", "cjs", "css"];
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let inner = stem.rsplit_once('.').map_or("", |(_, inner)| inner);
    if extension == "map" {
        return SOURCES.contains(&inner);
    }
    let lines = || file.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.kind == LineKind::Added);
    let dense = || lines().map(|line| line.text.len()).sum::<usize>() > MINIFIED_LINE * lines().count();
    SOURCES.contains(&extension) && (inner == "min" || stem.ends_with("-min") || dense())
}

/// The pattern of a line, unquoted, and its attributes.
fn split(line: &str) -> (String, &str) {
    if line.starts_with('"') {
        let (pattern, end) = unquote(line.as_bytes());
        return (String::from_utf8_lossy(&pattern).into_owned(), line.get(end..).unwrap_or_default());
    }
    let (pattern, attributes) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    (pattern.to_owned(), attributes)
}

/// A pattern as git means it: with a slash from the root, without one in any folder. `None` for what matches no file.
fn glob(pattern: &str) -> Option<globset::Glob> {
    if pattern.len() > LONGEST_PATTERN || pattern.ends_with('/') || pattern.starts_with('!') {
        return None;
    }
    let mut plain = if pattern.contains('/') { String::new() } else { "**/".to_owned() };
    let mut chars = pattern.strip_prefix('/').unwrap_or(pattern).chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend([Some('\\'), chars.next()].into_iter().flatten()),
            // git knows no alternatives.
            '{' | '}' => plain.extend(['\\', c]),
            c => plain.push(c),
        }
    }
    GlobBuilder::new(&plain).literal_separator(true).backslash_escape(true).build().ok()
}

#[cfg(test)]
mod tests;
