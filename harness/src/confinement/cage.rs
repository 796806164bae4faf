//! What one program may reach and use, and how it is put in there before it runs.
//!
//! Everything that takes memory or a decision is done before the fork; between fork and exec there are system calls
//! only, since another thread may have held any lock of ours when the child was made.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use landlock::RulesetCreated;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, setsid};
use seccompiler::BpfProgram;

use super::landlock::Reach;
use super::limits::{self, Limits};
use super::namespaces::{Namespaces, Route};
use super::step::Step;
use super::system_calls::{self, Refused};
use super::{Confinement, keeper, landlock as files, privileges};

/// What one program may reach and use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cage {
    /// Files.
    pub reach: Reach,
    /// Everything that is counted.
    pub limits: Limits,
}

/// Why a program cannot be confined, where the machine seemed to allow it.
#[derive(Debug, thiserror::Error)]
pub enum CageError {
    /// No rules could be made.
    #[error("make rules for Landlock")]
    Landlock(#[from] landlock::RulesetError),
    /// No filters could be made.
    #[error("make filters for seccomp")]
    SystemCalls(#[from] seccompiler::BackendError),
}

impl From<CageError> for io::Error {
    fn from(error: CageError) -> Self {
        Self::other(error)
    }
}

impl Cage {
    /// Has the command run in here, as well as the machine can confine it.
    ///
    /// A program that can start others gets a keeper: [`keeper::END`] to it ends them all.
    ///
    /// # Errors
    /// When rules cannot be made; that they cannot be followed is an error of the start.
    pub fn hold(&self, command: &mut Command, confinement: &Confinement) -> Result<(), CageError> {
        let alone = self.limits.processes.is_none();
        let namespaces = Namespaces::prepare(&confinement.namespaces, !alone);
        let is_counted_apart = alone || confinement.namespaces == Route::User;
        let counted = if is_counted_apart { 0 } else { limits::threads_of_user() };
        let abi = confinement.landlock;
        let refused = Refused { processes: alone, truncation: (1..files::TRUNCATION).contains(&abi) };
        let inside = Inside {
            parent: getpid(),
            keeper: !alone,
            most: self.limits.processes.filter(|_| confinement.counts_by_namespace).map(|most| most.to_string()),
            namespaces,
            limits: self.limits.prepare(counted),
            unprivileged: confinement.privileges,
            rules: if abi > 0 { Some(files::rules(&self.reach)?) } else { None },
            filters: if confinement.seccomp { system_calls::filters(refused)? } else { Vec::new() },
        };
        hold(command, inside);
        Ok(())
    }
}

/// Has a trusted command run with a keeper, and otherwise as it is.
pub fn keep(command: &mut Command) {
    let inside = Inside {
        parent: getpid(),
        keeper: true,
        most: None,
        namespaces: Namespaces::prepare(&Route::None(String::new()), true),
        limits: limits::Prepared::default(),
        unprivileged: false,
        rules: None,
        filters: Vec::new(),
    };
    hold(command, inside);
}

fn hold(command: &mut Command, mut inside: Inside) {
    // SAFETY: the closure makes system calls only: what it needs was made before the fork.
    unsafe {
        command.pre_exec(move || inside.enter());
    }
}

/// What a child needs on its way in.
struct Inside {
    parent: Pid,
    keeper: bool,
    most: Option<String>,
    namespaces: Namespaces,
    limits: limits::Prepared,
    unprivileged: bool,
    rules: Option<RulesetCreated>,
    filters: Vec<BpfProgram>,
}

impl Inside {
    fn enter(&mut self) -> io::Result<()> {
        let parent = if self.keeper {
            // SAFETY: between fork and exec the process has one thread.
            unsafe { keeper::leave_behind(&self.namespaces, self.most.as_ref().map(String::as_bytes), self.parent) }?;
            None
        } else {
            match setsid() {
                // Who leads a group of its own already cannot lead a session.
                Ok(_) | Err(Errno::PERM) => {}
                Err(errno) => return Err(Step::Parent.failed(errno)),
            }
            self.namespaces.enter().map_err(|errno| Step::Namespaces.failed(errno))?;
            Some(self.parent)
        };
        close_others().map_err(|errno| Step::Files.failed(errno))?;
        self.limits.set().map_err(|errno| Step::Limits.failed(errno))?;
        if self.unprivileged {
            // Where memory runs out, it goes first, and not we.
            let _ = super::namespaces::write(c"/proc/self/oom_score_adj", b"1000");
            privileges::drop_all().map_err(|errno| Step::Privileges.failed(errno))?;
        }
        // Who gets other privileges is forgotten by the death of its parent.
        keeper::tie(parent, Signal::KILL)?;
        if let Some(rules) = self.rules.take() {
            rules.restrict_self().map_err(|_| Step::Landlock.failed(last_error()))?;
        }
        for filter in &self.filters {
            seccompiler::apply_filter(filter).map_err(|_| Step::SystemCalls.failed(last_error()))?;
        }
        Ok(())
    }
}

fn last_error() -> Errno {
    let error = io::Error::last_os_error();
    Errno::from_io_error(&error).unwrap_or(Errno::INVAL)
}

/// Has all files but the standard ones closed when the program begins: whoever started us may have left some open.
fn close_others() -> Result<(), Errno> {
    // SAFETY: nothing is closed before exec.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    match done {
        0 => Ok(()),
        // Linux 5.10 and older; our own files are closed in any case.
        _ if matches!(last_error(), Errno::NOSYS | Errno::INVAL) => Ok(()),
        _ => Err(last_error()),
    }
}
