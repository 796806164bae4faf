//! The system calls through which test programs drive object caches.

use core::{
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use abi::{
    mark::Meter,
    object::{
        CONSTRUCTED_SIZES, CONSTRUCTOR, DAMAGED, DEBUG, Event, GENERAL, Kind, MOST_CACHES, SCRIBBLE, SlabError,
        UNCOUNTED, WRONG,
    },
    syscall::Error,
};
use base::{
    spin::{RiscV, SpinLock},
    syscall::Code,
};
use mm::{
    slab::{Handle, ObjectAllocator, Spec},
    sync::without_interrupts,
};

use crate::{
    contents, object_trace,
    objects::{LOCKS, TESTED},
    page_calls::client,
};

/// The caches by number. Whoever uses one that another process destroys meanwhile has only itself to blame.
static CACHES: [Cache; MOST_CACHES] = [const {
    Cache { handle: AtomicPtr::new(ptr::null_mut()), size: AtomicUsize::new(0), flags: AtomicUsize::new(0) }
}; MOST_CACHES];

/// Held while numbers are given out.
static NUMBERS: SpinLock<()> = SpinLock::new("numbers of caches", ());

static IS_SET_UP: AtomicBool = AtomicBool::new(false);

/// Instructions that measuring a call of an empty function takes.
static OVERHEAD: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Cache {
    handle: AtomicPtr<()>,
    size: AtomicUsize,
    flags: AtomicUsize,
}

/// What a cache's number stands for.
#[derive(Debug, Clone, Copy)]
struct Known {
    number: u8,
    handle: Handle,
    size: usize,
    constructed: bool,
}

/// What was measured of a call.
struct Measured<R> {
    result: R,
    /// Where it ended. Whoever looks at the result may be moved to another hart meanwhile.
    hart: usize,
    event: Event,
}

/// A call of the allocator's, with its instructions, its locks, and when it was.
#[inline(always)]
fn measured<R>(kind: Kind, cache: u8, client: u8, call: impl FnOnce() -> R) -> Measured<R> {
    object_trace::work_for(Some(client));
    let (began_on, before) = locks_taken();
    let (result, begin, end) = timed(call);
    let (hart, after) = locks_taken();
    let locks = if hart == began_on { (after - before) as u16 } else { UNCOUNTED };
    object_trace::work_for(None);
    let instructions = (end - begin).saturating_sub(OVERHEAD.load(Relaxed));
    Measured {
        result,
        hart,
        event: Event { kind: kind as u8, client, cache, locks, instructions, begin, end, ..Event::NONE },
    }
}

/// What a call answers, and when it began and ended.
// A function of its own, or the compiler would find other things to do between the two readings.
#[inline(never)]
fn timed<R>(call: impl FnOnce() -> R) -> (R, u64, u64) {
    let begin = abi::grader_counter!(Meter::Objects.begin());
    let result = call();
    (result, begin, abi::grader_counter!(Meter::Objects.end()))
}

/// This hart, and how many locks it has taken so far. Tracing takes some, but not between begin and end.
fn locks_taken() -> (usize, u64) {
    without_interrupts::<RiscV, _>(|hart| {
        (hart, LOCKS.locks().map(|(_, counters)| counters.of(hart).acquisitions).sum())
    })
}

fn finish(hart: usize, event: Event, error: Option<SlabError>) {
    abi::grader_mark!(Meter::Objects.noted());
    object_trace::push(hart, &[Event { error: error.map_or(0, |error| error as u8), ..event }]);
}

fn ready() -> Result<(), Error> {
    if !TESTED.pages.is_ready() {
        return Err(Error::NotFound);
    }
    let _numbers = NUMBERS.lock();
    if !IS_SET_UP.load(Relaxed) {
        // SAFETY: it is a static, and the lock keeps others out until this is done.
        unsafe { TESTED.set_up() }.map_err(|_| Error::NoMemory)?;
        let least = (0..8).map(|_| measured(Kind::Info, 0, 0, nothing).event.instructions).min();
        OVERHEAD.store(least.unwrap_or(0), Relaxed);
        abi::grader_mark!(Meter::Objects.calibrated());
        IS_SET_UP.store(true, Relaxed);
    }
    Ok(())
}

fn known(number: usize) -> Result<Known, Error> {
    let cache = CACHES.get(number).ok_or(Error::Invalid)?;
    let handle = NonNull::new(cache.handle.load(Relaxed)).map(Handle).ok_or(Error::Invalid)?;
    let constructed = cache.flags.load(Relaxed) & usize::from(CONSTRUCTOR) != 0;
    Ok(Known { number: number as u8, handle, size: cache.size.load(Relaxed), constructed })
}

/// `cache_create`
pub fn create(size: usize, align: usize, flags: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    ready()?;
    let constructor = if flags & usize::from(CONSTRUCTOR) == 0 {
        None
    } else {
        let place = CONSTRUCTED_SIZES.iter().position(|&known| known == size as u64).ok_or(Error::Invalid)?;
        Some(CONSTRUCTORS[place])
    };
    // The place is taken before others can look for one, and given up again if there is no cache for it.
    let number = {
        let _numbers = NUMBERS.lock();
        let free = |cache: &Cache| cache.handle.load(Relaxed).is_null() && cache.size.load(Relaxed) == 0;
        let number = CACHES.iter().position(free).ok_or(Error::NoMemory)?;
        CACHES[number].size.store(size.max(1), Relaxed);
        number
    };
    let spec = Spec { name: "tested", size, align, constructor, debug: flags & usize::from(DEBUG) != 0 };
    let Measured { result, hart, event } = measured(Kind::Create, number as u8, by, || TESTED.create(&spec));
    finish(hart, Event { flags: flags as u8, a: size as u64, b: align as u64, ..event }, result.err());
    let cache = &CACHES[number];
    match result {
        Ok(handle) => {
            cache.flags.store(flags, Relaxed);
            cache.handle.store(handle.0.as_ptr(), Relaxed);
            Ok(number)
        }
        Err(error) => {
            cache.size.store(0, Relaxed);
            Err(error.into())
        }
    }
}

/// `cache_destroy`
pub fn destroy(number: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    let known = known(number)?;
    // SAFETY: the cache is there.
    let Measured { result, hart, event } =
        measured(Kind::Destroy, known.number, by, || unsafe { TESTED.destroy(known.handle) });
    finish(hart, event, result.err());
    result?;
    CACHES[number].handle.store(ptr::null_mut(), Relaxed);
    CACHES[number].size.store(0, Relaxed);
    Ok(0)
}

/// `cache_shrink`
pub fn shrink(number: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    let known = known(number)?;
    // SAFETY: the cache is there.
    let Measured { result, hart, event } =
        measured(Kind::Shrink, known.number, by, || unsafe { TESTED.shrink(known.handle) });
    finish(hart, Event { a: result as u64, ..event }, None);
    Ok(result)
}

/// `cache_allocate`
pub fn allocate(number: usize, by: usize, bytes: usize) -> Result<usize, Code> {
    let by = client(by)?;
    ready()?;
    let (Measured { result, hart, event }, size, constructed) = if number == usize::from(GENERAL) {
        (measured(Kind::Allocate, GENERAL, by, || tested_kmalloc(bytes)), bytes, false)
    } else {
        let Known { number, handle, size, constructed } = known(number)?;
        (measured(Kind::Allocate, number, by, || tested_allocate(handle)), size, constructed)
    };
    let mut flags = 0;
    if let Some(object) = result
        && TESTED.pages.holds(object, size)
    {
        // SAFETY: it was handed out to this client, and lies in the arena.
        unsafe {
            if constructed && !contents::is(object, size, contents::CONSTRUCTED) {
                flags |= DAMAGED;
            }
            contents::write(object, size, by);
        }
    }
    let address = result.map_or(0, |object| object.addr().get());
    let error = if result.is_none() { Some(SlabError::NoMemory) } else { None };
    finish(hart, Event { flags, a: address as u64, b: bytes as u64, ..event }, error);
    if result.is_none() { Err(SlabError::NoMemory.into()) } else { Ok(address) }
}

/// `cache_free`
pub fn free(number: usize, address: usize, flags: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    let object = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(address)).ok_or(Error::Invalid)?;
    // What was asked for of `kmalloc` stands above the flags.
    let (flags, bytes) = (flags as u8, flags >> 8);
    let mut seen = flags & (SCRIBBLE | WRONG);
    let Measured { result, hart, event } = if number == usize::from(GENERAL) {
        ready()?;
        // SAFETY: it was handed out to this client, and lies in the arena.
        if TESTED.pages.holds(object, bytes) && !unsafe { contents::is(object, bytes, by) } {
            seen |= DAMAGED;
        }
        measured(Kind::Free, GENERAL, by, || tested_kfree(object))
    } else {
        let Known { number, handle, size, constructed } = known(number)?;
        // A free that is wrong must not change what it is wrong about.
        if flags & WRONG == 0 && TESTED.pages.holds(object, size + 1) {
            // SAFETY: it was handed out to this client, and lies in the arena.
            unsafe {
                if !contents::is(object, size, by) {
                    seen |= DAMAGED;
                }
                if constructed {
                    contents::write(object, size, contents::CONSTRUCTED);
                }
                if flags & SCRIBBLE != 0 {
                    object.add(size).write(0);
                }
            }
        }
        measured(Kind::Free, number, by, || tested_free(handle, object))
    };
    finish(hart, Event { flags: seen, a: address as u64, b: bytes as u64, ..event }, result.err());
    result?;
    Ok(0)
}

