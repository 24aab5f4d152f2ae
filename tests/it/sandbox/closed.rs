//! Ways out of a sandbox that are shut, each with the same way tried outside: it is open there.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use super::*;

/// Tries every way that it is told of and writes `way: open` or `way: why not`.
const TRY: &str = r#"
import ctypes, os, platform, socket, sys
def attempt(way, how):
    try:
        how()
        print(way + ": open")
    except OSError as error:
        print(way + ": " + (error.strerror or str(error)))
def talk(family, kind, address):
    s = socket.socket(family, kind)
    s.settimeout(5)
    s.connect(address)
    s.send(b"x")
path, abstract, four, six = sys.argv[1:5]
attempt("unix socket", lambda: talk(socket.AF_UNIX, socket.SOCK_STREAM, path))
attempt("abstract socket", lambda: talk(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract))
attempt("loopback", lambda: talk(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int(four))))
if six != "0":
    attempt("IPv6 loopback", lambda: talk(socket.AF_INET6, socket.SOCK_STREAM, ("::1", int(six))))
"#;

/// What only fails, inside: nobody is to be asked outside for it.
const ELSEWHERE: &str = r#"
attempt("a name", lambda: socket.getaddrinfo("localhost.example", 443))
attempt("a DNS server", lambda: talk(socket.AF_INET, socket.SOCK_DGRAM, ("1.1.1.1", 53)))
attempt("metadata", lambda: talk(socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80)))
attempt("metadata over IPv6", lambda: talk(socket.AF_INET6, socket.SOCK_STREAM, ("fd00:ec2::254", 80)))
attempt("IPv6", lambda: talk(socket.AF_INET6, socket.SOCK_DGRAM, ("2606:4700:4700::1111", 53)))
attempt("multicast", lambda: talk(socket.AF_INET, socket.SOCK_DGRAM, ("224.0.0.251", 5353)))
"#;

#[tokio::test]
async fn no_socket_of_the_host_and_no_address_is_in_reach() {
    let python = needs::python();
    let mut scene = Scene::new();
    scene.spec.doors = vec![echo(8787)];
    let cage = scene.cage().await;
    let path = scene.dir.path().join("host.sock");
    let _listening = UnixListener::bind(&path).unwrap();
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let name = format!("cloud-agent-test-{}", uuid::Uuid::new_v4());
    let _hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let four = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let six = std::net::TcpListener::bind("[::1]:0");
    let port = |listener: &std::net::TcpListener| listener.local_addr().unwrap().port().to_string();
    let args = [path.to_str().unwrap(), &name, &port(&four), &six.as_ref().map_or("0".to_owned(), port)];

    let outside = Command::new(python).args(["-c", TRY]).args(args).output().unwrap();
    let outside = String::from_utf8(outside.stdout).unwrap();
    assert!(outside.lines().all(|line| line.ends_with(": open")) && outside.lines().count() >= 3, "{outside}");

    let argv = [python, "-c", &format!("{TRY}{ELSEWHERE}")].into_iter().chain(args).map(str::to_owned).collect();
    let (inside, exit) = cage.exec(Exec { argv, network: true, ..Exec::default() }).await;
    assert_eq!((exit, inside.lines().count()), (OK, outside.lines().count() + 6), "{inside}");
    assert!(!inside.contains(": open"), "{inside}");
    // At once, and not after a wait for an answer that can't come.
    assert!(!inside.contains("timed out"), "{inside}");
}

/// Opens a socket of each protocol and writes `name: open` or why not.
const OPEN: &str = r#"
import socket
def attempt(name, *how):
    try:
        socket.socket(*how)
        print(name + ": open")
    except OSError as error:
        print(name + ": " + (error.strerror or str(error)))
for four, family in (("4", socket.AF_INET), ("6", socket.AF_INET6)):
    attempt("TCP" + four, family, socket.SOCK_STREAM, 6)
    attempt("UDP" + four, family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    attempt("MPTCP" + four, family, socket.SOCK_STREAM, 262)
    attempt("UDP-Lite" + four, family, socket.SOCK_DGRAM, 136)
    attempt("SCTP" + four, family, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK, 0)
    attempt("DCCP" + four, family, 6, 0)
"#;

#[tokio::test]
async fn of_the_internet_only_the_usual_protocols_can_be_opened() {
    let python = needs::python();
    let scene = Scene::new();
    let cage = scene.cage().await;
    let argv = [python, "-c", OPEN].map(str::to_owned).to_vec();
    let (inside, exit) = cage.exec(Exec { argv, ..Exec::default() }).await;
    let outside = Command::new(python).args(["-c", OPEN]).output().unwrap();
    let outside = String::from_utf8(outside.stdout).unwrap();
    assert_eq!((exit, inside.lines().count()), (OK, 12), "{inside}");
    for (seen, there) in inside.lines().zip(outside.lines()) {
        match seen.starts_with("TCP") || seen.starts_with("UDP4") || seen.starts_with("UDP6") {
            true => assert_eq!(seen, there),
            // Not the kernel's own answer, which for a type that it does not know is another one.
            false => assert!(seen.ends_with(": Protocol not supported"), "{seen}, where outside {there}"),
        }
    }
}

#[tokio::test]
async fn nothing_on_the_machine_is_a_way_to_its_daemons() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let (said, _) = cage
        .run("find / -xdev -type s 2>/dev/null; ls -A /run /var 2>&1; ls -d /run/docker.sock /var/run/docker.sock /run/dbus /run/systemd /sys /home/agent/.ssh /root 2>/dev/null; ls /dev")
        .await;
    for word in [".sock", "dbus", "systemd", "/sys", "/root", ".ssh", "kmsg", "mem\n", "sda", "vda", "kvm", "fuse"] {
        assert!(!said.contains(word), "{word} in {said}");
    }
    // `/proc` is the sandbox's own, and what would change the machine can't be written.
    let (said, _) = cage
        .run("for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/drop_caches /proc/self/oom_score_adj; do (echo -1000 >$f) 2>/dev/null && echo wrote $f; done; cat /proc/kcore 2>/dev/null | head -c 1 | wc -c")
        .await;
    assert_eq!(said.trim(), "0", "{said}");
}

