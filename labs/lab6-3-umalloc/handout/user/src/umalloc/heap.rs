//! The heap behind `umalloc`.

use core::ptr::{self, NonNull};

/// Where a heap's memory comes from: the end of the program's data, which can be moved.
pub trait Grow {
    /// Adds memory at the end; answers where it begins, which is where the last one ended unless somebody else asked
    /// for some in between. None if there is no memory.
    fn grow(&mut self, bytes: usize) -> Option<NonNull<u8>>;

    /// Gives memory at the end back; answers whether that was possible, as it is not when `end` is not the end.
    ///
    /// # Safety
    /// Nobody uses the last `bytes` before `end` any more.
    unsafe fn shrink(&mut self, end: *mut u8, bytes: usize) -> bool;
}

/// A heap over memory that grows.
#[derive(Debug)]
pub struct Heap<G> {
    source: G,
}

// Pointers are not `Send` by themselves. A heap may go from thread to thread, since nobody else has its memory:
// unsafe impl<G: Send> Send for Heap<G> {}

impl<G> Heap<G> {
    /// A heap without memory.
    pub const fn new(source: G) -> Self {
        Self { source }
    }

    /// Where memory comes from.
    pub fn source(&self) -> &G {
        &self.source
    }
}

impl<G: Grow> Heap<G> {
    /// A block of at least `size` bytes, at a multiple of 16; null if there is none, and for no bytes at all.
    pub fn allocate(&mut self, size: usize) -> *mut u8 {
        let _ = size; // yours to write
        ptr::null_mut()
    }

    /// Takes back what [`allocate`](Self::allocate) or [`reallocate`](Self::reallocate) answered; null is nothing.
    ///
    /// # Safety
    /// It was not taken back yet, and nobody uses it any more.
    pub unsafe fn free(&mut self, payload: *mut u8) {
        let _ = payload; // yours to write
    }

    /// A block of at least `size` bytes with what is in the one at `payload`, as far as it fits, which is taken back.
    ///
    /// From null it is [`allocate`](Self::allocate), to no bytes [`free`](Self::free). If there is no memory the
    /// answer is null, and nothing has happened.
    ///
    /// # Safety
    /// As for [`free`](Self::free).
    pub unsafe fn reallocate(&mut self, payload: *mut u8, size: usize) -> *mut u8 {
        let _ = (payload, size); // yours to write
        ptr::null_mut()
    }

    /// A block of at least `size` bytes at a multiple of `alignment`, a power of two; else as
    /// [`allocate`](Self::allocate).
    pub fn allocate_aligned(&mut self, size: usize, alignment: usize) -> *mut u8 {
        let _ = (size, alignment); // an extension
        ptr::null_mut()
    }

    /// Gives whole pages at the end of the heap back; answers how many bytes.
    pub fn trim(&mut self) -> usize {
        0 // an extension
    }
}
