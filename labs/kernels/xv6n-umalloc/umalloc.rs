//! user/src/umalloc.rs for grading: what C's `umalloc` and `ufree` lack of our library, in terms of these two.

pub mod heap;
pub mod lists;
pub mod pool;

use core::{
    ptr, slice,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::call;

mod c {
    unsafe extern "C" {
        pub fn umalloc(size: usize) -> *mut u8;
        pub fn ufree(block: *mut u8);
        /// Calls `umalloc_init`, where there is one.
        pub fn grader_init();
    }
}

static IS_READY: AtomicBool = AtomicBool::new(false);

/// A block of at least `size` bytes; null if there is no memory, and for no bytes at all.
pub fn umalloc(size: usize) -> *mut u8 {
    // SAFETY: the graded programs have one thread each.
    unsafe {
        if !IS_READY.swap(true, Relaxed) {
            c::grader_init();
        }
        c::umalloc(size)
    }
}

/// C has no such function; blocks are aligned as they come.
pub fn umalloc_aligned(size: usize, alignment: usize) -> *mut u8 {
    let block = umalloc(size);
    if block.addr().is_multiple_of(alignment) { block } else { ptr::null_mut() }
}

/// Gives a block back.
///
/// # Safety
/// The block came from this library, was not given back yet, and is not used any more.
pub unsafe fn ufree(block: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { c::ufree(block) }
}

/// As realloc: nobody knows how long the old block is, so what lies behind it is copied, too.
///
/// # Safety
/// As for [`ufree`].
pub unsafe fn urealloc(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        return umalloc(size);
    }
    if size == 0 {
        // SAFETY: the caller's promise.
        unsafe { ufree(block) };
        return ptr::null_mut();
    }
    let end = call::sbrk(0).map_or(0, |end| end.addr());
    let moved = umalloc(size);
    let grown_to = call::sbrk(0).map_or(0, |end| end.addr());
    let is_inside = |start: *mut u8| start.addr() < grown_to && size <= grown_to - start.addr();
    if !moved.is_null() && is_inside(moved) {
        let bytes = size.min(end.saturating_sub(block.addr()));
        // SAFETY: both lie in the program's data, wherever the allocator put them; they may overlap if it is wrong.
        unsafe { ptr::copy(block, moved, bytes) };
        // SAFETY: the caller's promise.
        unsafe { ufree(block) };
    }
    moved
}

/// C has no such function.
pub fn umalloc_trim() -> usize {
    0
}

/// What C's `sbrk` is.
#[unsafe(no_mangle)]
extern "C" fn grader_sbrk(bytes: isize) -> *mut u8 {
    call::sbrk(bytes).unwrap_or(ptr::without_provenance_mut(usize::MAX))
}

/// Where C's `printf` goes.
///
/// # Safety
/// There are so many bytes at `text`.
#[unsafe(no_mangle)]
unsafe extern "C" fn grader_write(text: *const u8, bytes: usize) {
    // SAFETY: the caller's promise.
    let text = unsafe { slice::from_raw_parts(text, bytes) };
    // What cannot be printed is lost, and nothing depends on it.
    let _ = call::write(1, text);
}

/// What a failed `assert` does.
#[unsafe(no_mangle)]
extern "C" fn grader_exit(status: i32) -> ! {
    call::exit(i64::from(status))
}
