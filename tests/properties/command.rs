//! Commands: only what somebody says to the bot is one, and it is in their own words.

use cloud_agent::task::{Command, parse};

use super::text;

const MENTION: &str = "cloud-agent";

pub fn holds(data: &[u8]) {
    let text = text(data);
    match parse(&text, MENTION) {
        None => (),
        Some(command) => {
            assert!(text.to_ascii_lowercase().contains("@cloud-agent"), "nobody was named");
            if let Command::Do(said) = command {
                assert!(text.contains(&said) && !said.is_empty(), "these are not their words: {said:?}");
            }
        }
    }
    // What somebody only shows is no order: a quote, code, a comment.
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let quoted: String = lines.split('\n').flat_map(|line| ["> ", line, "\n"]).collect();
    assert_eq!(parse(&quoted, MENTION), None, "a quote speaks");
    let fence = "`".repeat(lines.split(|c| c != '`').map(str::len).max().unwrap_or_default().max(2) + 1);
    assert_eq!(parse(&format!("{fence}\n{lines}\n{fence}\n"), MENTION), None, "code speaks");
    let comment = format!("<!-- {} -->", lines.replace("-->", ""));
    assert_eq!(
        parse(&comment, MENTION).filter(|_| !comment.trim_end_matches("-->").contains("-->")),
        None,
        "{comment}"
    );
}
