//! The process between us and a builder: it waits for the builder, ends all that the builder started, and then ends as
//! the builder did.
//!
//! Process groups hold only those who stay in them. The keeper is who orphans are given to, so that nothing escapes it
//! by daemonising; where there are namespaces of processes, a second one is the builder's `init`, with which the kernel
//! ends all others. When we die, the keeper is told, and does the same.
//!
//! It is a fork of ours rather than another program: there is no file to be found, and a library can be used by any
//! program. All that it does from there on is system calls.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process, set_child_subreaper,
    set_parent_process_death_signal, setrlimit, setsid, wait,
};

use super::fork::{self, Fork};
use super::namespaces::{self, Namespaces};
use super::step::Step;

/// What ends a keeper, and all that it keeps.
pub const END: Signal = Signal::TERM;

/// Forks the process that goes on to become the builder, and stays behind as its keeper: only the builder returns.
///
/// `most` is how many processes the builder's namespace may have, where the kernel counts by namespace.
///
/// # Safety
/// As of [`fork::fork`]; the process has one thread.
pub(super) unsafe fn leave_behind(namespaces: &Namespaces, most: Option<&[u8]>, parent: Pid) -> io::Result<()> {
    let keeper = |errno: Errno| Step::Keeper.failed(errno);
    let before = block_signals();
    setsid().map_err(keeper)?;
    namespaces.enter().map_err(|errno| Step::Namespaces.failed(errno))?;
    // Only now: who gets other privileges is forgotten by the death of its parent.
    tie(Some(parent), END)?;
    set_child_subreaper(Some(getpid())).map_err(keeper)?;
    let (told, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(keeper)?;
    // SAFETY: this process has one thread, and all that follows is system calls.
    if let Fork::Parent(child) = unsafe { fork::fork() }? {
        keep(child, Role::Outermost { told });
    }
    drop(told);
    if namespaces.have_processes() {
        tie(None, Signal::KILL)?;
        if let Some(most) = most {
            namespaces::write(c"/proc/sys/kernel/pid_max", most).map_err(keeper)?;
        }
        // SAFETY: as above.
        if let Fork::Parent(child) = unsafe { fork::fork() }? {
            keep(child, Role::Init { tell });
        }
        tie(Pid::from_raw(1), Signal::KILL)?;
    } else {
        tie(None, Signal::KILL)?;
    }
    setsid().map_err(keeper)?;
    restore_signals(&before);
    Ok(())
}

/// Has the process end with the thread that made it; with `parent`, also when that has ended already.
pub(super) fn tie(parent: Option<Pid>, with: Signal) -> io::Result<()> {
    let failed = |errno: Errno| Step::Parent.failed(errno);
    set_parent_process_death_signal(Some(with)).map_err(failed)?;
    // A parent that died before the line above sends no signal any more.
    if parent.is_some() && getppid() != parent { Err(failed(Errno::SRCH)) } else { Ok(()) }
}

/// A keeper's place.
enum Role {
    /// It is our child; an `init` tells it how the builder ended.
    Outermost { told: OwnedFd },
    /// It is the first process of the builder's namespace; all others end with it.
    Init { tell: OwnedFd },
}

fn keep(builder: Pid, role: Role) -> ! {
    let pipe = match &role {
        Role::Outermost { told } => told.as_raw_fd(),
        Role::Init { tell } => tell.as_raw_fd(),
    };
    keep_only(pipe);
    let mut status = None;
    while status.is_none() && next_signal() != END.as_raw() {
        while let Ok(Some((child, ended))) = wait(WaitOptions::NOHANG) {
            status = if child == builder { Some(ended) } else { status };
        }
    }
    if let Role::Init { .. } = role {
        let raw = status.map_or(Signal::KILL.as_raw(), WaitStatus::as_raw);
        // Who does not hear of it takes the builder for killed.
        let _ = rustix::io::write(rustix::stdio::stdin(), &raw.to_ne_bytes());
        fork::exit(0);
    }
    let _ = kill_process(builder, Signal::KILL);
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((child, ended))) if child == builder => status = status.or(Some(ended)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => {
                kill_children();
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => break,
        }
    }
    let mut raw = [0; 4];
    match rustix::io::read(rustix::stdio::stdin(), &mut raw) {
        Ok(4) => end_as(i32::from_ne_bytes(raw)),
        _ => end_as(status.map_or(Signal::KILL.as_raw(), WaitStatus::as_raw)),
    }
}

/// Closes every file but one, which becomes the first: whoever waits for the builder's pipes must not wait for us.
fn keep_only(file: RawFd) {
    // SAFETY: nothing that uses the other files runs in this process any more.
    unsafe {
        libc::dup2(file, 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
    }
}

/// Kills every child of this process, orphans that were given to it among them; their children become its own.
fn kill_children() {
    const CHILDREN: &CStr = c"/proc/thread-self/children";
    let Ok(file) = rustix::fs::open(CHILDREN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else { return };
    let mut text = [0; 4096];
    // What does not fit is there the next time.
    let Ok(length) = rustix::io::read(&file, &mut text) else { return };
    let mut number = 0_i32;
    for byte in &text[..length] {
        if byte.is_ascii_digit() {
            number = number.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
        } else {
            if let Some(child) = Pid::from_raw(number) {
                let _ = kill_process(child, Signal::KILL);
            }
            number = 0;
        }
    }
}

/// Ends this process with the status of another.
fn end_as(raw: i32) -> ! {
    if libc::WIFEXITED(raw) {
        fork::exit(libc::WEXITSTATUS(raw));
    }
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let signal = libc::WTERMSIG(raw);
    // SAFETY: the default action of a signal takes no code of ours.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut one = MaybeUninit::uninit();
        libc::sigemptyset(one.as_mut_ptr());
        libc::sigaddset(one.as_mut_ptr(), signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, one.as_ptr(), std::ptr::null_mut());
        libc::kill(libc::getpid(), signal);
    }
    fork::exit(128 + signal)
}

/// Blocks every signal, so that each waits until it is asked for, and answers with those that were blocked before.
fn block_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: both sets are ours, and the first is filled before it is read; the call fills the second.
    unsafe {
        // Else the system would reap children by itself where our parent wanted it so.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set is one that the system gave.
    unsafe {
        libc::sigprocmask(libc::SIG_SETMASK, before, std::ptr::null_mut());
    }
}

/// Waits for a child to end, or to be told to end: the signal's number.
fn next_signal() -> i32 {
    let mut wanted = MaybeUninit::uninit();
    // SAFETY: the set is emptied before it is used; both signals are blocked.
    unsafe {
        libc::sigemptyset(wanted.as_mut_ptr());
        libc::sigaddset(wanted.as_mut_ptr(), libc::SIGCHLD);
        libc::sigaddset(wanted.as_mut_ptr(), END.as_raw());
        libc::sigwaitinfo(wanted.as_ptr(), std::ptr::null_mut())
    }
}
