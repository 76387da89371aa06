//! Which system calls the filters are about, and the rules that a filter is made of: a call, and
//! what its arguments are when it is refused.

use std::collections::BTreeMap;

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// What needs an administrator, or a namespace in which one is that.
pub(super) const ADMINISTRATION: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
];

/// What looks into other processes.
pub(super) const OTHER_PROCESSES: &[i64] = &[
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
];

/// What a filter cannot look into: the arguments lie in memory, or the calls in a ring.
pub(super) const UNFILTERABLE: &[i64] =
    &[libc::SYS_clone3, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_io_uring_setup];

/// What changes who may open a file.
pub(super) const CHANGE_MODE: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
];

/// The same number on every architecture; the libc crate has it for some only.
const FCHMODAT2: i64 = 452;

/// What one argument of a call is, of which the lower half counts.
#[derive(Clone)]
pub(super) struct Is {
    argument: u8,
    comparison: SeccompCmpOp,
    value: u32,
}

impl Is {
    pub(super) fn equal(argument: u8, value: u32) -> Self {
        Self { argument, comparison: SeccompCmpOp::Eq, value }
    }

    pub(super) fn not(argument: u8, value: u32) -> Self {
        Self { argument, comparison: SeccompCmpOp::Ne, value }
    }

    pub(super) fn above(argument: u8, value: u32) -> Self {
        Self { argument, comparison: SeccompCmpOp::Gt, value }
    }

    pub(super) fn below(argument: u8, value: u32) -> Self {
        Self { argument, comparison: SeccompCmpOp::Lt, value }
    }

    /// All of these bits are set.
    pub(super) fn masked(argument: u8, bits: u32) -> Self {
        Self { argument, comparison: SeccompCmpOp::MaskedEq(bits.into()), value: bits }
    }
}

/// Calls, each with the cases in which it is meant; without a case it is meant always.
pub(super) struct Rules(BTreeMap<i64, Vec<Vec<Is>>>);

impl Rules {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn all(&mut self, calls: &[i64]) -> &mut Self {
        self.0.extend(calls.iter().map(|call| (*call, Vec::new())));
        self
    }

    /// One more case: all of `conditions` hold. No condition at all is every case.
    pub(super) fn when(&mut self, call: i64, conditions: &[Is]) {
        let cases = self.0.entry(call).or_default();
        if !conditions.is_empty() {
            cases.push(conditions.to_vec());
        }
    }

    pub(super) fn to_map(&self) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
        let rule = |case: &Vec<Is>| {
            let conditions: Result<Vec<_>, _> = case.iter().map(condition).collect();
            SeccompRule::new(conditions?)
        };
        self.0
            .iter()
            .map(|(call, cases)| Ok((*call, cases.iter().map(rule).collect::<Result<_, _>>()?)))
            .collect()
    }
}

fn condition(is: &Is) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(is.argument, SeccompCmpArgLen::Dword, is.comparison.clone(), is.value.into())
}
