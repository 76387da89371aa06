//! System calls that scripts are refused: those that reach into other processes, those that only an
//! administrator needs, and sockets where the network is closed. Whatever else a program asks of the
//! kernel is allowed, as packages that nobody here knows must work. The filters are compiled before the
//! worker is there, by the fork server for all workers: only two numbers of processes differ.

use rustix::process::{getpid, getppid};
use seccompiler::{BpfProgram, Error, SeccompAction, SeccompFilter, apply_filter_all_threads};

use super::calls::{ADMINISTRATION, CHANGE_MODE, Is, OTHER_PROCESSES, Rules, UNFILTERABLE};
use crate::wire::Confinement;

/// The filters of a worker that is yet to be, one set for each answer to whether Landlock keeps signals among the
/// worker's own processes.
pub(super) struct Filters {
    scoped: Vec<BpfProgram>,
    unscoped: Vec<BpfProgram>,
}

/// The processes that a filter names beside the server's.
#[derive(Clone, Copy)]
struct Numbers {
    own: u32,
    parent: u32,
}

/// What stands in filters for numbers that are not known yet: no process has such a one, and no rule has another use
/// for it.
const STAND_INS: Numbers = Numbers { own: 0x5e1f_5e1f, parent: 0x0a5c_0a5c };

impl Filters {
    pub(super) fn new(wanted: &Confinement) -> Result<Self, Error> {
        let [scoped, unscoped] = [true, false].map(|scoped| programs(wanted, scoped, STAND_INS));
        Ok(Self { scoped: scoped?, unscoped: unscoped? })
    }

    /// Installs the filters in the worker. `scoped` says that Landlock keeps signals among its own processes.
    pub(super) fn install(self, scoped: bool) -> Result<(), Error> {
        let own = getpid().as_raw_nonzero().get().unsigned_abs();
        let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
        let mut programs = if scoped { self.scoped } else { self.unscoped };
        name(&mut programs, Numbers { own, parent });
        programs.iter().try_for_each(|program| apply_filter_all_threads(program))
    }
}

/// Puts the numbers in the place of their stand-ins.
fn name(programs: &mut [BpfProgram], numbers: Numbers) {
    let known = [
        (STAND_INS.own, numbers.own),
        (STAND_INS.own.wrapping_neg(), numbers.own.wrapping_neg()),
        (STAND_INS.parent, numbers.parent),
    ];
    for instruction in programs.iter_mut().flatten() {
        if let Some((_, number)) = known.iter().find(|(stand_in, _)| *stand_in == instruction.k) {
            instruction.k = *number;
        }
    }
}

fn programs(wanted: &Confinement, scoped: bool, numbers: Numbers) -> Result<Vec<BpfProgram>, Error> {
    Ok(vec![
        #[cfg(target_arch = "x86_64")]
        without_x32(),
        program(&refused(wanted, scoped, numbers), libc::EPERM)?,
        program(&sockets(wanted.network), libc::EACCES)?,
        // The C library and others fall back to calls whose arguments a filter can see.
        program(Rules::new().all(UNFILTERABLE), libc::ENOSYS)?,
        // Landlock does not look at modes, and a script must not close the server's own files to it.
        // Copying and unpacking files calls this all the time, so it succeeds, without an effect.
        program(Rules::new().all(CHANGE_MODE), 0)?,
    ])
}

fn program(rules: &Rules, errno: i32) -> Result<BpfProgram, Error> {
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    let target = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules.to_map()?, SeccompAction::Allow, refuse, target)?.try_into()?)
}

fn refused(wanted: &Confinement, scoped: bool, Numbers { own, parent }: Numbers) -> Rules {
    let foreign = Foreign { own, protected: [wanted.server, parent] };
    let mut rules = Rules::new();
    rules.all(ADMINISTRATION).all(OTHER_PROCESSES);
    // Limits of another process of the same user could be set to nothing.
    rules.when(libc::SYS_prlimit64, &[Is::not(0, 0), Is::not(0, own)]);
    for call in [
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
    ] {
        foreign.refuse(&mut rules, call, 0, &[]);
    }
    for (call, process, group, user) in [(libc::SYS_setpriority, 0, 1, 2), (libc::SYS_ioprio_set, 1, 2, 3)] {
        foreign.refuse(&mut rules, call, 1, &[Is::equal(0, process)]);
        foreign.refuse(&mut rules, call, 1, &[Is::equal(0, group)]);
        rules.when(call, &[Is::equal(0, user)]);
    }
    // A new user namespace gives back what was dropped, within it.
    rules.when(libc::SYS_clone, &[Is::masked(0, libc::CLONE_NEWUSER.unsigned_abs())]);
    // A worker dies with the server, whatever its script would rather have.
    let death = libc::PR_SET_PDEATHSIG.unsigned_abs();
    rules.when(libc::SYS_prctl, &[Is::equal(0, death), Is::not(1, libc::SIGKILL.unsigned_abs())]);
    if !scoped {
        foreign.refuse_signals(&mut rules);
    }
    rules
}

