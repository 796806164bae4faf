//! Threads of a process: they share its memory, and end with it at the latest.

use core::mem;

use abi::syscall::Error;

use crate::call;

/// What a thread runs; its answer is for whoever joins it.
pub type Main = fn(usize) -> usize;

/// A thread, to be joined.
#[derive(Debug)]
#[must_use = "a thread that nobody joins is kept until its process ends"]
pub struct Thread {
    id: u64,
}

/// Begins a thread that runs `main` with `argument`.
///
/// # Errors
/// [`Error::NoMemory`].
pub fn spawn(main: Main, argument: usize) -> Result<Thread, Error> {
    call::thread_create(begin, main as usize, argument).map(|id| Thread { id })
}

extern "C" fn begin(main: usize, argument: usize) -> ! {
    // SAFETY: `spawn` passed a function of that type.
    let main: Main = unsafe { mem::transmute(main) };
    call::thread_exit(main(argument))
}

impl Thread {
    /// Waits for the thread to end; answers what its function did.
    ///
    /// # Errors
    /// [`Error::Killed`] when the process is to end.
    pub fn join(self) -> Result<usize, Error> {
        call::thread_join(self.id)
    }
}
