//! What the ledger takes for the same, and for mended.

use super::*;
use crate::task::review::{Category, Severity};

const FILE: &str = "fn main() {\n    let a = 1;\n\n    let b = 2;\n    add(a, b);\n}\n";

fn finding(path: &str, line: Option<u32>, title: &str) -> Finding {
    Finding {
        path: path.into(),
        start_line: None,
        line,
        side: Side::Right,
        severity: Severity::Medium,
        category: Category::Correctness,
        title: title.into(),
        reasoning: String::new(),
        replacement: None,
        confidence: 50,
    }
}

fn found(path: &str, line: u32, title: &str) -> Found {
    Found { finding: finding(path, Some(line), title), fingerprint: fingerprint(FILE, line, line) }
}

fn known(id: &str, path: &str, line: u32, title: &str, state: KnownState) -> Known {
    let fingerprint = fingerprint(FILE, line, line);
    Known { id: id.into(), path: path.into(), side: Side::Right, fingerprint, title: title.into(), state }
}

/// What comes out, in one line: new titles, repeated ids, fixed ids, open ids.
fn run(known: &[Known], found: Vec<Found>, files: &[(&str, &str)], says: &[(&str, EarlierState)]) -> String {
    let earlier: Vec<EarlierAnswer> =
        says.iter().map(|(id, state)| EarlierAnswer { id: (*id).into(), state: *state }).collect();
    let text = |path: &str| files.iter().find(|it| it.0 == path).map(|it| it.1.to_owned());
    let renames = BTreeMap::from([("old.rs".to_owned(), "new.rs".to_owned())]);
    let now = Now { renames: &renames, head: &text, gone: &|path| text(path).is_none(), earlier: &earlier };
    let out = reconcile(known, found, &now);
    let new: Vec<&str> = out.new.iter().map(|it| it.finding.title.as_str()).collect();
    let repeated: Vec<&str> = out.repeated.iter().map(|it| it.1.as_str()).collect();
    let list = |them: &[String]| them.join(",");
    format!(
        "new {} repeated {} fixed {} open {} doubles {}",
        new.join(","),
        repeated.join(","),
        list(&out.fixed),
        list(&out.open),
        out.doubles
    )
}

#[test]
fn a_fingerprint_survives_what_does_not_change_code() {
    let print = fingerprint(FILE, 4, 5);
    let spaced = FILE.replace("    ", "\t").replace("add(a, b);", "add(a,  b);");
    for (text, start, line) in [
        (FILE.to_owned(), 4, 5),
        (FILE.to_owned(), 3, 5),
        (format!("// new\n\n{FILE}"), 6, 7),
        (FILE.replace("let b", "\n\n\nlet b"), 7, 8),
        (spaced, 4, 5),
        (FILE.replace('\n', "\r\n"), 4, 5),
    ] {
        assert_eq!(fingerprint(&text, start, line), print, "{text:?}");
        assert!(still_there(&text, &print));
    }
    for text in [FILE.replace("b = 2", "b = 3"), FILE.replace("a = 1", "a = 3"), FILE.replace("}\n", ""), String::new()]
    {
        assert!(!still_there(&text, &print), "{text:?}");
    }
}

#[test]
fn odd_places_have_fingerprints_too() {
    for (text, start, line) in
        [("", 1, 1), ("", 0, u32::MAX), (FILE, 3, 3), (FILE, 900, 901), (FILE, 6, 1), (FILE, 0, 0), ("\n\n", 1, 2)]
    {
        let print = fingerprint(text, start, line);
        assert!(still_there(text, &print), "{text:?} {start} {line}");
    }
    let long = "line\n".repeat(2_000);
    assert!(still_there(&long, &fingerprint(&long, 1, 2_000)));
    for odd in ["", "7", "-", "99999999999999999999-ab", "t-ab", "21-ab"] {
        assert!(still_there(FILE, odd), "{odd} proves nothing");
    }
    assert!(!still_there(FILE, "3-ab"));
}

