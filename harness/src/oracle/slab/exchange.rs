//! How harts exchange objects: with locks, and with few.

use std::collections::BTreeMap;

use abi::object::Tuning;

use super::rules::Rule;
use crate::object_trace::{Operation, What};
use crate::trace::OpIndex;

/// Fewer objects that went from one hart to another show nothing.
const LEAST: u64 = 32;

/// The phase in which every client takes many objects in a row, and gives them all back.
const BURSTS: &str = "bursts";

/// Watches the operations of several harts in the order in which they end.
///
/// What one hart gave back reaches another through something that both can touch, so the one that gets it has taken a
/// lock since: its own refill, or a theft. Where objects pass without, the locks are for show, or harts race.
///
/// The lock may be taken by an operation that ends later: ticks come as soon as a refill turns interrupts back on, and
/// the process that runs next finds a whole batch.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Where free objects were given back, and when that began.
    freed: BTreeMap<u64, (u8, u64)>,
    /// When each hart last ended an operation for which it had taken a lock.
    locked: BTreeMap<u8, u64>,
    /// When an operation last ended of which nobody knows whether it took a lock.
    unknown: Option<u64>,
    passed: u64,
    /// By hart, in the order in which they ended.
    unlocked: BTreeMap<u8, Vec<Unlocked>>,
    /// By cache.
    bursts: BTreeMap<u8, Bursts>,
}

/// An operation that was handed what another hart gave back, with no lock that its own hart took since.
#[derive(Debug, Clone, Copy)]
struct Unlocked {
    at: OpIndex,
    end: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bursts {
    last: OpIndex,
    operations: u64,
    moves: u64,
    size: u64,
}

impl Exchange {
    /// An operation on objects of so many bytes has ended.
    pub(super) fn end(&mut self, at: OpIndex, operation: &Operation, phase: &str, size: u64) {
        let Operation { hart, begin, end, .. } = *operation;
        let is_of_objects = matches!(operation.what, What::Allocate { .. } | What::Free { .. });
        if let (BURSTS, true, Some(locks)) = (phase, is_of_objects, operation.locks) {
            let Bursts { operations, moves, .. } = self.bursts.get(&operation.cache).copied().unwrap_or_default();
            let moves = moves + u64::from(locks > 0);
            self.bursts.insert(operation.cache, Bursts { last: at, operations: operations + 1, moves, size });
        }
        match operation.locks {
            None => self.unknown = Some(end),
            Some(0) => {}
            Some(_) => _ = self.locked.insert(hart, end),
        }
        if operation.locks != Some(0) {
            // Who knows where one was that changed harts.
            let harts = if operation.locks.is_none() { 0..=u8::MAX } else { hart..=hart };
            for (_, unlocked) in self.unlocked.range_mut(harts) {
                unlocked.truncate(unlocked.partition_point(|unlocked| unlocked.end < begin));
            }
        }
        match operation.what {
            What::Free { address, answer: Ok(()), .. } if operation.locks.is_some() => {
                self.freed.insert(address, (hart, begin));
            }
            What::Free { address, .. } => _ = self.freed.remove(&address),
            What::Allocate { answer: Ok(address), .. } => {
                let from = self.freed.remove(&address);
                let Some((_, since)) = from.filter(|(from, _)| *from != hart && operation.locks.is_some()) else {
                    return;
                };
                self.passed += 1;
                let locked = self.locked.get(&hart).copied().max(self.unknown);
                if locked < Some(since) {
                    self.unlocked.entry(hart).or_default().push(Unlocked { at, end });
                }
            }
            _ => {}
        }
    }

