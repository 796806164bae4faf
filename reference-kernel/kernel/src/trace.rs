//! The trace of one pool: every operation in the order in which it took effect, until someone reads it.

use core::fmt::Write;

use abi::{
    mark::Meter,
    page::{Kind, Operation},
    record::{self, OPERATIONS_PER_RECORD},
};
use base::console::Console;

use crate::{OBJECTS, list_trace, object_trace, pools};

/// Entries that a trace holds; what comes while it is full is lost, and counted.
pub const CAPACITY: usize = 65536;

/// A ring of operations.
#[derive(Debug)]
pub struct Trace {
    ring: &'static mut [Operation],
    first: usize,
    count: usize,
    /// Operations read so far; the entries that belong to statistics are no operations of their own.
    read: u64,
    lost: u64,
}

/// Some operations out of a trace.
#[derive(Debug)]
pub struct Batch {
    /// The number of the first one.
    pub from: u64,
    /// How many operations there are.
    pub operations: u64,
    /// Operations lost, told with the last of those that were there.
    pub lost: u64,
    entries: [Operation; OPERATIONS_PER_RECORD],
    count: usize,
}

impl Batch {
    /// The operations, with the entries that belong to them.
    pub fn entries(&self) -> &[Operation] {
        &self.entries[..self.count]
    }
}

const EMPTY: Operation = Operation {
    kind: 0,
    client: 0,
    hart: 0,
    error: 0,
    order: 0,
    reserved: [0; 3],
    instructions: 0,
    pages: 0,
    address: 0,
};

impl Trace {
    /// A trace in that memory.
    pub const fn new(ring: &'static mut [Operation]) -> Self {
        Self { ring, first: 0, count: 0, read: 0, lost: 0 }
    }

    /// Adds an operation with the entries that belong to it, or none of them.
    pub fn push(&mut self, group: &[Operation]) {
        if self.count + group.len() > self.ring.len() {
            self.lost += 1;
            return;
        }
        abi::grader_mark!(Meter::Pages.noted());
        for operation in group {
            let at = (self.first + self.count) % self.ring.len();
            self.ring[at] = *operation;
            self.count += 1;
        }
    }

    /// Takes out as many of the oldest operations as fit into `most` entries.
    pub fn take(&mut self, most: usize) -> Batch {
        let mut batch =
            Batch { from: self.read, operations: 0, lost: 0, entries: [EMPTY; OPERATIONS_PER_RECORD], count: 0 };
        let most = most.min(batch.entries.len());
        while self.count > 0 {
            let group = 1 + (1..self.count).take_while(|&after| self.at(after).kind == Kind::FreeBlocks as u8).count();
            if batch.count + group > most {
                break;
            }
            for after in 0..group {
                batch.entries[batch.count + after] = *self.at(after);
            }
            batch.count += group;
            batch.operations += 1;
            self.first = (self.first + group) % self.ring.len();
            self.count -= group;
            self.read += 1;
        }
        if self.count == 0 {
            batch.lost = core::mem::take(&mut self.lost);
        }
        batch
    }

    fn at(&self, after: usize) -> &Operation {
        &self.ring[(self.first + after) % self.ring.len()]
    }
}

/// Prints the oldest operations as one record; answers how many there were.
///
/// The console is locked before they leave the trace, so records stand in the order of their operations, and the
/// last words of another hart wait until these are out.
pub fn print_next(console: &mut Console) -> u64 {
    let Some(pool) = pools::traced() else { return list_trace::print_next(console) };
    let batch = pool.lock().read_trace(OPERATIONS_PER_RECORD);
    print(console, &batch)
}

/// Prints all that is left.
///
/// # Safety
/// The machine is about to stop, and no other hart runs any more.
pub unsafe fn print_rest(console: &mut Console) {
    if OBJECTS {
        // SAFETY: as above.
        unsafe { object_trace::print_rest(console) };
    }
    while list_trace::print_next(console) > 0 {}
    let Some(pool) = pools::traced() else { return };
    // SAFETY: a trace is consistent but for its last entry at every moment, whatever the allocator was doing.
    let pool = unsafe { pool.seize() };
    while print(console, &pool.read_trace(OPERATIONS_PER_RECORD)) > 0 {}
}

fn print(console: &mut Console, batch: &Batch) -> u64 {
    if batch.operations > 0 {
        console.record(|out| record::write_operations(out, batch.from, batch.entries()));
    }
    print_lost(console, batch);
    batch.operations
}

/// Prints how many operations were lost, if any were.
pub fn print_lost(console: &mut Console, batch: &Batch) {
    if batch.lost > 0 {
        console.record(|out| write!(out, "\"r\":\"lost\",\"operations\":{}", batch.lost));
    }
}
