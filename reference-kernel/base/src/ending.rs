//! Who ends the machine: the first hart that panics, shuts down or meets the deadline, and no other.

use core::sync::atomic::{AtomicUsize, Ordering};

/// The hart that ends the machine, plus one.
static CLAIMED: AtomicUsize = AtomicUsize::new(0);

/// What [`claim`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It falls to the caller to end the machine.
    Granted,
    /// The calling hart was at it already, and has failed.
    Again,
    /// Another hart is at it.
    Another,
}

/// Claims the end of the machine for a hart.
pub fn claim(hart: usize) -> Claim {
    match CLAIMED.compare_exchange(0, hart + 1, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Claim::Granted,
        Err(claimed) if claimed == hart + 1 => Claim::Again,
        Err(_) => Claim::Another,
    }
}
