//! The guard of one sandbox: ends it when its time, its memory or its disk space is used up.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use super::cage::Cage;
use super::files;
use super::proc::{Mark, resident, tree};
use crate::sandbox::Limit;

/// Memory can fill a gigabyte in this time; where the kernel limits it this is only how soon the end is noticed.
const TICK: Duration = Duration::from_millis(200);
/// Disk is measured at most this often, and takes at most a tenth of one core.
const DISK_EVERY: Duration = Duration::from_secs(1);

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
    let mut next_disk = Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        let cage = cage.upgrade().filter(|cage| !cage.has_ended())?;
        if too_much_memory(&cage).await {
            return Some(Limit::Memory);
        }
        let began = Instant::now();
        if began >= next_disk {
            if too_much_disk(&cage).await {
                return Some(Limit::Disk);
            }
            next_disk = Instant::now() + DISK_EVERY.max(began.elapsed() * 10);
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
    blocking(move || resident(&tree(&roots)) + in_memory_files(&roots) > most).await.unwrap_or(false)
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

async fn too_much_disk(cage: &Arc<Cage>) -> bool {
    let most = cage.spec().limits.disk_bytes;
    let directories: Vec<PathBuf> = cage.writable();
    let measure = move || {
        let mut sum = 0;
        for dir in directories {
            match files::usage(&dir) {
                Ok(bytes) => sum += bytes,
                // A workspace that the host takes away is not the agent's doing.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!("Could not measure {}: {error}", dir.display()),
            }
        }
        sum > most
    };
    blocking(measure).await.unwrap_or(false)
}

/// Run what may block, away from the threads that must not.
pub(super) async fn blocking<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(what).await.ok()
}
