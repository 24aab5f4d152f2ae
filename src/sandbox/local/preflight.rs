//! What `doctor` says about local sandboxes: whether they work here, shown by starting one, and what holds them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::process::Command;

use super::user::Identity;
use super::{Local, Machine};
use crate::sandbox::{Cursor, Door, Exec, ExecEvent, Exit, Finding, Grade, Limits, Provider as _, SandboxError, Spec};

/// The first bubblewrap that can forbid user namespaces inside.
const OLDEST: (u32, u32) = (0, 8);

pub(super) async fn findings(local: &Local, machine: &Machine) -> Vec<Finding> {
    let Some(bwrap) = &machine.bwrap else {
        let says = "bubblewrap is not installed. Install the package `bubblewrap` (apt, dnf, apk, pacman).";
        return vec![finding(Grade::Bad, "bubblewrap", says)];
    };
    let mut all = vec![version(bwrap).await];
    let blocked = blocked(machine.identity);
    match proof(local).await {
        Ok(()) => {
            all.push(finding(Grade::Good, "a sandbox", "Started one, ran a command in it, and reached its door."));
            all.push(filter(machine.identity));
        }
        Err(error) => {
            all.push(finding(Grade::Bad, "a sandbox", format!("Could not start one: {error}.")));
            all.extend(blocked);
        }
    }
    all.push(identity(machine.identity));
    all.extend(limits(machine));
    all
}

async fn version(bwrap: &Path) -> Finding {
    let what = "bubblewrap";
    let output = Command::new(bwrap).arg("--version").env_clear().output().await;
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let mut numbers = text.split_whitespace().last().unwrap_or_default().split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return finding(Grade::Bad, what, format!("{} does not say its version.", bwrap.display()));
    };
    if (major, minor) < OLDEST {
        return finding(Grade::Bad, what, format!("{text} is too old; 0.8 or newer is needed."));
    }
    let set_uid = fs::metadata(bwrap).is_ok_and(|meta| meta.permissions().mode() & 0o4000 != 0);
    if set_uid {
        let says = format!("{text} is set-uid root, which is not needed. Run `chmod u-s {}`.", bwrap.display());
        return finding(Grade::Warning, what, says);
    }
    finding(Grade::Good, what, format!("{text} at {}.", bwrap.display()))
}

/// Known reasons why a sandbox can't be started, each with what to do.
fn blocked(identity: Identity) -> Vec<Finding> {
    let what = "user namespaces";
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default().trim().to_owned();
    let mut all = Vec::new();
    let mut bad = |says: &str| all.push(finding(Grade::Bad, what, says));
    if read("user/max_user_namespaces") == "0" {
        bad("They are switched off. Run `sysctl -w user.max_user_namespaces=15000`, and keep it in /etc/sysctl.d.");
    }
    if read("kernel/unprivileged_userns_clone") == "0" && identity == Identity::Ordinary {
        bad(
            "Only root may make them. Run `sysctl -w kernel.unprivileged_userns_clone=1`, and keep it in /etc/sysctl.d.",
        );
    }
    if read("kernel/apparmor_restrict_unprivileged_userns") == "1" {
        bad(
            "AppArmor restricts them (Ubuntu 23.10 and newer). Run `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, \
             or give cloud-agent and bwrap AppArmor profiles with the rule `userns,`.",
        );
    }
    if Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists() {
        bad("This is a container, and its seccomp or AppArmor profile may forbid them. Run it with `--security-opt \
             seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined`");
    }
    all
}

/// Said of a sandbox that was started, in which it was seen to be in force.
fn filter(identity: Identity) -> Finding {
    let says = match identity {
        Identity::Root => {
            "In force: system calls are filtered, and no process inside gets new rights. Its user is root, though."
        }
        _ => {
            "In force: system calls are filtered, no process inside gets new rights, and none makes a namespace of its own."
        }
    };
    finding(Grade::Good, "the cage", says)
}

fn identity(identity: Identity) -> Finding {
    let what = "the sandbox's user";
    match identity {
        Identity::Ordinary => {
            finding(Grade::Good, what, "The ordinary user that cloud-agent runs as, without any capability.")
        }
        Identity::Separate { first, .. } => finding(
            Grade::Good,
            what,
            format!(
                "cloud-agent runs as root and gives every sandbox a user of its own, from {first} on. An ordinary user for cloud-agent is safer still."
            ),
        ),
        Identity::Root => finding(
            Grade::Bad,
            what,
            "Sandboxes would be root on the host, without any capability but as the owner of what belongs to root, because cloud-agent \
             is root and may not change users here. Run cloud-agent as an ordinary user: `User=` in systemd, `--user` or `USER` in \
             a container, else `setpriv --reuid … --regid … --clear-groups`.",
        ),
    }
}

