//! Who a sandbox is on the host.
//!
//! Inside it is always `agent`, 1000. On the host it is our own user, unless that is root. Root gives every sandbox a user
//! number of its own that nobody else has: even a process that broke out of all namespaces would then own nothing but its own
//! files, while a sandbox that is root on the host, with no capability, may still write what belongs to root (`/proc/sys`,
//! for one). It costs a change of owner of the workspace, and mounts prepared by root, because the new user can't walk to a
//! directory below `/root`; `stage` does both cheaply. Root without the capabilities for that (a container) stays root.

use std::fs;
use std::io;

use nix::unistd::geteuid;

use super::number::{Number, Numbers};

/// Who the sandboxes of this process are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// The user that we are, which is not root.
    Ordinary,
    /// One of their own each, from `first` on.
    Separate { first: u32, count: u32 },
    /// Root like us, because we can't become anybody else. The doctor calls that bad, and no run begins.
    Root,
}

/// Unused by every distribution; and, for a container that has 65536 users, a stretch that systemd leaves free.
const RANGES: [(u32, u32); 2] = [(2_000_000_000, 100_000_000), (60_706, 478)];

/// `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `KILL`, `SETGID`, `SETUID`, `NET_ADMIN`, `SYS_ADMIN`.
const CAPABILITIES: [u32; 8] = [0, 1, 3, 5, 6, 7, 12, 21];

impl Identity {
    pub fn find() -> Identity {
        if !geteuid().is_root() {
            return Identity::Ordinary;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
        let effective = u64::from_str_radix(effective.trim(), 16).unwrap_or(0);
        let capable = CAPABILITIES.iter().all(|bit| effective & (1 << bit) != 0);
        let map = |name| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let (users, groups) = (map("uid_map"), map("gid_map"));
        let range = RANGES.into_iter().find(|range| covers(&users, *range) && covers(&groups, *range));
        match range {
            Some((first, count)) if capable => Identity::Separate { first, count },
            _ => Identity::Root,
        }
    }

    /// The user of one sandbox; None when it is the one that we are. Two of them may come to the same number, as may those of
    /// two processes, so the next one is taken that no live sandbox of this machine has.
    pub fn take(self, id: &str, numbers: &Numbers) -> io::Result<Option<Number>> {
        let Identity::Separate { first, count } = self else { return Ok(None) };
        let number = id.get(..7).and_then(|id| u32::from_str_radix(id, 16).ok()).unwrap_or_default();
        numbers.take((0..count).map(|step| first + (number % count + step) % count)).map(Some)
    }
}

fn covers(map: &str, (first, count): (u32, u32)) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        matches!(numbers[..], [from, _, many] if from <= u64::from(first) && u64::from(first + count) <= from + many)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn no_two_live_sandboxes_have_the_same_user() {
        let dir = tempfile::tempdir().unwrap();
        let numbers = Numbers { places: [dir.path().to_owned()].into() };
        let identity = Identity::Separate { first: 60_706, count: 3 };
        let take = |id: &str| identity.take(id, &numbers).map(|user| user.unwrap());
        let (first, second) = (take("0000002aaa").unwrap(), take("0000002bbb").unwrap());
        assert_eq!((first.id, second.id), (60_708, 60_706));
        let _third = take("0000002ccc").unwrap();
        assert!(take("0000000ddd").is_err());
        drop(first);
        assert_eq!(take("0000000ddd").unwrap().id, 60_708);
        assert!(Identity::Ordinary.take("0000002aaa", &numbers).unwrap().is_none());
    }
}
