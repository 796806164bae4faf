//! The kernel's own heap, behind `alloc`: memory by size from the lab's object caches, or from a plain heap that no
//! submission touches, so that a half-written slab allocator still boots.

use core::{
    alloc::{GlobalAlloc, Layout},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use abi::boot::PageSource;
use base::{memory_map::MemoryMap, spin::SpinLock};
use mm::slab::{Handle, LARGEST_OBJECT, ObjectAllocator};

use crate::{OBJECTS, objects, pools};

#[global_allocator]
static HEAP: Heap = Heap;

/// Whether the lab's caches carry the heap.
static LAB: AtomicU8 = AtomicU8::new(0);

static TRUSTED: SpinLock<Trusted> = SpinLock::new("the trusted heap", Trusted::new());

/// Chooses where memory comes from, and sets some aside for the trusted heap.
pub fn set_up(source: PageSource, map: &mut MemoryMap) {
    LAB.store(u8::from(source == PageSource::Lab), Relaxed);
    if source == PageSource::Trusted {
        let memory = pools::carve::<*mut ()>(map, TRUSTED_BYTES / size_of::<*mut ()>());
        let mut trusted = TRUSTED.lock();
        trusted.fresh = memory.as_mut_ptr().cast();
        trusted.left = TRUSTED_BYTES;
    }
}

/// Makes the first caches, once there are pages.
///
/// # Panics
/// When the lab's caches cannot be made.
pub fn begin() {
    if is_lab() {
        // SAFETY: it is a static, and no other hart runs yet.
        let made = unsafe { objects::HEAP.set_up() };
        assert!(made.is_ok(), "the lab's object caches are to carry the kernel's heap, and cannot be made: {made:?}");
    }
}

fn is_lab() -> bool {
    OBJECTS && LAB.load(Relaxed) != 0
}

/// Gives back the pages that the heap keeps for later. Interrupts are on.
pub fn shrink() {
    if !is_lab() {
        return;
    }
    // What one cache gives back, management and arrays, may be what another can only then spare.
    for _ in 0..2 {
        objects::HEAP.each(&mut |cache: Handle| {
            // SAFETY: nobody destroys caches of the heap.
            unsafe { objects::HEAP.shrink(cache) };
        });
    }
}

struct Heap;

// SAFETY: both heaps hand out memory that is nobody else's, aligned as they promise.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let memory = if is_lab() { objects::HEAP.kmalloc(bytes(layout)) } else { TRUSTED.lock().allocate(layout) };
        let memory = memory.map_or(ptr::null_mut(), NonNull::as_ptr);
        assert!(
            memory.addr().is_multiple_of(layout.align()),
            "kmalloc answered {memory:p} to a request for {} bytes aligned to {}",
            bytes(layout),
            layout.align()
        );
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let Some(memory) = NonNull::new(memory) else { return };
        if is_lab() {
            // SAFETY: it came from there, and its owner gives it up.
            let freed = unsafe { objects::HEAP.kfree(memory) };
            assert!(freed.is_ok(), "kfree refuses the memory at {memory:p}, which kmalloc handed out: {freed:?}");
        } else {
            // SAFETY: likewise.
            unsafe { TRUSTED.lock().free(memory, layout) };
        }
    }
}

/// How much to ask of `kmalloc`, which aligns what is a power of two.
fn bytes(layout: Layout) -> usize {
    match layout.align() {
        0..=16 => layout.size(),
        17..=64 => layout.size().max(layout.align()).next_power_of_two(),
        _ => layout.size().max(LARGEST_OBJECT + 1),
    }
}

/// What the trusted heap has: the kernel keeps a few hundred bytes a process.
const TRUSTED_BYTES: usize = 1 << 19;

/// The sizes of the trusted heap: powers of two, from 2^4 bytes on.
const SMALLEST_SIZE: u32 = 4;
const SIZES: usize = 16;

/// Free memory by size, and memory that was never handed out.
#[derive(Debug)]
struct Trusted {
    free: [*mut u8; SIZES],
    fresh: *mut u8,
    left: usize,
}

// SAFETY: the memory is the heap's, on whichever hart.
unsafe impl Send for Trusted {}

impl Trusted {
    const fn new() -> Self {
        Self { free: [ptr::null_mut(); SIZES], fresh: ptr::null_mut(), left: 0 }
    }

    fn size(layout: Layout) -> Option<(usize, usize)> {
        let bytes = layout.size().max(layout.align()).max(1 << SMALLEST_SIZE).next_power_of_two();
        let place = (bytes.trailing_zeros() - SMALLEST_SIZE) as usize;
        (place < SIZES && layout.align() <= 64).then_some((place, bytes))
    }

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let (place, bytes) = Self::size(layout)?;
        if let Some(memory) = NonNull::new(self.free[place]) {
            // SAFETY: `free` wrote the link there.
            self.free[place] = unsafe { memory.cast::<*mut u8>().read() };
            return Some(memory);
        }
        // Whatever was cut off before, the next piece begins at a multiple of its size, up to 64 bytes.
        let skip = self.fresh.addr().wrapping_neg() & (bytes.min(64) - 1);
        if bytes + skip > self.left {
            return None;
        }
        let memory = self.fresh.wrapping_add(skip);
        self.fresh = memory.wrapping_add(bytes);
        self.left -= bytes + skip;
        NonNull::new(memory)
    }

    /// Takes memory back.
    ///
    /// # Safety
    /// It was allocated with this layout, and is not used any more.
    unsafe fn free(&mut self, memory: NonNull<u8>, layout: Layout) {
        if let Some((place, _)) = Self::size(layout) {
            // SAFETY: the memory is ours again, and has room for a pointer.
            unsafe { memory.cast::<*mut u8>().write(self.free[place]) };
            self.free[place] = memory.as_ptr();
        }
    }
}
