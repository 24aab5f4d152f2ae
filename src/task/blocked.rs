//! What a sandbox was refused, as far as it is named: whoever is inside chooses the names, and how many there are.

use serde::{Deserialize, Serialize};

/// Stands for all hosts that came after the last one that is remembered.
pub const OTHERS: &str = "…";

/// Places that are named.
pub const NAMED: usize = 10;

/// Refused connections, counted by `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Blocked {
    /// Those that were asked for most often, the first first.
    pub hosts: Vec<BlockedHost>,
    /// Places that are not named, at least so many.
    pub more: u64,
    /// How often those were asked for.
    pub more_times: u64,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedHost {
    /// `host:port` in plain letters, and the reason unless that is the list.
    pub host: String,
    pub times: u64,
}

impl Blocked {
    /// The most frequent of what was counted, and how much else there was.
    pub fn most(counted: &[(String, u64)], named: usize) -> Self {
        let (others, mut known): (Vec<_>, Vec<_>) = counted.iter().cloned().partition(|(host, _)| host == OTHERS);
        known.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rest = known.split_off(named.min(known.len()));
        Self {
            more: (rest.len() + others.len()) as u64,
            more_times: rest.iter().chain(&others).map(|(_, times)| times).sum(),
            hosts: known.into_iter().map(|(host, times)| BlockedHost { host, times }).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.more == 0
    }

    /// What several attempts at one task were refused.
    pub fn sum(attempts: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<(String, u64)> = Vec::new();
        let (mut more, mut more_times) = (0u64, 0u64);
        for attempt in attempts {
            // The same names may be among those that each attempt does not name.
            more = more.max(attempt.more);
            more_times += attempt.more_times;
            for BlockedHost { host, times } in attempt.hosts {
                match all.iter_mut().find(|(known, _)| *known == host) {
                    Some((_, sum)) => *sum += times,
                    None => all.push((host, times)),
                }
            }
        }
        let most = Self::most(&all, NAMED);
        Self { more: most.more + more, more_times: most.more_times + more_times, ..most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter().map(|(host, times)| ((*host).to_owned(), *times)).collect()
    }

    #[test]
    fn the_most_frequent_are_named_and_the_rest_is_counted() {
        let list = counted(&[("a:443", 1), ("b:443", 7), (OTHERS, 9000), ("c:443", 1), ("d:443", 2)]);
        let most = Blocked::most(&list, 2);
        let names: Vec<_> = most.hosts.iter().map(|it| (it.host.as_str(), it.times)).collect();
        assert_eq!(names, [("b:443", 7), ("d:443", 2)]);
        assert_eq!((most.more, most.more_times), (3, 9002));
        assert!(Blocked::most(&[], 2).is_empty());
        assert!(!Blocked::most(&counted(&[(OTHERS, 1)]), 2).is_empty());
    }

    #[test]
    fn attempts_are_added_up() {
        let one = Blocked::most(&counted(&[("a:443", 1), ("b:443", 2)]), NAMED);
        let two = Blocked::most(&counted(&[("a:443", 4), (OTHERS, 5)]), NAMED);
        let sum = Blocked::sum([one, two]);
        let names: Vec<_> = sum.hosts.iter().map(|it| (it.host.as_str(), it.times)).collect();
        assert_eq!((names, sum.more, sum.more_times), (vec![("a:443", 5), ("b:443", 2)], 1, 5));
    }
}
