//! What belongs to one hart: its number, its stacks, and what it is doing.

use core::{
    arch::asm,
    cell::UnsafeCell,
    mem::{MaybeUninit, offset_of},
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use abi::page::PAGE_SIZE;

use crate::csr::{self, status};

/// The most harts that the kernel runs on.
pub use sync::MAX_HARTS;

/// One hart. Only that hart changes its own fields, which are atomic to say so without `unsafe`.
#[derive(Debug)]
#[repr(C)]
pub struct Hart {
    /// Top of the stack that kernel faults are reported on, since the stack in use may be what caused the fault.
    pub emergency_stack: AtomicUsize,
    /// Top of the stack of machine mode.
    pub machine_stack: AtomicUsize,
    /// Where the entry to machine mode puts the stack pointer that it found.
    pub interrupted_sp: AtomicUsize,
    /// The number of the hart.
    id: AtomicUsize,
    /// How many `InterruptsOff` there are.
    depth: AtomicUsize,
    /// Whether interrupts were on before the first of them: 1 or 0.
    enabled: AtomicUsize,
    /// Where the scheduler left its stack to run a process.
    pub scheduler_stack: AtomicUsize,
    /// The slot of the process that runs here, plus one; zero for none.
    pub running: AtomicUsize,
    /// The version of the program's address space that this hart may have translations of.
    pub translations_of: AtomicUsize,
    /// Which address space the program that runs at this moment has; zero while the kernel runs.
    pub in_program_of: AtomicUsize,
}

impl Hart {
    /// Offset of the emergency stack's top, for assembly.
    pub const EMERGENCY_STACK: usize = offset_of!(Self, emergency_stack);
    /// Offset of the machine stack's top, for assembly.
    pub const MACHINE_STACK: usize = offset_of!(Self, machine_stack);
    /// Offset of the field of that name, for assembly.
    pub const INTERRUPTED_SP: usize = offset_of!(Self, interrupted_sp);

    /// The hart's number, below [`MAX_HARTS`].
    pub fn id(&self) -> usize {
        self.id.load(Relaxed)
    }

    /// How many [`InterruptsOff`](crate::spin::InterruptsOff) there are.
    pub fn interrupts_off_depth(&self) -> usize {
        self.depth.load(Relaxed)
    }

    /// Whether interrupts come back on when the last [`InterruptsOff`](crate::spin::InterruptsOff) goes; a process
    /// takes it along to whichever hart it runs on next.
    pub fn interrupts_were_on(&self) -> usize {
        self.enabled.load(Relaxed)
    }

    /// Sets what [`interrupts_were_on`](Self::interrupts_were_on) says.
    pub fn set_interrupts_were_on(&self, enabled: usize) {
        self.enabled.store(enabled, Relaxed);
    }
}

static HARTS: [Hart; MAX_HARTS] = [const {
    Hart {
        emergency_stack: AtomicUsize::new(0),
        machine_stack: AtomicUsize::new(0),
        interrupted_sp: AtomicUsize::new(0),
        id: AtomicUsize::new(0),
        depth: AtomicUsize::new(0),
        enabled: AtomicUsize::new(0),
        scheduler_stack: AtomicUsize::new(0),
        running: AtomicUsize::new(0),
        translations_of: AtomicUsize::new(0),
        in_program_of: AtomicUsize::new(0),
    }
}; MAX_HARTS];

/// Every hart that there can be, by number.
pub fn all() -> &'static [Hart; MAX_HARTS] {
    &HARTS
}

/// The stacks of one hart, each above a page that nothing is mapped to.
#[repr(C, align(4096))]
pub struct Stacks {
    guard: [u8; PAGE_SIZE as usize],
    scheduler: [u8; 4 * PAGE_SIZE as usize],
    emergency_guard: [u8; PAGE_SIZE as usize],
    emergency: [u8; 4 * PAGE_SIZE as usize],
    // Machine mode knows no mappings, so no guard would stop it.
    machine: [u8; 4 * PAGE_SIZE as usize],
}

