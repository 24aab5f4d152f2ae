//! What differs from run to run, made the same.

/// Replace ids, times and money.
pub fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut line = replace_ids(line);
        if let Some(at) = line.find("Date: ") {
            // Of a commit, in a patch.
            line.truncate(at + "Date: ".len());
        }
        // `3 s · $0.02`: how long and how much differ from run to run.
        if let Some(at) = line.find(" · $") {
            let start = line[..at].rfind(['>', '.']).map_or(0, |it| it + 1);
            let start = start + (line[start..].len() - line[start..].trim_start().len());
            let rest = &line[at + " · $".len()..];
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').to_owned();
            line = format!("{}TIME · $COST{rest}", &line[..start]);
        }
        // The digest of a snapshot, in which there are times.
        if let Some(at) = line.find("snapshot `").map(|at| at + "snapshot `".len())
            && let Some(end) = line[at..].find('`')
            && line[at..at + end].bytes().all(|it| it.is_ascii_hexdigit())
        {
            line.replace_range(at..at + end, "HASH");
        }
        if let Some(hash) = line.strip_prefix("snapshot ").map(str::trim)
            && hash.len() == 12
            && hash.bytes().all(|it| it.is_ascii_hexdigit())
        {
            "snapshot HASH".clone_into(&mut line);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.trim_end().to_owned()
}

fn replace_ids(line: &str) -> String {
    let is_uuid = |text: &str| {
        text.len() == 36
            && text.char_indices().all(|(at, c)| match at {
                8 | 13 | 18 | 23 => c == '-',
                _ => c.is_ascii_hexdigit(),
            })
    };
    let is_sha = |text: &str| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut out = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if rest.get(..40).is_some_and(is_sha) {
            out.push_str("SHA");
            rest = &rest[40..];
        } else if rest.get(..36).is_some_and(is_uuid) {
            out.push_str("ID");
            rest = &rest[36..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}