fn limits(machine: &Machine) -> [Finding; 5] {
    let delegate = "Under systemd, `Delegate=yes` in the service gives each sandbox a cgroup.";
    let memory = if machine.means.memory() {
        finding(Grade::Good, "memory limit", format!("By cgroup, for a sandbox as a whole ({:?}).", machine.means))
    } else {
        let says = "Watched: what the processes hold is added up five times a second, and a sandbox that holds too much is ended.";
        finding(Grade::Warning, "memory limit", format!("{says} {delegate}"))
    };
    let processes = if machine.means.processes() {
        finding(Grade::Good, "process limit", "By cgroup, for a sandbox as a whole.")
    } else if machine.identity == Identity::Root {
        let says = "There is none: the kernel exempts root. Run cloud-agent as an ordinary user.";
        finding(Grade::Warning, "process limit", says)
    } else {
        let says = "By RLIMIT_NPROC, for each process that is started in a sandbox with all its children.";
        finding(Grade::Warning, "process limit", format!("{says} {delegate}"))
    };
    let nice = "Its processes are nice (5), so whatever else runs here goes first.";
    let processor = if machine.means.cpu() {
        let says = format!("{nice} By cgroup, a sandbox as a whole has half the weight of others.");
        finding(Grade::Good, "processor time", says)
    } else {
        let says = format!("{nice} There is no share for a sandbox as a whole. {delegate}");
        finding(Grade::Warning, "processor time", says)
    };
    [
        memory,
        processes,
        processor,
        finding(
            Grade::Good,
            "disk limit",
            "RLIMIT_FSIZE for each file; directories are measured every second or so, and a sandbox that holds too much is ended.",
        ),
        finding(
            Grade::Good,
            "lifetime",
            "By a timer of cloud-agent's; when cloud-agent dies, its sandboxes die with it.",
        ),
    ]
}

/// Start a sandbox, run a command in it that knocks at a door, and look at everything that comes back.
async fn proof(local: &Local) -> Result<(), SandboxError> {
    let key = format!("preflight-{}", uuid::Uuid::new_v4());
    let workspace = local.root.join(format!(".gone-{key}"));
    fs::create_dir(&workspace)
        .map_err(|error| SandboxError::Io { doing: format!("create {}", workspace.display()), error })?;
    let result = run(local, &key, &workspace).await;
    let reference = crate::sandbox::SandboxRef { provider: local.name().to_owned(), native_id: local.id(&key) };
    let destroyed = local.destroy(&reference).await;
    let _ = super::remove::remove(&workspace);
    result.and(destroyed)
}

async fn run(local: &Local, key: &str, workspace: &Path) -> Result<(), SandboxError> {
    let knocked = Arc::new(AtomicBool::new(false));
    let seen = knocked.clone();
    let spec = Spec {
        labels: BTreeMap::from([("preflight".to_owned(), "yes".to_owned())]),
        limits: Limits {
            lifetime: Duration::from_secs(30),
            memory_bytes: 256 << 20,
            processes: 32,
            disk_bytes: 64 << 20,
        },
        workspace: workspace.to_owned(),
        objects: Vec::new(),
        read_only: Vec::new(),
        doors: vec![Door { port: 8080, serve: Arc::new(move |_| seen.store(true, Ordering::SeqCst)) }],
        git_identity: None,
    };
    let sandbox = local.open(&local.create(&spec, key).await?).await?;
    // The door closes every connection at once, so reading from it shows that it was served.
    // A process inside carries a filter of system calls and can't get a right that it does not have.
    let script = "exec 3<>/dev/tcp/127.0.0.1/8080 && { read -r -u 3 || true; } && \
                  [[ $(</proc/self/status) =~ NoNewPrivs:.1.*Seccomp:.2 ]]";
    let argv = ["/bin/bash", "-c", script].map(str::to_owned).to_vec();
    let exec = sandbox.spawn(Exec { argv, network: true, ..Exec::default() }).await?;
    let (mut said, mut exit) = (Vec::new(), None);
    let mut events = sandbox.attach(&exec, Cursor::default()).await?;
    while let Some(event) = events.next().await {
        match event {
            ExecEvent::Out { bytes, .. } => said.extend_from_slice(&bytes),
            ExecEvent::Gap { .. } => {}
            ExecEvent::Exit(end) => exit = Some(end),
        }
    }
    match exit {
        Some(Exit { code: Some(0), .. }) if knocked.load(Ordering::SeqCst) => Ok(()),
        _ => {
            let said = String::from_utf8_lossy(&said);
            Err(SandboxError::Unavailable(format!("{} ({exit:?})", said.trim())))
        }
    }
}

fn finding(grade: Grade, what: &str, says: impl Into<String>) -> Finding {
    Finding { grade, what: what.to_owned(), says: says.into() }
}