/// `cache_info`
pub fn info(number: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    let known = known(number)?;
    // SAFETY: the cache is there.
    let Measured { result, hart, event } =
        measured(Kind::Info, known.number, by, || unsafe { TESTED.info(known.handle) });
    let numbers = result.to_numbers();
    let mut group = [event; 1 + mm::slab::Info::LENGTH / 2];
    for (entry, pair) in group[1..].iter_mut().zip(numbers.chunks(2)) {
        *entry = Event { kind: Kind::Numbers as u8, a: pair[0], b: pair[1], ..event };
    }
    abi::grader_mark!(Meter::Objects.noted());
    object_trace::push(hart, &group);
    Ok(result.pages_per_slab as usize)
}

type Constructor = unsafe fn(NonNull<u8>);

/// For each size its own, since a constructor is not told how large its object is.
static CONSTRUCTORS: [Constructor; CONSTRUCTED_SIZES.len()] = [
    construct::<{ CONSTRUCTED_SIZES[0] as usize }>,
    construct::<{ CONSTRUCTED_SIZES[1] as usize }>,
    construct::<{ CONSTRUCTED_SIZES[2] as usize }>,
    construct::<{ CONSTRUCTED_SIZES[3] as usize }>,
    construct::<{ CONSTRUCTED_SIZES[4] as usize }>,
    construct::<{ CONSTRUCTED_SIZES[5] as usize }>,
];

