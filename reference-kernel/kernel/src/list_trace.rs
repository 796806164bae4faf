//! Traces of page lists: a ring a hart, written by that hart alone, so that tracing puts nothing in order that the
//! lists do not.

use core::{
    fmt::Write,
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
};

use abi::{
    lists::{self, Operation, UNCOUNTED},
    mark::Meter,
    record::OPERATIONS_PER_RECORD,
};
use base::{console::Console, hart::MAX_HARTS, spin::RiscV};
use mm::sync::without_interrupts;

/// Operations that one hart's ring holds; what comes while it is full is lost, and counted.
pub const CAPACITY: usize = 16384;

/// One hart's operations. Whoever reads them holds the console.
struct Ring {
    entries: AtomicPtr<Operation>,
    /// Operations written so far, by the hart.
    written: AtomicU64,
    /// Operations read so far, by whoever holds the console.
    read: AtomicU64,
    lost: AtomicUsize,
}

static RINGS: [Ring; MAX_HARTS] = [const {
    Ring {
        entries: AtomicPtr::new(ptr::null_mut()),
        written: AtomicU64::new(0),
        read: AtomicU64::new(0),
        lost: AtomicUsize::new(0),
    }
}; MAX_HARTS];

/// The counter that begins and ends are stamped from.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The next stamp. Whatever this hart did before others see before it, and likewise after it.
#[inline(always)]
pub fn stamp() -> u64 {
    NEXT.fetch_add(1, SeqCst)
}

/// Gives a hart its ring, in memory for [`CAPACITY`] operations; before it runs.
pub fn set_up(hart: usize, entries: &'static mut [Operation]) {
    assert_eq!(entries.len(), CAPACITY);
    RINGS[hart].entries.store(entries.as_mut_ptr(), Relaxed);
}

/// Adds an operation to the trace of the hart that this runs on, if it is traced. If another one took the locks, that
/// trace does not know which.
pub fn push(taken_by: usize, operation: Operation) {
    without_interrupts::<RiscV, _>(|hart| {
        let Ring { entries, written, read, lost } = &RINGS[hart % MAX_HARTS];
        let (entries, count) = (entries.load(Relaxed), written.load(Relaxed));
        if entries.is_null() {
            return;
        }
        if count - read.load(Acquire) >= CAPACITY as u64 {
            lost.fetch_add(1, Relaxed);
            return;
        }
        let locks = if hart == taken_by { operation.locks } else { UNCOUNTED };
        abi::grader_mark!(Meter::Pages.noted());
        // SAFETY: the place is within the ring's memory, and its reader is done with it.
        unsafe { entries.add(count as usize % CAPACITY).write(Operation { locks, ..operation }) };
        written.store(count + 1, Release);
    });
}

/// Prints the oldest operations of some hart as one record; answers how many there were.
pub fn print_next(console: &mut Console) -> u64 {
    RINGS.iter().enumerate().map(|(hart, ring)| ring.print(hart, console)).find(|&count| count > 0).unwrap_or(0)
}

impl Ring {
    fn print(&self, hart: usize, console: &mut Console) -> u64 {
        let from = self.read.load(Relaxed);
        let count = (self.written.load(Acquire) - from).min(OPERATIONS_PER_RECORD as u64);
        let mut batch = [Operation::NONE; OPERATIONS_PER_RECORD];
        let batch = &mut batch[..count as usize];
        let entries = self.entries.load(Relaxed);
        for (place, operation) in (from..).zip(&mut *batch) {
            // SAFETY: it was written before `written` said so, and is not written again before `read` says so.
            *operation = unsafe { entries.add(place as usize % CAPACITY).read() };
        }
        self.read.store(from + count, Release);
        if count > 0 {
            console.record(|out| lists::write_operations(out, hart, from, batch));
        }
        let lost = self.lost.swap(0, Relaxed);
        if lost > 0 {
            console.record(|out| write!(out, "\"r\":\"lost\",\"operations\":{lost}"));
        }
        count
    }
}
