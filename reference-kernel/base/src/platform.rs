//! Where QEMU's `virt` machine has its devices (hw/riscv/virt.c, QEMU 7.2).

use core::{
    arch::asm,
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

/// First byte of RAM, and where the kernel is linked.
pub const RAM: usize = 0x8000_0000;

/// Test device (sifive_test): a word written here powers the machine off.
pub const TEST: usize = 0x10_0000;

/// 16550 UART.
pub const UART: usize = 0x1000_0000;

/// CLINT: a word a hart that raises its machine-mode software interrupt.
pub const CLINT_MSIP: usize = 0x200_0000;

/// CLINT: a double word a hart that raises its machine-mode timer interrupt when `time` reaches it.
pub const CLINT_MTIMECMP: usize = 0x200_4000;

/// Raises a hart's machine-mode software interrupt, or takes it back.
pub fn set_software_interrupt(hart: usize, pending: bool) {
    let register = ptr::with_exposed_provenance_mut::<u32>(CLINT_MSIP + 4 * hart);
    // What was written before must be seen by the hart that is interrupted; no fence of Rust's covers devices.
    // SAFETY: a fence changes nothing.
    unsafe { asm!("fence w, o", options(nostack)) };
    // SAFETY: this is the CLINT's register of that hart, mapped in every address space of the kernel.
    unsafe { register.write_volatile(u32::from(pending)) };
}

/// Where RAM ends; known once the device tree was read.
static RAM_END: AtomicUsize = AtomicUsize::new(RAM);

/// Notes where RAM ends.
pub fn set_ram_end(end: usize) {
    RAM_END.store(end, Ordering::Relaxed);
}

/// Where RAM ends.
pub fn ram_end() -> usize {
    RAM_END.load(Ordering::Relaxed)
}

/// Whether there is RAM at a physical address.
pub fn is_ram(address: usize) -> bool {
    (RAM..ram_end()).contains(&address)
}
