//! Faults of programs, which end the program, and only that.

use core::{arch::asm, ptr};

use ulib::call;

use crate::{Failure, Test, ensure, in_child};

pub const TESTS: &[Test] = &[
    ("load-from-the-null-page", || ends(|| load(8), "load page fault at address 0x8,")),
    ("store-to-text", || ends(|| store(store as *const () as usize), "store page fault at address 0x1")),
    ("store-to-read-only-data", || ends(|| store(READ_ONLY.as_ptr().addr()), "store page fault at address 0x1")),
    ("execute-the-stack", || ends(execute_stack, "instruction page fault")),
    ("execute-the-heap", || ends(execute_heap, "instruction page fault")),
    ("overflow-the-stack", || ends(|| overflow(1), "store page fault")),
    ("jump-into-the-kernel", || ends(|| jump(KERNEL), "instruction page fault at address 0x80000000, pc 0x80000000")),
    ("load-from-the-kernel", || ends(|| load(KERNEL), "load page fault at address 0x80000000,")),
    ("load-from-a-device", || ends(|| load(0x1000_0000), "load page fault at address 0x10000000,")),
    ("load-from-the-trampoline", || ends(|| load(TRAMPOLINE), "load page fault at address 0x3ffffff000,")),
    ("store-to-the-trap-frame", || ends(|| store(TRAMPOLINE - 0x1000), "store page fault at address 0x3fffffe000,")),
    ("jump-into-the-trampoline", || ends(|| jump(TRAMPOLINE), "instruction page fault at address 0x3ffffff000,")),
    ("load-from-no-address", || ends(|| load(1 << 63), "load page fault at address 0x8000000000000000,")),
    ("an-illegal-instruction", || ends(illegal, "illegal instruction")),
    ("a-privileged-instruction", || ends(privileged, "illegal instruction")),
    ("a-breakpoint", || ends(breakpoint, "breakpoint")),
];

const KERNEL: usize = 0x8000_0000;
const TRAMPOLINE: usize = (1 << 38) - 4096;
static READ_ONLY: [u8; 4] = *b"read";

/// Fails unless a child that does it is killed, with words that begin so, and that name the program counter.
fn ends(fault: fn(), why: &str) -> Result<(), Failure> {
    let ended = in_child(|| {
        fault();
        0
    })?;
    let told = ended.killed().unwrap_or("");
    ensure!(ended.status == -1 && told.starts_with(why) && told.contains(", pc 0x"), "the child {ended}");
    Ok(())
}

fn load(address: usize) {
    // SAFETY: it is not, which must end this process.
    unsafe { ptr::with_exposed_provenance::<u8>(address).read_volatile() };
}

fn store(address: usize) {
    // SAFETY: it is not, which must end this process.
    unsafe { ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
}

fn jump(address: usize) {
    // SAFETY: it is not, which must end this process.
    unsafe { asm!("jr {}", in(reg) address, options(noreturn)) };
}

/// `ret`, twice in its short form.
const RETURN: [u16; 2] = [0x8082; 2];

fn execute_stack() {
    let code = RETURN;
    jump((&raw const code).addr());
}

fn execute_heap() {
    let memory = call::sbrk(4096).expect("there is a page").cast::<[u16; 2]>();
    // SAFETY: the heap has just grown by a page.
    unsafe { memory.write_volatile(RETURN) };
    jump(memory.addr());
}

fn overflow(depth: u64) {
    let mut room = [depth; 64];
    // Looked at from outside, so that neither the array nor the call can be left out.
    if *core::hint::black_box(&mut room[1]) > 0 {
        overflow(room[1] + 1);
    }
    core::hint::black_box(&mut room);
}

fn illegal() {
    // SAFETY: it must end this process.
    unsafe { asm!("unimp") };
}

fn privileged() {
    // SAFETY: it must end this process.
    unsafe { asm!("csrw satp, zero") };
}

fn breakpoint() {
    // SAFETY: it must end this process.
    unsafe { asm!("ebreak") };
}
