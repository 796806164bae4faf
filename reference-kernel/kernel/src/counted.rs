//! The machine as a submission's page lists see it: the same harts, whose locks count and whose use is watched.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base::{
    csr::{self, status},
    spin::RiscV,
};
use mm::sync::{Machine, Registry};

/// [`RiscV`], watched.
#[derive(Debug, Clone, Copy)]
pub enum Counted {}

/// Every lock of the lists.
pub static LOCKS: Registry = Registry::new();

/// How often a hart's number was asked for while interrupts were on.
static NUMBERS_IN_DOUBT: AtomicU64 = AtomicU64::new(0);

/// How often a hart's number was asked for while interrupts were on, so that it could be another one's a moment later.
pub fn numbers_in_doubt() -> u64 {
    NUMBERS_IN_DOUBT.load(Relaxed)
}

// SAFETY: it is the same machine.
unsafe impl Machine for Counted {
    type Before = usize;

    #[inline(always)]
    fn disable_interrupts() -> usize {
        RiscV::disable_interrupts()
    }

    #[inline(always)]
    unsafe fn restore_interrupts(before: usize) {
        // SAFETY: the caller's promise.
        unsafe { RiscV::restore_interrupts(before) };
    }

    fn enter() {
        RiscV::enter();
    }

    unsafe fn leave() {
        // SAFETY: the caller's promise.
        unsafe { RiscV::leave() };
    }

    #[inline(always)]
    fn hart() -> usize {
        if csr::read!("sstatus") & status::SIE != 0 {
            NUMBERS_IN_DOUBT.fetch_add(1, Relaxed);
        }
        RiscV::hart()
    }

    fn relax() {
        RiscV::relax();
    }

    fn prepare_to_sleep() {
        RiscV::prepare_to_sleep();
    }

    fn sleep() {
        RiscV::sleep();
    }

    fn wake(harts: usize) {
        RiscV::wake(harts);
    }

    #[inline(always)]
    fn instructions() -> u64 {
        RiscV::instructions()
    }

    #[inline(always)]
    fn registry() -> Option<&'static Registry> {
        Some(&LOCKS)
    }
}
