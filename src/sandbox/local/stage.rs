//! Between fork and exec: the child takes its namespaces, limits and user, then becomes bubblewrap.
//!
//! The network trick happens here. The child makes an own network namespace, listens on the doors' loopback ports in
//! it, and passes the listening descriptors back over a socket pair; the host accepts on them. So nothing of ours runs
//! inside, and nothing inside has a descriptor that leads out.
//!
//! It runs in the forked child of a threaded process, where only async-signal-safe code is allowed: every string is
//! made before the fork, and nothing after it allocates.

#![expect(unsafe_code, reason = "pre_exec, descriptors from another process, system calls without a safe wrapper")]

use std::ffi::{CStr, CString};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use nix::cmsg_space;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::socket::{AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv, recvmsg, socketpair};
use tokio::process::{Child, Command};

use crate::sandbox::SandboxError;

/// More doors than this would need a second message of descriptors.
pub(super) const MOST_DOORS: usize = 32;

/// Everything that the child does before exec, prepared so that it need not allocate.
pub(super) struct Stage {
    pub user: User,
    /// Loopback ports to listen on; their descriptors come back in this order.
    pub ports: Vec<u16>,
    /// `cgroup.procs` files to write oneself into.
    pub cgroups: Vec<CString>,
    /// `(resource, value)`, soft and hard alike.
    pub limits: Vec<(Resource, u64)>,
}

/// Who the child is on the host.
pub(super) enum User {
    /// The same as ours: a user namespace gives it the right to make a network namespace.
    Same { uid_map: CString, gid_map: CString },
    /// A user of its own. Root makes the namespaces first, and the mounts that the new user could not reach by path.
    Separate { id: u32, staging: CString, mounts: Vec<Mount> },
}

/// A host path to show below `staging`, which ends up at `/tmp`.
pub(super) struct Mount {
    pub source: CString,
    pub target: CString,
    pub directory: bool,
}

/// By how much processes inside let others go first.
const NICE: libc::c_int = 5;

/// What the child was doing. Told over the socket pair, because a failure before exec carries only an errno.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Step {
    Descriptors,
    Cgroup,
    Namespaces,
    Map,
    Mounts,
    Loopback,
    Listen,
    Send,
    Limits,
    Become,
}

const STEPS: [&str; 10] = [
    "close inherited descriptors",
    "join the sandbox's cgroup",
    "make namespaces; this user may not have user namespaces here",
    "map its user; AppArmor may restrict user namespaces here, and root needs CAP_SETFCAP",
    "prepare the mounts",
    "bring up its loopback interface; AppArmor may restrict user namespaces here",
    "listen on the port of a door; a port may be listed twice",
    "pass its listeners to the host",
    "set its limits",
    "become the sandbox's user",
];

/// Fork and exec `command` through `stage`, on the thread that calls. `keep` stays open in the child, all else closes.
/// Gives the child and its listeners.
pub(super) fn fork(
    command: &mut Command,
    stage: Stage,
    keep: &[OwnedFd],
) -> Result<(Child, Vec<OwnedFd>), SandboxError> {
    let doing = |doing: &str, error: io::Error| SandboxError::Io { doing: doing.to_owned(), error };
    let doors = stage.ports.len();
    if doors > MOST_DOORS {
        return Err(SandboxError::Unavailable(format!("{doors} doors are asked for; {MOST_DOORS} are possible")));
    }
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|e| doing("make a socket pair", e.into()))?;
    let socket = theirs.as_raw_fd();
    let keep: Vec<RawFd> = keep.iter().map(OwnedFd::as_raw_fd).collect();
    let parent = std::process::id() as libc::pid_t;
    // SAFETY: the closure only makes system calls. It reads memory that was prepared before the fork, allocates
    // nothing and takes no lock, so it may run in the forked child of a threaded process.
    unsafe {
        command.pre_exec(move || stage.enter(&keep, socket, parent));
    }
    let child = command.spawn().map_err(|error| {
        let mut step = [0u8; 1];
        match recv(ours.as_raw_fd(), &mut step, MsgFlags::MSG_DONTWAIT) {
            Ok(1) => {
                let what = STEPS.get(usize::from(step[0])).unwrap_or(&"start");
                SandboxError::Unavailable(format!("a new sandbox could not {what}: {error}"))
            }
            _ => SandboxError::Unavailable(format!("bubblewrap could not be started: {error}")),
        }
    })?;
    drop(theirs);
    let listeners =
        if doors == 0 { Vec::new() } else { receive(&ours).map_err(|e| doing("receive the listeners", e))? };
    if listeners.len() != doors {
        return Err(doing("receive the listeners", io::ErrorKind::UnexpectedEof.into()));
    }
    Ok((child, listeners))
}

