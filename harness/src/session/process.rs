//! A child process that cannot outlive whoever started it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions};
use tokio::sync::oneshot;

use super::watch;

/// A running process group; dropping it kills the group.
///
/// A thread of its own forks the child, waits for it and lives exactly as long as it: the signal that a child gets
/// when its parent dies is tied to the parent's *thread* (prctl(2), `PR_SET_PDEATHSIG`), and the threads of an async
/// runtime may end while their children are wanted.
#[derive(Debug)]
pub(super) struct Supervised {
    /// `None` from just before the child is reaped, when its number can come to mean another process.
    pid: Arc<Mutex<Option<Pid>>>,
    exit: oneshot::Receiver<io::Result<Exit>>,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Exit {
    pub status: ExitStatus,
    /// Processor time of all its threads, if the system told.
    pub processor: Option<Duration>,
}

/// Where the child's input comes from and its output goes, and how much of it there can be.
#[derive(Debug)]
pub(super) struct Streams {
    /// Nothing can be read there without one.
    pub stdin: Option<OwnedFd>,
    pub stdout: File,
    pub stderr: File,
    /// Bytes that any one file can grow to.
    pub file_size: u64,
}

impl Supervised {
    /// Starts a program in a process group of its own.
    ///
    /// # Errors
    /// Those of fork, of exec, and of setting limits.
    pub async fn start(mut command: Command, streams: Streams) -> io::Result<Self> {
        command.stdin(streams.stdin.map_or_else(Stdio::null, Stdio::from));
        command.stdout(streams.stdout).stderr(streams.stderr).process_group(0);
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec the closure makes system calls only: it neither allocates nor takes a lock
        // that another thread of the parent might have held.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                // A parent that died before the line above sends no signal any more.
                if rustix::process::getppid() != Some(parent) {
                    return Err(io::ErrorKind::NotConnected.into());
                }
                limit(Resource::Core, 0)?;
                limit(Resource::Fsize, streams.file_size)
            });
        }
        let (reply, started) = oneshot::channel();
        thread::Builder::new().name("qemu".into()).spawn(move || supervise(command, reply))?;
        started.await.unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has died")))
    }

    /// The process's number while it is there.
    pub fn pid(&self) -> Option<Pid> {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the whole process group, if it is still there.
    pub fn kill(&self) {
        let pid = self.pid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = *pid {
            // A group that is gone is what was wanted.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }

    /// Waits for the end; must not be called again after it has answered.
    ///
    /// # Errors
    /// Those of waiting for a child.
    pub async fn exit(&mut self) -> io::Result<Exit> {
        (&mut self.exit).await.unwrap_or_else(|_| Err(io::Error::other("the thread that waits for it has died")))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.kill();
    }
}

fn limit(resource: Resource, wanted: u64) -> io::Result<()> {
    let allowed = rustix::process::getrlimit(resource).maximum.map_or(wanted, |maximum| maximum.min(wanted));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(allowed), maximum: Some(allowed) })?)
}

fn supervise(mut command: Command, reply: oneshot::Sender<io::Result<Supervised>>) {
    let child = match command.spawn() {
        Ok(child) => child,
        Err(cause) => {
            // Nobody is there to hear of it when the boot was given up meanwhile.
            let _ = reply.send(Err(cause));
            return;
        }
    };
    // Holds the output files, which the reader's length check must not be kept from seeing closed.
    drop(command);
    let pid = Arc::new(Mutex::new(Pid::from_raw(child.id().cast_signed())));
    let (done, exit) = oneshot::channel();
    // If the boot was given up meanwhile, the answer comes back here and kills the child as it is dropped.
    let _ = reply.send(Ok(Supervised { pid: Arc::clone(&pid), exit }));
    let _ = done.send(wait(child, &pid));
}

fn wait(mut child: Child, shared: &Mutex<Option<Pid>>) -> io::Result<Exit> {
    let pid = *shared.lock().unwrap_or_else(PoisonError::into_inner);
    let mut processor = None;
    if let Some(pid) = pid {
        // Not reaped yet, a dead process still tells what it used, and its number cannot have been given away.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options) {}
        processor = watch::processor_time(pid).ok();
    }
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pid) = shared.take() {
        // Whatever it started goes with it.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    drop(shared);
    Ok(Exit { status: child.wait()?, processor })
}