/// Processes that a script has not started, as far as their numbers tell: those that are older than
/// its worker. What the number of a younger one hits, a thread of the server even, only Landlock knows.
struct Foreign {
    own: u32,
    protected: [u32; 2],
}

impl Foreign {
    fn refuse(&self, rules: &mut Rules, call: i64, argument: u8, also: &[Is]) {
        let with = |more: &[Is]| [also, more].concat();
        rules.when(call, &with(&[Is::above(argument, 0), Is::below(argument, self.own)]));
        for process in self.protected {
            rules.when(call, &with(&[Is::equal(argument, process)]));
        }
    }

    fn refuse_with_groups(&self, rules: &mut Rules, call: i64, argument: u8, also: &[Is]) {
        self.refuse(rules, call, argument, also);
        // Groups are negative numbers, and -1 is everybody.
        rules.when(call, &[also, &[Is::above(argument, self.own.wrapping_neg())]].concat());
    }

    fn refuse_signals(&self, rules: &mut Rules) {
        self.refuse_with_groups(rules, libc::SYS_kill, 0, &[]);
        for call in
            [libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo, libc::SYS_pidfd_open]
        {
            self.refuse(rules, call, 0, &[]);
        }
        // The server's threads may be younger than the worker, and this does not ask whose they are.
        rules.when(libc::SYS_tkill, &[]);
        // A filter cannot tell whose descriptor it is, and signals are sent for these events too.
        rules.when(libc::SYS_pidfd_send_signal, &[]);
        let (own, own_extended) = (libc::F_SETOWN.unsigned_abs(), F_SETOWN_EX);
        self.refuse_with_groups(rules, libc::SYS_fcntl, 2, &[Is::equal(1, own)]);
        rules.when(libc::SYS_fcntl, &[Is::equal(1, own_extended)]);
        for request in [FIOSETOWN, SIOCSPGRP] {
            rules.when(libc::SYS_ioctl, &[Is::equal(1, request)]);
        }
    }
}

// From the kernel's headers; the libc crate lacks them.
const F_SETOWN_EX: u32 = 15;
const FIOSETOWN: u32 = 0x8901;
const SIOCSPGRP: u32 = 0x8902;

/// Families of sockets beside those that programs use; all where the network is closed. A local one would reach
/// whoever listens at a path, as neither Landlock nor a filter sees the path, so there are only pairs then.
fn sockets(network: bool) -> Rules {
    let open: &[i32] =
        if network { &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] } else { &[] };
    let others: Vec<Is> = open.iter().map(|family| Is::not(0, family.unsigned_abs())).collect();
    let mut rules = Rules::new();
    rules.when(libc::SYS_socket, &others);
    if !network {
        rules.when(libc::SYS_socketpair, &[Is::not(0, libc::AF_UNIX.unsigned_abs())]);
        // Half of a pair can send datagrams to any path, or be connected to it. Streams cannot. Of the kinds of
        // sockets that local ones have, datagrams and the raw ones that are the same have this bit.
        rules.when(libc::SYS_socketpair, &[Is::masked(1, libc::SOCK_DGRAM.unsigned_abs())]);
    }
    rules
}

/// The calls of the x32 interface have numbers of their own, which no filter above knows.
#[cfg(target_arch = "x86_64")]
fn without_x32() -> BpfProgram {
    use seccompiler::sock_filter;
    const X32: u32 = 0x4000_0000;
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const REFUSE: u32 = 0x0005_0000;
    vec![
        // The number of the call comes first in what a filter sees.
        sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: X32 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: REFUSE | libc::ENOSYS.unsigned_abs() },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: ALLOW },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_were_compiled_ahead_are_those_that_the_worker_would_compile() {
        let numbers = Numbers { own: 4_194_303, parent: 77 };
        for network in [false, true] {
            let wanted =
                Confinement { on: true, read: vec![], write: vec![], network, hidden: vec![], server: 4711 };
            let Filters { scoped, unscoped } = Filters::new(&wanted).unwrap();
            for (mut ahead, scoped) in [(scoped, true), (unscoped, false)] {
                assert!(names_stand_in(&ahead));
                name(&mut ahead, numbers);
                assert!(!names_stand_in(&ahead));
                let there = programs(&wanted, scoped, numbers).unwrap();
                assert_eq!(ahead, there);
            }
        }
    }

    fn names_stand_in(programs: &[BpfProgram]) -> bool {
        let stand_ins = [STAND_INS.own, STAND_INS.own.wrapping_neg(), STAND_INS.parent];
        programs.iter().flatten().any(|instruction| stand_ins.contains(&instruction.k))
    }
}