fn receive(socket: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
    let mut byte = [0u8; 1];
    let mut parts = [io::IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!([RawFd; MOST_DOORS]);
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT,
    )?;
    let mut all = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = part {
            // SAFETY: the kernel has just made these descriptors for us; nobody else owns them.
            all.extend(descriptors.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok(all)
}

/// The result of a system call as an error that does not allocate.
fn ok(result: impl Into<i64>) -> io::Result<i64> {
    let result = result.into();
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn write_file(path: &CStr, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: `path` ends in NUL and `bytes` is valid for its length; the descriptor is closed here and nowhere else.
    unsafe {
        let fd = ok(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))? as RawFd;
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let result = ok(written as i64);
        libc::close(fd);
        result.map(drop)
    }
}

impl Stage {
    /// Runs in the child. What fails is told to the parent first.
    fn enter(&self, keep: &[RawFd], socket: RawFd, parent: libc::pid_t) -> io::Result<()> {
        let told = |step: Step| {
            move |error: io::Error| {
                let byte = [step as u8];
                // SAFETY: one byte of our own stack goes to an open socket; if that fails, the errno is still told.
                unsafe { libc::send(socket, byte.as_ptr().cast(), 1, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
                error
            }
        };
        only_these_stay_open(keep).map_err(told(Step::Descriptors))?;
        for procs in &self.cgroups {
            write_file(procs, b"0").map_err(told(Step::Cgroup))?;
        }
        // The program's memory is closed to others of its user, and then the files that follow belong to root. So this copy
        // of it, which exec throws away, is open for a moment.
        dumpable(true).map_err(told(Step::Map))?;
        // When the machine runs out of memory, a sandbox goes first. Best effort.
        let _ = write_file(c"/proc/self/oom_score_adj", b"500");
        // SAFETY: plain system calls of the child's only thread. Whoever is nicer already stays so.
        unsafe { libc::nice(NICE) };
        match &self.user {
            User::Same { uid_map, gid_map } => {
                // SAFETY: plain system call; the child has one thread.
                ok(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) })
                    .map_err(told(Step::Namespaces))?;
                write_file(c"/proc/self/setgroups", b"deny").map_err(told(Step::Map))?;
                write_file(c"/proc/self/uid_map", uid_map.to_bytes()).map_err(told(Step::Map))?;
                write_file(c"/proc/self/gid_map", gid_map.to_bytes()).map_err(told(Step::Map))?;
            }
            User::Separate { staging, mounts, .. } => {
                // SAFETY: plain system call; the child has one thread.
                ok(unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET) }).map_err(told(Step::Namespaces))?;
                stage_mounts(staging, mounts).map_err(told(Step::Mounts))?;
            }
        }
        dumpable(false).map_err(told(Step::Map))?;
        loopback_up().map_err(told(Step::Loopback))?;
        if !self.ports.is_empty() {
            let mut listeners = [-1; MOST_DOORS];
            for (slot, port) in listeners.iter_mut().zip(&self.ports) {
                *slot = listen(*port).map_err(told(Step::Listen))?;
            }
            send(socket, &listeners[..self.ports.len()]).map_err(told(Step::Send))?;
        }
        for (resource, value) in &self.limits {
            setrlimit(*resource, *value, *value).map_err(io::Error::from).map_err(told(Step::Limits))?;
        }
        if let User::Separate { id, .. } = self.user {
            // SAFETY: raw system calls on purpose: libc's wrappers signal the threads of the parent's copy.
            unsafe {
                ok(libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>())).map_err(told(Step::Become))?;
                ok(libc::syscall(libc::SYS_setresgid, id, id, id)).map_err(told(Step::Become))?;
                ok(libc::syscall(libc::SYS_setresuid, id, id, id)).map_err(told(Step::Become))?;
            }
        }
        // Last, because a change of user clears it. Bubblewrap asks for it again with --die-with-parent; this is for
        // the moments before. A parent that died still earlier is noticed by the second look.
        // SAFETY: plain system calls.
        unsafe {
            ok(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)).map_err(told(Step::Limits))?;
            ok(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)).map_err(told(Step::Limits))?;
            if libc::getppid() != parent {
                libc::_exit(1);
            }
        }
        Ok(())
    }
}

