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

/// How a process ended, or a thread.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// It called `exit`.
    Exited(i64),
    /// The thread alone ended, with this status.
    ThreadExited(usize),
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
    Waiting(For),
    /// And its parent has not asked yet.
    Ended(Ending),
}

/// What a process waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// A child to end.
    Child,
    /// A thread of its own process to end.
    Thread,
    /// A wake-up for its [`Futex`].
    Futex,
    /// What [`wake_sleepers`] names.
    Sleepers(usize),
}

/// A word that threads wait at: which memory, and the address in it.
pub type Futex = (usize, usize);

/// Whose a new process is.
#[derive(Debug, Clone, Copy)]
pub enum Family {
    /// A process, and a child of that one.
    ChildOf(u64),
    /// A thread of that process.
    ThreadOf(u64),
}

#[derive(Debug)]
struct Slot {
    state: State,
    id: u64,
    /// The id of its process: its own, but for threads after the first.
    group: u64,
    /// The process that waits for it; zero for threads after the first.
    parent: u64,
    /// Where its kernel stack was left.
    stack: usize,
    /// What it will be once it runs for the first time; from then on it is on its own kernel stack.
    process: Option<Box<Process>>,
    /// The only harts that it may run on, one bit each.
    harts: usize,
    /// How it is to end.
    ending: Option<Ending>,
    /// What it waits at, or is about to; nothing once it was woken.
    futex: Option<Futex>,
}

impl Slot {
    const EMPTY: Self = Self {
        state: State::Free,
        id: 0,
        group: 0,
        parent: 0,
        stack: 0,
        process: None,
        harts: ANY,
        ending: None,
        futex: None,
    };

    fn is_first_thread(&self) -> bool {
        self.id == self.group
    }
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
    Table { slots: [const { Slot::EMPTY }; SLOTS], last_id: 0, ready: Queue { slots: [0; SLOTS], first: 0 }, idle: 0 },
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

    /// Wakes every thread of a process that waits for that.
    fn wake_those_of(&mut self, group: u64, wait: For) {
        for slot in 0..SLOTS {
            let Slot { state, group: other, .. } = &self.slots[slot];
            if *other == group && matches!(state, State::Waiting(other) if *other == wait) {
                self.make_ready(slot);
            }
        }
    }

