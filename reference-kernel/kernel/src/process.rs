//! A process: a program's memory and what the kernel knows of it. It belongs to its own kernel stack alone.

use alloc::boxed::Box;

use abi::syscall::Error;

use crate::{
    address_space::AddressSpace,
    console, csr,
    csr::status,
    exec, heap,
    pages::OutOfPages,
    scheduler::{self, Ending, INIT, Reason},
    syscall, trampoline,
    trampoline::register,
    trap::{self, Cause, SYSTEM_CALL},
};

/// A process.
#[derive(Debug)]
pub struct Process {
    id: u64,
    /// Its program.
    pub name: Name,
    /// Its memory.
    pub space: AddressSpace,
    /// How much of the script it has read.
    pub script_read: usize,
}

/// A program's name for messages, cut if it is long.
#[derive(Debug, Clone, Copy, Default)]
pub struct Name {
    bytes: [u8; 32],
    length: usize,
}

impl Name {
    /// The name, or as much of it as there is room for.
    pub fn new(name: &str) -> Self {
        let mut bytes = [0; 32];
        let length = name.floor_char_boundary(bytes.len());
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        Self { bytes, length }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or("?")
    }
}

impl Process {
    /// The id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Sets the id.
    pub fn set_id(&mut self, id: u64) {
        self.id = id;
    }

    /// Makes the first process.
    ///
    /// # Panics
    /// When the initrd has no `bin/init`, or it cannot be loaded.
    pub fn start_init() {
        let (name, space) = match exec::load(exec::INIT, &[]) {
            Ok(loaded) => loaded,
            Err(error) => panic!("{} cannot be loaded from the initrd: {error:?}", exec::INIT),
        };
        let process = heap::try_box(Self { id: 0, name, space, script_read: 0 });
        let id = process.map_err(|_| Error::NoMemory).and_then(|process| scheduler::add(process, 0));
        assert_eq!(id, Ok(INIT));
    }

    /// A copy of this process, but for the answer to `fork`; answers its id.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub fn fork(&mut self) -> Result<u64, Error> {
        let mut space = self.space.duplicate().map_err(|OutOfPages| Error::NoMemory)?;
        space.frame().registers[register::A0] = 0;
        let child = heap::try_box(Self { id: 0, name: self.name, space, script_read: 0 });
        scheduler::add(child.map_err(|_| Error::NoMemory)?, self.id)
    }

    /// Runs the program, and does what it asks for, until it ends.
    pub fn live(mut self: Box<Self>) -> ! {
        loop {
            let stopped = trampoline::run(&mut self.space);
            if stopped.cause == SYSTEM_CALL {
                self.space.frame().pc += 4; // `ecall` is done
                let mut ending = None;
                with_interrupts(|| ending = syscall::serve(&mut self));
                if let Some(ending) = ending {
                    self.end(ending);
                }
            } else if !trap::take_interrupt(stopped.cause) {
                let reason =
                    Reason::Fault { cause: Cause(stopped.cause), address: stopped.value, pc: self.space.frame().pc };
                self.end(Ending::Killed(reason));
            }
            if let Some(reason) = scheduler::killed() {
                self.end(Ending::Killed(reason));
            }
        }
    }

    /// Ends the process.
    fn end(self: Box<Self>, ending: Ending) -> ! {
        // Whoever kills another process knows; a fault is news.
        if let Ending::Killed(reason @ Reason::Fault { .. }) = ending {
            console::line(format_args!("{} (process {}) was killed: {reason}", self.name.as_str(), self.id));
        }
        with_interrupts(|| drop(self));
        scheduler::exit(ending)
    }
}

/// Does something long with interrupts on; a process can be moved to another hart meanwhile.
fn with_interrupts(long: impl FnOnce()) {
    // SAFETY: a process's kernel stack can be left and gone on with at any time; no lock is held.
    unsafe { csr::set!("sstatus", status::SIE) };
    long();
    // SAFETY: taking no interrupts breaks nobody's assumptions.
    unsafe { csr::clear!("sstatus", status::SIE) };
}

/// Does something in a system call with interrupts off, but not, as with a lock held, on one and the same hart.
pub fn without_interrupts(short: impl FnOnce()) {
    // SAFETY: taking no interrupts breaks nobody's assumptions.
    unsafe { csr::clear!("sstatus", status::SIE) };
    short();
    // SAFETY: system calls are served with interrupts on; no lock is held.
    unsafe { csr::set!("sstatus", status::SIE) };
}
