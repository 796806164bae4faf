//! The kernel's own address space, the same on all harts: memory and devices at their own addresses, and the stacks
//! of processes at the top.

use core::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    csr, hart,
    memory_map::MemoryMap,
    pages::Page,
    platform,
    scheduler::SLOTS,
    sv39::{self, Flags, PAGE, PageTable},
    trampoline,
};

/// Bytes of a process's kernel stack.
pub const STACK: usize = 4 * PAGE;

/// The address space identifier of the kernel.
const IDENTIFIER: u16 = 0;

/// The value of `satp` that the kernel runs with.
static SATP: AtomicUsize = AtomicUsize::new(0);

/// Where a slot's kernel stack lies, with a page to either side that is never mapped.
pub fn stack(slot: usize) -> Range<usize> {
    let top = trampoline::FRAME - PAGE - slot * (STACK + PAGE);
    top - STACK..top
}

fn symbols() -> [usize; 4] {
    unsafe extern "C" {
        static trampoline_start: u8;
        static text_end: u8;
        static rodata_end: u8;
        static kernel_end: u8;
    }
    // Only their addresses mean something; the linker script places them.
    [&raw const trampoline_start, &raw const text_end, &raw const rodata_end, &raw const kernel_end]
        .map(|symbol| symbol.addr())
}

/// Whether an address lies in one of the pages under the kernel's stacks.
pub fn is_stack_guard(address: usize) -> bool {
    let of_processes = (0..SLOTS).map(|slot| stack(slot).start - PAGE..stack(slot).start);
    of_processes.chain(hart::stack_guards()).any(|guard| guard.contains(&address))
}

/// Where the trampoline's code lies in memory.
pub fn trampoline() -> usize {
    symbols()[0]
}

/// The memory that the kernel's image takes.
pub fn image() -> Range<usize> {
    platform::RAM..symbols()[3]
}

/// Builds the address space. `read_only` is mapped so, and the pages in `guards` not at all.
///
/// # Panics
/// When the pool has no pages for it.
pub fn build(ram: &Range<usize>, read_only: &[Range<usize>], guards: impl Iterator<Item = Range<usize>>) {
    let [trampoline, text_end, rodata_end, _] = symbols();
    let (read, execute) = (Flags::READ, Flags::READ | Flags::EXECUTE);
    let write = Flags::READ | Flags::WRITE;
    let mut table = PageTable::new().expect("the first page is free");
    let mut map = |address: usize, physical: usize, bytes: usize, flags: Flags| {
        if let Err(error) = table.map(address, physical, bytes, flags) {
            panic!("the kernel cannot map {bytes} bytes at {address:#x}: {error:?}");
        }
    };
    for device in [platform::TEST, platform::UART, platform::CLINT_MSIP] {
        map(device, device, PAGE, write);
    }
    map(platform::RAM, platform::RAM, text_end - platform::RAM, execute);
    map(text_end, text_end, rodata_end - text_end, read);
    map(trampoline::CODE, trampoline, PAGE, execute);
    let mut writable = MemoryMap::new(rodata_end..ram.end);
    for range in read_only {
        writable.remove(range);
        let range = range.start / PAGE * PAGE..range.end.next_multiple_of(PAGE);
        map(range.start, range.start, range.len(), read);
    }
    for guard in guards.chain(hart::stack_guards()) {
        writable.remove(&guard);
    }
    for range in writable.ranges() {
        map(range.start, range.start, range.len(), write);
    }
    for slot in 0..SLOTS {
        for address in stack(slot).step_by(PAGE) {
            let page = Page::new().expect("the kernel's stacks fit into memory");
            map(address, page.into_address(), PAGE, write);
        }
    }
    SATP.store(table.satp(IDENTIFIER), Ordering::Release);
    core::mem::forget(table);
}

/// The value of `satp` that the kernel runs with.
pub fn satp() -> usize {
    SATP.load(Ordering::Acquire)
}

/// Turns translation on for this hart.
pub fn enter() {
    csr::flush_translations();
    // SAFETY: everything that the kernel uses is mapped at its own address.
    unsafe { csr::write!("satp", satp()) };
    csr::flush_translations();
}

const _: () = assert!(trampoline::CODE + PAGE == sv39::END);
