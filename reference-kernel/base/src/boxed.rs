//! Values on the heap, where running out of memory is an answer.

use alloc::boxed::Box;
use core::alloc::Layout;

/// A value on the heap.
///
/// # Errors
/// The value, when there is no memory; `Box::new` would end the kernel.
pub fn try_box<T>(value: T) -> Result<Box<T>, T> {
    let layout = Layout::new::<T>();
    assert!(layout.size() > 0, "nothing needs no box");
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { alloc::alloc::alloc(layout) }.cast::<T>();
    if memory.is_null() {
        return Err(value);
    }
    // SAFETY: the memory is new, from the global allocator, and fits.
    unsafe {
        memory.write(value);
        Ok(Box::from_raw(memory))
    }
}
