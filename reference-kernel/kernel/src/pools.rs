//! The pools of a boot, each behind its lock: which there are, and which memory each gets.

use core::{
    ops::Range,
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use abi::{
    boot::{Options, PageSource},
    page::{MAX_ORDER, Pool},
};
use base::{console::Console, memory::MAX_REGIONS, memory_map::MemoryMap, spin::SpinLock, stop, sv39::PAGE};

use crate::{
    OBJECTS, heap, list_trace, lists,
    notes::Notes,
    object_pages, object_trace,
    pool::{self, PagePool},
    trace::{self, Trace},
};

static KERNEL: SpinLock<PagePool> = SpinLock::new("the kernel's pages", PagePool::new(PageSource::Trusted));
static ARENA: SpinLock<PagePool> = SpinLock::new("the arena", PagePool::new(PageSource::Lab));

/// What the kernel's own pages come from, a [`Carrier`].
static CARRIER: AtomicUsize = AtomicUsize::new(Carrier::Pool as usize);

/// What hands out the kernel's own pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// The pool.
    Pool,
    /// The page lists, which have all memory.
    Lists,
    /// The page lists, which get pages from the pool when they are all empty.
    ListsOverPool,
}

fn carrier() -> Carrier {
    match CARRIER.load(Relaxed) {
        carrier if carrier == Carrier::Lists as usize => Carrier::Lists,
        carrier if carrier == Carrier::ListsOverPool as usize => Carrier::ListsOverPool,
        _ => Carrier::Pool,
    }
}

/// The boot options that hold unless others are said: a kernel that is no lab's stands on all that it has.
pub fn default_options() -> Options {
    let pages = if cfg!(feature = "lab") { PageSource::Trusted } else { PageSource::Stack };
    Options { pages, ..Options::default() }
}

/// A page for the kernel itself, or nothing when there is none.
#[inline]
pub fn allocate_page() -> Option<usize> {
    match carrier() {
        Carrier::Pool => KERNEL.lock().allocate_page(),
        Carrier::Lists => lists::KERNEL.allocate_page(),
        Carrier::ListsOverPool => lists::KERNEL.take().or_else(refill),
    }
}

/// Takes a page of the kernel's own back.
#[inline]
pub fn free_page(page: NonNull<u8>) {
    match carrier() {
        Carrier::Pool => KERNEL.lock().free_page(page),
        Carrier::Lists => lists::KERNEL.free_page(page),
        // SAFETY: it is from `allocate_page`, and whoever owned it has given it up.
        Carrier::ListsOverPool => unsafe { lists::KERNEL.give(page) },
    }
}

/// Contiguous pages for the kernel itself, or nothing when there are none.
pub fn allocate_pages(pages: usize) -> Option<usize> {
    match carrier() {
        _ if pages == 1 => allocate_page(),
        Carrier::Pool => KERNEL.lock().allocate_pages(pages),
        Carrier::Lists => None,
        Carrier::ListsOverPool => {
            let block = KERNEL.lock().allocate_pages(pages);
            if block.is_none() && drain_lists() { KERNEL.lock().allocate_pages(pages) } else { block }
        }
    }
}

/// Takes contiguous pages of the kernel's own back.
pub fn free_pages(start: NonNull<u8>, pages: usize) {
    match pages {
        1 => free_page(start),
        _ => KERNEL.lock().free_pages(start, pages),
    }
}

/// How many of the kernel's own pages are free.
pub fn count_free_pages() -> usize {
    match carrier() {
        Carrier::Pool => KERNEL.lock().statistics().free_pages,
        Carrier::Lists => lists::KERNEL.free_pages(),
        Carrier::ListsOverPool => KERNEL.lock().statistics().free_pages + lists::KERNEL.free_pages(),
    }
}

/// Pages that go from the pool to the lists at a time.
const REFILL: usize = 32;

/// Has the lists get pages from the pool; one of them is the answer.
#[cold]
#[inline(never)]
fn refill() -> Option<usize> {
    let mut pool = KERNEL.lock();
    for _ in 1..REFILL {
        let page = pool.allocate_page().and_then(|address| NonNull::new(ptr::with_exposed_provenance_mut(address)));
        let Some(page) = page else { break };
        // SAFETY: the pool has just handed it out.
        unsafe { lists::KERNEL.give(page) };
    }
    // Those in the lists may be gone again by now, so this one does not go there.
    pool.allocate_page().or_else(|| lists::KERNEL.take())
}

/// Gives the pool the pages back that wait in lists over it, so that they can be part of larger blocks again; false if
/// there are none.
#[cold]
pub fn drain_lists() -> bool {
    if carrier() != Carrier::ListsOverPool {
        return false;
    }
    // No more than there are now: other harts may fill the lists as fast as this one empties them.
    let pages = (0..lists::KERNEL.free_pages()).map_while(|_| lists::KERNEL.take());
    let drained = pages.filter_map(|page| NonNull::new(ptr::with_exposed_provenance_mut(page))).map(|page| {
        KERNEL.lock().free_page(page);
    });
    drained.count() > 0
}

