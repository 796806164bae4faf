//! Pools of objects of one size: what is known beforehand need not be looked for.

use core::ptr;

use super::{lists::ALIGNMENT, ufree, umalloc};

/// A pool of objects of one size, in one block of the heap. It belongs to one thread.
#[derive(Debug)]
pub struct Pool {
    /// The objects that were given back, each with a pointer to the next in it.
    given_back: *mut Link,
    /// Objects from here on were never taken.
    fresh: *mut u8,
    end: *mut u8,
    step: usize,
    block: *mut u8,
}

struct Link {
    next: *mut Link,
}

impl Pool {
    /// A pool of `count` objects of `size` bytes; none if there is no memory for it, or nothing to be had from it.
    pub fn create(size: usize, count: usize) -> Option<Self> {
        let step = size.max(1).checked_next_multiple_of(ALIGNMENT)?;
        let bytes = step.checked_mul(count)?;
        let block = umalloc(bytes);
        if block.is_null() {
            return None;
        }
        Some(Self { given_back: ptr::null_mut(), fresh: block, end: block.wrapping_add(bytes), step, block })
    }

    /// An object, at a multiple of 16; null if all are taken.
    #[inline]
    pub fn take(&mut self) -> *mut u8 {
        let object = self.given_back;
        if !object.is_null() {
            // SAFETY: an object that was given back is the pool's own.
            self.given_back = unsafe { (*object).next };
            return object.cast();
        }
        let object = self.fresh;
        if object == self.end {
            return ptr::null_mut();
        }
        self.fresh = object.wrapping_add(self.step);
        object
    }

    /// Gives an object back.
    ///
    /// # Safety
    /// It was taken from this pool, not given back since, and is not used any more.
    #[inline]
    pub unsafe fn give(&mut self, object: *mut u8) {
        let link: *mut Link = object.cast();
        // SAFETY: an object has room for a pointer, and this one is the pool's own again.
        unsafe { link.write(Link { next: self.given_back }) };
        self.given_back = link;
    }

    /// Gives all memory of the pool back, objects that are still taken included.
    ///
    /// # Safety
    /// No object of the pool is used any more.
    pub unsafe fn destroy(self) {
        // SAFETY: the block is the pool's own, and nothing else was ever done with it.
        unsafe { ufree(self.block) }
    }
}
