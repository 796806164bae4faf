//! Having every hart do something, each with its own data.

use core::{
    cell::UnsafeCell,
    sync::atomic::{
        AtomicBool, AtomicUsize,
        Ordering::{AcqRel, Acquire, Release},
    },
};

use crate::{hart, platform, process, scheduler, spin::InterruptsOff, stop};

type Work<'a> = *const (dyn Fn() + Sync + 'a);

/// What is to be done, while [`WAITED_FOR`] has bits set.
struct Call(UnsafeCell<Option<Work<'static>>>);

// SAFETY: it is written by whoever has `BUSY`, when no bit is set; the bits order that before all reads.
unsafe impl Sync for Call {}

static CALL: Call = Call(UnsafeCell::new(None));

/// Whether some process has the call to itself.
static BUSY: AtomicBool = AtomicBool::new(false);

/// One bit for each hart that has not done it yet.
static WAITED_FOR: AtomicUsize = AtomicUsize::new(0);

/// Runs something on every hart, with interrupts off there, and returns when all have done it.
///
/// The caller is a process that has interrupts on and holds no lock: it may wait, and be moved, until every hart has
/// had its interrupts on or looked for a process to run.
pub fn on_each_hart(work: &(dyn Fn() + Sync)) {
    while BUSY.swap(true, AcqRel) {
        give_way();
    }
    let work: Work<'_> = work;
    // SAFETY: the lifetime is only forgotten, since this function does not return before all harts are done.
    let work = unsafe { core::mem::transmute::<Work<'_>, Work<'static>>(work) };
    // SAFETY: this process has the call to itself, and no bit is set.
    unsafe { *CALL.0.get() = Some(work) };
    WAITED_FOR.store((1 << stop::harts()) - 1, Release);
    {
        let _off = InterruptsOff::new();
        serve();
    }
    loop {
        let left = WAITED_FOR.load(Acquire);
        if left == 0 {
            break;
        }
        // Again and again: a hart that waits for a lock takes a wake-up for one of the lock's.
        for hart in (0..stop::harts()).filter(|hart| left & 1 << hart != 0) {
            platform::set_software_interrupt(hart, true);
        }
        give_way();
    }
    BUSY.store(false, Release);
}

fn give_way() {
    process::without_interrupts(scheduler::give_way);
}

/// Does what this hart was called for, if it was. Interrupts must be off.
pub fn serve() {
    let me = 1 << hart::this().id();
    if WAITED_FOR.load(Acquire) & me == 0 {
        return;
    }
    // SAFETY: it was written before the bit was set, and lives until all bits are gone.
    if let Some(work) = unsafe { *CALL.0.get() } {
        // SAFETY: likewise.
        unsafe { (*work)() };
    }
    WAITED_FOR.fetch_and(!me, AcqRel);
}