impl Stacks {
    /// Bytes from one hart's stacks to the next one's.
    pub const SIZE: usize = size_of::<Self>();
    /// Offset of the top of the stack that a hart boots and schedules on.
    pub const SCHEDULER_TOP: usize = offset_of!(Self, emergency_guard);
}

/// The stacks of all harts.
#[repr(transparent)]
pub struct AllStacks(UnsafeCell<MaybeUninit<[Stacks; MAX_HARTS]>>);

// SAFETY: nothing in Rust reads or writes the stacks by that name; each is one hart's own.
unsafe impl Sync for AllStacks {}

/// Not cleared at boot: a stack needs no content.
#[unsafe(link_section = ".stacks")]
pub static STACKS: AllStacks = AllStacks(UnsafeCell::new(MaybeUninit::uninit()));

/// The pages under the stacks, which must not be mapped.
pub fn stack_guards() -> impl Iterator<Item = Range<usize>> {
    (0..MAX_HARTS).flat_map(|hart| {
        let stacks = STACKS.0.get() as usize + hart * Stacks::SIZE;
        [offset_of!(Stacks, guard), offset_of!(Stacks, emergency_guard)]
            .map(|offset| stacks + offset..stacks + offset + PAGE_SIZE as usize)
    })
}

/// Makes `hart` the one that [`this`] answers on the hart that calls.
pub fn adopt(hart: usize) {
    let stacks = STACKS.0.get() as usize + hart * Stacks::SIZE;
    let this = &HARTS[hart];
    this.id.store(hart, Relaxed);
    this.emergency_stack.store(stacks + offset_of!(Stacks, machine), Relaxed);
    this.machine_stack.store(stacks + Stacks::SIZE, Relaxed);
    // SAFETY: compiled code leaves `tp` alone, as there is no thread-local storage.
    unsafe { asm!("mv tp, {}", in(reg) this, options(nostack)) };
}

/// The hart that this runs on. A process that can be preempted may be on another one a moment later.
pub fn this() -> &'static Hart {
    let hart: *const Hart;
    // Not `pure`: after a switch the same code runs on another hart.
    // SAFETY: `tp` always holds what `adopt` put there while the kernel runs, see `trampoline` and `machine`.
    unsafe {
        asm!("mv {}, tp", out(reg) hart, options(nostack, nomem));
        &*hart
    }
}

/// The number of the hart that this runs on. Interrupts must be off.
#[inline(always)]
pub fn number() -> usize {
    let number;
    // SAFETY: as in `this`. The number of a hart never changes once it runs, but the hart may, after a switch.
    unsafe { asm!("ld {}, {}(tp)", out(reg) number, const offset_of!(Hart, id), options(nostack, readonly)) };
    number
}

/// Turns interrupts of supervisor mode off on this hart, until [`leave_uninterrupted`] was called as often as this.
pub fn enter_uninterrupted() {
    // SAFETY: taking no interrupts breaks nobody's assumptions.
    let before = unsafe { csr::clear!("sstatus", status::SIE) };
    let hart = this();
    let depth = hart.depth.load(Relaxed);
    if depth == 0 {
        hart.enabled.store(usize::from(before & status::SIE != 0), Relaxed);
    }
    hart.depth.store(depth + 1, Relaxed);
}

/// Undoes one [`enter_uninterrupted`].
///
/// # Safety
/// There is one on this hart that was not undone yet.
pub unsafe fn leave_uninterrupted() {
    let hart = this();
    let depth = hart.depth.load(Relaxed) - 1;
    hart.depth.store(depth, Relaxed);
    if depth == 0 && hart.enabled.load(Relaxed) != 0 {
        // SAFETY: they were on before the first of these, and this undoes the last one.
        unsafe { csr::set!("sstatus", status::SIE) };
    }
}
