//! An array of objects at hand: the last one in is the first one out.

use core::{
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

/// The head of an array; the objects lie behind it, above one null pointer that ends them.
///
/// The two ends of the array are all that is looked at: below the last object, if there is none, lies null, which is no
/// object. So taking one takes five instructions, and adding one six.
#[derive(Debug)]
#[repr(C)]
pub struct ObjectArray {
    /// The first place that is free. Atomic since others count the objects meanwhile; only its owner changes it.
    top: AtomicPtr<*mut u8>,
    /// Past the last place.
    end: *mut *mut u8,
    /// Always null.
    bottom: *mut u8,
}

// SAFETY: only its owner takes and adds, and what others may do is atomic.
unsafe impl Sync for ObjectArray {}

/// An array without a place, for a cache that has no arrays, or none yet: both operations always find it at its end.
static NONE: ObjectArray = {
    let end = (&raw const NONE).wrapping_add(1).cast::<*mut u8>().cast_mut();
    ObjectArray { top: AtomicPtr::new(end), end, bottom: ptr::null_mut() }
};

impl ObjectArray {
    /// Bytes of an array for so many objects.
    pub const fn bytes(places: usize) -> usize {
        size_of::<Self>() + places * size_of::<*mut u8>()
    }

    /// An array without a place; nothing is ever written to it.
    pub const fn none() -> *mut Self {
        (&raw const NONE).cast_mut()
    }

    /// Makes an empty array.
    ///
    /// # Safety
    /// `memory` is of [`bytes`](Self::bytes) bytes, aligned like a pointer, and used by nobody else.
    pub unsafe fn make(memory: NonNull<u8>, places: usize) -> *mut Self {
        let array = memory.cast::<Self>().as_ptr();
        let first = array.wrapping_add(1).cast::<*mut u8>();
        let head = Self { top: AtomicPtr::new(first), end: first.wrapping_add(places), bottom: ptr::null_mut() };
        // SAFETY: see above.
        unsafe { array.write(head) };
        array
    }

    /// Takes the object that was added last.
    ///
    /// # Safety
    /// The array was made and is its owner's to use.
    #[inline(always)]
    pub unsafe fn pop(array: *const Self) -> Option<NonNull<u8>> {
        // SAFETY: below the first place lies `bottom`, so there is something below the first free one.
        unsafe {
            let last = (*array).top.load(Relaxed).sub(1);
            let object = NonNull::new(last.read())?;
            (*array).top.store(last, Relaxed);
            Some(object)
        }
    }

    /// Adds an object; answers whether there was a place for it.
    ///
    /// # Safety
    /// As for [`pop`](Self::pop).
    #[inline(always)]
    pub unsafe fn push(array: *const Self, object: NonNull<u8>) -> bool {
        // SAFETY: places below the end are the array's own.
        unsafe {
            let top = (*array).top.load(Relaxed);
            if top == (*array).end {
                return false;
            }
            top.write(object.as_ptr());
            (*array).top.store(top.add(1), Relaxed);
        }
        true
    }

    /// How many objects there are; for others than the owner, how many there were a moment ago.
    pub fn count(&self) -> usize {
        (self.top.load(Relaxed).addr() - self.first().addr()) / size_of::<*mut u8>()
    }

    /// How many objects there is room for.
    pub fn places(&self) -> usize {
        (self.end.addr() - self.first().addr()) / size_of::<*mut u8>()
    }

    fn first(&self) -> *const *mut u8 {
        ptr::from_ref(self).wrapping_add(1).cast()
    }

    /// Takes the `count` objects that have lain there longest, and shows them in that order.
    ///
    /// # Safety
    /// As for [`pop`](Self::pop); there are so many.
    pub unsafe fn take_oldest(array: *mut Self, count: usize, mut show: impl FnMut(NonNull<u8>)) {
        let first = array.wrapping_add(1).cast::<*mut u8>();
        // SAFETY: the objects lie behind the head.
        unsafe {
            for place in 0..count {
                if let Some(object) = NonNull::new(first.add(place).read()) {
                    show(object);
                }
            }
            let left = (*array).count() - count;
            ptr::copy(first.add(count), first, left);
            (*array).top.store(first.add(left), Relaxed);
        }
    }
}
