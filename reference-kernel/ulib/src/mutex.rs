//! A lock for the threads of a process.

use core::{
    cell::UnsafeCell,
    fmt,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::call;

/// A value that one thread at a time uses; the others sleep in the kernel meanwhile.
///
/// As long as nobody has to wait, neither taking nor giving back is a system call (the second mutex of Drepper,
/// "Futexes Are Tricky").
pub struct Mutex<T> {
    /// [`FREE`], [`TAKEN`] or [`AWAITED`].
    state: AtomicU32,
    value: UnsafeCell<T>,
}

const FREE: u32 = 0;
const TAKEN: u32 = 1;
/// Taken, and perhaps somebody sleeps until it is free.
const AWAITED: u32 = 2;

// SAFETY: the lock hands the value from thread to thread, to one at a time.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A lock that is free.
    pub const fn new(value: T) -> Self {
        Self { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Takes the lock, waiting for it if need be.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        // Where it was awaited, `wait` says so again at once.
        if self.state.swap(TAKEN, Ordering::Acquire) != FREE {
            self.wait();
        }
        Guard { mutex: self }
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) {
        while self.state.swap(AWAITED, Ordering::Acquire) != FREE {
            call::futex_wait(&self.state, AWAITED);
        }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("state", &self.state).finish_non_exhaustive()
    }
}

/// A lock held; dropping it gives it back.
#[derive(Debug)]
pub struct Guard<'a, T> {
    mutex: &'a Mutex<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: whoever has the guard holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: likewise, and there is only one guard.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.mutex.state.swap(FREE, Ordering::Release) == AWAITED {
            call::futex_wake(&self.mutex.state, 1);
        }
    }
}
