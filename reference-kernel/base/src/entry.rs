//! The first instructions of every hart, in machine mode, down to supervisor mode.

use core::{
    arch::{asm, naked_asm},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    csr::{self, interrupt, status, wait_for_interrupt},
    hart::{self, MAX_HARTS, STACKS, Stacks},
    machine, platform, stop, timer,
};

/// Harts with a number below this may leave machine mode.
static STARTED: AtomicUsize = AtomicUsize::new(1);

/// Where a hart begins: its number in `a0`, the address of the device tree in `a1`.
///
/// QEMU has cleared what the image says to clear, and starts all harts here at once.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.entry")]
extern "C" fn entry() -> ! {
    naked_asm!(
        "li t0, {max_harts}",
        "bgeu a0, t0, 2f",
        "la sp, {stacks}",
        "li t0, {stacks_size}",
        "mul t0, t0, a0",
        "add sp, sp, t0",
        "li t0, {top}",
        "add sp, sp, t0",
        "li fp, 0", // ends every backtrace
        "call {start}",
        // A hart too many sleeps for ever.
        "2: wfi",
        "j 2b",
        max_harts = const MAX_HARTS,
        stacks = sym STACKS,
        stacks_size = const Stacks::SIZE,
        top = const Stacks::SCHEDULER_TOP,
        start = sym start,
    )
}

/// Sets up what only machine mode can, and goes on in [`start::first`](crate::start::first) or
/// [`crate::start::secondary`].
extern "C" fn start(hart: usize, device_tree: usize) -> ! {
    hart::adopt(hart);
    machine::set_up_traps();
    // SAFETY: nothing relies yet on what these registers set.
    unsafe {
        // Every exception is the supervisor's business but one: a call from supervisor mode, which nobody makes.
        csr::write!("medeleg", 0xb1ff);
        csr::write!(
            "mideleg",
            interrupt::SUPERVISOR_SOFTWARE | interrupt::SUPERVISOR_TIMER | interrupt::SUPERVISOR_EXTERNAL
        );
        // Without a PMP entry supervisor mode could not touch any memory: one for all of it.
        csr::write!("pmpaddr0", usize::MAX >> 10);
        csr::write!("pmpcfg0", 0b0_1111); // top of range, read, write, execute
        // `cycle`, `time` and `instret` for supervisor and user mode.
        csr::write!("mcounteren", 0b111);
        csr::write!("scounteren", 0b111);
        // STCE: supervisor mode has a timer of its own, `stimecmp` (extension Sstc).
        csr::set!("menvcfg", 1 << 63);
        timer::never();
        // Interrupts are enabled one by one, but supervisor mode takes none before it turns them on in `sstatus`.
        csr::write!("sie", interrupt::SUPERVISOR_SOFTWARE | interrupt::SUPERVISOR_TIMER);
        csr::set!("mie", interrupt::MACHINE_SOFTWARE);
    }
    if hart == 0 {
        machine::set_timer(u64::MAX);
        // SAFETY: the timer's interrupt is handled in `machine`.
        unsafe { csr::set!("mie", interrupt::MACHINE_TIMER) };
        enter_supervisor(crate::start::first, device_tree)
    }
    while STARTED.load(Ordering::Acquire) <= hart {
        stop::park_if_asked();
        wait_for_interrupt();
        platform::set_software_interrupt(hart, false);
    }
    enter_supervisor(crate::start::secondary, 0)
}

/// Lets harts below `harts` leave machine mode.
pub fn start_harts(harts: usize) {
    STARTED.store(harts, Ordering::Release);
    for hart in 1..harts {
        platform::set_software_interrupt(hart, true);
    }
}

/// Goes on in supervisor mode, with the same stack and without translation.
fn enter_supervisor(main: extern "C" fn(usize) -> !, argument: usize) -> ! {
    // SAFETY: `main` never returns, so that what this stack holds is not missed.
    unsafe {
        let before = csr::clear!("mstatus", status::MPP);
        debug_assert_eq!(before & status::SIE, 0);
        csr::set!("mstatus", status::MPP_SUPERVISOR);
        csr::write!("satp", 0);
        csr::write!("mepc", main as usize);
        asm!("mret", in("a0") argument, options(noreturn))
    }
}
