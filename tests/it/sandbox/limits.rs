//! Memory, processes, disk and time, used up one by one.

use super::*;

#[tokio::test]
async fn too_much_memory_ends_the_sandbox() {
    let mut scene = Scene::new();
    scene.spec.limits.memory_bytes = 64 << 20;
    let cage = scene.cage().await;
    let (_, exit) = cage.run("x=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 20; echo ${#x}").await;
    assert_eq!(exit.limit, Some(Limit::Memory), "{exit:?}");
    let refused = cage.sandbox.spawn(bash("true")).await;
    assert!(matches!(refused, Err(SandboxError::Ended(Some(Limit::Memory)))), "{refused:?}");
}

#[tokio::test]
async fn files_in_memory_count_too() {
    let mut scene = Scene::new();
    scene.spec.limits.memory_bytes = 64 << 20;
    let cage = scene.cage().await;
    let (said, exit) = cage.run("head -c 300000000 /dev/zero >/tmp/x; echo; echo x >/dev/x; head -c 300000000 /dev/zero >/dev/shm/x; ls -s /tmp/x /dev/shm/x; sleep 1").await;
    assert!(exit.limit == Some(Limit::Memory) || said.contains("No space left"), "{exit:?} {said}");
}

/// Files in memory that are in no directory: a new one when the last is full, until there is no more.
const UNNAMED: &str = r#"
import os, sys
made = []
try:
    while len(made) < 12:
        made.append(os.memfd_create("x"))
        for _ in range(10): os.write(made[-1], bytes(1 << 20))
except OSError as error: print("refused", error.errno)
print("holds", len(made), "of 10 MiB", flush=True)
"#;

#[tokio::test]
async fn files_in_memory_that_are_in_no_directory_can_not_be_made() {
    let python = needs::python();
    let scene = Scene::new();
    let cage = scene.cage().await;
    let argv = [python, "-c", UNNAMED].map(str::to_owned).to_vec();
    let (inside, exit) = cage.exec(Exec { argv, ..Exec::default() }).await;
    assert_eq!((inside.as_str(), exit), (format!("refused {}\nholds 0 of 10 MiB\n", libc::ENOSYS).as_str(), OK));
    let outside = std::process::Command::new(python).args(["-c", UNNAMED]).output().unwrap();
    assert_eq!(String::from_utf8(outside.stdout).unwrap(), "holds 12 of 10 MiB\n");
}

/// Processes that each share memory with nobody, or all the same.
const SHARED: &str = r#"
import mmap, os, sys, time
size, same = 16 << 20, sys.argv[1] == "same"
def fill():
    it = mmap.mmap(-1, size)
    for at in range(0, size, 4096): it[at] = 1
    return it
if same: kept = fill()
for _ in range(12):
    if os.fork() == 0:
        kept = kept if same else fill()
        for at in range(0, size, 4096): kept[at]
        time.sleep(3)
        os._exit(0)
for _ in range(12): os.wait()
print("all had it")
"#;

#[tokio::test]
async fn shared_memory_counts_once_and_every_time_that_it_is_another() {
    for (which, limit) in [("own", Some(Limit::Memory)), ("same", None)] {
        let mut scene = Scene::new();
        scene.spec.limits.memory_bytes = 160 << 20;
        let cage = scene.cage().await;
        let argv = [needs::python(), "-c", SHARED, which].map(str::to_owned).to_vec();
        let (said, exit) = cage.exec(Exec { argv, ..Exec::default() }).await;
        assert_eq!((exit.limit, said.contains("all had it")), (limit, limit.is_none()), "{which}: {exit:?} {said}");
    }
}

#[tokio::test]
async fn a_fork_storm_stays_small() {
    let mut scene = Scene::new();
    scene.spec.limits.processes = 40;
    let cage = scene.cage().await;
    let (said, _) = cage.run("for i in $(seq 200); do sleep NAP3 & done 2>&1 | grep -m1 -o 'Resource temporarily unavailable'; ls -d /proc/[0-9]* | wc -l").await;
    assert!(processes_with("NAP3") <= 41, "{}", processes_with("NAP3"));
    assert!(said.contains("Resource temporarily unavailable"), "{said}");
    scene.local.destroy(&cage.reference).await.unwrap();
    none_left("NAP3").await;
}

