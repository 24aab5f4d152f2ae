//! The system calls that a sandbox does without: ways out that namespaces don't close, and ways around the doors.
//!
//! `AF_VSOCK` reaches a virtual machine's host through any network namespace; `io_uring` does what other system calls do
//! without being seen as them; keyrings, bpf, perf and userfaultfd are where kernels break. Namespaces and mounts are
//! forbidden by other means already (no capability, `--disable-userns`); this is the second lock on that door. Debuggers
//! may work: they see the sandbox's own processes and no others.
//!
//! `seccompiler` makes the programs. One of its filters gives one answer, so there is one for each answer, and the kernel
//! asks all of them. Each also kills a process that calls in another architecture's numbers (`int 0x80`).

use std::collections::BTreeMap;

use seccompiler::SeccompCmpOp::{Eq, Gt, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

/// Programs probe these and have a way without, when they hear that the kernel doesn't know them. `clone3` hides its flags
/// in memory, where a filter can't see them; libraries go back to `clone`. Files made by `memfd_create` are memory that is in no
/// directory with a size and in no process that could be asked how much it has; programs go back to files in `/dev/shm` or `/tmp`.
const UNKNOWN: [i64; 14] = [
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
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
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
const TYPING: [u64; 2] = [0x5412, 0x541C];

/// Every namespace that `clone` could make.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Address families that a process inside may open a socket of; of the last only `NETLINK_ROUTE`, which programs list their
/// own interfaces with: the rest of netlink is another place where kernels break.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

const INTERNET: [i32; 2] = [libc::AF_INET, libc::AF_INET6];

/// Protocols of the internet that a process inside may open a socket of, 0 being the usual one of a type. The others (SCTP,
/// MPTCP, UDP-Lite) are loaded when they are asked for, and are yet another place where kernels break.
const PROTOCOLS: [i32; 5] = [0, libc::IPPROTO_ICMP, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_ICMPV6];

/// Types of socket whose usual protocol is none of those, and the bits of the argument that say the type.
const OTHER_TYPES: [i32; 3] = [libc::SOCK_RDM, libc::SOCK_SEQPACKET, libc::SOCK_DCCP];
const TYPE: u64 = 0xf;

/// What System V's calls may set aside at once, as `(call, argument, most)`: bytes of shared memory, semaphores of a set. It is
/// nobody's memory but the namespace's, where neither a process nor a directory counts it, and there may be some thousand of
/// each. Databases want a few bytes.
const SET_ASIDE: [(i64, u8, u64); 2] = [(libc::SYS_shmget, 1, 64 << 10), (libc::SYS_semget, 1, 256)];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters as bubblewrap's `--add-seccomp-fd` reads them; nothing on an architecture whose numbers we don't know, where
/// there are no sandboxes then.
pub(super) fn filters() -> Option<Vec<Vec<u8>>> {
    let arch = if cfg!(target_arch = "x86_64") {
        TargetArch::x86_64
    } else if cfg!(target_arch = "aarch64") {
        TargetArch::aarch64
    } else {
        return None;
    };
    let mut programs: Vec<BpfProgram> = Vec::new();
    for (answer, rules) in [
        (libc::ENOSYS, unknown()),
        (libc::EPERM, forbidden().ok()?),
        (libc::EAFNOSUPPORT, families().ok()?),
        (libc::EPROTONOSUPPORT, protocols().ok()?),
        (libc::EINVAL, set_aside().ok()?),
    ] {
        let (pass, refuse) = (SeccompAction::Allow, SeccompAction::Errno(answer as u32));
        programs.push(SeccompFilter::new(rules, pass, refuse, arch).ok()?.try_into().ok()?);
    }
    if arch == TargetArch::x86_64 {
        programs.push(no_second_table());
    }
    Some(programs.iter().map(|program| bytes(program)).collect())
}

fn unknown() -> Rules {
    UNKNOWN.into_iter().map(|call| (call, Vec::new())).collect()
}

fn forbidden() -> Result<Rules, Error> {
    let mut rules: Rules = FORBIDDEN.into_iter().map(|call| (call, Vec::new())).collect();
    let makes = |flag: i32| all([(0, MaskedEq(flag as u64), flag as u64)]);
    rules.insert(libc::SYS_clone, NAMESPACES.into_iter().map(makes).collect::<Result<_, _>>()?);
    let types = |request| all([(1, Eq, request)]);
    rules.insert(libc::SYS_ioctl, TYPING.into_iter().map(types).collect::<Result<_, _>>()?);
    Ok(rules)
}

fn families() -> Result<Rules, Error> {
    let other = all(FAMILIES.map(|family| (0, Ne, family as u64)))?;
    let other_netlink = all([(0, Eq, libc::AF_NETLINK as u64), (2, Ne, libc::NETLINK_ROUTE as u64)])?;
    Ok(BTreeMap::from([(libc::SYS_socket, vec![other, other_netlink])]))
}

fn protocols() -> Result<Rules, Error> {
    let mut rules = Vec::new();
    for family in INTERNET {
        let of = || (0, Eq, family as u64);
        rules.push(all([of()].into_iter().chain(PROTOCOLS.map(|protocol| (2, Ne, protocol as u64))))?);
        for other in OTHER_TYPES {
            rules.push(all([of(), (1, MaskedEq(TYPE), other as u64)])?);
        }
    }
    Ok(BTreeMap::from([(libc::SYS_socket, rules)]))
}

fn set_aside() -> Result<Rules, Error> {
    // Of these the kernel reads all.
    let beyond =
        |argument, most| SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, Gt, most)?]);
    SET_ASIDE.into_iter().map(|(call, argument, most)| Ok((call, vec![beyond(argument, most)?]))).collect()
}

/// A call that fulfils all of `(argument, comparison, value)`. What the kernel reads of these arguments is their low half.
fn all(conditions: impl IntoIterator<Item = (u8, SeccompCmpOp, u64)>) -> Result<SeccompRule, Error> {
    let half = |(argument, how, value)| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, how, value);
    Ok(SeccompRule::new(conditions.into_iter().map(half).collect::<Result<_, _>>()?)?)
}

/// On x86_64 every system call has a second number, from 0x4000_0000 on (x32), under the same architecture; none of those
/// is known here. By hand: `seccompiler` has rules for single numbers, and this is a range.
fn no_second_table() -> BpfProgram {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD, 0, 0, 0), // seccomp_data.nr
        step(IF_AT_LEAST, 0, 1, 0x4000_0000),
        step(RETURN, 0, 0, SeccompAction::Errno(libc::ENOSYS as u32).into()),
        step(RETURN, 0, 0, SeccompAction::Allow.into()),
    ]
}

/// The program as the kernel has it in memory.
fn bytes(program: &[sock_filter]) -> Vec<u8> {
    let one = |it: &sock_filter| {
        let (code, k) = (it.code.to_ne_bytes(), it.k.to_ne_bytes());
        [code[0], code[1], it.jt, it.jf, k[0], k[1], k[2], k[3]]
    };
    program.iter().flat_map(one).collect()
}
