//! Locks for short critical sections: `sync`'s, on RISC-V.

use core::{arch::asm, hint};

use sync::{Harts, Machine, Registry};

use crate::{
    cross_call,
    csr::{self, interrupt, status},
    hart, platform, stop,
};

/// A lock of the kernel's.
pub type SpinLock<T> = sync::SpinLock<T, RiscV>;

/// One that is held.
pub type SpinGuard<'a, T> = sync::SpinGuard<'a, T, RiscV>;

/// Keeps interrupts of supervisor mode off on this hart for as long as it lives; nests.
pub type InterruptsOff = sync::InterruptsOff<RiscV>;

/// The kernel's locks, if they count.
pub static LOCKS: Registry = Registry::new();

/// The harts of this machine, in supervisor mode.
#[derive(Debug, Clone, Copy)]
pub enum RiscV {}

// SAFETY: with supervisor interrupts off nothing takes a process from its hart, and `tp` leads to that hart alone.
unsafe impl Machine for RiscV {
    type Before = usize;

    #[inline(always)]
    fn disable_interrupts() -> usize {
        let before;
        // By immediate, since every lock and every object that is allocated comes through here.
        // SAFETY: taking no interrupts breaks nobody's assumptions.
        unsafe { asm!("csrrci {}, sstatus, {}", out(reg) before, const status::SIE, options(nostack)) };
        before
    }

    #[inline(always)]
    unsafe fn restore_interrupts(before: usize) {
        // SAFETY: they were on before, and whoever turned them off says that they may be again.
        unsafe { csr::set!("sstatus", before & status::SIE) };
    }

    fn enter() {
        hart::enter_uninterrupted();
    }

    unsafe fn leave() {
        // SAFETY: the caller says that there was an `enter`.
        unsafe { hart::leave_uninterrupted() };
    }

    #[inline(always)]
    fn hart() -> usize {
        hart::number()
    }

    fn relax() {
        hint::spin_loop();
    }

    fn prepare_to_sleep() {
        // Nobody else's wake-up can be lost: the scheduler only wakes harts that are idle, and those are not here.
        // SAFETY: this interrupt carries no more than "look again".
        unsafe { csr::clear!("sip", interrupt::SUPERVISOR_SOFTWARE) };
    }

    fn sleep() {
        csr::wait_for_interrupt();
    }

    fn wake(harts: usize) {
        let mut sleepers = harts;
        while sleepers != 0 {
            platform::set_software_interrupt(sleepers.trailing_zeros() as usize, true);
            sleepers &= sleepers - 1;
        }
        // Else this hart could take the lock again and again before they are awake.
        csr::pass_turn();
    }

    #[inline(always)]
    fn instructions() -> u64 {
        csr::read!("instret") as u64
    }

    #[inline(always)]
    fn registry() -> Option<&'static Registry> {
        if cfg!(feature = "count-locks") { Some(&LOCKS) } else { None }
    }
}

impl Harts for RiscV {
    fn harts() -> usize {
        stop::harts()
    }

    fn on_each_hart(work: &(dyn Fn() + Sync)) {
        cross_call::on_each_hart(work);
    }
}