/// The pool that is traced: its number plus one, or zero for none.
static TRACED: AtomicUsize = AtomicUsize::new(0);

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

const _: () = assert!(MAX_REGIONS == mm::page::MAX_REGIONS);

/// A region of the arena begins at a multiple of this, plus its skew.
const LARGEST_BLOCK: usize = PAGE << MAX_ORDER;

/// Ranges of less are not worth an allocator's state.
const FEWEST_PAGES: usize = 16;

/// Sets the pools up in the memory that is left in `map`: first the arena, then the books, then all else for the
/// kernel. Answers as [`Memory::set_up`](base::memory::Memory::set_up).
///
/// # Panics
/// When there is no room for what the options ask for.
pub fn set_up(map: &mut MemoryMap, options: &Options) -> [Range<usize>; MAX_REGIONS] {
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
    if lists::UNDER_TEST {
        drop((arena, kernel));
        // Caches want pages next to each other now and then, which lists do not have.
        heap::set_up(PageSource::Trusted, map);
        set_up_lists(map, &ram, &regions[..arena_count], options);
        return regions;
    }
    let traced = match (arena_count, options.pages) {
        _ if options.untraced || options.objects => None,
        (1.., _) => Some(Pool::Arena),
        (0, PageSource::Lab) => Some(Pool::Kernel),
        (0, PageSource::Trusted | PageSource::Stack) => None,
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
    let heap = if options.pages == PageSource::Stack { PageSource::Lab } else { options.heap };
    object_pages::set_up(Pool::Kernel, (heap == PageSource::Lab).then(|| ram.clone()), map);
    let over = regions[..arena_count].iter().map(|region| region.start).min();
    let end = regions.iter().map(|region| region.end).max().unwrap_or(0);
    object_pages::set_up(Pool::Arena, over.filter(|_| options.objects).map(|start| start..end), map);
    if OBJECTS && options.objects {
        object_trace::set_up(map);
    }
    heap::set_up(heap, map);
    TRACED.store(traced.map_or(0, |pool| pool as usize + 1), Relaxed);

    for region in &regions[..arena_count] {
        arena.add_region(region);
    }
    for range in worth_while(map) {
        kernel.add_region(range);
    }
    if options.pages == PageSource::Stack {
        CARRIER.store(Carrier::ListsOverPool as usize, Relaxed);
    }
    regions
}

/// The ranges that are left for an allocator.
fn worth_while(map: &MemoryMap) -> impl Iterator<Item = &Range<usize>> {
    map.ranges().iter().filter(|range| range.len() / PAGE >= FEWEST_PAGES).take(MAX_REGIONS)
}

/// Likewise, where page lists are what is under test.
fn set_up_lists(map: &mut MemoryMap, ram: &Range<usize>, arena: &[Range<usize>], options: &Options) {
    let mut kernel = KERNEL.lock();
    if !arena.is_empty() {
        if !options.untraced {
            (0..stop::harts()).for_each(|hart| list_trace::set_up(hart, carve(map, list_trace::CAPACITY)));
        }
        let start = arena.iter().map(|region| region.start).min().unwrap_or(0);
        let end = arena.iter().map(|region| region.end).max().unwrap_or(0);
        lists::ARENA.keep_books(start, blank(carve(map, (end - start) / PAGE)));
        arena.iter().for_each(|region| lists::ARENA.add_region(region));
    }
    match options.pages {
        PageSource::Trusted => {
            kernel.prepare(PageSource::Trusted, Notes::new(ram.start, carve(map, ram.len() / PAGE)), None);
            worth_while(map).for_each(|range| kernel.add_region(range));
        }
        PageSource::Lab | PageSource::Stack => {
            lists::KERNEL.keep_books(ram.start, blank(carve(map, ram.len() / PAGE)));
            worth_while(map).for_each(|range| lists::KERNEL.add_region(range));
            CARRIER.store(Carrier::Lists as usize, Relaxed);
        }
    }
}

/// Notes that say of every page that nobody holds it.
fn blank(notes: &'static mut [u64]) -> &'static mut [AtomicU64] {
    // SAFETY: both have the same layout, and nobody else has the memory.
    unsafe { slice::from_raw_parts_mut(notes.as_mut_ptr().cast(), notes.len()) }
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
    if lists::ARENA.exist() {
        console.record(|out| lists::ARENA.write_record(out));
    }
    let pool = TRACED.load(Relaxed).checked_sub(1).and_then(Pool::from_number);
    if let Some(pool) = pool {
        let locked = named(pool).lock();
        console.record(|out| locked.write_record(pool, out));
    }
}
