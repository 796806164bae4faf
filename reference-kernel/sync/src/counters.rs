//! How locks are used: counts a lock and a hart, where whoever reports them finds all.

use core::{
    cell::UnsafeCell,
    fmt,
    sync::atomic::{
        AtomicBool, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use super::MAX_HARTS;

/// What one hart did with one lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// How often it took the lock.
    pub acquisitions: u64,
    /// How often somebody else held it then.
    pub contended: u64,
    /// Guest instructions from taking it to giving it up, in sum. Where one counter serves all harts, those that the
    /// others execute meanwhile are among them.
    pub instructions: u64,
}

/// The counts of one lock. Only the hart that they are about writes its own, so there is nothing to lock.
#[derive(Debug)]
pub struct Counters([HartCounters; MAX_HARTS]);

#[derive(Debug)]
struct HartCounters {
    acquisitions: AtomicU64,
    contended: AtomicU64,
    instructions: AtomicU64,
    // A power of two makes the way to a hart's counts a shift.
    _reserved: AtomicU64,
}

impl Counters {
    const fn new() -> Self {
        Self(
            [const {
                HartCounters {
                    acquisitions: AtomicU64::new(0),
                    contended: AtomicU64::new(0),
                    instructions: AtomicU64::new(0),
                    _reserved: AtomicU64::new(0),
                }
            }; MAX_HARTS],
        )
    }

    #[inline(always)]
    pub(super) fn acquired(&self, hart: usize) {
        add(&self.0[hart % MAX_HARTS].acquisitions, 1);
    }

    pub(super) fn contended(&self, hart: usize) {
        add(&self.0[hart % MAX_HARTS].contended, 1);
    }

    #[inline(always)]
    pub(super) fn held(&self, hart: usize, instructions: u64) {
        add(&self.0[hart % MAX_HARTS].instructions, instructions);
    }

    /// The counts of a hart.
    pub fn of(&self, hart: usize) -> Counts {
        let HartCounters { acquisitions, contended, instructions, .. } = &self.0[hart];
        Counts {
            acquisitions: acquisitions.load(Relaxed),
            contended: contended.load(Relaxed),
            instructions: instructions.load(Relaxed),
        }
    }
}

/// Adds to a number that only this hart writes.
#[inline(always)]
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
}

/// Locks that have counters of their own; all that come later share the last ones.
const MOST: usize = 256;

/// The counters of all locks that were ever taken. Those of a lock that is gone stay.
pub struct Registry {
    entries: [Entry; MOST],
    count: AtomicUsize,
}

struct Entry {
    named: AtomicBool,
    name: UnsafeCell<&'static str>,
    counters: Counters,
}

impl Entry {
    const fn new() -> Self {
        Self { named: AtomicBool::new(false), name: UnsafeCell::new(OTHERS), counters: Counters::new() }
    }
}

// SAFETY: a name is written once, before `named` says that it may be read.
unsafe impl Sync for Entry {}

/// The name that stands for the locks beyond [`MOST`].
const OTHERS: &str = "all other locks";

impl Registry {
    /// A registry of no locks.
    #[expect(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        Self { entries: [const { Entry::new() }; MOST], count: AtomicUsize::new(0) }
    }

    /// Counters for a lock of that name; names need not differ.
    #[cold]
    #[inline(never)]
    pub(super) fn enrol(&'static self, name: &'static str) -> &'static Counters {
        let index = self.count.fetch_add(1, Relaxed);
        let entry = &self.entries[index.min(MOST - 1)];
        if index < MOST - 1 {
            // SAFETY: no other call has this index, and nobody reads the name before the next line.
            unsafe { *entry.name.get() = name };
        }
        entry.named.store(true, Release);
        &entry.counters
    }

    /// The counts of every lock that was taken so far, in the same order as [`locks`](Self::locks).
    pub fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.entries[..self.count.load(Relaxed).min(MOST)].iter().map(|entry| &entry.counters)
    }

    /// Every lock that was taken so far, with its counts, in the order in which they were first taken.
    pub fn locks(&self) -> impl Iterator<Item = (&'static str, &Counters)> {
        self.entries.iter().filter(|entry| entry.named.load(Acquire)).map(|entry| {
            // SAFETY: it was written before `named` was set, and never is again.
            (unsafe { *entry.name.get() }, &entry.counters)
        })
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.locks()).finish()
    }
}
