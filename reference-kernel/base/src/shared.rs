//! A value that several owners share; the last one drops it.

use alloc::boxed::Box;
use core::{
    fmt,
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use crate::boxed;

/// What `Arc` is, but for making one: that can fail here, and does not end the kernel then.
pub struct Shared<T>(NonNull<Inner<T>>);

struct Inner<T> {
    owners: AtomicUsize,
    value: T,
}

// SAFETY: the value is reached by reference from all owners, and dropped by any.
unsafe impl<T: Send + Sync> Send for Shared<T> {}

impl<T> Shared<T> {
    /// A value with one owner.
    ///
    /// # Errors
    /// The value, when there is no memory.
    pub fn new(value: T) -> Result<Self, T> {
        let inner = boxed::try_box(Inner { owners: AtomicUsize::new(1), value }).map_err(|inner| inner.value)?;
        Ok(Self(NonNull::from(Box::leak(inner))))
    }

    /// Whether nobody else owns the value. Then nobody else will, unless this owner shares it.
    pub fn is_alone(&self) -> bool {
        self.inner().owners.load(Acquire) == 1
    }

    /// Which value this is, for as long as it has owners; never zero.
    pub fn identity(&self) -> usize {
        self.0.addr().get()
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: the value lives as long as it has owners.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        self.inner().owners.fetch_add(1, Relaxed);
        Self(self.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.inner().owners.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: it came from a box, and this was the last owner.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
