//! Traps that arrive while the kernel itself runs: interrupts, and faults that are its end.

use core::{arch::naked_asm, fmt};

use crate::{cross_call, csr, hart::Hart, kernel_space, scheduler};

/// `scause` of a supervisor timer interrupt.
pub const TIMER_INTERRUPT: usize = 1 << 63 | 5;

/// `scause` of a supervisor software interrupt.
pub const SOFTWARE_INTERRUPT: usize = 1 << 63 | 1;

/// `scause` of a system call.
pub const SYSTEM_CALL: usize = 8;

const ILLEGAL_INSTRUCTION: Cause = Cause(2);

/// A value of `scause`, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause(pub usize);

impl Cause {
    /// Whether `stval` holds the address that could not be used.
    pub fn has_address(self) -> bool {
        matches!(self.0, 0 | 1 | 4..=7 | 12 | 13 | 15)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "misaligned instruction address",
            1 => "instruction access fault",
            2 => "illegal instruction",
            3 => "breakpoint",
            4 => "misaligned load",
            5 => "load access fault",
            6 => "misaligned store",
            7 => "store access fault",
            8 | 9 => "environment call",
            12 => "instruction page fault",
            13 => "load page fault",
            15 => "store page fault",
            other => return write!(f, "trap {other:#x}"),
        })
    }
}

/// Lets traps arrive in this file.
pub fn expect_kernel_traps() {
    // SAFETY: the vector handles whatever arrives while the kernel runs.
    unsafe { csr::write!("stvec", vector as *const () as usize) };
}

/// An interrupt is handled on the stack in use. Anything else is the kernel's fault, perhaps even of that stack, and
/// is reported on the hart's emergency stack, as if [`fault`] were called by the instruction at fault.
#[unsafe(naked)]
extern "C" fn vector() {
    naked_asm!(
        ".balign 4",
        "csrw sscratch, t0",
        "csrr t0, scause",
        "bltz t0, 2f",
        "csrr ra, sepc",
        "mv a0, sp",
        "ld sp, {emergency_stack}(tp)",
        "tail {fault}",
        "2: csrr t0, sscratch",
        "addi sp, sp, -144",
        "sd ra, 0(sp)",
        "sd t0, 8(sp)",
        "sd t1, 16(sp)",
        "sd t2, 24(sp)",
        "sd t3, 32(sp)",
        "sd t4, 40(sp)",
        "sd t5, 48(sp)",
        "sd t6, 56(sp)",
        "sd a0, 64(sp)",
        "sd a1, 72(sp)",
        "sd a2, 80(sp)",
        "sd a3, 88(sp)",
        "sd a4, 96(sp)",
        "sd a5, 104(sp)",
        "sd a6, 112(sp)",
        "sd a7, 120(sp)",
        "csrr a0, sepc",
        "csrr a1, sstatus",
        "sd a0, 128(sp)",
        "sd a1, 136(sp)",
        "csrr a0, scause",
        "call {interrupt}",
        "ld a0, 128(sp)",
        "ld a1, 136(sp)",
        // Another process may have run meanwhile, and trapped.
        "csrw sepc, a0",
        "csrw sstatus, a1",
        "ld ra, 0(sp)",
        "ld t0, 8(sp)",
        "ld t1, 16(sp)",
        "ld t2, 24(sp)",
        "ld t3, 32(sp)",
        "ld t4, 40(sp)",
        "ld t5, 48(sp)",
        "ld t6, 56(sp)",
        "ld a0, 64(sp)",
        "ld a1, 72(sp)",
        "ld a2, 80(sp)",
        "ld a3, 88(sp)",
        "ld a4, 96(sp)",
        "ld a5, 104(sp)",
        "ld a6, 112(sp)",
        "ld a7, 120(sp)",
        "addi sp, sp, 144",
        "sret",
        emergency_stack = const Hart::EMERGENCY_STACK,
        fault = sym fault,
        interrupt = sym interrupt,
    )
}

extern "C" fn interrupt(cause: usize) {
    take_interrupt(cause);
}

/// Handles an interrupt, whoever it interrupted; interrupts are off. Answers whether it was one that is known.
pub fn take_interrupt(cause: usize) -> bool {
    match cause {
        TIMER_INTERRUPT => {
            cross_call::serve();
            scheduler::end_turn();
        }
        // A wake-up, and this hart is awake; or a call.
        SOFTWARE_INTERRUPT => {
            scheduler::forget_wake_up();
            cross_call::serve();
        }
        _ => return false,
    }
    true
}

extern "C" fn fault(stack: usize) -> ! {
    let (cause, address, pc) = (Cause(csr::read!("scause")), csr::read!("stval"), csr::read!("sepc"));
    if kernel_space::is_stack_guard(address) {
        panic!("the kernel's stack has overflowed: {cause} at address {address:#x}, pc {pc:#x}")
    }
    if cause == ILLEGAL_INSTRUCTION {
        panic!("{cause} {address:#x} in the kernel, pc {pc:#x}; floating point is off, here and in programs")
    }
    panic!("{cause} in the kernel at address {address:#x}, pc {pc:#x}, stack pointer {stack:#x}")
}
