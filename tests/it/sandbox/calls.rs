//! System calls that a sandbox does without, each tried inside and, as the control, outside.

use super::*;

/// Tries one call after another and writes `name errno`. Arguments are such that nothing comes of a call that is let through.
const TRY: &str = r#"
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == "x86_64"
def attempt(name, numbers, *args):
    ctypes.set_errno(0)
    answer = libc.syscall(ctypes.c_long(numbers[0 if x86 else 1]), *[ctypes.c_long(it) for it in args])
    if answer == 0 and name.startswith("clone"):
        os._exit(0)  # the child
    print(name, ctypes.get_errno() if answer == -1 else 0, flush=True)
attempt("io_uring_setup", (425, 425), 0, 0)
attempt("add_key", (248, 217), 0, 0, 0, 0, 0)
attempt("request_key", (249, 218), 0, 0, 0, 0)
attempt("keyctl", (250, 219), 0, -3, 0)
attempt("bpf", (321, 280), -1, 0, 0)
attempt("perf_event_open", (298, 241), 0, 0, -1, -1, 0)
attempt("userfaultfd", (323, 282), -1)
attempt("clone3", (435, 435), 0, 0)
attempt("memfd_create", (319, 279), 0, -1)
attempt("memfd_secret", (447, 447), -1)
# Of a key that nobody has: nothing is set aside, also where it is let through.
attempt("shmget, large", (29, 194), 0x7ffffff1, 1 << 20, 0)
# The kernel reads all of it; a filter that compared the low half would be passed.
attempt("shmget, long", (29, 194), 0x7ffffff1, 1 << 40, 0)
attempt("semget, large", (64, 190), 0x7ffffff1, 30000, 0)
attempt("shmget", (29, 194), 0x7ffffff1, 4096, 0)
attempt("kexec_file_load", (320, 294), -1, -1, 0, 0, -1)
attempt("unshare", (272, 97), 0)
attempt("setns", (308, 268), -1, 0)
attempt("open_tree", (428, 428), -1, 0, 0)
attempt("move_mount", (429, 429), -1, 0, -1, 0, -1)
attempt("fspick", (433, 433), -1, 0, -1)
attempt("fsmount", (432, 432), -1, -1, -1)
attempt("mount_setattr", (442, 442), -1, 0, -1, 0, 0)
attempt("open_by_handle_at", (304, 265), -1, 0, 0)
attempt("ioctl TIOCSTI", (16, 29), -1, 0x5412, 0)
attempt("ioctl TIOCLINUX", (16, 29), -1, 0x541C, 0)
# The kernel drops the high half; a filter that compared all of it would be passed.
attempt("ioctl TIOCSTI, long", (16, 29), -1, (1 << 32) | 0x5412, 0)
attempt("clone CLONE_NEWUSER", (56, 220), 0x10000000 | 17, 0, 0, 0, 0)
attempt("socket AF_VSOCK", (41, 198), 40, 1, 0)
attempt("socket AF_PACKET", (41, 198), 17, 3, 0)
attempt("socket AF_ALG", (41, 198), 38, 5, 0)
attempt("socket NETLINK_KOBJECT_UEVENT", (41, 198), 16, 3, 15)
attempt("socket NETLINK_ROUTE", (41, 198), 16, 3, 0)
attempt("socket AF_INET", (41, 198), 2, 1, 0)
attempt("ioctl TCGETS", (16, 29), -1, 0x5401, 0)
"#;

fn answers(said: &str) -> Vec<(&str, i32)> {
    said.lines()
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, errno)| (name, errno.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn calls_that_are_ways_out_are_refused() {
    let python = needs::python();
    let outside = std::process::Command::new(python).args(["-c", TRY]).output().unwrap();
    let outside = String::from_utf8(outside.stdout).unwrap();
    let scene = Scene::new();
    let cage = scene.cage().await;
    let argv = [python, "-c", TRY].map(str::to_owned).to_vec();
    let (inside, exit) = cage.exec(Exec { argv, ..Exec::default() }).await;
    assert_eq!(exit, OK, "{inside}");
    let (inside, outside) = (answers(&inside), answers(&outside));
    assert_eq!(inside.len(), outside.len());

    let mut proven = 0;
    for (&(name, errno), &(_, control)) in inside.iter().zip(&outside) {
        let want = match name {
            "socket NETLINK_ROUTE" | "socket AF_INET" => 0,
            "ioctl TCGETS" => libc::EBADF,
            "shmget" => libc::ENOENT,
            "shmget, large" | "shmget, long" | "semget, large" => libc::EINVAL,
            _ if name.starts_with("socket") => libc::EAFNOSUPPORT,
            "io_uring_setup" | "add_key" | "request_key" | "keyctl" | "bpf" | "perf_event_open" | "userfaultfd"
            | "clone3" | "kexec_file_load" | "memfd_create" | "memfd_secret" => libc::ENOSYS,
            _ => libc::EPERM,
        };
        assert_eq!(errno, want, "{name} inside");
        // A machine may have its own reasons to refuse; most of these it does not.
        proven += usize::from(control != errno);
    }
    assert!(proven >= 15, "outside the same calls are answered in another way: {outside:?}");
}

#[tokio::test]
async fn open_files_are_limited() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let (said, _) = cage.run("n=0; while exec {fd}</dev/null; do n=$((n + 1)); done 2>/dev/null; echo $n").await;
    let opened: u64 = said.trim().parse().unwrap();
    assert!((100..16_384).contains(&opened), "{opened}");
}
