//! Branch names: `cloud-agent/<kind>-<number>-<slug>`, safe as a git ref and readable in a list.

/// Longest slug, in characters.
const LONGEST: usize = 40;

/// The branch for an issue's fix. `try_` above 1 is told apart by a suffix.
pub fn branch(number: u64, title: &str, try_: u32) -> String {
    named("issue", &number.to_string(), title, try_)
}

/// The branch for work on a pull request that can't go onto the pull request's own.
pub fn pull_branch(number: u64, title: &str, try_: u32) -> String {
    named("pull", &number.to_string(), title, try_)
}

/// The branch of a task that belongs to neither, by the number of its own: in hexadecimal, and not all of it.
pub fn own_branch(number: u64, title: &str, try_: u32) -> String {
    named("task", &format!("{:08x}", number as u32), title, try_)
}

fn named(kind: &str, number: &str, title: &str, try_: u32) -> String {
    let mut slug = String::new();
    for word in title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if slug.len() + word.len() + 1 > LONGEST {
            break;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    let mut name = format!("cloud-agent/{kind}-{number}");
    if !slug.is_empty() {
        name = format!("{name}-{slug}");
    }
    if try_ > 1 {
        name = format!("{name}-{try_}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_become_branches() {
        for (title, try_, expected) in [
            ("add() subtracts", 1, "cloud-agent/issue-7-add-subtracts"),
            ("  `..`/@{ weird~^: ", 1, "cloud-agent/issue-7-weird"),
            ("修复", 1, "cloud-agent/issue-7"),
            ("add() subtracts", 3, "cloud-agent/issue-7-add-subtracts-3"),
            (
                "A very long title that goes on and on and never seems to stop",
                1,
                "cloud-agent/issue-7-a-very-long-title-that-goes-on-and-on",
            ),
        ] {
            assert_eq!(branch(7, title, try_), expected);
        }
        assert_eq!(own_branch((1 << 52) + 0xab, "greet the world", 2), "cloud-agent/task-000000ab-greet-the-world-2");
    }
}
