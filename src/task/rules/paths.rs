//! Which files a review looks at: patterns as in `.gitignore`, only that they choose, and `!` leaves out.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Serialize, Serializer};

/// Patterns, compiled once. The last one that fits a file, or a folder that it lies in, decides; a file that none fits is
/// left out, unless all patterns only leave out.
#[derive(Debug, Clone)]
pub struct Paths {
    patterns: Vec<String>,
    globs: GlobSet,
    /// Which pattern a glob was made from.
    owners: Vec<usize>,
}

impl Paths {
    /// No more patterns than this: what is compiled may come from a stranger's pull request.
    pub const MOST: usize = 100;
    /// No longer pattern than this, in bytes.
    pub const LONGEST: usize = 200;

    /// Compile patterns; the error says what is wrong with one of them.
    pub fn new(patterns: Vec<String>) -> Result<Self, String> {
        let mut globs = GlobSetBuilder::new();
        let mut owners = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            for glob in expand(pattern)? {
                globs.add(compile(&glob)?);
                owners.push(index);
            }
        }
        let globs = globs.build().map_err(|error| error.kind().to_string())?;
        Ok(Self { patterns, globs, owners })
    }

    /// What is wrong with a pattern, if something is.
    pub fn check(pattern: &str) -> Result<(), String> {
        expand(pattern)?.iter().try_for_each(|glob| compile(glob).map(drop))
    }

    /// Whether a file, named by its path from the root of the repository, is looked at.
    pub fn take(&self, path: &str) -> bool {
        let path = path.trim_start_matches('/');
        let last = self.globs.matches(path).into_iter().map(|glob| self.owners[glob]).max();
        last.map_or_else(|| self.only_leave_out(), |index| !self.patterns[index].starts_with('!'))
    }

    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    fn only_leave_out(&self) -> bool {
        self.patterns.iter().all(|pattern| pattern.starts_with('!'))
    }
}

fn compile(glob: &str) -> Result<Glob, String> {
    let built = GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build();
    built.map_err(|error| error.kind().to_string())
}

/// The globs that say the same as a pattern of `.gitignore`: with a slash before its end it starts at the root, without
/// one it fits at any depth; and a folder stands for all that is in it.
fn expand(pattern: &str) -> Result<Vec<String>, String> {
    if Paths::LONGEST < pattern.len() {
        return Err(format!("it is longer than {} bytes", Paths::LONGEST));
    }
    let bare = pattern.strip_prefix('!').unwrap_or(pattern);
    let (folder, bare) = bare.strip_suffix('/').map_or((false, bare), |bare| (true, bare));
    let rooted = bare.contains('/');
    let bare = bare.strip_prefix("./").or_else(|| bare.strip_prefix('/')).unwrap_or(bare);
    if bare.trim().is_empty() {
        return Err("it names nothing".to_owned());
    }
    if bare.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err("write it from the root of the repository, without `.`, `..` and `//`".to_owned());
    }
    let start = if rooted { String::new() } else { "**/".to_owned() };
    let inside = format!("{start}{bare}/**");
    Ok(if folder { vec![inside] } else { vec![format!("{start}{bare}"), inside] })
}

impl Default for Paths {
    fn default() -> Self {
        Self::new(vec!["**".to_owned()]).unwrap_or_else(|why| unreachable!("`**` is a pattern: {why}"))
    }
}

impl PartialEq for Paths {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Serialize for Paths {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.patterns.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], taken: &[&str], left: &[&str]) {
        let paths = Paths::new(patterns.iter().map(|it| (*it).to_owned()).collect()).unwrap();
        for path in taken {
            assert!(paths.take(path), "{patterns:?} should take {path}");
        }
        for path in left {
            assert!(!paths.take(path), "{patterns:?} should leave {path}");
        }
    }

    #[test]
    fn patterns_choose() {
        check(&["**"], &["a", "src/main.rs", ".github/x.yml", "a/b/c"], &[]);
        check(&["src/**", "!vendor/**"], &["src/a.rs", "src/vendor/x.rs"], &["a.rs", "vendor/a.rs", "srcs/a"]);
        check(&["!vendor/**"], &["a.rs", "src/vendor/x"], &["vendor/a.rs", "vendor/b/c.rs"]);
        check(&["*.rs"], &["a.rs", "src/deep/a.rs", "odd.rs/file"], &["a.rsx", "rs"]);
        check(&["/build"], &["build", "build/x"], &["src/build"]);
        check(&["./docs/"], &["docs/a.md"], &["x/docs/a.md"]);
        check(&["src"], &["src/a", "lib/src/a"], &["srcs/a"]);
        check(&["docs/"], &["docs/a.md", "x/docs/b/a.md"], &["docs"]);
        check(&["src/*.rs"], &["src/a.rs"], &["src/b/a.rs", "x/src/a.rs"]);
        check(&["{src,lib}/**", "[a-c].txt"], &["src/a", "lib/a", "x/b.txt"], &["bin/a", "d.txt"]);
        check(&["\\!odd", "a b.txt", "päth/*"], &["!odd", "a b.txt", "päth/x"], &["odd"]);
    }

    #[test]
    fn the_last_word_counts() {
        check(&["**", "!src/gen/", "src/gen/keep.rs"], &["src/a", "src/gen/keep.rs"], &["src/gen/x.rs"]);
        check(&["!*.lock", "**"], &["Cargo.lock"], &[]);
        check(&["*.rs", "!vendor/"], &["a.rs"], &["vendor/a.rs", "x/vendor/a.rs"]);
    }

    #[test]
    fn bad_patterns_are_named() {
        for (pattern, why) in [
            ("", "it names nothing"),
            ("!", "it names nothing"),
            ("/", "it names nothing"),
            ("../x", "write it from the root of the repository, without `.`, `..` and `//`"),
            ("a//b", "write it from the root of the repository, without `.`, `..` and `//`"),
            ("[a", "unclosed character class; missing ']'"),
            ("{a", "unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"),
            ("[z-a]", "invalid range"),
        ] {
            let told = Paths::check(pattern).unwrap_err();
            assert!(told.starts_with(why), "{pattern}: {told}");
        }
        assert!(Paths::new(vec!["ok".to_owned(), "a".repeat(201)]).is_err());
    }

    #[test]
    fn the_worst_patterns_are_cheap() {
        let worst = format!("{}**/*a*b*c*{{d,e*}}", "**/*?*".repeat(30));
        let start = std::time::Instant::now();
        let paths = Paths::new(vec![worst; Paths::MOST]).unwrap();
        assert!(!paths.take(&"a/".repeat(2000)));
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }
}
