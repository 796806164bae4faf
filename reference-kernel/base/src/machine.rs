//! Machine mode after boot: what must work whatever supervisor mode does, even with its interrupts off.
//!
//! Two interrupts arrive here. Hart 0's timer is the [`deadline`]. A software interrupt comes from
//! another hart, and either stops this one for good or is passed on to supervisor mode as a wake-up.

use core::{arch::naked_asm, ptr};

use crate::{
    csr::{self, interrupt, status},
    deadline,
    hart::{self, Hart},
    platform, power, stop,
};

/// What machine mode interrupted.
#[derive(Debug, Clone, Copy)]
pub struct Interrupted {
    /// The instruction that comes next.
    pub pc: usize,
    /// The frame pointer.
    pub frame: usize,
    /// The page table that both were meant for, in the form of `satp`.
    pub satp: usize,
    /// Whether it was a program and not the kernel.
    pub user: bool,
}

/// Lets traps to machine mode arrive in this file.
pub fn set_up_traps() {
    let hart: *const Hart = hart::this();
    // SAFETY: the vector expects the hart's data in `mscratch`.
    unsafe {
        csr::write!("mscratch", hart.expose_provenance());
        csr::write!("mtvec", vector as *const () as usize);
    }
}

/// Sets when hart 0's timer interrupts it, in ticks of `time`.
pub fn set_timer(ticks: u64) {
    let register = ptr::with_exposed_provenance_mut::<u64>(platform::CLINT_MTIMECMP);
    // SAFETY: this is the CLINT's register; there is no translation in machine mode and while the kernel boots.
    unsafe { register.write_volatile(ticks) };
}

#[unsafe(naked)]
unsafe extern "C" fn vector() {
    naked_asm!(
        ".balign 4",
        // `tp` and `sp` may be a program's. This hart's own `tp` is in `mscratch`; `sp` waits there meanwhile.
        "csrrw tp, mscratch, tp",
        "sd sp, {interrupted_sp}(tp)",
        "ld sp, {machine_stack}(tp)",
        "addi sp, sp, -{size}",
        "sd ra, 0(sp)",
        "sd gp, 16(sp)",
        "sd t0, 32(sp)",
        "sd t1, 40(sp)",
        "sd t2, 48(sp)",
        "sd t3, 56(sp)",
        "sd t4, 64(sp)",
        "sd t5, 72(sp)",
        "sd t6, 80(sp)",
        "sd s0, 88(sp)",
        "sd a0, 96(sp)",
        "sd a1, 104(sp)",
        "sd a2, 112(sp)",
        "sd a3, 120(sp)",
        "sd a4, 128(sp)",
        "sd a5, 136(sp)",
        "sd a6, 144(sp)",
        "sd a7, 152(sp)",
        "ld t0, {interrupted_sp}(tp)",
        "sd t0, 8(sp)",
        "csrrw t0, mscratch, tp",
        "sd t0, 24(sp)",
        "mv a0, s0",
        "call {trap}",
        "ld ra, 0(sp)",
        "ld gp, 16(sp)",
        "ld t0, 32(sp)",
        "ld t1, 40(sp)",
        "ld t2, 48(sp)",
        "ld t3, 56(sp)",
        "ld t4, 64(sp)",
        "ld t5, 72(sp)",
        "ld t6, 80(sp)",
        "ld a0, 96(sp)",
        "ld a1, 104(sp)",
        "ld a2, 112(sp)",
        "ld a3, 120(sp)",
        "ld a4, 128(sp)",
        "ld a5, 136(sp)",
        "ld a6, 144(sp)",
        "ld a7, 152(sp)",
        "ld tp, 24(sp)",
        "ld sp, 8(sp)",
        "mret",
        interrupted_sp = const Hart::INTERRUPTED_SP,
        machine_stack = const Hart::MACHINE_STACK,
        size = const FRAME,
        trap = sym trap,
    )
}

/// Bytes that [`vector`] saves: what compiled code may change; it keeps the other registers itself.
const FRAME: usize = 20 * 8;

extern "C" fn trap(frame: usize) {
    let from = csr::read!("mstatus") & status::MPP;
    let interrupted = Interrupted {
        pc: csr::read!("mepc"),
        frame,
        satp: if from == status::MPP { 0 } else { csr::read!("satp") },
        user: from == 0,
    };
    match csr::read!("mcause") {
        SOFTWARE_INTERRUPT => {
            platform::set_software_interrupt(hart::this().id(), false);
            stop::park_if_asked_at(interrupted);
            // SAFETY: to supervisor mode this says no more than "look again".
            unsafe { csr::set!("mip", interrupt::SUPERVISOR_SOFTWARE) };
        }
        TIMER_INTERRUPT => deadline::reached(interrupted),
        // Machine mode itself has failed, or supervisor mode called it: there is nobody left to report to.
        _ => power::off(power::PANIC),
    }
}

const SOFTWARE_INTERRUPT: usize = 1 << 63 | 3;
const TIMER_INTERRUPT: usize = 1 << 63 | 7;
