//! Pools of objects of one size: what is known beforehand need not be looked for.

use core::ptr;

/// A pool of objects of one size. It belongs to one thread.
#[derive(Debug)]
pub struct Pool {}

impl Pool {
    /// A pool of `count` objects of `size` bytes; none if there is no memory for it.
    pub fn create(size: usize, count: usize) -> Option<Self> {
        let _ = (size, count); // an extension
        None
    }

    /// An object, at a multiple of 16; null if all are taken.
    pub fn take(&mut self) -> *mut u8 {
        ptr::null_mut()
    }

    /// Gives an object back.
    ///
    /// # Safety
    /// It was taken from this pool, not given back since, and is not used any more.
    pub unsafe fn give(&mut self, object: *mut u8) {
        let _ = object;
    }

    /// Gives all memory of the pool back, objects that are still taken included.
    ///
    /// # Safety
    /// No object of the pool is used any more.
    pub unsafe fn destroy(self) {}
}