    /// Has a thread end in that way before it next goes back to its program, unless it is to end already.
    fn tell_to_end(&mut self, slot: usize, ending: Ending) {
        if !matches!(self.slots[slot].state, State::Free | State::Ended(_))
            && KILLED.fetch_or(1 << slot, Relaxed) & 1 << slot == 0
        {
            self.slots[slot].ending = Some(ending);
            // Who sleeps until something is free gets it, and ends then.
            if matches!(self.slots[slot].state, State::Waiting(For::Child | For::Thread | For::Futex)) {
                self.make_ready(slot);
            }
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
pub fn add(mut process: Box<Process>, family: Family) -> Result<u64, Error> {
    let mut table = TABLE.lock();
    let Some(slot) = table.slots.iter().position(|slot| matches!(slot.state, State::Free)) else {
        drop(table);
        return Err(Error::NoMemory);
    };
    table.last_id += 1;
    let id = table.last_id;
    let (group, parent) = match family {
        Family::ChildOf(parent) => (id, parent),
        Family::ThreadOf(group) => (group, 0),
    };
    process.set_ids(id, group);
    // SAFETY: the slot is free, so its stack is, too.
    let stack = unsafe { switch::prepare(kernel_space::stack(slot).end, begin) };
    KILLED.fetch_and(!(1 << slot), Relaxed);
    table.slots[slot] = Slot { id, group, parent, stack, process: Some(process), ..Slot::EMPTY };
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

/// Ends the thread that runs on this hart, whose memory is gone already: with it the process, unless it is a thread
/// that ends alone. The first thread ends last.
pub fn exit(ending: Ending) -> ! {
    let mut table = TABLE.lock();
    let slot = current();
    let Slot { id, group, parent, .. } = table.slots[slot];
    assert!(group != INIT, "init has ended: {ending:?}");
    if id != group {
        if !matches!(ending, Ending::ThreadExited(_))
            && let Some(first) = table.find(group)
        {
            table.tell_to_end(first, ending);
        }
        table.slots[slot].state = State::Ended(ending);
        table.wake_those_of(group, For::Thread);
        drop(leave(table));
        unreachable!("a thread that has ended runs again");
    }
    loop {
        let mut others_run = false;
        for other in (0..SLOTS).filter(|&other| other != slot) {
            match table.slots[other].state {
                State::Free => {}
                _ if table.slots[other].group != group => {}
                State::Ended(_) => table.slots[other].state = State::Free,
                _ => {
                    table.tell_to_end(other, ending);
                    others_run = true;
                }
            }
        }
        if !others_run {
            break;
        }
        table.slots[slot].state = State::Waiting(For::Thread);
        table = leave(table);
    }
    let mut orphans_ended = false;
    for child in table.slots.iter_mut().filter(|child| child.parent == id) {
        child.parent = INIT;
        orphans_ended |= matches!(child.state, State::Ended(_));
    }
    table.slots[slot].state = State::Ended(ending);
    table.wake_those_of(parent, For::Child);
    if orphans_ended {
        table.wake_those_of(INIT, For::Child);
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
    let group = table.slots[me].group;
    loop {
        let mut children = false;
        for slot in table.slots.iter_mut().filter(|slot| slot.parent == group) {
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
        table = wait_for(table, For::Child)?;
    }
}

/// Waits for a thread of the same process to end; answers its status.
///
/// # Errors
/// [`Error::NotFound`] when there is none of that id, or it is the first one; [`Error::Killed`] when the process is to
/// end.
pub fn join(id: u64) -> Result<usize, Error> {
    let mut table = TABLE.lock();
    let me = current();
    let group = table.slots[me].group;
    loop {
        let slot = table.find(id).ok_or(Error::NotFound)?;
        let thread = &mut table.slots[slot];
        if slot == me || thread.group != group || thread.is_first_thread() {
            return Err(Error::NotFound);
        }
        if let State::Ended(ending) = thread.state {
            thread.state = State::Free;
            return match ending {
                Ending::ThreadExited(status) => Ok(status & (usize::MAX >> 2)),
                Ending::Exited(_) | Ending::Killed(_) => Err(Error::Killed),
            };
        }
        table = wait_for(table, For::Thread)?;
    }
}

/// Waits, unless this process is to end.
fn wait_for(mut table: SpinGuard<'_, Table>, wait: For) -> Result<SpinGuard<'_, Table>, Error> {
    let me = current();
    if KILLED.load(Relaxed) & 1 << me != 0 {
        return Err(Error::Killed);
    }
    table.slots[me].state = State::Waiting(wait);
    Ok(leave(table))
}

/// Waits until something is so, which is looked at now and after each [`wake_sleepers`] for the channel.
pub fn sleep_until(channel: usize, mut is_so: impl FnMut() -> bool) {
    let mut table = TABLE.lock();
    while !is_so() {
        let me = current();
        table.slots[me].state = State::Waiting(For::Sleepers(channel));
        table = leave(table);
    }
}

/// Has everybody look again who waits for the channel.
pub fn wake_sleepers(channel: usize) {
    let mut table = TABLE.lock();
    for slot in 0..SLOTS {
        if matches!(table.slots[slot].state, State::Waiting(For::Sleepers(other)) if other == channel) {
            table.make_ready(slot);
        }
    }
}

/// From here on, wake-ups for the futex are for this thread too.
pub fn futex_prepare(futex: Futex) {
    let mut table = TABLE.lock();
    let me = current();
    table.slots[me].futex = Some(futex);
}

/// Undoes [`futex_prepare`].
pub fn futex_give_up() {
    let mut table = TABLE.lock();
    let me = current();
    table.slots[me].futex = None;
}

/// Sleeps until the futex's wake-up, if it has not come yet, or until the process is to end.
pub fn futex_sleep() {
    let mut table = TABLE.lock();
    let me = current();
    while table.slots[me].futex.is_some() {
        match wait_for(table, For::Futex) {
            Ok(again) => table = again,
            Err(_) => return futex_give_up(),
        }
    }
}

/// Wakes up to `most` threads that wait for the futex; answers how many.
pub fn futex_wake(futex: Futex, most: usize) -> usize {
    let mut table = TABLE.lock();
    let mut woken = 0;
    for slot in 0..SLOTS {
        if woken < most && table.slots[slot].futex == Some(futex) {
            table.slots[slot].futex = None;
            woken += 1;
            if matches!(table.slots[slot].state, State::Waiting(For::Futex)) {
                table.make_ready(slot);
            }
        }
    }
    woken
}

/// Has a process end before it next goes back to its program.
///
/// # Errors
/// [`Error::NotFound`] when there is no such process.
pub fn kill(id: u64) -> Result<(), Error> {
    let mut table = TABLE.lock();
    let slot = table.find(id).ok_or(Error::NotFound)?;
    let first = table.find(table.slots[slot].group).ok_or(Error::NotFound)?;
    let killer = table.slots[current()].group;
    table.tell_to_end(first, Ending::Killed(Reason::By(killer)));
    Ok(())
}

/// How the process that runs on this hart is to end, if it is.
pub fn told_to_end() -> Option<Ending> {
    // Interrupts are off here, so this is one and the same hart.
    let slot = current();
    if KILLED.load(Relaxed) & 1 << slot == 0 {
        return None;
    }
    TABLE.lock().slots[slot].ending
}
