//! Seccomp: system calls that neither a builder nor QEMU needs, and that reach past files and processes.
//!
//! A list of what is refused, not of what is allowed: compilers and C libraries change what they use from release to
//! release, and a build that fails for that would cost a student points.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// A program of the x32 interface calls the same with this bit set.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Whether the kernel has filters, and the library knows this processor.
pub fn available() -> bool {
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
    actions.is_ok_and(|actions| actions.contains("errno")) && architecture().is_some()
}

fn architecture() -> Option<TargetArch> {
    std::env::consts::ARCH.try_into().ok()
}

/// What is refused beyond what always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// New processes; threads are not.
    pub processes: bool,
    /// Cutting off files that may only be read, which older versions of Landlock allow.
    pub truncation: bool,
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters; empty where there can be none.
pub(super) fn filters(refused: Refused) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let Some(architecture) = architecture() else { return Ok(Vec::new()) };
    let compile = |rules: Rules, errno: i32| -> Result<BpfProgram, seccompiler::BackendError> {
        let action = SeccompAction::Errno(errno.unsigned_abs());
        SeccompFilter::new(with_x32(rules), SeccompAction::Allow, action, architecture)?.try_into()
    };
    // Their arguments lie in memory, where no filter can look; callers fall back to the older ones.
    let mut unknown = vec![libc::SYS_clone3];
    if refused.truncation {
        unknown.push(libc::SYS_openat2);
    }
    let unknown = unknown.into_iter().map(|call| (call, Vec::new())).collect();
    Ok(vec![compile(forbidden(refused)?, libc::EPERM)?, compile(unknown, libc::ENOSYS)?])
}

fn with_x32(rules: Rules) -> Rules {
    #[cfg(target_arch = "x86_64")]
    let rules = rules.into_iter().flat_map(|(call, rule)| [(call, rule.clone()), (call | X32, rule)]).collect();
    rules
}

fn forbidden(refused: Refused) -> Result<Rules, seccompiler::BackendError> {
    // Of all kinds: what Landlock and network namespaces leave are datagrams and the sockets of the system's services.
    let mut always = vec![libc::SYS_socket, libc::SYS_io_uring_setup];
    // What others' processes, or later ones, could find.
    always.extend([libc::SYS_shmget, libc::SYS_semget, libc::SYS_msgget, libc::SYS_mq_open]);
    always.extend([libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl]);
    // New privileges in new namespaces, and parts of the kernel that were often broken into.
    always.extend([libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_bpf, libc::SYS_perf_event_open]);
    always.extend([libc::SYS_userfaultfd, libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev]);
    if refused.truncation {
        always.push(libc::SYS_truncate);
    }
    let mut rules: Rules = always.into_iter().map(|call| (call, Vec::new())).collect();
    let mut clone = vec![masked(0, libc::CLONE_NEWUSER, libc::CLONE_NEWUSER)?];
    if refused.processes {
        clone.push(masked(0, libc::CLONE_THREAD, 0)?);
        #[cfg(target_arch = "x86_64")]
        rules.extend([(libc::SYS_fork, Vec::new()), (libc::SYS_vfork, Vec::new())]);
    }
    rules.insert(libc::SYS_clone, clone);
    if refused.truncation {
        let mask = libc::O_TRUNC | libc::O_ACCMODE;
        rules.insert(libc::SYS_openat, vec![masked(2, mask, libc::O_TRUNC | libc::O_RDONLY)?]);
        #[cfg(target_arch = "x86_64")]
        rules.insert(libc::SYS_open, vec![masked(1, mask, libc::O_TRUNC | libc::O_RDONLY)?]);
    }
    Ok(rules)
}

/// A rule about the bits of an argument.
fn masked(argument: u8, mask: i32, value: i32) -> Result<SeccompRule, seccompiler::BackendError> {
    let (mask, value) = (u64::from(mask.cast_unsigned()), u64::from(value.cast_unsigned()));
    let operator = SeccompCmpOp::MaskedEq(mask);
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])
}
