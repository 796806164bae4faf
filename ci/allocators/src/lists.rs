//! Single pages: a hart's own list, with its lock.

use core::{arch::asm, cell::UnsafeCell, hint, mem, ptr, ptr::NonNull};

use mm::page::{PAGE_SIZE, PageLists, Region, per_hart::PerHart};
use mm::sync::{Machine, Registry};
use user::{
    call,
    heap_test::meter::{Function, Meter},
    println,
};

const PAGES: usize = 256;

const PAIRS: u64 = 1000;

/// A hart as a program can have it: interrupts stay as they are, and an instruction that reads a register takes the
/// place of each that would turn them off or on, or load the hart's number.
struct Stand;

// SAFETY: the program has one thread, so nothing comes between what the lists do, with interrupts off or on.
unsafe impl Machine for Stand {
    type Before = usize;

    #[inline(always)]
    fn disable_interrupts() -> usize {
        let before: usize;
        // SAFETY: it reads a counter.
        unsafe { asm!("rdinstret {}", out(reg) before, options(nomem, nostack)) };
        before & 2
    }

    #[inline(always)]
    unsafe fn restore_interrupts(before: usize) {
        // SAFETY: likewise.
        unsafe { asm!("rdinstret {}", inout(reg) before => _, options(nomem, nostack)) };
    }

    fn enter() {}

    unsafe fn leave() {}

    #[inline(always)]
    fn hart() -> usize {
        let hart: usize;
        // As in the kernel, the compiler does not know which it is.
        // SAFETY: it is the zero of the only hart.
        unsafe { asm!("mv {}, zero", out(reg) hart, options(nomem, nostack)) };
        hart
    }

    fn relax() {
        hint::spin_loop();
    }

    fn prepare_to_sleep() {}

    fn sleep() {}

    fn wake(_: usize) {}

    fn instructions() -> u64 {
        0
    }

    fn registry() -> Option<&'static Registry> {
        None
    }
}

struct Single<T>(UnsafeCell<T>);

// SAFETY: these programs have one thread.
unsafe impl<T> Sync for Single<T> {}

static LISTS: Single<PerHart<Stand>> = Single(UnsafeCell::new(PerHart::new()));

fn lists() -> &'static PerHart<Stand> {
    // SAFETY: nobody ever has it mutably.
    unsafe { &*LISTS.0.get() }
}

extern "C" fn allocate() -> Option<NonNull<u8>> {
    lists().allocate()
}

/// # Safety
/// The page was handed out, and nobody uses it.
unsafe extern "C" fn free(page: NonNull<u8>) {
    // SAFETY: see above.
    unsafe { lists().free(page) }
}

/// Prints instructions per operation on pages that the hart has at hand.
pub fn measure() {
    let end = call::sbrk(0).unwrap_or(ptr::null_mut());
    let gap = end.align_offset(PAGE_SIZE);
    let Ok(arena) = call::sbrk((gap + PAGES * PAGE_SIZE) as isize) else { return println!("there is no memory") };
    let Some(start) = NonNull::new(arena.wrapping_add(gap)) else { return };
    // SAFETY: the memory was just taken for this.
    unsafe { lists().add_region(Region { start, pages: PAGES }) };
    // SAFETY: in the calling convention an address is a number, nothing is what is left in a register, and one may
    // pass more than a function takes. `free` gets pages that `allocate` answered.
    let [allocate, free]: [Function; 2] =
        unsafe { [mem::transmute(allocate as *const ()), mem::transmute(free as *const ())] };
    let meter = Meter::calibrated();
    let mut sums = [0; 2];
    for _ in 0..PAIRS {
        let (page, allocated) = meter.count(allocate, 0, 0);
        let (_, freed) = meter.count(free, page, 0);
        sums = [sums[0] + allocated, sums[1] + freed];
    }
    println!("{:<26} {:>12} {:>12}", "single pages", "allocate", "free");
    println!("{:<26} {:>12} {:>12}", "instructions, lock and all", sums[0] / PAIRS, sums[1] / PAIRS);
}
