//! The pools of a boot, each behind its lock: which there are, and which memory each gets.

use core::{
    ops::Range,
    ptr, slice,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use abi::{
    boot::{Options, PageSource},
    page::{MAX_ORDER, Pool},
};
use mm::page::MAX_REGIONS;

use crate::{
    console::Console,
    heap,
    memory_map::MemoryMap,
    notes::Notes,
    object_pages, object_trace,
    pool::{self, PagePool},
    spin::SpinLock,
    sv39::PAGE,
    trace::{self, Trace},
};

static KERNEL: SpinLock<PagePool> = SpinLock::new("the kernel's pages", PagePool::new(PageSource::Trusted));
static ARENA: SpinLock<PagePool> = SpinLock::new("the arena", PagePool::new(PageSource::Lab));

/// The pool that is traced: its number plus one, or zero for none.
static TRACED: AtomicUsize = AtomicUsize::new(0);

/// The kernel's own pool.
pub fn kernel() -> &'static SpinLock<PagePool> {
    &KERNEL
}

/// A pool by its name.
pub fn named(pool: Pool) -> &'static SpinLock<PagePool> {
    match pool {
        Pool::Kernel => &KERNEL,
        Pool::Arena => &ARENA,
    }
}

/// The pool that is traced, if one is.
pub fn traced() -> Option<&'static SpinLock<PagePool>> {
    Some(named(Pool::from_number(TRACED.load(Relaxed).checked_sub(1)?)?))
}

/// A region of the arena begins at a multiple of this, plus its skew.
const LARGEST_BLOCK: usize = PAGE << MAX_ORDER;

/// Ranges of less are not worth an allocator's state.
const FEWEST_PAGES: usize = 16;

/// Sets the pools up in the memory that is left in `map`: first the arena, then the books, then all else for the
/// kernel. Answers the arena's regions, which have a page to either side that is nobody's.
///
/// # Panics
/// When there is no room for what the options ask for.
pub fn set_up(map: &mut MemoryMap, options: &Options) -> impl Iterator<Item = Range<usize>> + use<> {
    pool::calibrate();
    let ram = map.ranges().first().map_or(0, |range| range.start)..map.ranges().last().map_or(0, |range| range.end);
    let mut arena = ARENA.lock();
    let mut kernel = KERNEL.lock();

    let mut regions = [const { 0..0 }; MAX_REGIONS];
    for (asked, region) in options.arena().zip(&mut regions) {
        let (bytes, skew) = ((asked.pages as usize).saturating_mul(PAGE), (asked.skew as usize).saturating_mul(PAGE));
        let taken = (bytes < ram.len() && bytes > 0 && skew < LARGEST_BLOCK)
            .then(|| map.take(bytes, LARGEST_BLOCK, skew, true))
            .flatten();
        let Some(taken) = taken else {
            panic!("there is no room for the arena's region of {}+{} pages", asked.pages, asked.skew);
        };
        *region = taken;
    }
    let arena_count = options.arena().count();
    let traced = match (arena_count, options.pages) {
        _ if options.untraced || options.objects => None,
        (1.., _) => Some(Pool::Arena),
        (0, PageSource::Lab) => Some(Pool::Kernel),
        (0, PageSource::Trusted) => None,
    };
    let trace = |map: &mut MemoryMap, pool| (traced == Some(pool)).then(|| Trace::new(carve(map, trace::CAPACITY)));
    let kernel_trace = trace(map, Pool::Kernel);
    kernel.prepare(options.pages, Notes::new(ram.start, carve(map, ram.len() / PAGE)), kernel_trace);
    if arena_count > 0 {
        let start = regions[..arena_count].iter().map(|region| region.start).min().unwrap_or(0);
        let end = regions.iter().map(|region| region.end).max().unwrap_or(0);
        let arena_trace = trace(map, Pool::Arena);
        arena.prepare(PageSource::Lab, Notes::new(start, carve(map, (end - start) / PAGE)), arena_trace);
    }
    object_pages::set_up(Pool::Kernel, (options.heap == PageSource::Lab).then(|| ram.clone()), map);
    let over = regions[..arena_count].iter().map(|region| region.start).min();
    let end = regions.iter().map(|region| region.end).max().unwrap_or(0);
    object_pages::set_up(Pool::Arena, over.filter(|_| options.objects).map(|start| start..end), map);
    if options.objects {
        object_trace::set_up(map);
    }
    heap::set_up(options.heap, map);
    TRACED.store(traced.map_or(0, |pool| pool as usize + 1), Relaxed);

    for region in &regions[..arena_count] {
        arena.add_region(region);
    }
    for range in map.ranges().iter().filter(|range| range.len() / PAGE >= FEWEST_PAGES).take(MAX_REGIONS) {
        kernel.add_region(range);
    }
    regions.into_iter().take(arena_count)
}

/// Takes memory for good, and clears it.
pub fn carve<T: Copy>(map: &mut MemoryMap, count: usize) -> &'static mut [T] {
    let bytes = count * size_of::<T>();
    let Some(range) = map.take(bytes, PAGE, 0, false) else { panic!("no memory is left for {bytes} bytes of books") };
    let start: *mut T = ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the range is RAM, nobody else's, and aligned to a page. All zeros are a `Note` of a page that
    // nobody holds, a valid `Operation` or `Event`, and a null pointer: the only types that are kept there.
    unsafe {
        start.write_bytes(0, count);
        slice::from_raw_parts_mut(start, count)
    }
}

/// Prints the record of the pool that is traced.
pub fn print_record(console: &mut Console) {
    let pool = TRACED.load(Relaxed).checked_sub(1).and_then(Pool::from_number);
    if let Some(pool) = pool {
        let locked = named(pool).lock();
        console.record(|out| locked.write_record(pool, out));
    }
}
