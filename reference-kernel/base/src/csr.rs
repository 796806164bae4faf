//! Control and status registers, by the names of the RISC-V Privileged Architecture.
//!
//! Reading one has no effect on memory, but reading a counter must stay where it is written, so no access is
//! declared free of side effects.

/// Reads a register.
#[macro_export]
#[doc(hidden)]
macro_rules! csr_read {
    ($name:literal) => {{
        let value: usize;
        // SAFETY: reading this register changes nothing.
        unsafe { core::arch::asm!(concat!("csrr {}, ", $name), out(reg) value, options(nostack)) };
        value
    }};
}

/// Writes a register; for use in an unsafe block, since this can change what every other access means.
#[macro_export]
#[doc(hidden)]
macro_rules! csr_write {
    ($name:literal, $value:expr) => {{
        let value: usize = $value;
        core::arch::asm!(concat!("csrw ", $name, ", {}"), in(reg) value, options(nostack))
    }};
}

/// Sets bits of a register, likewise.
#[macro_export]
#[doc(hidden)]
macro_rules! csr_set {
    ($name:literal, $bits:expr) => {{
        let bits: usize = $bits;
        core::arch::asm!(concat!("csrs ", $name, ", {}"), in(reg) bits, options(nostack))
    }};
}

/// Clears bits of a register, likewise, and gives back what the whole register held before.
#[macro_export]
#[doc(hidden)]
macro_rules! csr_clear {
    ($name:literal, $bits:expr) => {{
        let bits: usize = $bits;
        let before: usize;
        core::arch::asm!(concat!("csrrc {}, ", $name, ", {}"), out(reg) before, in(reg) bits, options(nostack));
        before
    }};
}

pub use {csr_clear as clear, csr_read as read, csr_set as set, csr_write as write};

/// Supervisor and machine interrupts, as bits of `sie`, `sip`, `mie` and `mip`.
pub mod interrupt {
    /// Software interrupt of supervisor mode.
    pub const SUPERVISOR_SOFTWARE: usize = 1 << 1;
    /// Software interrupt of machine mode.
    pub const MACHINE_SOFTWARE: usize = 1 << 3;
    /// Timer interrupt of supervisor mode.
    pub const SUPERVISOR_TIMER: usize = 1 << 5;
    /// Timer interrupt of machine mode.
    pub const MACHINE_TIMER: usize = 1 << 7;
    /// External interrupt of supervisor mode.
    pub const SUPERVISOR_EXTERNAL: usize = 1 << 9;
}

/// Fields of `sstatus`, which are also fields of `mstatus`.
pub mod status {
    /// Interrupts of supervisor mode are taken.
    pub const SIE: usize = 1 << 1;
    /// They will be after `sret`.
    pub const SPIE: usize = 1 << 5;
    /// `sret` goes to supervisor mode, not to user mode.
    pub const SPP: usize = 1 << 8;
    /// The lower bit of `mstatus.MPP`: the trap came from supervisor mode, or `mret` goes there.
    pub const MPP_SUPERVISOR: usize = 1 << 11;
    /// Both bits of `mstatus.MPP`.
    pub const MPP: usize = 3 << 11;
}

/// Sleeps until an interrupt is pending that is enabled in `sie`, or in `mie` for machine mode, even if none is taken.
pub fn wait_for_interrupt() {
    // SAFETY: `wfi` changes nothing, and an interrupt that it is woken by is handled like any other.
    unsafe { core::arch::asm!("wfi", options(nostack)) };
}

/// Offers the other harts a chance to run, where QEMU's harts take turns (`-icount`). Interrupts must be off.
///
/// A `wfi` ends the turn even if it does not sleep, as here, where an interrupt is pending: the one that says no more
/// than "look again". It stays pending, since another hart may have raised it, too, for a hart that is about to sleep.
pub fn pass_turn() {
    // SAFETY: see above.
    unsafe { set!("sip", interrupt::SUPERVISOR_SOFTWARE) };
    wait_for_interrupt();
}

/// Makes what was written to page tables visible to this hart's translations.
pub fn flush_translations() {
    // SAFETY: forgetting cached translations is always sound.
    unsafe { core::arch::asm!("sfence.vma", options(nostack)) };
}
