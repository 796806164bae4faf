//! Guest time, and the interrupt that ends a process's turn.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::csr;

/// Nanoseconds in one tick of `time`, which runs at 10 MHz on QEMU's `virt` machine.
const NANOSECONDS: u64 = 100;

/// The length of a turn, in ticks of `time`; 10 ms unless the boot options say otherwise.
static TURN: AtomicU64 = AtomicU64::new(10_000_000 / NANOSECONDS);

/// Nanoseconds since the machine started.
pub fn now() -> u64 {
    csr::read!("time") as u64 * NANOSECONDS
}

/// A time in nanoseconds as `time` counts it, rounded up.
pub const fn ticks(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(NANOSECONDS)
}

/// Sets the length of a turn.
pub fn set_turn(nanoseconds: u64) {
    TURN.store(ticks(nanoseconds).max(1), Relaxed);
}

/// Has this hart interrupted when a turn is over.
pub fn begin_turn() {
    set(csr::read!("time") as u64 + TURN.load(Relaxed));
}

/// Wishes for no interrupt.
pub fn never() {
    set(u64::MAX);
}

/// Sleeps a while, or until something else happens. Interrupts must be off.
pub fn nap(nanoseconds: u64) {
    set(csr::read!("time") as u64 + ticks(nanoseconds));
    csr::wait_for_interrupt();
}

fn set(at: u64) {
    // stimecmp, by number since not every assembler knows it (extension Sstc).
    // SAFETY: the timer's interrupt is handled wherever interrupts are on.
    unsafe { csr::write!("0x14d", at as usize) };
}
