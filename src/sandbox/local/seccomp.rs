//! The system calls that a sandbox does without: ways out that namespaces don't close, and ways around the doors.
//!
//! `AF_VSOCK` reaches a virtual machine's host through any network namespace; `io_uring` does what other system calls do
//! without being seen as them; keyrings, bpf, perf and userfaultfd are where kernels break. Namespaces and mounts are
//! forbidden by other means already (no capability, `--disable-userns`); this is the second lock on that door. Debuggers
//! may work: they see the sandbox's own processes and no others.

/// Address families that a process inside may open a socket of. Of netlink only what programs list their own interfaces
/// with; the rest of it is another place where kernels break.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// Programs probe these and have a way without, when they hear that the kernel doesn't know them. `clone3` hides its flags
/// in memory, where a filter can't see them; libraries go back to `clone`.
const UNKNOWN: [i64; 12] = [
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
    libc::SYS_kexec_file_load,
    libc::SYS_clone3,
];

/// What only the machine's owner does.
const FORBIDDEN: [i64; 22] = [
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
];

/// Requests to a terminal that would type into it: `TIOCSTI` and `TIOCLINUX`.
const TYPING: [u32; 2] = [0x5412, 0x541C];

/// `CLONE_NEW…`, every namespace that `clone` could make.
const NAMESPACES: u32 = 0x7E02_0000;

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
const IF_ANY_OF: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
/// Where `seccomp_data.args` begins.
const ARGUMENTS: u32 = 16;
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// The filter as bubblewrap's `--seccomp` reads it; nothing on an architecture whose numbers we don't know,
/// where there are no sandboxes then.
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
    let not_permitted = ERRNO | libc::EPERM as u32;
    for (calls, answer) in [(&UNKNOWN[..], no_such_call), (&FORBIDDEN[..], not_permitted)] {
        for call in calls {
            code.extend([(IF_EQUAL, 0, 1, *call as u32), (RETURN, 0, 0, answer)]);
        }
    }
    // What the kernel reads of these arguments is their low half.
    code.extend([
        (IF_EQUAL, 0, 4, libc::SYS_clone as u32),
        (LOAD, 0, 0, ARGUMENTS),
        (IF_ANY_OF, 0, 1, NAMESPACES),
        (RETURN, 0, 0, not_permitted),
        (RETURN, 0, 0, ALLOW),
        (IF_EQUAL, 0, 5, libc::SYS_ioctl as u32),
        (LOAD, 0, 0, ARGUMENTS + 8),
        (IF_EQUAL, 1, 0, TYPING[0]),
        (IF_EQUAL, 0, 1, TYPING[1]),
        (RETURN, 0, 0, not_permitted),
        (RETURN, 0, 0, ALLOW),
        (IF_EQUAL, 1, 0, libc::SYS_socket as u32),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, ARGUMENTS),
    ]);
    for family in FAMILIES {
        code.extend([(IF_EQUAL, 0, 1, family as u32), (RETURN, 0, 0, ALLOW)]);
    }
    code.extend([
        (IF_EQUAL, 0, 3, libc::AF_NETLINK as u32),
        (LOAD, 0, 0, ARGUMENTS + 16),
        (IF_EQUAL, 0, 1, libc::NETLINK_ROUTE as u32),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, ERRNO | libc::EAFNOSUPPORT as u32),
    ]);
    let bytes = |(op, yes, no, k): (u16, u8, u8, u32)| {
        let (op, k) = (op.to_ne_bytes(), k.to_ne_bytes());
        [op[0], op[1], yes, no, k[0], k[1], k[2], k[3]]
    };
    Some(code.into_iter().flat_map(bytes).collect())
}
