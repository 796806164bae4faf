//! A child process that cannot outlive whoever started it.

use std::io;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process};
use tokio::sync::oneshot;

use crate::confinement;

/// A running process with all that it started; dropping it ends them.
///
/// A thread of its own forks the child, waits for it and lives exactly as long as it: the signal that a child gets
/// when its parent dies is tied to the parent's *thread* (prctl(2), `PR_SET_PDEATHSIG`), and the threads of an async
/// runtime may end while their children are wanted.
#[derive(Debug)]
pub struct Supervised {
    /// `None` from just before the child is reaped, when its number can come to mean another process.
    pid: Arc<Mutex<Option<Pid>>>,
    exit: oneshot::Receiver<io::Result<ExitStatus>>,
}

/// A process that was just started.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub process: Supervised,
    /// Its standard output, where that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// Its standard error, where that is a pipe.
    pub stderr: Option<ChildStderr>,
}

impl Supervised {
    /// Starts a program that a [cage](confinement::Cage) holds together with what it starts, or that a
    /// [keeper](confinement::keep) keeps.
    ///
    /// # Errors
    /// Those of fork, of exec, and of what is done between them.
    pub async fn start(command: Command) -> io::Result<Started> {
        let (reply, started) = oneshot::channel();
        let name = command.get_program().to_string_lossy().chars().filter(|&letter| letter != '\0').collect();
        thread::Builder::new().name(name).spawn(move || supervise(command, reply))?;
        started.await.unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has died")))
    }

    /// The process's number while it is there.
    pub fn pid(&self) -> Option<Pid> {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it with all that it started, if it is still there.
    pub fn kill(&self) {
        let pid = self.pid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = *pid {
            // One that is gone is what was wanted.
            let _ = kill_process(pid, confinement::END);
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Those of waiting for a child, and when it was waited for before.
    pub async fn exit(&mut self) -> io::Result<ExitStatus> {
        if self.exit.is_terminated() {
            return Err(io::Error::other("it has ended before"));
        }
        (&mut self.exit).await.unwrap_or_else(|_| Err(io::Error::other("the thread that waits for it has died")))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.kill();
    }
}

fn supervise(mut command: Command, reply: oneshot::Sender<io::Result<Started>>) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(cause) => {
            // Nobody is there to hear of it when it was given up meanwhile.
            let _ = reply.send(Err(confinement::explain(cause)));
            return;
        }
    };
    // Holds the output files, which the reader must not be kept from seeing closed.
    drop(command);
    let pid = Arc::new(Mutex::new(Pid::from_raw(child.id().cast_signed())));
    let (done, exit) = oneshot::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // If it was given up meanwhile, the answer comes back here and ends the child as it is dropped.
    let process = Supervised { pid: Arc::clone(&pid), exit };
    let _ = reply.send(Ok(Started { process, stdout, stderr }));
    let _ = done.send(wait(child, &pid));
}

fn wait(mut child: Child, shared: &Mutex<Option<Pid>>) -> io::Result<ExitStatus> {
    let pid = *shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pid) = pid {
        // Not reaped yet, a dead process has a number that cannot have been given away.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options) {}
    }
    shared.lock().unwrap_or_else(PoisonError::into_inner).take();
    child.wait()
}