unsafe fn construct<const SIZE: usize>(object: NonNull<u8>) {
    object_trace::note(Kind::Construct, object.addr().get(), 1, SIZE);
    if TESTED.pages.holds(object, SIZE) {
        // SAFETY: the object is being made, and lies in the arena.
        unsafe { contents::write(object, SIZE, contents::CONSTRUCTED) };
    }
}

// What is measured is a call, not code mixed with ours.
#[inline(never)]
fn tested_allocate(cache: Handle) -> Option<NonNull<u8>> {
    // SAFETY: the cache is there.
    unsafe { TESTED.allocate(cache) }
}

#[inline(never)]
fn tested_free(cache: Handle, object: NonNull<u8>) -> Result<(), SlabError> {
    // SAFETY: the cache is there; who frees wrongly does it to caches in debug mode.
    unsafe { TESTED.free(cache, object) }
}

#[inline(never)]
fn tested_kmalloc(bytes: usize) -> Option<NonNull<u8>> {
    TESTED.kmalloc(bytes)
}

#[inline(never)]
fn tested_kfree(start: NonNull<u8>) -> Result<(), SlabError> {
    // SAFETY: it came from there.
    unsafe { TESTED.kfree(start) }
}

#[inline(never)]
fn nothing() -> usize {
    let answer;
    // SAFETY: it changes nothing. The compiler must not know what comes back, or it would not call.
    unsafe { core::arch::asm!("li {}, 0", out(reg) answer, options(nostack, nomem)) };
    answer
}