#[tokio::test]
async fn too_much_disk_ends_the_sandbox() {
    let mut scene = Scene::new();
    scene.spec.limits.disk_bytes = 16 << 20;
    let cage = scene.cage().await;
    // Many small ones, so that no single file is too large.
    let (_, exit) = cage.run("for i in $(seq 40); do head -c 1000000 /dev/zero >/workspace/$i; done; sleep 20").await;
    assert_eq!(exit, Exit { code: None, signal: Some(9), limit: Some(Limit::Disk) });
    let read = cage.sandbox.get(Path::new("/workspace/1"), 2_000_000).await.unwrap();
    assert_eq!(read.len(), 1_000_000, "what it made can still be read");

    let one = Scene::new();
    let mut spec = one.spec.clone();
    spec.limits.disk_bytes = 1 << 20;
    let reference = one.local.create(&spec, "one file").await.unwrap();
    let cage = Cage { sandbox: one.local.open(&reference).await.unwrap(), reference };
    let (_, exit) = cage
        .exec(Exec { argv: ["head", "-c", "9999999", "/dev/zero"].map(str::to_owned).to_vec(), ..Exec::default() })
        .await;
    assert_eq!(exit, OK, "output is not a file of its own");
    let (_, exit) = cage.run("exec head -c 9999999 /dev/zero >/out/x").await;
    assert_eq!(exit.limit, Some(Limit::Disk), "{exit:?}");
    assert_eq!(fs::metadata(one.inside(&cage, "out/x")).unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn a_machine_without_room_is_told_apart_from_a_sandbox_that_takes_too_much() {
    // In memory, where hardly anybody else writes: the room that is left must not change by itself.
    let mut scene = Scene::in_dir(TempDir::new_in("/dev/shm").unwrap());
    let shm = nix::sys::statvfs::statvfs(scene.dir.path()).unwrap();
    let free = shm.blocks_available() * shm.fragment_size();
    let much = (free / 2).min(128 << 20);
    scene.local = scene.local.keep_free(free - much / 2);
    let cage = scene.cage().await;
    let (said, exit) = cage.run(&format!("head -c {much} /dev/zero >/workspace/x; sleep 60")).await;
    assert_eq!(exit.limit, Some(Limit::HostDisk), "{exit:?} {said}");
    assert!(much < scene.spec.limits.disk_bytes, "its own limit was not reached");
}

/// Three files that are larger than the limit together, written to when their names can't be found.
const OPEN: &str = "mkdir d; exec 3>d/a 4>d/b 5>d/c";
const FILL: &str = "for i in 3 4 5; do head -c 7000000 /dev/zero >&$i; done; sleep 20";

#[tokio::test]
async fn files_that_are_out_of_sight_count_too() {
    for hide in ["rm d/*", "chmod 0 d", "chmod 0 /workspace d"] {
        let mut scene = Scene::new();
        scene.spec.limits.disk_bytes = 16 << 20;
        let cage = scene.cage().await;
        let (said, exit) = cage.run(&format!("{OPEN}; {hide}; {FILL}")).await;
        assert_eq!(exit.limit, Some(Limit::Disk), "{hide}: {exit:?} {said}");
    }
}

#[tokio::test]
async fn a_directory_that_a_program_closes_for_a_moment_stays_as_it_is() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let (said, exit) = cage.run("mkdir d; chmod 0 d; sleep 0.3; stat -c %a d; chmod 700 d").await;
    assert_eq!((said.as_str(), exit), ("0\n", OK));
}

#[tokio::test]
async fn the_end_of_its_lifetime_ends_the_sandbox() {
    let mut scene = Scene::new();
    scene.spec.limits.lifetime = Duration::from_millis(700);
    let cage = scene.cage().await;
    let began = Instant::now();
    let (said, exit) = cage.run("trap '' TERM INT; echo here; sleep NAP4 & sleep NAP4").await;
    assert_eq!((said.as_str(), exit.limit), ("here\n", Some(Limit::Lifetime)));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    none_left("NAP4").await;
}

#[tokio::test]
async fn what_a_process_leaves_behind_ends_with_it() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let (said, exit) = cage.run("setsid nohup sleep NAP5 >/dev/null 2>&1 & sleep 0.2; echo done").await;
    assert_eq!((said.as_str(), exit), ("done\n", OK));
    none_left("NAP5").await;
}
