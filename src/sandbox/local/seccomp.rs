//! The system calls that a sandbox does without: ways out that namespaces don't close, and ways around the doors.
//!
//! `AF_VSOCK` reaches a virtual machine's host through any network namespace; `io_uring` does what other system calls do
//! without being seen as them; keyrings, bpf, perf and userfaultfd are where kernels break. Debuggers may work.

/// Address families that a process inside may open a socket of.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Programs probe these and have a way without, when they hear that the kernel doesn't know them.
const REFUSED: [i64; 10] = [
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
];

/// `(AUDIT_ARCH of this build, whether system calls from 0x4000_0000 are a second table (x32))`.
const ARCH: Option<(u32, bool)> = if cfg!(target_arch = "x86_64") {
    Some((0xC000_003E, true))
} else if cfg!(target_arch = "aarch64") {
    Some((0xC000_00B7, false))
} else {
    None
};

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// The filter as bubblewrap's `--seccomp` reads it; nothing on an architecture whose numbers we don't know.
pub(super) fn filter() -> Option<Vec<u8>> {
    let (arch, second_table) = ARCH?;
    let no_such_call = ERRNO | libc::ENOSYS as u32;
    let mut code: Vec<(u16, u8, u8, u32)> = vec![
        (LOAD, 0, 0, 4), // seccomp_data.arch: another one (32 bit) would number the calls differently
        (IF_EQUAL, 1, 0, arch),
        (RETURN, 0, 0, no_such_call),
        (LOAD, 0, 0, 0), // seccomp_data.nr
    ];
    if second_table {
        code.extend([(IF_AT_LEAST, 0, 1, 0x4000_0000), (RETURN, 0, 0, no_such_call)]);
    }
    for call in REFUSED {
        code.extend([(IF_EQUAL, 0, 1, call as u32), (RETURN, 0, 0, no_such_call)]);
    }
    code.extend([
        (IF_EQUAL, 1, 0, libc::SYS_socket as u32),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, 16), // the low half of seccomp_data.args[0]
    ]);
    for family in FAMILIES {
        code.extend([(IF_EQUAL, 0, 1, family as u32), (RETURN, 0, 0, ALLOW)]);
    }
    code.push((RETURN, 0, 0, ERRNO | libc::EAFNOSUPPORT as u32));
    let bytes = |(op, yes, no, k): (u16, u8, u8, u32)| {
        let (op, k) = (op.to_ne_bytes(), k.to_ne_bytes());
        [op[0], op[1], yes, no, k[0], k[1], k[2], k[3]]
    };
    Some(code.into_iter().flat_map(bytes).collect())
}
