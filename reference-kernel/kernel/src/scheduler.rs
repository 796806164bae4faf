//! Which process runs on which hart, and what becomes of processes.

use alloc::boxed::Box;
use core::{
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use abi::syscall::Error;

use crate::{
    cross_call,
    csr::{self, interrupt},
    hart, kernel_space, platform,
    process::Process,
    spin::{SpinGuard, SpinLock},
    stop, switch, timer,
    trap::Cause,
};

/// The most processes at a time.
pub const SLOTS: usize = 64;

/// The process that everything else descends from.
pub const INIT: u64 = 1;

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// It called `exit`.
    Exited(i64),
    /// It was ended.
    Killed(Reason),
}

/// Why a process was ended.
#[derive(Debug, Clone, Copy)]
pub enum Reason {
    /// It did what it must not.
    Fault {
        /// What that was.
        cause: Cause,
        /// The address that it was done to, where there is one.
        address: usize,
        /// The instruction that did it.
        pc: usize,
    },
    /// The process with that id asked for it.
    By(u64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault { cause, address, pc } if cause.has_address() => {
                write!(f, "{cause} at address {address:#x}, pc {pc:#x}")
            }
            Self::Fault { cause, pc, .. } => write!(f, "{cause}, pc {pc:#x}"),
            Self::By(id) => write!(f, "by process {id}"),
        }
    }
}

#[derive(Debug)]
enum State {
    Free,
    Ready,
    Running,
    /// For a child to end.
    Waiting,
    /// And its parent has not asked yet.
    Ended(Ending),
}

#[derive(Debug)]
struct Slot {
    state: State,
    id: u64,
    parent: u64,
    /// Where its kernel stack was left.
    stack: usize,
    /// What it will be once it runs for the first time; from then on it is on its own kernel stack.
    process: Option<Box<Process>>,
    killer: u64,
    /// The only harts that it may run on, one bit each.
    harts: usize,
}

/// Any hart.
const ANY: usize = usize::MAX;

#[derive(Debug)]
struct Table {
    slots: [Slot; SLOTS],
    last_id: u64,
    ready: Queue,
    /// One bit for each hart that sleeps until there is a process to run.
    idle: usize,
}

static TABLE: SpinLock<Table> = SpinLock::new(
    "the processes",
    Table {
        slots: [const { Slot { state: State::Free, id: 0, parent: 0, stack: 0, process: None, killer: 0, harts: ANY } };
            SLOTS],
        last_id: 0,
        ready: Queue { slots: [0; SLOTS], first: 0 },
        idle: 0,
    },
);

/// The length of the queue, which decides cheaply whether a turn must end.
static READY: AtomicUsize = AtomicUsize::new(0);

/// One bit for each slot whose process is to be ended, looked at whenever one goes back to its program.
static KILLED: AtomicU64 = AtomicU64::new(0);

const _: () = assert!(SLOTS <= u64::BITS as usize);

/// The slots of ready processes, first come, first served. Its length is [`READY`].
#[derive(Debug)]
struct Queue {
    slots: [u8; SLOTS],
    first: usize,
}

impl Queue {
    fn push(&mut self, slot: usize) {
        let count = READY.load(Relaxed);
        self.slots[(self.first + count) % SLOTS] = slot as u8;
        READY.store(count + 1, Relaxed);
    }

    /// Takes out the first one that may be chosen.
    fn pop(&mut self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let count = READY.load(Relaxed);
        let place = |index| (self.first + index) % SLOTS;
        let chosen = (0..count).find(|&index| may(usize::from(self.slots[place(index)])))?;
        let slot = self.slots[place(chosen)];
        for index in (0..chosen).rev() {
            self.slots[(self.first + index + 1) % SLOTS] = self.slots[(self.first + index) % SLOTS];
        }
        self.first = (self.first + 1) % SLOTS;
        READY.store(count - 1, Relaxed);
        Some(usize::from(slot))
    }
}

impl Table {
    /// Puts a process into the queue, and wakes a hart that has nothing to do.
    fn make_ready(&mut self, slot: usize) {
        self.slots[slot].state = State::Ready;
        self.ready.push(slot);
        let idle = self.idle & self.slots[slot].harts;
        if idle != 0 {
            let hart = idle.trailing_zeros() as usize;
            self.idle &= !(1 << hart);
            platform::set_software_interrupt(hart, true);
        }
    }

