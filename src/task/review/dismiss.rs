//! Whether an answer to a finding says that it is to stay as it is.

/// Whether a person's reply dismisses what it answers: "won't fix", "not a bug", "by design". A question about it, or a
/// "will fix", does not.
pub fn dismisses(reply: &str) -> bool {
    const WORDS: [&str; 9] = [
        "won't fix",
        "wont fix",
        "wontfix",
        "will not fix",
        "not a bug",
        "false positive",
        "by design",
        "works as intended",
        "this is intended",
    ];
    let plain = reply.to_lowercase().replace('’', "'");
    // What somebody quotes is not what they say.
    let said = plain.lines().filter(|line| !line.trim_start().starts_with('>')).collect::<Vec<_>>().join(" ");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    !said.contains('?') && WORDS.iter().any(|word| said.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dismisses_a_finding() {
        for (reply, expected) in [
            ("Won't fix.", true),
            ("won’t  fix, the caller checks that", true),
            ("This is by design", true),
            ("False positive: see line 3", true),
            ("Good catch, will fix", false),
            ("Is this by design?", false),
            ("> won't fix\n\nI disagree", false),
            ("", false),
        ] {
            assert_eq!(dismisses(reply), expected, "{reply:?}");
        }
    }
}
