//! The object caches of the kernel: those that its own heap is made of, and those that test programs drive.

use abi::page::Pool;
use base::{cross_call, spin::RiscV, stop};
use mm::{
    slab::{Harts, Lab},
    sync::{Machine, Registry},
};

use crate::object_pages::PoolPages;

/// Those of the kernel's heap.
pub static HEAP: Lab<RiscV, PoolPages> = Lab::new(PoolPages::new(Pool::Kernel));

/// Those of test programs.
pub static TESTED: Lab<Tested, PoolPages> = Lab::new(PoolPages::new(Pool::Arena));

/// Every lock of the caches that test programs drive.
pub static LOCKS: Registry = Registry::new();

/// The same machine, whose locks count.
#[derive(Debug, Clone, Copy)]
pub enum Tested {}

// SAFETY: it is the same machine.
unsafe impl Machine for Tested {
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

    fn instructions() -> u64 {
        RiscV::instructions()
    }

    #[inline(always)]
    fn registry() -> Option<&'static Registry> {
        Some(&LOCKS)
    }
}

impl Harts for Tested {
    fn harts() -> usize {
        stop::harts()
    }

    fn on_each_hart(work: &(dyn Fn() + Sync)) {
        cross_call::on_each_hart(work);
    }
}
