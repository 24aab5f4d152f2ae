//! What holds a sandbox to its limits: the best means that this machine offers, found once.
//!
//! Best is a cgroup of its own for every sandbox, below the one that we run in, so that a limit somebody set on us stays
//! in force: version 2 where the subtree is ours (systemd: `Delegate=yes`), else version 1. Without one, `RLIMIT_NPROC`
//! counts a process's user namespace, and `watch` adds up memory and ends what holds too much. Processor time is never cut off,
//! only given to others first: each process is nice, and a sandbox as a whole has half the weight where there is a cgroup.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sandbox::Limits;

/// The cgroup that we move ourselves to in version 2, where only leaves may hold processes.
const OWN_LEAF: &str = "cloud-agent-host";

/// Half of what a cgroup has that nobody has set anything for: where the processors are all busy, cloud-agent goes first.
const HALF_WEIGHT: &str = "50";
const HALF_SHARES: &str = "512";

/// How memory, processes and processor time are limited here.
#[derive(Debug, Clone)]
pub(super) enum Means {
    /// Below this directory of the one hierarchy; `cpu`: processor time can be shared out there too.
    V2 { base: PathBuf, cpu: bool },
    /// Below these directories of the hierarchies; what is not there is watched.
    V1 { memory: Option<PathBuf>, pids: Option<PathBuf>, cpu: Option<PathBuf> },
}

impl Means {
    /// The best that can be used, tried out.
    pub fn find() -> Means {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if let Some(base) = own_dir(&own, &mounts, "").and_then(|dir| delegated(&dir)) {
            return Means::V2 { cpu: can_make(&base, "cpu.weight"), base };
        }
        let usable = |controller: &str, file: &str| {
            own_dir(&own, &mounts, controller).filter(|dir| can_make(dir, &format!("{controller}.{file}")))
        };
        Means::V1 {
            memory: usable("memory", "limit_in_bytes"),
            pids: usable("pids", "max"),
            cpu: usable("cpu", "shares"),
        }
    }

    /// Whether the kernel counts the memory of a whole sandbox.
    pub fn memory(&self) -> bool {
        !matches!(self, Means::V1 { memory: None, .. })
    }

    /// Whether the kernel counts the processes of a whole sandbox.
    pub fn processes(&self) -> bool {
        !matches!(self, Means::V1 { pids: None, .. })
    }

    /// Whether a sandbox as a whole has a share of the processors, however many processes it starts.
    pub fn cpu(&self) -> bool {
        !matches!(self, Means::V1 { cpu: None, .. } | Means::V2 { cpu: false, .. })
    }

    /// Make the cgroups of a sandbox. What an earlier one of this name left is ended first.
    pub fn group(&self, id: &str, limits: &Limits) -> io::Result<Group> {
        let name = format!("cloud-agent-{id}");
        let mut group = Group::default();
        match self {
            Means::V2 { base, cpu } => {
                let dir = group.join(base, &name)?;
                fs::write(dir.join("memory.max"), limits.memory_bytes.to_string())?;
                // All of them: half a build that is left running tells nobody why it hangs. No swap: it would be slow, not small.
                for (file, value) in [("memory.oom.group", "1"), ("memory.swap.max", "0")] {
                    let _ = fs::write(dir.join(file), value);
                }
                fs::write(dir.join("pids.max"), processes(limits).to_string())?;
                if *cpu {
                    fs::write(dir.join("cpu.weight"), HALF_WEIGHT)?;
                }
                group.events = Some(dir.join("memory.events"));
            }
            Means::V1 { memory, pids, cpu } => {
                if let Some(base) = memory {
                    let dir = group.join(base, &name)?;
                    fs::write(dir.join("memory.limit_in_bytes"), limits.memory_bytes.to_string())?;
                    // Memory and swap together; the file is only there when the kernel counts swap.
                    let _ = fs::write(dir.join("memory.memsw.limit_in_bytes"), limits.memory_bytes.to_string());
                    group.events = Some(dir.join("memory.oom_control"));
                }
                if let Some(base) = pids {
                    fs::write(group.join(base, &name)?.join("pids.max"), processes(limits).to_string())?;
                }
                if let Some(base) = cpu {
                    fs::write(group.join(base, &name)?.join("cpu.shares"), HALF_SHARES)?;
                }
            }
        }
        Ok(group)
    }

    /// The limits of a single process that it carries itself, as `(resource, value)`.
    pub fn of_process(&self, limits: &Limits) -> Vec<(Resource, u64)> {
        let mut all = vec![
            (Resource::RLIMIT_CORE, 0),
            (Resource::RLIMIT_FSIZE, limits.disk_bytes),
            (Resource::RLIMIT_NOFILE, open_files()),
            // What was made nice stays so.
            (Resource::RLIMIT_NICE, 0),
            (Resource::RLIMIT_RTPRIO, 0),
        ];
        if !self.processes() {
            // Counted in the user namespace that the process starts in, so it does not see other sandboxes of this user.
            all.push((Resource::RLIMIT_NPROC, processes(limits)));
        }
        all
    }
}

/// Bubblewrap itself and its init are two.
fn processes(limits: &Limits) -> u64 {
    limits.processes.saturating_add(2)
}

fn open_files() -> u64 {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    most.min(16_384)
}

/// The directory of the cgroup that we are in; `controller` is empty for version 2.
fn own_dir(own: &str, mounts: &str, controller: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        controllers.split(',').any(|c| c == controller).then(|| PathBuf::from(path))
    })?;
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let (mut left, mut right) = (left.split(' ').skip(3), right.split(' '));
        let (root, point) = (left.next()?, left.next()?);
        let (kind, _, options) = (right.next()?, right.next()?, right.next()?);
        let fits = match controller {
            "" => kind == "cgroup2",
            _ => kind == "cgroup" && options.split(',').any(|option| option == controller),
        };
        // In a container the mount may show a part of the tree only, and our path may lie outside of it.
        let dir = Path::new(point).join(path.strip_prefix(root).unwrap_or(Path::new("")));
        fits.then(|| if dir.is_dir() { dir } else { PathBuf::from(point) })
    })
}

