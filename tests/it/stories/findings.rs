//! What a scripted reviewer finds.

/// Reviews of every pull request, and on every push.
pub const ON: &str = "review: { on: [opened, reopened, synchronize] }\n";

pub const APP: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";

/// A serious finding on a line of the head; `more` is JSON such as `,"replacement":"x"`.
pub fn finding(path: &str, line: u64, title: &str, more: &str) -> String {
    format!(
        r#"{{"path":"{path}","line":{line},"side":"RIGHT","severity":"high","category":"correctness","title":"{title}","reasoning":"It breaks.","confidence":90{more}}}"#
    )
}

pub fn findings(all: &[String]) -> String {
    format!("[{}]", all.join(","))
}
