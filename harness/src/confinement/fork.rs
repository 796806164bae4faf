//! A child by a bare system call: the C library's would take locks that another thread may hold.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

/// Which of the two one is.
#[derive(Debug)]
pub(super) enum Fork {
    Child,
    Parent(Pid),
}

/// Forks.
///
/// # Safety
/// The child must make system calls only, until it ends or becomes another program: other threads of its parent are
/// not there any more, and their locks are held forever.
pub(super) unsafe fn fork() -> io::Result<Fork> {
    // SAFETY: without flags that share memory, it is fork(2). All further arguments are unused, and zero.
    let number = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    match i32::try_from(number).ok().and_then(Pid::from_raw) {
        Some(child) if number > 0 => Ok(Fork::Parent(child)),
        _ if number == 0 => Ok(Fork::Child),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends the process, and runs nothing that was to run at its end.
pub(super) fn exit(status: i32) -> ! {
    // SAFETY: it ends the process.
    unsafe { libc::_exit(status) }
}

/// The status that a child exits with.
pub(super) fn wait_for(child: Pid) -> io::Result<i32> {
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return status.exit_status().ok_or_else(|| io::ErrorKind::Interrupted.into()),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