/// Whether a cgroup with this file can be made here.
fn can_make(base: &Path, file: &str) -> bool {
    static PROBES: AtomicU64 = AtomicU64::new(0);
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    let dir = base.join(format!("cloud-agent-probe-{}-{number}", std::process::id()));
    let made = fs::create_dir(&dir).is_ok();
    let works = made && fs::OpenOptions::new().write(true).open(dir.join(file)).is_ok();
    if made {
        let _ = fs::remove_dir(&dir);
    }
    works
}

/// A version 2 directory in which sandboxes may have cgroups with memory and pids limits, if we can have that.
fn delegated(own: &Path) -> Option<PathBuf> {
    let works = |base: &Path| can_make(base, "memory.max") && can_make(base, "pids.max");
    if own.file_name().is_some_and(|name| name == OWN_LEAF) {
        return own.parent().filter(|base| works(base)).map(Path::to_owned);
    }
    if works(own) {
        return Some(own.to_owned());
    }
    let offered = fs::read_to_string(own.join("cgroup.controllers")).ok()?;
    let has = |name| offered.split_whitespace().any(|controller| controller == name);
    // Only when nobody else is in it: to move another's process is not ours to do.
    let alone = fs::read_to_string(own.join("cgroup.procs")).ok()?.trim() == std::process::id().to_string();
    if !(has("memory") && has("pids") && alone) {
        return None;
    }
    let leaf = own.join(OWN_LEAF);
    fs::create_dir(&leaf).or_else(|e| if leaf.is_dir() { Ok(()) } else { Err(e) }).ok()?;
    fs::write(leaf.join("cgroup.procs"), "0").ok()?;
    fs::write(own.join("cgroup.subtree_control"), "+memory +pids").ok()?;
    let _ = fs::write(own.join("cgroup.subtree_control"), "+cpu");
    works(own).then(|| own.to_owned())
}

fn fresh(base: &Path, name: &str) -> io::Result<PathBuf> {
    let dir = base.join(name);
    if dir.exists() {
        Group { dirs: vec![dir.clone()], events: None }.end();
    }
    fs::create_dir(&dir)?;
    Ok(dir)
}

/// The cgroups of one sandbox; none where the machine offers none.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub dirs: Vec<PathBuf>,
    events: Option<PathBuf>,
}

impl Group {
    /// Have a cgroup of this name below `base`. Controllers that are mounted together share one.
    fn join(&mut self, base: &Path, name: &str) -> io::Result<PathBuf> {
        let dir = base.join(name);
        if !self.dirs.contains(&dir) {
            fresh(base, name)?;
            self.dirs.push(dir.clone());
        }
        Ok(dir)
    }

    /// The cgroups that an earlier process noted down.
    pub fn left_over(dirs: Vec<PathBuf>) -> Group {
        Group { dirs, events: None }
    }

    /// The files through which a process joins.
    pub fn joins(&self) -> Vec<CString> {
        let procs = |dir: &PathBuf| CString::new(dir.join("cgroup.procs").as_os_str().as_bytes()).ok();
        self.dirs.iter().filter_map(procs).collect()
    }

    /// Whether the kernel had to kill one of its processes for memory.
    pub fn out_of_memory(&self) -> bool {
        let events = self.events.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|count| count.trim().parse().ok()).unwrap_or(0u64) > 0
    }

    /// Kill all that is in it.
    pub fn kill(&self) {
        for dir in &self.dirs {
            if fs::write(dir.join("cgroup.kill"), "1").is_ok() {
                continue;
            }
            for pid in fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default().lines() {
                if let Ok(pid @ 2..) = pid.parse() {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
    }

    /// Kill all that is in it and remove it. Takes some milliseconds when something was.
    pub fn end(&self) {
        for pause in 1..100 {
            self.kill();
            let left = self.dirs.iter().filter(|dir| fs::remove_dir(dir).is_err() && dir.exists()).count();
            if left == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(pause));
        }
        tracing::warn!(cgroups = ?self.dirs, "Could not remove the cgroups of a sandbox");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/proc` is a directory on every machine; it stands for the mount points.
    fn check(own: &str, mounts: &str, controller: &str, expected: Option<&str>) {
        assert_eq!(own_dir(own, mounts, controller).as_deref(), expected.map(Path::new));
    }

    #[test]
    fn our_own_cgroup_is_found_in_both_versions() {
        let v2 = "30 23 0:26 / /proc rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        check("0::/self\n", v2, "", Some("/proc/self"));
        check("0::/no/such\n", v2, "", Some("/proc"));
        check("0::/\n", v2, "memory", None);

        let v1 =
            "40 31 0:36 / /proc rw,relatime - cgroup cgroup rw,memory\n41 31 0:37 / /sys rw - cgroup cgroup rw,pids";
        check("8:pids:/\n4:memory:/self\n0::/\n", v1, "memory", Some("/proc/self"));
        check("8:pids:/\n4:memory:/self\n0::/\n", v1, "pids", Some("/sys/"));
        check("8:pids:/\n4:memory:/self\n0::/\n", v1, "", None);
    }

    #[test]
    fn a_container_sees_a_part_of_the_tree() {
        let part = "40 31 0:36 /docker/abc /proc rw - cgroup cgroup rw,memory";
        check("4:memory:/docker/abc/self\n", part, "memory", Some("/proc/self"));
        check("4:memory:/elsewhere\n", part, "memory", Some("/proc"));
    }
}