    /// The rules that were broken, where the caches took pages so many times.
    pub(super) fn judge(&self, slabs: u64) -> Vec<(OpIndex, Rule)> {
        let mut broken = Vec::new();
        let unlocked = || self.unlocked.values().flatten();
        let (passed, first) = (self.passed, unlocked().map(|unlocked| unlocked.at).min());
        let unlocked = unlocked().count() as u64;
        // Some is seen of right solutions, too: a process may be moved to another hart and back.
        if let Some(first) = first
            && passed >= LEAST
            && 4 * unlocked > passed
        {
            broken.push((first, Rule::PassedUnlocked { passed, unlocked }));
        }
        for &Bursts { last, operations, moves, size } in self.bursts.values() {
            let batch = Tuning::of(size as usize, 1).batch as u64;
            // What harts share may hold less than a batch at the moment, as does a slab that is used up.
            let most = 2 * operations / batch + 2 * slabs;
            if moves > most {
                broken.push((last, Rule::BatchesTooSmall { phase: BURSTS, operations, moves, most, batch }));
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two harts that take forty objects in turns: one frees each, the other is handed it, with so many locks.
    fn passed(locks: Option<u16>, phase: &str) -> Vec<Rule> {
        let mut exchange = Exchange::default();
        let mut end = |at: OpIndex, hart, locks, what| {
            let begin = 10 * at as u64;
            let (cache, flags, client) = (0, 0, hart);
            let operation =
                Operation { client, hart, cache, flags, locks, instructions: 1, begin, end: begin + 5, what };
            exchange.end(at, &operation, phase, 64);
        };
        for round in 0..40 {
            let address = 64 * round as u64;
            end(2 * round, 0, Some(0), What::Free { address, bytes: 0, answer: Ok(()) });
            end(2 * round + 1, 1, locks, What::Allocate { bytes: 0, answer: Ok(address) });
        }
        exchange.judge(0).into_iter().map(|(_, rule)| rule).collect()
    }

    #[test]
    fn objects_that_go_from_hart_to_hart_without_a_lock_are_counted() {
        assert_eq!(passed(Some(0), "mixed"), [Rule::PassedUnlocked { passed: 40, unlocked: 40 }]);
        assert_eq!(passed(Some(1), "mixed"), []);
    }

    #[test]
    fn an_operation_that_took_a_lock_and_has_not_ended_yet_may_have_brought_them() {
        let unlocked = |hart, locks, begin| {
            let mut exchange = Exchange::default();
            let mut end = |at: OpIndex, hart, locks, begin, end, what| {
                let operation =
                    Operation { client: 0, hart, cache: 0, flags: 0, locks, instructions: 1, begin, end, what };
                exchange.end(at, &operation, "mixed", 64);
            };
            for round in 0..40 {
                let what = What::Free { address: 64 * round as u64, bytes: 0, answer: Ok(()) };
                end(round, 0, Some(0), round as u64, round as u64 + 1, what);
            }
            for round in 0..40 {
                let what = What::Allocate { bytes: 0, answer: Ok(64 * round as u64) };
                end(40 + round, 1, Some(0), 100 + round as u64, 101 + round as u64, what);
            }
            end(80, hart, locks, begin, 200, What::Allocate { bytes: 0, answer: Ok(1 << 20) });
            exchange.unlocked.values().flatten().count()
        };
        assert_eq!(unlocked(1, Some(1), 50), 0);
        assert_eq!(unlocked(1, Some(1), 120), 19, "those that ended before it began had nothing of it");
        assert_eq!(unlocked(1, Some(0), 50), 40);
        assert_eq!(unlocked(2, Some(1), 50), 40, "a lock taken on another hart");
        assert_eq!(unlocked(2, None, 50), 0, "it may have been on this one, too");
    }

    #[test]
    fn an_operation_that_changed_harts_may_have_taken_any_lock() {
        assert_eq!(passed(None, "mixed"), []);
    }

    #[test]
    fn a_lock_for_every_object_that_comes_from_elsewhere_is_no_batch() {
        let [Rule::BatchesTooSmall { operations: 80, moves: 40, most: 2, batch: 60, .. }] = passed(Some(1), BURSTS)[..]
        else {
            panic!("{:?}", passed(Some(1), BURSTS))
        };
    }
}
