//! What `/proc` says about processes on the host: who descends from whom, and what they hold.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process that can't be confused with a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub pid: i32,
    /// In ticks since the machine started.
    start: u64,
}

impl Mark {
    pub fn of(pid: i32) -> Option<Mark> {
        Some(Mark { pid, start: look(pid)?.start })
    }

    /// Alive and still the same process. One that has ended and waits for its parent counts as gone.
    pub fn alive(self) -> bool {
        look(self.pid).is_some_and(|seen| seen.start == self.start && seen.state != b'Z')
    }

    pub fn signal(self, signal: Signal) {
        if self.alive() {
            // Between the look and the signal the number can't come round again: that takes a whole lap of pids.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

struct Seen {
    pid: i32,
    parent: i32,
    state: u8,
    start: u64,
}

fn look(pid: i32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything, brackets and spaces too.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some(Seen { pid, parent, state, start })
}

/// These processes, as far as they live, and everything that descends from them.
pub(super) fn tree(roots: &[Mark]) -> Vec<Mark> {
    let mut found: Vec<Mark> = roots.iter().copied().filter(|mark| mark.alive()).collect();
    if found.is_empty() {
        return found;
    }
    let mut children: HashMap<i32, Vec<Mark>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(seen) = pid.and_then(look) {
            children.entry(seen.parent).or_default().push(Mark { pid: seen.pid, start: seen.start });
        }
    }
    let mut at = 0;
    while at < found.len() {
        for child in children.remove(&found[at].pid).unwrap_or_default() {
            if !found.contains(&child) {
                found.push(child);
            }
        }
        at += 1;
    }
    found
}

/// Kill these processes and everything that descends from them.
pub(super) fn kill_tree(roots: &[Mark]) {
    for mark in tree(roots) {
        mark.signal(Signal::SIGKILL);
    }
}

/// The process that `init` of a sandbox was made for: its child that is number 2 inside.
pub(super) fn command_of(init: Mark) -> Option<Mark> {
    let is_second = |mark: &Mark| {
        let status = fs::read_to_string(format!("/proc/{}/status", mark.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        line.split_whitespace().next_back() == Some("2")
    };
    tree(&[init]).into_iter().find(is_second)
}

/// Whether these processes and `more` hold more memory than this, in bytes, without what is merely a copy of a file: their own
/// pages, and shared memory once, whoever maps it.
pub(super) fn hold_more(marks: &[Mark], more: u64, most: u64) -> bool {
    let (mut own, mut all, mut largest) = (0, 0, 0);
    let mut sharing = Vec::new();
    for mark in marks {
        let status = fs::read_to_string(format!("/proc/{}/status", mark.pid)).unwrap_or_default();
        let field = |name: &str| -> u64 {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            value.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        own += field("RssAnon:") + field("VmSwap:");
        let shared = field("RssShmem:");
        all += shared;
        largest = shared.max(largest);
        sharing.extend((shared > 0).then_some(*mark));
    }
    let holds = |shared: u64| (own + shared) * 1024 + more > most;
    // Processes mostly map the same. Whether these do takes a look at each page, so it is asked only when it matters.
    holds(largest) || (holds(all) && holds(shares(&sharing).unwrap_or(largest)))
}

/// The shared memory that these processes map, in KiB: of each page the share of each that maps it. None when the kernel does
/// not tell.
fn shares(marks: &[Mark]) -> Option<u64> {
    let share = |mark: &Mark| -> Option<u64> {
        let pages = match fs::read_to_string(format!("/proc/{}/smaps_rollup", mark.pid)) {
            Ok(pages) => pages,
            // It has ended in the meantime.
            Err(_) if !mark.alive() => return Some(0),
            Err(_) => return None,
        };
        let line = pages.lines().find_map(|line| line.strip_prefix("Pss_Shmem:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    marks.iter().map(share).sum()
}

/// What files take on disk that nobody can find any more and that these processes still have open. Those in memory are left
/// out, unless `devices` are.
pub(super) fn deleted(marks: &[Mark], devices: &[u64]) -> u64 {
    let mut files = HashMap::new();
    for mark in marks {
        for open in fs::read_dir(format!("/proc/{}/fd", mark.pid)).into_iter().flatten().flatten() {
            let path = open.path();
            let Ok(file) = fs::metadata(&path) else { continue };
            let on_disk = || {
                devices.contains(&file.dev())
                    || statfs(&path).is_ok_and(|system| system.filesystem_type() != TMPFS_MAGIC)
            };
            if file.is_file() && file.nlink() == 0 && on_disk() {
                files.insert((file.dev(), file.ino()), file.blocks() * 512);
            }
        }
    }
    files.values().sum()
}
