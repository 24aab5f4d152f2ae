//! Ways out of sandboxes by way of the kernel: calls and terminals that known holes needed.

use std::process::Command;

use super::lab::Lab;
use crate::world::needs;

/// What the payloads have in common. A call that is let through says `got`.
const CALLS: &str = r#"
import ctypes, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(numbers, *arguments):
    number = numbers[0 if platform.machine() == "x86_64" else 1]
    answer = libc.syscall(ctypes.c_long(number), *arguments)
    print("got" if answer >= 0 else "refused", ctypes.get_errno())
def opens(*kind):
    try:
        socket.socket(*kind).close()
        print("got")
    except OSError as error: print("refused", error.errno)
"#;

/// A shell command that runs this payload, in a user namespace of its own if it needs to be root somewhere.
fn attempt(payload: &str, as_root: bool) -> String {
    let before = if as_root { "unshare -Urmn" } else { "" };
    format!("{before} {} - <<'END' || echo refused\n{CALLS}{payload}\nEND\n", needs::python())
}

/// The payload in the product's cage gets nothing.
async fn refused(payload: &str, as_root: bool) {
    let lab = Lab::new(&[]).await;
    let said = lab.cage(&[]).await.sh(&attempt(payload, as_root)).await;
    assert!(said.contains("refused") && !said.contains("got"), "{said}");
}

/// In a bubblewrap without the filter of calls, and with user namespaces, it gets what it wants.
fn let_through(payload: &str, as_root: bool) {
    let said = bubblewrap(&["/bin/sh", "-c", &attempt(payload, as_root)]);
    assert!(said.contains("got"), "{said}");
}

fn bubblewrap(program: &[&str]) -> String {
    let mut bwrap = Command::new("bwrap");
    bwrap.args(["--unshare-all", "--unshare-user", "--uid", "1000", "--cap-drop", "ALL", "--ro-bind", "/", "/"]);
    let ran = bwrap.args(["--dev", "/dev", "--proc", "/proc"]).args(program).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

/// A session keyring whose count of users overflowed.
const KEYRING: &str = "call((250, 219), 1, None)";

#[tokio::test]
async fn cve_2016_0728_no_keyring_is_joined() {
    refused(KEYRING, false).await;
}

#[test]
fn control_cve_2016_0728_without_the_filter_it_is() {
    let_through(KEYRING, false);
}

/// A linked timeout that outlived its request.
const RING: &str = "call((425, 425), 1, ctypes.create_string_buffer(120))";

#[tokio::test]
async fn cve_2022_29582_no_ring_is_set_up() {
    refused(RING, false).await;
}

#[test]
fn control_cve_2022_29582_without_the_filter_it_is() {
    let_through(RING, false);
}

/// An overflow in the options of a file system, which whoever is root in a user namespace may set.
const MOUNT: &str = "call((430, 430), ctypes.c_char_p(b'tmpfs'), 0)";

#[tokio::test]
async fn cve_2022_0185_no_file_system_is_opened() {
    refused(MOUNT, true).await;
    refused(MOUNT, false).await;
}

#[test]
fn control_cve_2022_0185_with_user_namespaces_it_is() {
    let_through(MOUNT, true);
}

/// A ring of packets with a size that was not checked.
const PACKETS: &str = "opens(17, socket.SOCK_RAW, 0)";

#[tokio::test]
async fn cve_2017_7308_no_packet_socket_is_opened() {
    refused(PACKETS, true).await;
    refused(PACKETS, false).await;
}

#[test]
fn control_cve_2017_7308_with_user_namespaces_it_is() {
    let_through(PACKETS, true);
}

/// A verdict of nftables that was freed twice.
const TABLES: &str = "opens(16, socket.SOCK_RAW, 12)";

#[tokio::test]
async fn cve_2024_1086_no_firewall_is_spoken_to() {
    refused(TABLES, true).await;
    refused(TABLES, false).await;
}

#[test]
fn control_cve_2024_1086_with_user_namespaces_it_is() {
    let_through(TABLES, true);
}

/// Types into the terminal that the sandbox was started from. A newer kernel may refuse that by itself (errno 5); the
/// terminal is there all the same.
const TYPE: &str = r#"
import fcntl, os
fds = [0, 1, 2]
try:
    fds.append(os.open("/dev/tty", os.O_RDWR))
    print("reached the terminal")
except OSError as error: print("no terminal", error.errno)
for fd in fds:
    for request in [0x5412, 0x541C]:
        try:
            fcntl.ioctl(fd, request, b"x")
            print("typed")
        except OSError as error: print("errno", error.errno)
"#;

#[tokio::test]
async fn cve_2017_5226_nothing_is_typed_into_a_terminal() {
    let lab = Lab::new(&[("type.py", TYPE)]).await;
    let said = lab.cage(&[]).await.sh(&format!("{} type.py", needs::python())).await;
    assert!(said.contains("no terminal") && !said.contains("typed"), "{said}");
    // The filter answers before anybody asks whether the descriptor is a terminal.
    assert_eq!(said.matches("errno 1\n").count(), 6, "{said}");
}

#[test]
fn control_cve_2017_5226_without_a_session_of_its_own_the_terminal_is_reached() {
    let python = needs::python();
    let on_a_terminal = |options: &str| {
        let run = format!(
            "import pty, os, sys\nchild, terminal = pty.fork()\nif child == 0:\n    os.execvp('bwrap', 'bwrap --unshare-all --ro-bind / / --dev /dev --proc /proc {options} {python} -c'.split() + [sys.argv[1]])\n\
             said = b''\ntry:\n    while chunk := os.read(terminal, 4096): said += chunk\nexcept OSError: pass\nprint(said.decode())"
        );
        let ran = Command::new(python).args(["-c", &run, TYPE]).output().unwrap();
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    let (open, closed) = (on_a_terminal(""), on_a_terminal("--new-session"));
    assert!(open.contains("reached the terminal") && !open.contains("errno 1\r"), "{open}");
    assert!(closed.contains("no terminal"), "{closed}");
}