#[test]
fn what_was_said_is_not_said_again() {
    let files: &[(&str, &str)] = &[("a.rs", FILE), ("new.rs", FILE)];
    for (name, known, found, expected) in [
        ("nothing known", vec![], vec![found("a.rs", 2, "x")], "new x repeated  fixed  open  doubles 0"),
        (
            "open",
            vec![known("1", "a.rs", 2, "x", KnownState::Open)],
            vec![found("a.rs", 2, "other words")],
            "new  repeated 1 fixed  open 1 doubles 0",
        ),
        (
            "dismissed",
            vec![known("1", "a.rs", 2, "x", KnownState::Dismissed)],
            vec![found("a.rs", 2, "x")],
            "new  repeated 1 fixed  open  doubles 0",
        ),
        (
            "fixed and back",
            vec![known("1", "a.rs", 2, "x", KnownState::Fixed)],
            vec![found("a.rs", 2, "x")],
            "new x repeated  fixed  open  doubles 0",
        ),
        (
            "renamed",
            vec![known("1", "old.rs", 2, "x", KnownState::Open)],
            vec![found("new.rs", 2, "x")],
            "new  repeated 1 fixed  open 1 doubles 0",
        ),
        (
            "other file",
            vec![known("1", "a.rs", 2, "x", KnownState::Open)],
            vec![found("new.rs", 2, "x")],
            "new x repeated  fixed  open 1 doubles 0",
        ),
        (
            "the one whose title fits",
            vec![known("1", "a.rs", 2, "y", KnownState::Open), known("2", "a.rs", 2, "x", KnownState::Open)],
            vec![found("a.rs", 2, "x")],
            "new  repeated 2 fixed  open 1,2 doubles 0",
        ),
        (
            "one more line, same title",
            vec![known("1", "a.rs", 4, "adds what must not be added", KnownState::Open)],
            vec![Found {
                finding: Finding { start_line: Some(4), ..finding("a.rs", Some(5), "Adds what must not be added!") },
                fingerprint: fingerprint(FILE, 4, 5),
            }],
            "new  repeated 1 fixed  open 1 doubles 0",
        ),
        (
            "other lines, same title",
            vec![known("1", "a.rs", 2, "adds what must not be added", KnownState::Open)],
            vec![found("a.rs", 5, "adds what must not be added")],
            "new adds what must not be added repeated  fixed  open 1 doubles 0",
        ),
    ] {
        assert_eq!(run(&known, found, files, &[]), expected, "{name}");
    }
}

#[test]
fn one_review_says_a_thing_once() {
    let twice = vec![found("a.rs", 5, "off by one in loop"), found("a.rs", 5, "Off-by-one error in the loop")];
    assert_eq!(run(&[], twice, &[], &[]), "new off by one in loop repeated  fixed  open  doubles 1");
    let two = vec![found("a.rs", 5, "missing check of user"), found("a.rs", 5, "missing check of order")];
    assert!(run(&[], two, &[], &[]).ends_with("doubles 0"));
    let mut worse = vec![found("a.rs", 5, "same"), found("a.rs", 5, "same")];
    worse[1].finding.severity = Severity::High;
    let now = Now { renames: &BTreeMap::new(), head: &|_| None, gone: &|_| false, earlier: &[] };
    assert_eq!(reconcile(&[], worse, &now).new[0].finding.severity, Severity::High);
}

#[test]
fn mended_needs_code_gone_and_the_agents_word() {
    use EarlierState::*;
    let changed = FILE.replace("a = 1", "a = 7");
    let left = |mut it: Known| {
        it.side = Side::Left;
        it
    };
    let open = || known("1", "a.rs", 2, "x", KnownState::Open);
    let at = |path: &str| Known { path: path.into(), ..open() };
    let of_file = || Known { fingerprint: "t-ab".into(), ..open() };
    for (name, known, files, says, mended) in [
        ("changed and said", open(), vec![("a.rs", changed.as_str())], vec![Fixed], true),
        ("said only", open(), vec![("a.rs", FILE)], vec![Fixed], false),
        ("changed only", open(), vec![("a.rs", changed.as_str())], vec![], false),
        ("changed, said to be there", open(), vec![("a.rs", changed.as_str())], vec![Present], false),
        ("said both", open(), vec![("a.rs", changed.as_str())], vec![Fixed, Present], false),
        ("file gone", open(), vec![], vec![], true),
        ("renamed", at("old.rs"), vec![("new.rs", FILE)], vec![Fixed], false),
        ("renamed and changed", at("old.rs"), vec![("new.rs", changed.as_str())], vec![Fixed], true),
        ("deleted code, file gone", left(open()), vec![], vec![], false),
        ("deleted code, said", left(open()), vec![], vec![Fixed], true),
        ("about a file", of_file(), vec![("a.rs", FILE)], vec![], false),
        ("about a file, said", of_file(), vec![("a.rs", FILE)], vec![Fixed], true),
    ] {
        let says: Vec<(&str, EarlierState)> = says.into_iter().map(|state| ("1", state)).collect();
        let expected = if mended { "fixed 1 open " } else { "fixed  open 1" };
        let out = run(&[known], vec![], &files, &says);
        assert!(out.contains(expected), "{name}: {out}");
    }
    let repeated = run(&[open()], vec![found("a.rs", 2, "x")], &[], &[("1", Fixed)]);
    assert!(repeated.contains("fixed  open 1"), "found again is not mended: {repeated}");
}

#[test]
fn without_code_the_title_is_the_fingerprint() {
    let print = |line, title: &str, text| fingerprint_of(&finding("a", line, title), text);
    assert_eq!(print(None, "No tests", Some(FILE)), print(Some(3), "no  tests!", None));
    assert_ne!(print(None, "No tests", None), print(None, "No docs", None));
    assert_eq!(print(Some(2), "x", Some(FILE)), fingerprint(FILE, 2, 2));
    assert!(alike("修复错误的判断", "修复错误判断") >= ALIKE);
}
