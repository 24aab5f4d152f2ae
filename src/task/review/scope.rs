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
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { part_bytes: 1_000, file_bytes: 5_000, parts: 3 };

    fn file(path: &str, lines: usize, line: &str) -> String {
        let body = format!("+{line}\n").repeat(lines);
        format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -0,0 +1,{lines} @@\n{body}")
    }

    fn planned(raw: &str, attributes: &str, paths: &dyn Fn(&str) -> bool, limits: Limits) -> Plan {
        plan(&Diff::parse(raw.as_bytes()), raw.as_bytes(), &Attributes::parse(attributes), paths, limits)
    }

    /// Why a path is left out, if it is.
    fn why(path: &str, attributes: &str) -> Option<&'static str> {
        planned(&file(path, 1, "x"), attributes, &|_| true, LIMITS).left_out.first().map(|it| it.why.name())
    }

    #[test]
    fn patterns_are_read_as_git_reads_them() {
        for (attributes, path, expected) in [
            ("*.pb.go linguist-generated", "api/v1/a.pb.go", true),
            ("*.pb.go linguist-generated", "a.go", false),
            ("gen/*.rs linguist-generated", "gen/a.rs", true),
            ("gen/*.rs linguist-generated", "src/gen/a.rs", false),
            ("gen/*.rs linguist-generated", "gen/deep/a.rs", false),
            ("gen/** linguist-generated=true", "gen/deep/a.rs", true),
            ("**/gen/** linguist-generated", "src/gen/a.rs", true),
            ("/a.rs linguist-generated", "src/a.rs", false),
            ("/a.rs linguist-generated", "a.rs", true),
            ("gen linguist-generated", "gen/a.rs", false),
            ("gen/ linguist-generated", "gen/a.rs", false),
            ("!a.rs linguist-generated", "a.rs", false),
            ("a.rs linguist-generated=false", "a.rs", false),
            ("*.rs linguist-generated\na.rs -linguist-generated", "a.rs", false),
            ("*.rs linguist-generated\na.rs !linguist-generated", "a.rs", false),
            ("*.rs linguist-generated\na.rs text", "a.rs", true),
            ("a.rs -linguist-generated\n*.rs text linguist-generated eol=lf", "a.rs", true),
            ("# a.rs linguist-generated\n\n", "a.rs", false),
            ("  *.rs\tlinguist-generated\r", "a.rs", true),
            ("\"with space.rs\" linguist-generated", "with space.rs", true),
            ("\"\\303\\244.rs\" linguist-generated", "ä.rs", true),
            ("{a,b}.rs linguist-generated", "a.rs", false),
            ("[ab].rs linguist-generated", "b.rs", true),
            ("[!ab].rs linguist-generated", "b.rs", false),
            ("[ linguist-generated\nb.rs linguist-generated", "b.rs", true),
            ("[attr]made linguist-generated\n*.rs made", "a.rs", true),
        ] {
            assert_eq!(why(path, attributes) == Some("generated"), expected, "{attributes:?} {path}");
        }
    }

    #[test]
    fn what_no_person_wrote_is_left_out() {
        for (path, attributes, expected) in [
            ("web/package-lock.json", "", Some("lockfile")),
            ("Cargo.lock", "", Some("lockfile")),
            ("Cargo.lock", "Cargo.lock -linguist-generated", None),
            ("cargo.lock.rs", "", None),
            ("a.min.js", "", Some("generated")),
            ("a.js.map", "", Some("generated")),
            ("a.map", "", None),
            ("node_modules/x/a.js", "", Some("vendored")),
            ("node_modules/x/a.js", "*.js linguist-vendored=false", None),
            ("third/a.c", "third/** linguist-vendored", Some("vendored")),
            ("a.svg", "*.svg -diff", Some("binary")),
            ("a.svg", "*.svg binary", Some("binary")),
            ("a.svg", "*.svg binary\n*.svg diff", None),
            ("src/a.rs", "", None),
        ] {
            assert_eq!(why(path, attributes), expected, "{path} {attributes:?}");
        }
        let long = planned(&file("a.js", 1, &"x".repeat(600)), "", &|_| true, LIMITS);
        assert_eq!(long.left_out[0].why, Why::Generated);
        let raw = "diff --git a/p b/p\nBinary files a/p and b/p differ\n";
        assert_eq!(planned(raw, "", &|_| true, LIMITS).left_out[0].why, Why::Binary);
        let own = planned(&file("docs/a.md", 1, "x"), "", &|path| !path.starts_with("docs/"), LIMITS);
        assert_eq!(own.left_out, [LeftOut { path: "docs/a.md".into(), why: Why::Filtered }]);
    }

    #[test]
    fn files_fill_parts_in_the_order_of_the_diff() {
        let raw: String = [("a", 300), ("b", 300), ("c", 900), ("huge", 9_000), ("d", 2_000), ("e", 10), ("f", 10)]
            .map(|(path, bytes)| file(path, bytes / 10, "xxxxxxxx"))
            .concat();
        let plan = planned(&raw, "", &|_| true, LIMITS);
        let parts: Vec<String> = plan.parts.iter().map(|it| it.files.join(" ")).collect();
        assert_eq!(parts, ["a b", "c", "d"]);
        let left_out: Vec<_> = plan.left_out.iter().map(|it| (it.path.as_str(), it.why)).collect();
        assert_eq!(left_out, [("huge", Why::TooLarge), ("e", Why::TooMany), ("f", Why::TooMany)]);
        assert_eq!(plan.parts[0].diff, file("a", 30, "xxxxxxxx") + &file("b", 30, "xxxxxxxx"));
        let none = planned(&raw, "", &|_| true, Limits { parts: 0, ..LIMITS });
        assert_eq!((none.parts.len(), none.left_out.len()), (0, 7));
    }

    #[test]
    fn large_pull_requests_take_little_time() {
        let many: String = (0..6_000).map(|index| file(&format!("src/f{index}.rs"), 20, "some code")).collect();
        let raw = many + &file("huge.rs", 300_000, "some code");
        let attributes = "gen1/** linguist-generated\n*.pb.rs linguist-generated\n";
        let begun = std::time::Instant::now();
        let limits = Limits { part_bytes: 100_000, file_bytes: 200_000, parts: 8 };
        let plan = planned(&raw, attributes, &|_| true, limits);
        // A release build takes some tenth of a second; only what grows with the square is caught here.
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
        assert_eq!(plan.parts.len(), 8);
        assert!(plan.parts.iter().all(|it| it.diff.len() <= 100_000));
        let files: usize = plan.parts.iter().map(|it| it.files.len()).sum();
        assert_eq!(files + plan.left_out.len(), 6_001);
        assert_eq!(plan.left_out.iter().filter(|it| it.why == Why::TooLarge).count(), 1);
    }

    #[test]
    fn hostile_attributes_are_bounded() {
        let odd = "a*".repeat(9) + "{[b linguist-generated\n";
        let long = "a".repeat(LONGEST_PATTERN + 1) + " linguist-generated\n";
        let many = "a*a linguist-generated\n".repeat(MOST_PATTERNS + 9);
        let attributes = Attributes::parse(&(odd + &long + &many));
        assert_eq!(attributes.rules.len(), MOST_PATTERNS);
        attributes.of(&"a".repeat(1_000));
    }
}
