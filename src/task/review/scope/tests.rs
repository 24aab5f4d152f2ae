//! What is looked at, what is left out, and why.

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
