//! In which lane a task runs: how far whoever asks, the code and the words are trusted. Every door asks this one function.

use serde::{Deserialize, Serialize};

/// How far the people, the code and the words behind a task are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// A writer asks for work on code that is in the repository or was approved, and only writers' words are read.
    #[default]
    Trusted,
    /// The same, but words of people who may not write are read with it, and could lead the agent astray: what it makes is
    /// published, since a person looks at that before it counts, and the sandbox reaches the model and nothing else.
    Guarded,
    /// A fork's code, or somebody who may not write: the sandbox reaches the model and nothing else, and only a review,
    /// an answer or a patch is published.
    Untrusted,
}

impl Lane {
    /// Whether work goes onto a branch of the repository.
    pub fn publishes(self) -> bool {
        self != Self::Untrusted
    }

    /// Whether the sandbox may reach what the operator's settings name.
    pub fn has_egress(self) -> bool {
        self == Self::Trusted
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Guarded => "guarded",
            Self::Untrusted => "untrusted",
        }
    }
}

/// What the lane rests on; the first that holds, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// Whoever asks may not write.
    Asker,
    /// The code is a fork's, and nobody has approved it.
    Fork,
    /// The agent reads words of people who may not write, which no approval covers.
    Words,
    /// Earlier work here was led by such words: its code and its conversation go on.
    Inherited,
    /// A writer has approved this very commit.
    Approved,
    /// All of it comes from people who may write.
    Writers,
}

impl Ground {
    pub fn name(self) -> &'static str {
        match self {
            Self::Asker => "asker",
            Self::Fork => "fork",
            Self::Words => "words",
            Self::Inherited => "inherited",
            Self::Approved => "approved",
            Self::Writers => "writers",
        }
    }
}

/// Who wants something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    Writer,
    /// Anybody else whom the settings let ask.
    Other,
    /// Nobody: the repository's settings want every pull request reviewed.
    Settings,
}

/// What must be known to choose a lane.
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub asker: Asker,
    /// The code is no branch's of this repository.
    pub fork: bool,
    /// A writer has approved the very commit, and nobody has pushed since.
    pub approved: bool,
    /// The agent reads words of people who may not write. What stood there when the commit was approved does not count.
    pub strangers: bool,
    /// Work that went before, and that this goes on from, was guarded.
    pub inherited: bool,
}

/// Choose.
pub fn lane(it: Standing) -> (Lane, Ground) {
    match it {
        Standing { asker: Asker::Other, .. } => (Lane::Untrusted, Ground::Asker),
        Standing { fork: true, approved: false, .. } => (Lane::Untrusted, Ground::Fork),
        Standing { strangers: true, .. } => (Lane::Guarded, Ground::Words),
        Standing { inherited: true, approved: false, .. } => (Lane::Guarded, Ground::Inherited),
        Standing { approved: true, .. } => (Lane::Trusted, Ground::Approved),
        _ => (Lane::Trusted, Ground::Writers),
    }
}

/// A commit that a writer has approved for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub head_sha: String,
    pub by: String,
    /// When it was said, by GitHub's clock, ISO 8601.
    pub at: String,
    /// Digest of the title and text that stood there then.
    pub words: String,
}

/// What is wrong with the name of a commit in `/ok-to-test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotThis {
    /// No hexadecimal number of 7 to 40 digits.
    NoCommit,
    /// It names another commit than the head.
    NotTheHead,
}

/// Whether a person has named the head: all 40 digits, or at least the first 7.
pub fn names_head(said: &str, head: &str) -> Result<(), NotThis> {
    let hex = said.bytes().all(|it| it.is_ascii_hexdigit());
    if !hex || !(7..=40).contains(&said.len()) {
        return Err(NotThis::NoCommit);
    }
    match head.starts_with(&said.to_ascii_lowercase()) {
        true => Ok(()),
        false => Err(NotThis::NotTheHead),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_named_by_enough_of_its_digits() {
        let head = "0123456789abcdef0123456789abcdef01234567";
        for (said, expected) in [
            (head, Ok(())),
            ("0123456", Ok(())),
            ("0123456789ABCDEF", Ok(())),
            ("012345", Err(NotThis::NoCommit)),
            ("", Err(NotThis::NoCommit)),
            ("HEAD~1", Err(NotThis::NoCommit)),
            ("0123456g", Err(NotThis::NoCommit)),
            ("0123456789abcdef0123456789abcdef012345678", Err(NotThis::NoCommit)),
            ("1123456", Err(NotThis::NotTheHead)),
            ("123456789abcdef", Err(NotThis::NotTheHead)),
        ] {
            assert_eq!(names_head(said, head), expected, "{said}");
        }
    }

    /// Whatever else is so: strangers' code or asks never publish, and strangers' words never have egress.
    #[test]
    fn no_combination_of_facts_gives_a_stranger_more() {
        let flags = [false, true];
        for asker in [Asker::Writer, Asker::Other, Asker::Settings] {
            for bits in 0..16_usize {
                let bit = |n: usize| flags[bits >> n & 1];
                let it = Standing { asker, fork: bit(0), approved: bit(1), strangers: bit(2), inherited: bit(3) };
                let (lane, _) = lane(it);
                let foreign = asker == Asker::Other || (it.fork && !it.approved);
                assert_eq!(lane.publishes(), !foreign, "{it:?}");
                assert!(!(lane.has_egress() && (it.strangers || foreign)), "{it:?}");
            }
        }
    }
}
