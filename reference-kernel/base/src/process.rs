//! A process, or one of its threads: a program's memory and what the kernel knows of it. It belongs to its own kernel
//! stack alone.

use alloc::boxed::Box;

use abi::syscall::Error;

use crate::{
    address_space::AddressSpace,
    boxed, console, csr,
    csr::status,
    exec,
    pages::OutOfPages,
    scheduler::{self, Ending, Family, INIT, Reason},
    syscall, trampoline,
    trampoline::register,
    trap::{self, Cause, SYSTEM_CALL},
};

/// A thread of a process; most have one.
#[derive(Debug)]
pub struct Process {
    id: u64,
    /// The id of its first thread, which is the process's.
    group: u64,
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

    /// The id of its process.
    pub fn group(&self) -> u64 {
        self.group
    }

    /// Sets both ids.
    pub fn set_ids(&mut self, id: u64, group: u64) {
        (self.id, self.group) = (id, group);
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
        let process = boxed::try_box(Self { id: 0, group: 0, name, space, script_read: 0 });
        let id = process.map_err(|_| Error::NoMemory).and_then(|process| scheduler::add(process, Family::ChildOf(0)));
        assert_eq!(id, Ok(INIT));
    }

    /// A copy of this process, but for the answer to `fork`; answers its id.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub fn fork(&mut self) -> Result<u64, Error> {
        let mut space = self.space.duplicate().map_err(|OutOfPages| Error::NoMemory)?;
        space.frame().registers[register::A0] = 0;
        let child = boxed::try_box(Self { id: 0, group: 0, name: self.name, space, script_read: 0 });
        scheduler::add(child.map_err(|_| Error::NoMemory)?, Family::ChildOf(self.group))
    }

    /// Begins a thread at `entry` with two arguments; answers its id.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub fn begin_thread(&mut self, entry: usize, arguments: [usize; 2]) -> Result<u64, Error> {
        let (mut space, stack) = self.space.share().map_err(|OutOfPages| Error::NoMemory)?;
        let frame = space.frame();
        frame.pc = entry;
        frame.registers[register::SP] = stack;
        frame.registers[register::A0..][..2].copy_from_slice(&arguments);
        let thread = boxed::try_box(Self { id: 0, group: 0, name: self.name, space, script_read: 0 });
        scheduler::add(thread.map_err(|_| Error::NoMemory)?, Family::ThreadOf(self.group))
    }

    /// Runs the program, and does what it asks for, until it ends.
    pub fn live(mut self: Box<Self>) -> ! {
        loop {
            let stopped = trampoline::run(&mut self.space);
            if stopped.is_page_fault() && stopped.version != self.space.version() {
                // Perhaps another thread has mapped that page since; on second thoughts it may be there.
                continue;
            }
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
                // Whoever kills another process knows; a fault is news.
                let name = self.name.as_str();
                console::line(format_args!("{name} (process {}) was killed: {reason}", self.group));
                self.end(Ending::Killed(reason));
            }
            if let Some(ending) = scheduler::told_to_end() {
                self.end(ending);
            }
        }
    }

    /// Ends the process, or this thread of it.
    fn end(self: Box<Self>, ending: Ending) -> ! {
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
