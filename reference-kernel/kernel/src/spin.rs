//! Locks for short critical sections.

use core::{
    cell::UnsafeCell,
    fmt, hint, mem,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    csr::{self, interrupt},
    hart::{self, InterruptsOff},
    platform,
};

/// A value that one hart at a time uses, with its interrupts off.
///
/// A hart that waits soon goes to sleep until the lock's holder wakes it. That matters in QEMU, where with `-icount`
/// harts take turns, and one that spins would use its whole turn up before the holder can go on.
pub struct SpinLock<T> {
    name: &'static str,
    /// The hart that holds the lock, plus one; zero for none.
    holder: AtomicUsize,
    /// One bit for each hart that sleeps until the lock is free.
    sleepers: AtomicUsize,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value from hart to hart, to one at a time.
unsafe impl<T: Send> Sync for SpinLock<T> {}

/// Looks at the lock before a hart goes to sleep: about what it takes the holder to leave a short section.
const SPINS: usize = 64;

impl<T> SpinLock<T> {
    /// A free lock, with a name for messages.
    pub const fn new(name: &'static str, value: T) -> Self {
        Self { name, holder: AtomicUsize::new(0), sleepers: AtomicUsize::new(0), value: UnsafeCell::new(value) }
    }

    /// Takes the lock, waiting for it if need be.
    ///
    /// # Panics
    /// When this hart holds it already.
    pub fn lock(&self) -> SpinGuard<'_, T> {
        let interrupts = InterruptsOff::new();
        let me = hart::this().id();
        if !self.try_take(me) {
            assert!(!self.is_held_by(me), "hart {me} waits for the lock {:?}, which it holds itself", self.name);
            self.wait(me);
        }
        SpinGuard { lock: self, _interrupts: interrupts }
    }

    fn try_take(&self, me: usize) -> bool {
        self.holder.compare_exchange(0, me + 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, me: usize) {
        for _ in 0..SPINS {
            if self.holder.load(Ordering::Relaxed) == 0 && self.try_take(me) {
                return;
            }
            hint::spin_loop();
        }
        loop {
            // Whatever woke this hart before is answered by looking again. Nobody else's wake-up can be lost: the
            // scheduler only wakes harts that are idle, and those are not here.
            // SAFETY: this interrupt carries no more than "look again".
            unsafe { csr::clear!("sip", interrupt::SUPERVISOR_SOFTWARE) };
            self.sleepers.fetch_or(1 << me, Ordering::SeqCst);
            if self.try_take(me) {
                self.sleepers.fetch_and(!(1 << me), Ordering::Relaxed);
                return;
            }
            csr::wait_for_interrupt();
        }
    }

    fn release(&self) {
        // Sequentially consistent with `wait`: either the waiter sees the lock free, or this sees the waiter.
        self.holder.store(0, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) != 0 {
            self.wake();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(&self) {
        let mut sleepers = self.sleepers.swap(0, Ordering::SeqCst);
        while sleepers != 0 {
            platform::set_software_interrupt(sleepers.trailing_zeros() as usize, true);
            sleepers &= sleepers - 1;
        }
        // Else this hart could take the lock again and again before they are awake.
        csr::pass_turn();
    }

    /// Whether that hart holds the lock.
    pub fn is_held_by(&self, hart: usize) -> bool {
        self.holder.load(Ordering::Relaxed) == hart + 1
    }

    /// Whether any hart holds the lock.
    pub fn is_held(&self) -> bool {
        self.holder.load(Ordering::Relaxed) != 0
    }

    /// The guard of a lock that came with a switch from another stack.
    ///
    /// # Safety
    /// This hart holds the lock, and the guard that it took it with was forgotten.
    pub unsafe fn adopt(&self) -> SpinGuard<'_, T> {
        debug_assert!(self.is_held_by(hart::this().id()));
        SpinGuard { lock: self, _interrupts: InterruptsOff::adopt() }
    }

    /// The value, whoever holds the lock.
    ///
    /// # Safety
    /// The machine is about to stop, no other hart runs any more, and the value is sound to use as its holder,
    /// interrupted anywhere, left it.
    #[expect(clippy::mut_from_ref, reason = "it breaks the lock, which is its purpose")]
    pub unsafe fn seize(&self) -> &mut T {
        // SAFETY: see above.
        unsafe { &mut *self.value.get() }
    }
}

impl<T> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpinLock").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A lock held; giving it up turns interrupts back on, if they were on before and no other lock is held.
#[derive(Debug)]
pub struct SpinGuard<'a, T> {
    lock: &'a SpinLock<T>,
    _interrupts: InterruptsOff,
}

impl<T> SpinGuard<'_, T> {
    /// Leaves the lock held, for [`SpinLock::adopt`] on the other side of a switch.
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: whoever has the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: likewise, and there is only one guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        // The fields go after this, so interrupts come back on only when the lock is free.
        self.lock.release();
    }
}
