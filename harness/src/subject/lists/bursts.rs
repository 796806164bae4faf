//! The figure of the phase in which every hart takes many pages at a time and gives them all back.

use abi::list_workload::BURSTS;

use super::Quantity;
use crate::list_trace::{Lock, Operation};

/// The share of operations that took a lock which another hart takes more often; nothing where the phase did not
/// happen, or nobody knows which locks its operations took.
pub(super) fn shared(operations: &[Operation], phases: &[&'static str], locks: &[Lock]) -> Option<Quantity> {
    let made = || operations.iter().zip(phases).filter(|(_, phase)| **phase == BURSTS).map(|(operation, _)| operation);
    if locks.is_empty() || made().all(|operation| operation.locks.is_none()) {
        return None;
    }
    let owners: Vec<Option<usize>> = locks.iter().map(Lock::owner).collect();
    let is_shared = |operation: &&Operation| {
        let is_other = |lock: usize| owners.get(lock).is_some_and(|owner| *owner != Some(operation.hart.into()));
        // One that nobody knows of may have taken any.
        operation.locks.is_none_or(|taken| taken.places().any(is_other))
    };
    Some(Quantity {
        value: made().filter(is_shared).count() as f64 / made().count() as f64,
        unit: "of operations took a lock that another hart takes more often",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list_trace::{Taken, Use, What};

    fn operation(hart: u8, locks: Option<u64>) -> Operation {
        let (what, locks) = (What::Allocate(None), locks.map(Taken));
        Operation { client: 0, hart, instructions: 20, begin: 0, end: 1, what, locks }
    }

    fn lock(counts: [u64; 2]) -> Lock {
        let harts = counts.map(|acquisitions| Use { acquisitions, ..Use::default() }).to_vec();
        Lock { of: "lists".into(), name: "pages".into(), harts }
    }

    #[test]
    fn operations_that_took_the_lock_of_another_hart_or_may_have_are_counted() {
        // Lock 0 is hart 1's own, and lock 1 hart 0's.
        let locks = [lock([3, 90]), lock([80, 1])];
        let share = |trace: &[Operation]| {
            shared(trace, &vec![BURSTS; trace.len()], &locks).map(|figure| (figure.value * trace.len() as f64).round())
        };
        let own = [operation(0, Some(2)), operation(1, Some(1)), operation(0, Some(0))];
        assert_eq!(share(&own), Some(0.0));
        assert_eq!(share(&[&own[..], &[operation(0, Some(3)), operation(1, Some(2))]].concat()), Some(2.0));
        assert_eq!(share(&[&own[..], &[operation(0, None)]].concat()), Some(1.0));
        assert_eq!(share(&[operation(0, None), operation(1, None)]), None, "a kernel that cannot tell");
    }

    #[test]
    fn other_phases_do_not_count() {
        let trace = [operation(0, Some(1)), operation(0, Some(2))];
        let share = |phases: [&'static str; 2]| {
            shared(&trace, &phases, &[lock([3, 90]), lock([80, 1])]).map(|figure| figure.value)
        };
        assert_eq!(
            [share(["pairs", BURSTS]), share([BURSTS, "pairs"]), share(["pairs"; 2])],
            [Some(0.0), Some(1.0), None]
        );
    }
}
