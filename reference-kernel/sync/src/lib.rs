//! What code that several harts run needs of the machine: its hart's number, interrupts held off, locks.
//!
//! Nothing here touches hardware. The kernel implements [`Machine`] for RISC-V, host tests do for threads, so that
//! what is shared between harts runs on the host and under Miri, too.

#![no_std]

mod counters;
mod lock;

use core::marker::PhantomData;

pub use counters::{Counters, Counts, Registry};
pub use lock::{SpinGuard, SpinLock};

/// The most harts that there can be.
pub const MAX_HARTS: usize = 8;

/// The machine, as far as locks and data of one hart each need to know it.
///
/// # Safety
/// While interrupts are held off, [`hart`](Self::hart) answers the same number again and again, and nothing else runs
/// on a hart of that number.
pub unsafe trait Machine: 'static {
    /// What [`disable_interrupts`](Self::disable_interrupts) found, for the way back.
    type Before: Copy;

    /// Holds interrupts off until [`restore_interrupts`](Self::restore_interrupts).
    fn disable_interrupts() -> Self::Before;

    /// Turns interrupts back on, if they were on before.
    ///
    /// # Safety
    /// What is passed comes from the last call of [`disable_interrupts`](Self::disable_interrupts) on this hart that
    /// was not answered yet: such pairs nest.
    unsafe fn restore_interrupts(before: Self::Before);

    /// Holds interrupts off until [`leave`](Self::leave) was called as often as this. It takes some instructions
    /// more than the pair above, and the calls need not nest.
    fn enter();

    /// Undoes one [`enter`](Self::enter).
    ///
    /// # Safety
    /// There is one on this hart that was not undone yet.
    unsafe fn leave();

    /// The number of the hart that this runs on, below [`MAX_HARTS`].
    ///
    /// Interrupts must be off: with them on, the process may be on another hart by the time it looks at the answer.
    fn hart() -> usize;

    /// Waits a moment between two looks at a lock.
    fn relax();

    /// Has every [`wake`](Self::wake) of this hart from here on end its next [`sleep`](Self::sleep).
    fn prepare_to_sleep();

    /// Sleeps until this hart is woken, perhaps for another reason than the caller's. Interrupts are off.
    fn sleep();

    /// Wakes the harts whose bits are set, and lets them run first where harts take turns.
    fn wake(harts: usize);

    /// Guest instructions so far; only differences mean anything.
    fn instructions() -> u64;

    /// Where locks report how they are used; without one they do not count, and are quicker for it.
    fn registry() -> Option<&'static Registry>;

    /// Whether there is a registry. Locks ask this all the time: to a reference to one, Miri gives a look at every
    /// counter in it.
    #[inline(always)]
    fn counts() -> bool {
        Self::registry().is_some()
    }
}

/// What data of each hart ask of the machine, beside what locks do.
pub trait Harts: Machine {
    /// The number of harts that run, numbered from zero.
    fn harts() -> usize;

    /// Runs something on every hart, with its interrupts off, and waits until all have done it.
    ///
    /// The caller has its own interrupts on, and holds no lock.
    fn on_each_hart(work: &(dyn Fn() + Sync));
}

/// The hart that this runs on, for as long as interrupts are off.
#[derive(Debug)]
pub struct Here<'a, M: Machine> {
    hart: usize,
    // Neither for another hart nor for later.
    while_off: PhantomData<(&'a (), *const M)>,
}

impl<M: Machine> Here<'_, M> {
    /// The hart's number, below [`MAX_HARTS`].
    #[inline(always)]
    pub fn hart(&self) -> usize {
        self.hart
    }
}

/// Runs a short piece of code with interrupts off, on one and the same hart.
///
/// The cheapest way to use data of one hart: three instructions in the kernel, and what it takes to learn which hart.
#[inline(always)]
pub fn on_this_hart<M: Machine, R>(short: impl FnOnce(&Here<'_, M>) -> R) -> R {
    struct Restore<M: Machine>(M::Before);

    impl<M: Machine> Drop for Restore<M> {
        #[inline(always)]
        fn drop(&mut self) {
            // SAFETY: whatever `short` disabled it has restored by now, since nobody else can make one of these.
            unsafe { M::restore_interrupts(self.0) };
        }
    }

    let _restore = Restore::<M>(M::disable_interrupts());
    short(&Here { hart: M::hart(), while_off: PhantomData })
}

/// As [`on_this_hart`], where the hart's number is all that is needed.
#[inline(always)]
pub fn without_interrupts<M: Machine, R>(short: impl FnOnce(usize) -> R) -> R {
    on_this_hart::<M, R>(|here| short(here.hart()))
}

/// Keeps interrupts off on this hart for as long as it lives; nests, in any order.
#[derive(Debug)]
pub struct InterruptsOff<M: Machine>(
    // It belongs to the hart that made it.
    PhantomData<*const M>,
);

impl<M: Machine> InterruptsOff<M> {
    /// Turns interrupts off.
    #[expect(clippy::new_without_default, reason = "what it does is no default")]
    pub fn new() -> Self {
        M::enter();
        Self(PhantomData)
    }

    /// One that was forgotten on the other side of a switch, and still counts.
    ///
    /// # Safety
    /// There is one on this hart that was forgotten, and not adopted yet.
    pub unsafe fn adopt() -> Self {
        Self(PhantomData)
    }
}

impl<M: Machine> Drop for InterruptsOff<M> {
    fn drop(&mut self) {
        // SAFETY: `new` has entered, or whoever adopted this says so.
        unsafe { M::leave() };
    }
}
