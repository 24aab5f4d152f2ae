//! The demo's second script: a pull request that compares numbers as text, its review, and the agent that mends it.

use serde_json::{Value, json};

use super::script::{Script, bash, text, tool};

/// What a teammate adds to `calc.sh`: right for `max 2 3`, wrong for `max 10 9`.
pub const BUGGY_MAX: &str = "# The larger of two numbers.
max() {
    if [ \"$1\" \\> \"$2\" ]; then
        echo \"$1\"
    else
        echo \"$2\"
    fi
}

";
/// What they add to `test.sh`.
pub const MAX_TEST: &str = "[ \"$(sh calc.sh max 2 3)\" = 3 ] && echo 'ok: max 2 3 = 3'\n";

const WRONG: &str = "    if [ \"$1\" \\> \"$2\" ]; then";
const RIGHT: &str = "    if [ \"$1\" -gt \"$2\" ]; then";

/// The line of the text that holds the teammate's mistake.
pub fn line_of_mistake(calc: &str) -> Option<u64> {
    calc.lines().position(|it| it == WRONG).map(|it| it as u64 + 1)
}

impl Script {
    /// Reviews a pull request: `mistake` is the line that it finds, if any. With `known`, an earlier review has found it,
    /// and this one says whether it is still there.
    pub fn review_demo(mistake: Option<u64>, known: bool) -> Self {
        let finding = mistake.filter(|_| !known).map(|line| {
            json!({
                "path": "calc.sh",
                "line": line,
                "side": "RIGHT",
                "severity": "high",
                "category": "correctness",
                "title": "max compares its numbers as text",
                "reasoning": "`\\>` sorts by letters, so `10` comes before `9`: `sh calc.sh max 10 9` prints `9`. \
                              The new test has only numbers of one digit, where both orders are the same.",
                "replacement": RIGHT,
                "confidence": 97,
            })
        });
        let state = if mistake.is_some() { "present" } else { "fixed" };
        let earlier = known.then(|| json!({ "id": "{AFTER:- id }", "state": state }));
        let summary = match mistake {
            Some(_) => "It adds `max`, with a test. The idea is fine; numbers of more than one digit go wrong.",
            None => "I have read the change and run the test. It does what it says.",
        };
        let answer = json!({
            "summary": summary,
            "verdict": if mistake.is_some() { "serious" } else { "good" },
            "findings": Vec::from_iter(finding),
            "earlier": Vec::from_iter(earlier),
        });
        let first = if known { "/context/earlier.md" } else { "/context/diff-1.patch" };
        Self::steps(vec![
            vec![tool("Read", json!({ "file_path": first }))],
            vec![bash("sh test.sh; sh calc.sh max 10 9")],
            vec![tool("StructuredOutput", answer)],
            vec![text("The review is made.")],
        ])
    }

    /// Looks at the only finding of a review a second time; it holds.
    pub fn verify_demo() -> Self {
        let why = "calc.sh compares with `\\>`, which `test` defines for strings; numbers need `-gt`.";
        let answer = json!({ "verdicts": [{ "index": 0, "holds": true, "why": why }] });
        Self::steps(vec![
            vec![tool("Read", json!({ "file_path": "{CWD}/calc.sh" }))],
            vec![tool("StructuredOutput", answer)],
            vec![text("It holds.")],
        ])
    }

    /// Mends what the review has found, and settles its thread.
    pub fn fix_review_demo() -> Self {
        Self::steps(vec![
            vec![tool("Read", json!({ "file_path": "/context/threads.md" }))],
            vec![tool("Read", json!({ "file_path": "{CWD}/calc.sh" }))],
            vec![tool("Edit", json!({ "file_path": "{CWD}/calc.sh", "old_string": WRONG, "new_string": RIGHT }))],
            vec![bash("sh test.sh && sh calc.sh max 10 9")],
            vec![bash("git commit -qam 'Compare numbers in max()' && git log --oneline | head -n 1")],
            vec![tool("StructuredOutput", fixed())],
            vec![text("`max` compares numbers now.")],
        ])
    }

    /// Finds that a pull request needs no work.
    pub fn nothing_to_fix_demo() -> Self {
        let answer = json!({
            "title": "Nothing was left to do",
            "summary": "I have read the code and run the test: nothing is left to mend.",
            "details": "",
            "verification": "`sh test.sh` passes.",
            "changed": false,
            "threads": [],
        });
        Self::runs("sh test.sh", answer)
    }
}

fn fixed() -> Value {
    json!({
        "title": "Compare numbers in max()",
        "summary": "`max` compared its arguments as text. It compares them as numbers now.",
        "details": "",
        "verification": "`sh calc.sh max 10 9` printed `9` before and prints `10` now; `sh test.sh` passes.",
        "changed": true,
        "threads": [{ "id": "{AFTER:=== thread }", "reply": "It compares with `-gt` now.", "settled": true }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mistake_is_found() {
        assert_eq!(line_of_mistake(BUGGY_MAX), Some(3));
        assert_eq!(line_of_mistake(&BUGGY_MAX.replace(WRONG, RIGHT)), None);
    }
}
