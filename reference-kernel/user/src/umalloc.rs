//! Memory for programs, in blocks of any size: `umalloc` and its kin, over `sbrk`.

pub mod heap;
pub mod lists;
pub mod pool;

use core::ptr::NonNull;

use crate::{call, mutex::Mutex};
use heap::{Grow, Heap};

static HEAP: Mutex<Heap<Break>> = Mutex::new(Heap::new(Break));

/// The end of the program's data, which the kernel moves.
#[derive(Debug)]
struct Break;

impl Grow for Break {
    fn grow(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        let start = call::sbrk(isize::try_from(bytes).ok()?).ok()?;
        let missing = start.addr().wrapping_neg() % lists::ALIGNMENT;
        if missing > 0 {
            // Whoever moved the end before left it anywhere. If they move it right now, too, there is a hole.
            let end = call::sbrk(missing as isize).ok()?;
            if end != start.wrapping_add(bytes) {
                return None;
            }
        }
        NonNull::new(start.wrapping_add(missing))
    }

    unsafe fn shrink(&mut self, end: *mut u8, bytes: usize) -> bool {
        // Whoever else moved the end has what lies behind the heap now.
        call::sbrk(0) == Ok(end) && call::sbrk(-(bytes as isize)).is_ok()
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
