//! How pages go from hart to hart, and through which locks.
//!
//! What one hart gave back reaches another through something that both can touch. So since it was given back there was
//! a lock that the one took first and the other after it, or a chain of such locks over harts in between. That is the
//! order in which locks put what harts do (Lamport, "Time, clocks, and the ordering of events in a distributed system",
//! CACM 1978), kept as vector clocks: for each hart and each lock, how much of what every hart did can have come there.

use std::collections::BTreeMap;

use abi::list_workload::PAIRS;

use super::rules::{Rule, Violation};
use crate::list_trace::{Operation, Taken, What};
use crate::trace::OpIndex;

/// Fewer pages that went from one hart to another show nothing.
const LEAST: u64 = 32;

/// Harts that are handed more of each other's pages than this, while each takes one and gives one back, have no lists of
/// their own.
pub(super) const OWN: f64 = 0.2;

/// A page that another hart was handed than had given it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The operation that gave it back.
    pub given: OpIndex,
    /// The one that it was handed out by next.
    pub taken: OpIndex,
    /// Whether locks lead from the one hart to the other meanwhile, or may: of some operations nobody knows which they
    /// took.
    pub locked: bool,
}

/// All pages that went from one hart to another, in the order in which they arrived there.
pub fn passed(operations: &[Operation]) -> Vec<Passed> {
    let mut moments: Vec<(u64, bool, OpIndex)> = Vec::with_capacity(2 * operations.len());
    for (at, operation) in operations.iter().enumerate() {
        moments.push((operation.begin, false, at));
        moments.push((operation.end, true, at));
    }
    moments.sort_unstable();
    let mut clocks = Clocks::of(operations);
    // By client. Ticks come as soon as a theft turns interrupts back on, and the process that runs next on that hart
    // finds what was stolen before the thief's operation ends.
    let mut under_way: BTreeMap<u8, OpIndex> = BTreeMap::new();
    // Where each free page was given back.
    let mut given: BTreeMap<u64, OpIndex> = BTreeMap::new();
    let mut passed = Vec::new();
    for (_, is_end, at) in moments {
        let operation = &operations[at];
        if !is_end {
            clocks.begin(operation);
            under_way.insert(operation.client, at);
            if let What::Free(page) = operation.what {
                given.insert(page, at);
            }
            continue;
        }
        under_way.remove(&operation.client);
        for &other in under_way.values() {
            clocks.take(&operations[other], operation.hart);
        }
        clocks.end(operation);
        if let What::Allocate(Some(page)) = operation.what
            && let Some(given) = given.remove(&page)
            && operations[given].hart != operation.hart
        {
            passed.push(Passed { given, taken: at, locked: clocks.reached(&operations[given], operation.hart) });
        }
    }
    passed
}

/// Pages of the phase in which each hart takes one and gives one back: where harts have lists of their own, what a hart
/// is handed is what it has given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    /// The operation that was handed another hart's page last.
    pub(super) last: OpIndex,
    /// How many others had given back.
    pub(super) moved: u64,
    /// Of so many that were handed out.
    pub(super) handed_out: u64,
}

/// What shows that harts do not keep to pages of their own, if anything does.
pub(super) fn moved(operations: &[Operation], phases: &[&'static str]) -> Option<Moved> {
    let is_pair = |at: OpIndex| phases[at] == PAIRS && matches!(operations[at].what, What::Allocate(Some(_)));
    let handed_out = (0..operations.len()).filter(|&at| is_pair(at)).count() as u64;
    let passed: Vec<OpIndex> = passed(operations).iter().map(|passed| passed.taken).filter(|&at| is_pair(at)).collect();
    let moved = passed.len() as u64;
    let is_shown = moved >= LEAST && moved as f64 > OWN * handed_out as f64;
    passed.last().filter(|_| is_shown).map(|&last| Moved { last, moved, handed_out })
}

/// What is wrong with how pages went from hart to hart, if anything is.
pub(super) fn judge(operations: &[Operation]) -> Option<Violation> {
    let passed = passed(operations);
    let mut unlocked = passed.iter().filter(|passed| !passed.locked);
    let first = unlocked.next()?;
    let (passed, unlocked) = (passed.len() as u64, 1 + unlocked.count() as u64);
    // An operation seems to have taken no lock, too, when it changed harts twice.
    let is_shown = passed >= LEAST && 4 * unlocked > passed;
    let rule = Rule::PassedUnlocked { given: first.given, passed, unlocked };
    is_shown.then_some(Violation { at: first.taken, rule })
}

/// Of every hart, by its place in [`Clocks::harts`], the begin of the last operation that is known of, and one more;
/// zero for none.
type Clock = Vec<u64>;

struct Clocks {
    harts: Vec<u8>,
    of_hart: Vec<Clock>,
    /// What was known when a lock was last given up; nothing of those that nobody took.
    of_lock: BTreeMap<usize, Clock>,
}

impl Clocks {
    fn of(operations: &[Operation]) -> Self {
        let mut harts: Vec<u8> = operations.iter().map(|operation| operation.hart).collect();
        harts.sort_unstable();
        harts.dedup();
        Self { of_hart: vec![vec![0; harts.len()]; harts.len()], harts, of_lock: BTreeMap::new() }
    }

    fn place(&self, hart: u8) -> usize {
        self.harts.partition_point(|&other| other < hart)
    }

    /// A lock may be taken at once.
    fn begin(&mut self, operation: &Operation) {
        let hart = self.place(operation.hart);
        self.of_hart[hart][hart] = operation.begin + 1;
        self.give_up(operation, hart);
    }

    /// Or at any time, by a process that this hart may have left meanwhile.
    fn take(&mut self, operation: &Operation, hart: u8) {
        if operation.hart != hart && operation.locks.is_some() {
            return;
        }
        let hart = self.place(hart);
        for lock in locks(operation) {
            if let Some(clock) = self.of_lock.get(&lock) {
                join(&mut self.of_hart[hart], clock);
            }
        }
    }

    /// Or at the very end, and one after the other.
    fn end(&mut self, operation: &Operation) {
        self.take(operation, operation.hart);
        self.give_up(operation, self.place(operation.hart));
    }

    fn give_up(&mut self, operation: &Operation, hart: usize) {
        let clock = &self.of_hart[hart];
        for lock in locks(operation) {
            join(self.of_lock.entry(lock).or_insert_with(|| vec![0; clock.len()]), clock);
        }
    }

    /// Whether a hart can know of an operation.
    fn reached(&self, operation: &Operation, hart: u8) -> bool {
        self.of_hart[self.place(hart)][self.place(operation.hart)] > operation.begin
    }
}

/// Those that it took, or may have taken.
fn locks(operation: &Operation) -> impl Iterator<Item = usize> {
    operation.locks.unwrap_or(Taken::ALL).places()
}

fn join(clock: &mut Clock, other: &Clock) {
    clock.iter_mut().zip(other).for_each(|(mine, &theirs)| *mine = (*mine).max(theirs));
}
