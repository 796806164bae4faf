//! Locks for short critical sections.

use core::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    mem,
    ops::{Deref, DerefMut},
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use super::{Counters, Here, InterruptsOff, MAX_HARTS, Machine, on_this_hart};

/// A value that one hart at a time uses, with its interrupts off.
///
/// A hart that waits soon goes to sleep until the lock's holder wakes it. That matters in QEMU, where with `-icount`
/// harts take turns, and one that spins would use its whole turn up before the holder can go on.
// The state first, where an atomic instruction reaches it without an address of its own.
#[repr(C)]
pub struct SpinLock<T, M: Machine> {
    /// Zero for a free lock. Else a bit for the hart that holds it and for each that is just finding that out, and from
    /// [`SLEEPER`] on one for each that sleeps until it is free. In one word, so that nobody can fall asleep over a lock
    /// that is being given up, and taking it and giving it up are one atomic instruction each.
    state: AtomicUsize,
    name: &'static str,
    /// Null before the lock was first taken, and as long as there is no registry.
    counters: AtomicPtr<Counters>,
    /// The instructions so far when the lock was taken; its holder's.
    taken_at: UnsafeCell<u64>,
    value: UnsafeCell<T>,
    machine: PhantomData<fn() -> M>,
}

// SAFETY: the lock hands the value and what it notes of its holder from hart to hart, to one at a time.
unsafe impl<T: Send, M: Machine> Sync for SpinLock<T, M> {}

/// The bit of the sleeper on hart 0.
const SLEEPER: usize = MAX_HARTS;
const _: () = assert!(2 * MAX_HARTS <= usize::BITS as usize);

#[inline(always)]
const fn bit(number: usize) -> usize {
    1 << number
}

/// Looks at the lock before a hart goes to sleep: about what it takes the holder to leave a short section.
const LOOKS: usize = 64;

impl<T, M: Machine> SpinLock<T, M> {
    /// A free lock, with a name for messages and reports.
    pub const fn new(name: &'static str, value: T) -> Self {
        Self {
            state: AtomicUsize::new(0),
            name,
            counters: AtomicPtr::new(ptr::null_mut()),
            taken_at: UnsafeCell::new(0),
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

    /// Takes a lock that this hart will mostly find free, as it is its own, in as few instructions as there can be:
    /// everything that may need a call is left to `slowly`, which does the same from the start. It is called with
    /// interrupts as they were before, when the lock is held, or when `short` answers nothing.
    ///
    /// A panic of `short` leaves the lock held and interrupts off.
    #[inline(always)]
    pub fn try_own<'a, R>(
        lock_of: impl FnOnce(usize) -> &'a Self,
        short: impl FnOnce(&mut T) -> Option<R>,
        slowly: impl FnOnce() -> Option<R>,
    ) -> Option<R>
    where
        T: 'a,
    {
        let interrupts = M::disable_interrupts();
        let me = M::hart();
        let lock = lock_of(me);
        let may_count = !M::counts() || !lock.counters.load(Relaxed).is_null();
        // All that is rare ends in one call, so that nothing is saved for the sake of it where it is not made.
        let (result, found, sleepers) = 'rare: {
            if !may_count {
                break 'rare (None, 0, 0);
            }
            let found = lock.ask(me);
            if found != 0 {
                break 'rare (None, found, 0);
            }
            lock.count(me);
            // SAFETY: this hart holds the lock.
            let result = short(unsafe { &mut *lock.value.get() });
            let sleepers = lock.give_up(me);
            if sleepers != 0 || result.is_none() {
                break 'rare (result, 0, sleepers);
            }
            // SAFETY: they were disabled above.
            unsafe { M::restore_interrupts(interrupts) };
            return result;
        };
        lock.end_own(found, sleepers, interrupts, result, slowly)
    }

    /// The end of [`try_own`](Self::try_own) where the lock was not free, somebody sleeps over it, or nothing was
    /// answered.
    #[cold]
    #[inline(never)]
    fn end_own<R>(
        &self,
        found: usize,
        sleepers: usize,
        interrupts: M::Before,
        result: Option<R>,
        slowly: impl FnOnce() -> Option<R>,
    ) -> Option<R> {
        if found != 0 {
            self.withdraw(M::hart(), found);
        }
        if sleepers != 0 {
            M::wake(sleepers);
        }
        // SAFETY: the caller has disabled them, and left this to do.
        unsafe { M::restore_interrupts(interrupts) };
        result.or_else(slowly)
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
        let found = self.ask(me);
        if found != 0 {
            self.withdraw(me, found);
        }
        found == 0
    }

    /// Takes the lock if this answers zero. Else it answers what state the lock was in, for
    /// [`withdraw`](Self::withdraw).
    #[inline(always)]
    fn ask(&self, me: usize) -> usize {
        self.state.fetch_or(bit(me), Acquire)
    }

    /// Undoes asking in vain. If the lock was given up meanwhile, there is nothing left to undo.
    #[cold]
    #[inline(never)]
    fn withdraw(&self, me: usize, found: usize) {
        assert!(found & bit(me) == 0, "hart {me} waits for the lock {:?}, which it holds itself", self.name);
        self.state.fetch_and(!bit(me), Relaxed);
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, me: usize) {
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
        loop {
            // Whatever woke this hart before is answered by looking again.
            M::prepare_to_sleep();
            let state = self.state.load(Relaxed);
            if state == 0 {
                if self.try_take(me) {
                    return;
                }
            } else if self.state.compare_exchange(state, state | bit(SLEEPER + me), Relaxed, Relaxed).is_ok() {
                M::sleep();
            }
        }
    }

    /// The lock's counters, if it counts; only for its holder.
    #[inline(always)]
    fn counters(&self) -> Option<&'static Counters> {
        if !M::counts() {
            return None;
        }
        let counters = self.counters.load(Relaxed);
        if counters.is_null() {
            let new = M::registry()?.enrol(self.name);
            self.counters.store(ptr::from_ref(new).cast_mut(), Relaxed);
            return Some(new);
        }
        // SAFETY: what is not null is from `enrol`, and stays.
        Some(unsafe { &*counters })
    }

    #[inline(always)]
    fn count(&self, me: usize) {
        if let Some(counters) = self.counters() {
            counters.acquired(me);
            // SAFETY: this hart holds the lock.
            unsafe { *self.taken_at.get() = M::instructions() };
        }
    }

    #[inline(always)]
    fn release(&self, me: usize) {
        let sleepers = self.give_up(me);
        if sleepers != 0 {
            wake::<M>(sleepers);
        }
    }

    /// Gives the lock up; answers who sleeps until it is free, one bit a hart.
    #[inline(always)]
    fn give_up(&self, me: usize) -> usize {
        if let Some(counters) = self.counters() {
            // SAFETY: this hart holds the lock for a moment yet.
            let taken_at = unsafe { *self.taken_at.get() };
            counters.held(me, M::instructions().wrapping_sub(taken_at));
        }
        let state = self.state.swap(0, Release);
        // One comparison less than to shift first.
        if state == bit(me) { 0 } else { state >> SLEEPER }
    }

    /// Whether that hart holds the lock. Another hart may be told so while that one is just finding the lock taken.
    pub fn is_held_by(&self, hart: usize) -> bool {
        self.state.load(Relaxed) & bit(hart) != 0
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
