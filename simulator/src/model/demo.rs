//! The demo's script: a shell program whose `add` subtracts, and the agent that repairs it.

use serde_json::{Value, json};

use super::script::{Script, bash, text, tool};

/// `calc.sh` with the bug.
pub const BUGGY_CALC: &str = "#!/bin/sh
# A calculator: calc.sh add A B
add() {
    echo $(($1 - $2))
}

\"$@\"
";

const TEST: &str = "#!/bin/sh
# Fails when the calculator is wrong.
cd \"$(dirname \"$0\")\" || exit 1
got=$(sh calc.sh add 2 3)
if [ \"$got\" = 5 ]; then
    echo 'ok: 2 + 3 = 5'
else
    echo \"FAILED: 2 + 3 = $got, expected 5\"
    exit 1
fi
";

const README: &str =
    "# calc\n\nA calculator in a few lines of shell.\n\n    sh calc.sh add 2 3\n\nRun the tests with `sh test.sh`.\n";

/// The files of the demo's repository; its test fails.
pub fn demo_files() -> Vec<(&'static str, &'static str)> {
    vec![("README.md", README), ("calc.sh", BUGGY_CALC), ("test.sh", TEST)]
}

impl Script {
    /// Looks around, plans, repairs `calc.sh`, runs the test, commits, and answers with `StructuredOutput`. `extra`
    /// adds fields to that answer or replaces them. The plan needs `CLAUDE_CODE_ENABLE_TASKS=0` and `TodoWrite` among the
    /// CLI's tools; without them those steps only fail.
    pub fn fix_demo(extra: &Value) -> Self {
        let mut answer = json!({
            "title": "Make add() add",
            "summary": "`add` subtracted its second argument. It now adds it, and the test passes.",
            "details": "The function used `-` where it needs `+`; nothing else changed.",
            "verification": "`sh test.sh` failed before the change and passes now: `ok: 2 + 3 = 5`.",
            "changed": true,
        });
        if let (Some(answer), Some(extra)) = (answer.as_object_mut(), extra.as_object()) {
            answer.extend(extra.clone());
        }
        Self::steps(vec![
            vec![text("I'll look at the repository first."), bash("ls -la && cat README.md && git log --oneline")],
            vec![text("Now the plan."), todo(0)],
            vec![bash("sh test.sh")],
            vec![
                text("The test fails as reported. Reading the code."),
                tool("Read", json!({ "file_path": "{CWD}/calc.sh" })),
            ],
            vec![text("`add` subtracts."), todo(1)],
            vec![tool(
                "Edit",
                json!({
                    "file_path": "{CWD}/calc.sh",
                    "old_string": "echo $(($1 - $2))",
                    "new_string": "echo $(($1 + $2))",
                }),
            )],
            vec![todo(2)],
            vec![bash("sh test.sh")],
            vec![bash("git add -A && git commit -q -m 'Make add() add' && git log --oneline | head -n 2")],
            vec![todo(3)],
            vec![tool("StructuredOutput", answer)],
            vec![text("`add` adds now; the test passes.")],
        ])
    }
}

/// The plan, with the first `done` items finished and the next one in work.
fn todo(done: usize) -> Value {
    let items = [
        ("Reproduce the failure", "Reproducing the failure"),
        ("Repair add() in calc.sh", "Repairing add() in calc.sh"),
        ("Run the test and commit", "Running the test"),
    ];
    let status = |nth: usize| match nth {
        nth if nth < done => "completed",
        nth if nth == done => "in_progress",
        _ => "pending",
    };
    let todos: Vec<Value> = items
        .iter()
        .enumerate()
        .map(|(nth, (content, active))| json!({ "content": content, "status": status(nth), "activeForm": active }))
        .collect();
    tool("TodoWrite", json!({ "todos": todos }))
}