    fn pop_for(&mut self, hart: usize) -> Option<usize> {
        self.ready.pop(|slot| self.slots[slot].harts & 1 << hart != 0)
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.slots.iter().position(|slot| !matches!(slot.state, State::Free) && slot.id == id)
    }

    fn wake_if_waiting(&mut self, slot: usize) {
        if matches!(self.slots[slot].state, State::Waiting) {
            self.make_ready(slot);
        }
    }
}

/// The slot of the process that runs on this hart, if one does. Interrupts must be off.
pub fn current_slot() -> Option<usize> {
    hart::this().running.load(Relaxed).checked_sub(1)
}

/// The slot of the process that runs on this hart.
fn current() -> usize {
    hart::this().running.load(Relaxed) - 1
}

/// Runs processes on this hart, for ever.
pub fn run() -> ! {
    let hart = hart::this();
    let mut ticking = false;
    loop {
        cross_call::serve();
        let mut table = TABLE.lock();
        let Some(slot) = table.pop_for(hart.id()) else {
            table.idle |= 1 << hart.id();
            drop(table);
            timer::never();
            ticking = false;
            csr::wait_for_interrupt();
            forget_wake_up();
            continue;
        };
        table.idle &= !(1 << hart.id());
        table.slots[slot].state = State::Running;
        let stack = table.slots[slot].stack;
        hart.running.store(slot + 1, Relaxed);
        // The next tick stays where it is when processes change: if they put it off, it might never come, and with
        // `-icount` it is what makes QEMU let other harts run.
        if !ticking {
            timer::begin_turn();
            ticking = true;
        }
        table.forget();
        // SAFETY: a ready process has left its stack, and the lock keeps all others from going on with it. It comes
        // back here with the lock held.
        unsafe {
            switch::switch(hart.scheduler_stack.as_ptr(), stack);
            hart.running.store(0, Relaxed);
            // The process took the lock, perhaps with interrupts on; the scheduler never has them on.
            hart.set_interrupts_were_on(0);
            drop(TABLE.adopt());
        }
    }
}

