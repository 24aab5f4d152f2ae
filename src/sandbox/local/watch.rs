//! The guard of one sandbox: ends it when its time, its memory or its disk space is used up, or the disk of the machine.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use super::cage::Cage;
use super::files::{self, Usage};
use super::proc::{Mark, deleted, hold_more, tree};
use crate::sandbox::Limit;

/// Memory can fill a gigabyte in this time; where the kernel limits it this is only how soon the end is noticed.
const TICK: Duration = Duration::from_millis(200);
/// Disk is measured at most this often, and takes at most a tenth of one core.
const DISK_EVERY: Duration = Duration::from_secs(1);
/// A part that can't be read this many times in a row is hidden from us. Programs close a directory for a moment.
const HIDDEN: u32 = 5;

/// Watch until the sandbox is gone or has ended.
pub(super) async fn watch(cage: Weak<Cage>) {
    let Some(deadline) = cage.upgrade().map(|cage| cage.deadline()) else { return };
    let limit = tokio::select! {
        () = tokio::time::sleep_until(deadline.into()) => Some(Limit::Lifetime),
        limit = measure(&cage) => limit,
    };
    if let (Some(limit), Some(cage)) = (limit, cage.upgrade()) {
        tracing::info!(sandbox.id = %cage.id(), "Ended sandbox {}: it used up {limit}", cage.id());
        cage.end(Some(limit));
    }
}

/// Measure again and again; None when there is nothing left to measure.
async fn measure(cage: &Weak<Cage>) -> Option<Limit> {
    let (mut next_disk, mut unread) = (Instant::now(), 0);
    loop {
        tokio::time::sleep(TICK).await;
        let cage = cage.upgrade().filter(|cage| !cage.has_ended())?;
        if too_much_memory(&cage).await {
            return Some(Limit::Memory);
        }
        let began = Instant::now();
        if began >= next_disk {
            // What is closed the second time is opened: an agent that hides nothing rarely notices.
            let held = held(&cage, unread > 0).await.unwrap_or_default();
            unread = if held.unread { unread + 1 } else { 0 };
            if held.bytes > cage.spec().limits.disk_bytes || unread >= HIDDEN {
                return Some(Limit::Disk);
            }
            cage.floor().note(cage.id(), held);
            next_disk = Instant::now() + DISK_EVERY.max(began.elapsed() * 10);
        }
        if is_in_the_way(&cage).await {
            tracing::warn!(sandbox.id = %cage.id(), "The disk is nearly full, and sandbox {} holds most of all", cage.id());
            return Some(Limit::HostDisk);
        }
    }
}

async fn too_much_memory(cage: &Arc<Cage>) -> bool {
    if cage.kernel_counts_memory() {
        return cage.out_of_memory();
    }
    let roots = cage.roots();
    if roots.is_empty() {
        return false;
    }
    let most = cage.spec().limits.memory_bytes;
    blocking(move || hold_more(&tree(&roots), in_memory_files(&roots), most)).await.unwrap_or(false)
}

/// What the processes keep in the directories that are memory, as far as the kernel lets us look.
fn in_memory_files(roots: &[Mark]) -> u64 {
    let used =
        |path: String| statvfs(path.as_str()).map_or(0, |fs| (fs.blocks() - fs.blocks_free()) * fs.fragment_size());
    let of =
        |mark: &Mark| used(format!("/proc/{}/root/tmp", mark.pid)) + used(format!("/proc/{}/root/dev/shm", mark.pid));
    // Roots come in pairs, bubblewrap and its init; seen from bubblewrap, /tmp is no tmpfs of the sandbox's.
    roots.chunks(2).filter_map(|pair| pair.get(1)).map(of).sum()
}

/// What it holds on disk.
async fn held(cage: &Arc<Cage>, open: bool) -> Option<Usage> {
    let directories: Vec<PathBuf> = cage.writable();
    let roots = cage.roots();
    let measure = move || {
        let mut sum = Usage::default();
        for dir in &directories {
            match files::usage(dir, open) {
                Ok(it) => {
                    sum.bytes += it.bytes;
                    sum.files += it.files;
                    sum.unread |= it.unread;
                }
                // A workspace that the host takes away is not the agent's doing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    sum.unread |= error.kind() == io::ErrorKind::PermissionDenied;
                    tracing::debug!("Could not measure {}: {error}", dir.display());
                }
            }
        }
        let devices: Vec<u64> = directories.iter().filter_map(|dir| Some(fs::metadata(dir).ok()?.dev())).collect();
        sum.bytes += deleted(&tree(&roots), &devices);
        sum
    };
    blocking(measure).await
}

/// Whether the machine is short of room, and this is the sandbox that has to go.
async fn is_in_the_way(cage: &Arc<Cage>) -> bool {
    let own = cage.clone();
    let missing = blocking(move || own.missing_on_disk()).await.flatten();
    missing.is_some_and(|missing| cage.floor().takes(cage.id(), missing))
}

/// Run what may block, away from the threads that must not.
pub(super) async fn blocking<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(what).await.ok()
}