/// Whether others of the same user may look into this process.
fn dumpable(open: bool) -> io::Result<()> {
    // SAFETY: plain system call.
    ok(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(open), 0, 0, 0) }).map(drop)
}

/// Close all descriptors above 2 at exec, but for those that bubblewrap needs.
fn only_these_stay_open(keep: &[RawFd]) -> io::Result<()> {
    // SAFETY: changes descriptor flags of this child only.
    unsafe {
        let marked = libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        if marked < 0 {
            // Before Linux 5.11, one at a time. Ours are all made close-on-exec anyway; this is for what a library left.
            for fd in 3..4096 {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
        }
        for fd in keep {
            ok(libc::fcntl(*fd, libc::F_SETFD, 0))?;
        }
    }
    Ok(())
}

/// In a private mount namespace, show every source below a small tmpfs, and move that to `/tmp`.
///
/// The sandbox's user finds its sources there although it may not walk the host paths (`/root` is 0700). The tmpfs is
/// mounted inside the sandbox's directory first, because at `/tmp` it could hide a source.
fn stage_mounts(staging: &CStr, mounts: &[Mount]) -> io::Result<()> {
    let none = ptr::null::<libc::c_char>();
    let mount =
        |source: *const libc::c_char, target: &CStr, kind: *const libc::c_char, flags, data: *const libc::c_char| {
            // SAFETY: every pointer is null or a string that outlives the call.
            ok(unsafe { libc::mount(source, target.as_ptr(), kind, flags, data.cast()) })
        };
    mount(none, c"/", none, libc::MS_REC | libc::MS_PRIVATE, none)?;
    let tmpfs = c"tmpfs".as_ptr();
    mount(tmpfs, staging, tmpfs, libc::MS_NOSUID | libc::MS_NODEV, c"mode=0755,size=1m".as_ptr())?;
    for Mount { source, target, directory } in mounts {
        // SAFETY: `target` ends in NUL; the descriptor is closed here and nowhere else.
        unsafe {
            if *directory {
                ok(libc::mkdir(target.as_ptr(), 0o755))?;
            } else {
                let fd = ok(libc::open(target.as_ptr(), libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC, 0o644))?;
                libc::close(fd as RawFd);
            }
        }
        mount(source.as_ptr(), target, none, libc::MS_BIND | libc::MS_REC, none)?;
    }
    mount(staging.as_ptr(), c"/tmp", none, libc::MS_MOVE, none)?;
    Ok(())
}

fn loopback_up() -> io::Result<()> {
    // SAFETY: `request` is a plain structure for which zeroes are valid, and lives through the call.
    unsafe {
        let socket = ok(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))? as RawFd;
        let mut request: libc::ifreq = mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let result = ok(libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request));
        libc::close(socket);
        result.map(drop)
    }
}

/// The descriptor stays open until exec, when it closes; the host has its own by then.
fn listen(port: u16) -> io::Result<RawFd> {
    // SAFETY: `address` is a plain structure for which zeroes are valid, and lives through the call.
    unsafe {
        let socket = ok(libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0))?;
        let socket = socket as RawFd;
        let mut address: libc::sockaddr_in = mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = port.to_be();
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let size = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
        ok(libc::bind(socket, (&raw const address).cast(), size))?;
        ok(libc::listen(socket, 128))?;
        Ok(socket)
    }
}

fn send(socket: RawFd, descriptors: &[RawFd]) -> io::Result<()> {
    let bytes = mem::size_of_val(descriptors);
    // Aligned for a control message, and room for MOST_DOORS descriptors.
    let mut space = [0u64; 32];
    let byte = [0u8; 1];
    // SAFETY: all pointers lead to live values on this stack; CMSG_SPACE of 32 descriptors is 144 bytes, `space` has
    // 256, so the header that CMSG_FIRSTHDR gives is inside it and not null.
    unsafe {
        let mut part = libc::iovec { iov_base: byte.as_ptr().cast_mut().cast(), iov_len: 1 };
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = space.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(bytes as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(bytes as u32) as _;
        ptr::copy_nonoverlapping(descriptors.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), bytes);
        ok(libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL) as i64).map(drop)
    }
}