/// Leaves the process that runs on this hart, in whichever state it is, until it is chosen again.
fn leave(mut table: SpinGuard<'_, Table>) -> SpinGuard<'_, Table> {
    let hart = hart::this();
    assert_eq!(hart.interrupts_off_depth(), 1, "a process gives up its hart, but holds a lock");
    let interrupts_were_on = hart.interrupts_were_on();
    let from = &raw mut table.slots[current()].stack;
    let to = hart.scheduler_stack.load(Relaxed);
    table.forget();
    // SAFETY: the scheduler left its stack to run this process. `from` is in the table, which the lock protects until
    // the scheduler has it.
    unsafe { switch::switch(from, to) };
    // Perhaps another hart than before.
    hart::this().set_interrupts_were_on(interrupts_were_on);
    // SAFETY: the scheduler took the lock and left it to this process.
    unsafe { TABLE.adopt() }
}

/// Adds a process; answers its id.
///
/// # Errors
/// When there are too many; then the process is dropped.
pub fn add(mut process: Box<Process>, parent: u64) -> Result<u64, Error> {
    let mut table = TABLE.lock();
    let Some(slot) = table.slots.iter().position(|slot| matches!(slot.state, State::Free)) else {
        drop(table);
        return Err(Error::NoMemory);
    };
    table.last_id += 1;
    let id = table.last_id;
    process.set_id(id);
    // SAFETY: the slot is free, so its stack is, too.
    let stack = unsafe { switch::prepare(kernel_space::stack(slot).end, begin) };
    KILLED.fetch_and(!(1 << slot), Relaxed);
    table.slots[slot] = Slot { state: State::Ready, id, parent, stack, process: Some(process), killer: 0, harts: ANY };
    table.make_ready(slot);
    Ok(id)
}

/// Where a process's kernel stack begins.
extern "C" fn begin() -> ! {
    // SAFETY: the scheduler took the lock and left it to this process.
    let mut table = unsafe { TABLE.adopt() };
    let process = table.slots[current()].process.take().expect("a new process is in its slot");
    drop(table);
    process.live()
}

/// At the timer's interrupt, lets another process run if there is one that could. Interrupts must be off.
pub fn end_turn() {
    timer::begin_turn();
    let_others_run();
}

/// Lets other processes run, and other harts. Interrupts must be off.
///
/// With `-icount` a hart of QEMU's keeps its turn until some timer fires, so a program that polls would otherwise keep
/// from running what it waits for.
pub fn give_way() {
    csr::pass_turn();
    // Only a hart that is idle must not miss a wake-up.
    forget_wake_up();
    let_others_run();
}

fn let_others_run() {
    if READY.load(Relaxed) > 0 {
        let mut table = TABLE.lock();
        let slot = current();
        table.slots[slot].state = State::Ready;
        table.ready.push(slot);
        drop(leave(table));
    }
}

/// Has the process that runs on this hart go on on that one, and on no other.
///
/// # Errors
/// [`Error::Invalid`] when there is no such hart.
pub fn move_to(hart: usize) -> Result<(), Error> {
    if hart >= stop::harts() {
        return Err(Error::Invalid);
    }
    let mut table = TABLE.lock();
    let slot = current();
    table.slots[slot].harts = 1 << hart;
    if hart::this().id() != hart {
        table.make_ready(slot);
        drop(leave(table));
    }
    Ok(())
}

/// Takes note of a wake-up.
pub fn forget_wake_up() {
    // SAFETY: this interrupt carries no more than "look again".
    unsafe { csr::clear!("sip", interrupt::SUPERVISOR_SOFTWARE) };
}

/// Ends the process that runs on this hart, whose memory is gone already.
pub fn exit(ending: Ending) -> ! {
    let mut table = TABLE.lock();
    let slot = current();
    let Slot { id, parent, .. } = table.slots[slot];
    assert!(id != INIT, "init has ended: {ending:?}");
    let mut orphans_ended = false;
    for child in table.slots.iter_mut().filter(|child| child.parent == id) {
        child.parent = INIT;
        orphans_ended |= matches!(child.state, State::Ended(_));
    }
    table.slots[slot].state = State::Ended(ending);
    for waiter in [Some(parent), orphans_ended.then_some(INIT)].into_iter().flatten() {
        if let Some(waiter) = table.find(waiter) {
            table.wake_if_waiting(waiter);
        }
    }
    drop(leave(table));
    unreachable!("a process that has ended runs again");
}

/// Waits for a child to end; answers its id and how.
///
/// # Errors
/// [`Error::NotFound`] without a child, [`Error::Killed`] when the process itself is to end.
pub fn wait() -> Result<(u64, Ending), Error> {
    let mut table = TABLE.lock();
    let me = current();
    let my_id = table.slots[me].id;
    loop {
        let mut children = false;
        for slot in table.slots.iter_mut().filter(|slot| slot.parent == my_id) {
            match slot.state {
                State::Free => {}
                State::Ended(ending) => {
                    slot.state = State::Free;
                    return Ok((slot.id, ending));
                }
                _ => children = true,
            }
        }
        if !children {
            return Err(Error::NotFound);
        }
        if KILLED.load(Relaxed) & 1 << me != 0 {
            return Err(Error::Killed);
        }
        table.slots[me].state = State::Waiting;
        table = leave(table);
    }
}

/// Has a process end before it next goes back to its program.
///
/// # Errors
/// [`Error::NotFound`] when there is no such process.
pub fn kill(id: u64) -> Result<(), Error> {
    let mut table = TABLE.lock();
    let slot = table.find(id).ok_or(Error::NotFound)?;
    if !matches!(table.slots[slot].state, State::Ended(_)) && KILLED.fetch_or(1 << slot, Relaxed) & 1 << slot == 0 {
        let me = current();
        table.slots[slot].killer = table.slots[me].id;
        table.wake_if_waiting(slot);
    }
    Ok(())
}

/// Why the process that runs on this hart is to end, if it is.
pub fn killed() -> Option<Reason> {
    // Interrupts are off here, so this is one and the same hart.
    let slot = current();
    if KILLED.load(Relaxed) & 1 << slot == 0 {
        return None;
    }
    Some(Reason::By(TABLE.lock().slots[slot].killer))
}
