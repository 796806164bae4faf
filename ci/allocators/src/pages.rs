//! Blocks of pages: our buddy allocator beside the frame allocator of `buddy_system_allocator`.

use core::{cell::UnsafeCell, convert::Infallible, ptr, ptr::NonNull};

use abi::{
    page::PageError,
    workload::{Held, MOST_HELD, Pages, Workload},
};
use mm::page::{PAGE_SIZE, PageAllocator, Region, buddy::Buddy};
use user::{
    call::{self, Fork},
    heap_test::meter::{Function, Meter},
    println,
};

/// Pages of the arena, as in the buddy lab's measurement.
const PAGES: usize = 4096;

/// The phase that is measured: blocks of orders 0 to 9 come and go.
const PHASE: &str = "mixed";

struct Single<T>(UnsafeCell<T>);

// SAFETY: these programs have one thread.
unsafe impl<T> Sync for Single<T> {}

static OURS: Single<Buddy> = Single(UnsafeCell::new(Buddy::new()));
static CRATE: Single<buddy_system_allocator::FrameAllocator<33>> =
    Single(UnsafeCell::new(buddy_system_allocator::FrameAllocator::new()));

/// Prints instructions per operation on blocks of mixed orders.
pub fn compare(seed: u64) {
    println!("{:<26} {:>12} {:>12}", "pages, orders 0 to 9", "mm::buddy", "buddy_system");
    let figures = [(our_allocate as Function, our_free as Function), (allocate, free)].map(|(allocate, free)| {
        match call::fork() {
            Ok(Fork::Child) => call::exit(run(allocate, free, seed)),
            Ok(Fork::Parent(_)) => call::wait().map_or(-1, |ended| ended.status),
            Err(_) => -1,
        }
    });
    println!(
        "{:<26} {:>10}.{} {:>10}.{}",
        "instructions per operation",
        figures[0] / 10,
        figures[0] % 10,
        figures[1] / 10,
        figures[1] % 10
    );
}

extern "C" fn our_allocate(pages: usize, _: usize) -> usize {
    // SAFETY: one thread, and nobody keeps it from one call to the next.
    let buddy = unsafe { &mut *OURS.0.get() };
    buddy.allocate(pages).map_or(0, |block| block.expose_provenance().get())
}

extern "C" fn our_free(address: usize, pages: usize) -> usize {
    // SAFETY: as above.
    let buddy = unsafe { &mut *OURS.0.get() };
    NonNull::new(ptr::with_exposed_provenance_mut(address))
        .map_or(1, |block| usize::from(buddy.free(block, pages).is_err()))
}

extern "C" fn allocate(pages: usize, _: usize) -> usize {
    // SAFETY: as above.
    unsafe { &mut *CRATE.0.get() }.alloc(pages).map_or(0, |frame| frame * PAGE_SIZE)
}

extern "C" fn free(address: usize, pages: usize) -> usize {
    // SAFETY: as above.
    unsafe { &mut *CRATE.0.get() }.dealloc(address / PAGE_SIZE, pages);
    0
}

/// Instructions per operation in tenths.
fn run(allocate: Function, free: Function, seed: u64) -> i64 {
    let notes = call::sbrk((MOST_HELD * size_of::<Held>()) as isize);
    let end = call::sbrk(0).unwrap_or(ptr::null_mut());
    let gap = end.align_offset(PAGE_SIZE);
    let (Ok(notes), Ok(arena)) = (notes, call::sbrk((gap + PAGES * PAGE_SIZE) as isize)) else { return -1 };
    let Some(start) = NonNull::new(arena.wrapping_add(gap)) else { return -1 };
    // SAFETY: one thread; the memory was just taken for this.
    unsafe {
        if (*OURS.0.get()).add_region(Region { start, pages: PAGES }).is_err() {
            return -1;
        }
        let first = start.addr().get() / PAGE_SIZE;
        (*CRATE.0.get()).add_frame(first, first + PAGES);
    }
    // SAFETY: as above; all zeros are blocks that are not there.
    let room = unsafe { core::slice::from_raw_parts_mut(notes.cast::<Held>(), MOST_HELD) };
    let Ok(workload) = Workload::parse(["bench", "--operations", "6000"]) else { return -1 };
    let mut pages =
        Measured { allocate, free, meter: Meter::calibrated(), counts: false, instructions: 0, operations: 0 };
    let Ok(()) = Workload { seed, ..workload }.run(0, &mut pages, room);
    (pages.instructions * 10 / pages.operations.max(1)) as i64
}

struct Measured {
    allocate: Function,
    free: Function,
    meter: Meter,
    counts: bool,
    instructions: u64,
    operations: u64,
}

impl Measured {
    fn call(&mut self, function: Function, first: usize, second: usize) -> usize {
        let (answer, instructions) = self.meter.count(function, first, second);
        if self.counts {
            self.instructions += instructions;
            self.operations += 1;
        }
        answer
    }
}

impl Pages for Measured {
    type Stop = Infallible;

    fn phase(&mut self, name: &'static str) -> Result<(), Infallible> {
        self.counts = name == PHASE;
        Ok(())
    }

    fn allocate(&mut self, pages: u64) -> Result<Result<u64, PageError>, Infallible> {
        let address = self.call(self.allocate, pages as usize, 0);
        Ok(if address == 0 { Err(PageError::Exhausted) } else { Ok(address as u64) })
    }

    fn free(&mut self, address: u64, pages: u64) -> Result<Result<(), PageError>, Infallible> {
        self.call(self.free, address as usize, pages as usize);
        Ok(Ok(()))
    }

    fn statistics(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