#[tokio::test]
async fn processor_time_goes_to_others_first() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let outside = Command::new("nice").output().unwrap();
    let ours: i32 = String::from_utf8(outside.stdout).unwrap().trim().parse().unwrap();
    let (said, _) = cage
        .run("nice; nice -n -5 nice 2>/dev/null; renice -n 0 -p $$ 2>&1 | grep -c denied; ulimit -e; ulimit -r")
        .await;
    let want = (ours + 5).min(19).to_string();
    // Asking for less niceness is answered with a warning and the old one.
    assert_eq!(said.lines().collect::<Vec<_>>(), [want.as_str(), &want, "1", "0", "0"], "{said}");

    let id = cage.start("echo ready; sleep NAP7").await;
    cage.hear(&id, "ready").await;
    let findings = scene.local.preflight().await;
    let says = &findings.iter().find(|finding| finding.what == "processor time").unwrap().says;
    if says.contains("By cgroup") {
        let word = naps("NAP7");
        let pids = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let is_it = |dir: &PathBuf| {
            fs::read(dir.join("cmdline"))
                .is_ok_and(|line| line.starts_with(b"sleep\0") && String::from_utf8_lossy(&line).contains(&word))
        };
        let of_it = fs::read_to_string(
            pids.filter(|dir| dir.file_name().unwrap().as_encoded_bytes()[0].is_ascii_digit())
                .find(is_it)
                .unwrap()
                .join("cgroup"),
        );
        let name = format!("cloud-agent-{}", cage.reference.native_id);
        let group = of_it.unwrap();
        let shared =
            group.lines().any(|line| line.ends_with(&name) && (line.contains(":cpu") || line.starts_with("0::")));
        assert!(shared, "{name} in {group}");
    }
}

/// `cloud-agent doctor` as it comes out of this shell script, where `$@` starts it.
fn doctor(script: &str) -> String {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new("/bin/sh");
    let (program, _copy) = needs::for_everybody(env!("CARGO_BIN_EXE_cloud-agent"));
    command.args(["-c", script, "sh"]).arg(program).arg("doctor").env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("DATA_DIR", dir.path());
    command.envs([("GITHUB_URL", "http://127.0.0.1:1"), ("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")]);
    let out = command.output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn line<'a>(said: &'a str, what: &str) -> &'a str {
    said.lines().find(|line| line.get(6..).is_some_and(|it| it.starts_with(what))).unwrap_or(said)
}

/// The whole program, with its memory closed to others, as somebody who is not root.
#[test]
fn an_ordinary_user_can_make_sandboxes() {
    let said = doctor(&format!(r#"{} "$@""#, needs::as_nobody()));
    assert!(line(&said, "a sandbox ").starts_with("ok"), "{said}");
    assert!(line(&said, "the sandbox's user").contains("ordinary user"), "{said}");
}

/// Debuggers, core dumps and `/proc` show nothing of the program to whoever has its user, a sandbox that broke out included.
#[test]
fn others_of_its_user_can_not_look_into_it() {
    let look = r"pid=$!; for i in $(seq 40); do cat /proc/$pid/environ >/dev/null 2>&1 || { kill -0 $pid && echo shut; break; }; sleep 0.05; done; kill $pid";
    let nobody = format!("{} sh -c", needs::as_nobody());
    let said = doctor(&format!(r#"{nobody} '"$@" >/dev/null 2>&1 & {look}' sh "$@""#));
    assert!(said.contains("shut"), "{said}");
    let said = doctor(&format!("{nobody} 'sleep 20 & {look}'"));
    assert!(!said.contains("shut"), "that of other programs is open: {said}");
}

#[test]
fn without_user_namespaces_there_is_no_weaker_sandbox() {
    let said = doctor(
        r#"unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' sh "$@""#,
    );
    assert!(line(&said, "a sandbox ").starts_with("BAD"), "{said}");
    assert!(said.contains("max_user_namespaces"), "it says what to do: {said}");
    // The same without the switch: it is the switch that it stops at.
    let said = doctor(r#"unshare --user --map-root-user sh -c 'exec "$@"' sh "$@""#);
    assert!(line(&said, "a sandbox ").starts_with("ok"), "{said}");
    // There is nobody but root, so a sandbox would be root: that is not good enough either.
    assert!(line(&said, "the sandbox's user").starts_with("BAD"), "{said}");
    assert!(said.contains("Run cloud-agent as an ordinary user"), "it says what to do: {said}");
}
