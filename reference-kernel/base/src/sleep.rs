//! Locks for what takes long: whoever waits for one gives up its hart.

use core::{
    cell::UnsafeCell,
    fmt,
    ops::{Deref, DerefMut},
    sync::atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use crate::scheduler;

/// A value that one process at a time uses, with interrupts on. Not for whoever holds a spin lock and might wait.
pub struct SleepLock<T> {
    /// [`FREE`], [`TAKEN`] or [`AWAITED`].
    state: AtomicUsize,
    value: UnsafeCell<T>,
}

const FREE: usize = 0;
const TAKEN: usize = 1;
/// Taken, and perhaps somebody sleeps until it is free.
const AWAITED: usize = 2;

// SAFETY: the lock hands the value from process to process, to one at a time.
unsafe impl<T: Send> Sync for SleepLock<T> {}

impl<T> SleepLock<T> {
    /// A lock that is free.
    pub const fn new(value: T) -> Self {
        Self { state: AtomicUsize::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Takes the lock, waiting for it if need be.
    pub fn lock(&self) -> SleepGuard<'_, T> {
        if self.state.compare_exchange(FREE, TAKEN, Acquire, Relaxed).is_err() {
            scheduler::sleep_until(self.channel(), || self.state.swap(AWAITED, AcqRel) == FREE);
        }
        SleepGuard { lock: self }
    }

    /// What those who wait for it wait for.
    fn channel(&self) -> usize {
        (&raw const self.state).addr()
    }
}

impl<T> fmt::Debug for SleepLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SleepLock").field("state", &self.state).finish_non_exhaustive()
    }
}

/// A lock held; dropping it gives it back.
#[derive(Debug)]
pub struct SleepGuard<'a, T> {
    lock: &'a SleepLock<T>,
}

impl<T> Deref for SleepGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: whoever has the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SleepGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: likewise, and there is only one guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SleepGuard<'_, T> {
    fn drop(&mut self) {
        if self.lock.state.swap(FREE, AcqRel) == AWAITED {
            scheduler::wake_sleepers(self.lock.channel());
        }
    }
}
