//! The machine as what is under test sees it: the same harts, whose locks count and whose use is watched.

use core::marker::PhantomData;

use base::spin::RiscV;
use mm::sync::{Harts, Machine, Registry};

/// What is under test, as whoever watches it knows it.
pub trait Watch: 'static {
    /// All its locks.
    fn locks() -> &'static Registry;

    /// It asks for a hart's number.
    #[inline(always)]
    fn on_number() {}
}

/// [`RiscV`], watched.
#[derive(Debug)]
pub struct Watched<W>(PhantomData<W>);

// SAFETY: it is the same machine.
unsafe impl<W: Watch> Machine for Watched<W> {
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
        W::on_number();
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
        Some(W::locks())
    }
}

impl<W: Watch> Harts for Watched<W> {
    fn harts() -> usize {
        RiscV::harts()
    }

    fn on_each_hart(work: &(dyn Fn() + Sync)) {
        RiscV::on_each_hart(work);
    }
}
