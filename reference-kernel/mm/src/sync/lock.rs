//! Locks for short critical sections.

use core::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    mem,
    ops::{Deref, DerefMut},
    sync::atomic::{
        AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use super::{Counters, Here, InterruptsOff, MAX_HARTS, Machine, on_this_hart};

/// A value that one hart at a time uses, with its interrupts off.
///
/// A hart that waits soon goes to sleep until the lock's holder wakes it. That matters in QEMU, where with `-icount`
/// harts take turns, and one that spins would use its whole turn up before the holder can go on.
pub struct SpinLock<T, M: Machine> {
    name: &'static str,
    /// Zero for a free lock. Else the number of the hart that holds it, plus one, and above [`SLEEPER`] one bit for
    /// each hart that sleeps until it is free. In one word, so that nobody can fall asleep over a lock that is being
    /// given up, and giving it up takes one atomic instruction.
    state: AtomicUsize,
    statistics: UnsafeCell<Statistics>,
    value: UnsafeCell<T>,
    machine: PhantomData<fn() -> M>,
}

/// What the lock's holder writes down about it.
struct Statistics {
    counters: Option<&'static Counters>,
    taken_at: u64,
}

// SAFETY: the lock hands value and statistics from hart to hart, to one at a time.
unsafe impl<T: Send, M: Machine> Sync for SpinLock<T, M> {}

/// The bit of the sleeper on hart 0.
const SLEEPER: u32 = 8;
const HOLDER: usize = (1 << SLEEPER) - 1;
const _: () = assert!(MAX_HARTS < 1 << SLEEPER);

/// Looks at the lock before a hart goes to sleep: about what it takes the holder to leave a short section.
const LOOKS: usize = 64;

impl<T, M: Machine> SpinLock<T, M> {
    /// A free lock, with a name for messages and reports.
    pub const fn new(name: &'static str, value: T) -> Self {
        Self {
            name,
            state: AtomicUsize::new(0),
            statistics: UnsafeCell::new(Statistics { counters: None, taken_at: 0 }),
            value: UnsafeCell::new(value),
            machine: PhantomData,
        }
    }

    /// Takes the lock, waiting for it if need be.
    ///
    /// # Panics
    /// When this hart holds it already.
    pub fn lock(&self) -> SpinGuard<'_, T, M> {
        let interrupts = InterruptsOff::new();
        self.take(M::hart());
        SpinGuard { lock: self, _interrupts: interrupts }
    }

    /// Takes the lock unless another hart holds it.
    ///
    /// # Panics
    /// As for [`lock`](Self::lock).
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T, M>> {
        let interrupts = InterruptsOff::new();
        let me = M::hart();
        if !self.try_take(me) {
            self.refuse_own(me);
            return None;
        }
        self.count(me);
        Some(SpinGuard { lock: self, _interrupts: interrupts })
    }

    /// Takes the lock for as long as `short` runs, which is given the value. A few instructions less than with a guard,
    /// which anyone could keep longer than the one before it.
    ///
    /// # Panics
    /// As for [`lock`](Self::lock).
    #[inline(always)]
    pub fn with<R>(&self, short: impl FnOnce(&mut T) -> R) -> R {
        on_this_hart::<M, R>(|here| self.with_here(here, short))
    }

    /// As [`with`](Self::with), where interrupts are off already.
    ///
    /// # Panics
    /// As for [`lock`](Self::lock).
    #[inline(always)]
    pub fn with_here<R>(&self, here: &Here<'_, M>, short: impl FnOnce(&mut T) -> R) -> R {
        struct Release<'a, T, M: Machine>(&'a SpinLock<T, M>, usize);

        impl<T, M: Machine> Drop for Release<'_, T, M> {
            #[inline(always)]
            fn drop(&mut self) {
                self.0.release(self.1);
            }
        }

        self.take(here.hart());
        let _release = Release(self, here.hart());
        // SAFETY: this hart holds the lock.
        short(unsafe { &mut *self.value.get() })
    }

    #[inline(always)]
    fn take(&self, me: usize) {
        if !self.try_take(me) {
            self.wait(me);
        }
        self.count(me);
    }

    #[inline(always)]
    fn try_take(&self, me: usize) -> bool {
        self.state.compare_exchange(0, me + 1, Acquire, Relaxed).is_ok()
    }

    fn refuse_own(&self, me: usize) {
        assert!(!self.is_held_by(me), "hart {me} waits for the lock {:?}, which it holds itself", self.name);
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, me: usize) {
        self.refuse_own(me);
        self.wait_for_turn(me);
        if let Some(counters) = self.counters() {
            counters.contended(me);
        }
    }

    fn wait_for_turn(&self, me: usize) {
        for _ in 0..LOOKS {
            if self.state.load(Relaxed) == 0 && self.try_take(me) {
                return;
            }
            M::relax();
        }
        let my_bit = 1 << (SLEEPER as usize + me);
        loop {
            // Whatever woke this hart before is answered by looking again.
            M::prepare_to_sleep();
            let state = self.state.load(Relaxed);
            if state == 0 {
                if self.try_take(me) {
                    return;
                }
            } else if self.state.compare_exchange(state, state | my_bit, Relaxed, Relaxed).is_ok() {
                M::sleep();
            }
        }
    }

    /// The lock's counters, if it counts; only for its holder.
    #[inline(always)]
    fn counters(&self) -> Option<&'static Counters> {
        let registry = M::registry()?;
        // SAFETY: only the holder looks at them, and this is the holder.
        let statistics = unsafe { &mut *self.statistics.get() };
        if statistics.counters.is_none() {
            statistics.counters = Some(registry.enrol(self.name));
        }
        statistics.counters
    }

    #[inline(always)]
    fn count(&self, me: usize) {
        if let Some(counters) = self.counters() {
            counters.acquired(me);
            // SAFETY: as above.
            unsafe { (*self.statistics.get()).taken_at = M::instructions() };
        }
    }

    #[inline(always)]
    fn release(&self, me: usize) {
        if let Some(counters) = self.counters() {
            // SAFETY: this hart holds the lock for a moment yet.
            let taken_at = unsafe { (*self.statistics.get()).taken_at };
            counters.held(me, M::instructions().wrapping_sub(taken_at));
        }
        let state = self.state.swap(0, Release);
        if state != me + 1 {
            wake::<M>(state >> SLEEPER);
        }
    }

    /// Whether that hart holds the lock.
    pub fn is_held_by(&self, hart: usize) -> bool {
        self.state.load(Relaxed) & HOLDER == hart + 1
    }

    /// Whether any hart holds the lock.
    pub fn is_held(&self) -> bool {
        self.state.load(Relaxed) != 0
    }

    /// The guard of a lock that came with a switch from another stack.
    ///
    /// # Safety
    /// This hart holds the lock, and the guard that it took it with was forgotten.
    pub unsafe fn adopt(&self) -> SpinGuard<'_, T, M> {
        debug_assert!(self.is_held_by(M::hart()));
        // SAFETY: the forgotten guard had one that was forgotten with it.
        SpinGuard { lock: self, _interrupts: unsafe { InterruptsOff::adopt() } }
    }

    /// The value, of a lock that nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
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

#[cold]
#[inline(never)]
fn wake<M: Machine>(sleepers: usize) {
    M::wake(sleepers);
}

impl<T, M: Machine> fmt::Debug for SpinLock<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpinLock").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A lock held; giving it up turns interrupts back on, if they were on before and no other lock is held.
#[derive(Debug)]
pub struct SpinGuard<'a, T, M: Machine> {
    lock: &'a SpinLock<T, M>,
    _interrupts: InterruptsOff<M>,
}

impl<T, M: Machine> SpinGuard<'_, T, M> {
    /// Leaves the lock held, for [`SpinLock::adopt`] on the other side of a switch.
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl<T, M: Machine> Deref for SpinGuard<'_, T, M> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: whoever has the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T, M: Machine> DerefMut for SpinGuard<'_, T, M> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: likewise, and there is only one guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T, M: Machine> Drop for SpinGuard<'_, T, M> {
    fn drop(&mut self) {
        // The fields go after this, so interrupts come back on only when the lock is free.
        self.lock.release(M::hart());
    }
}
