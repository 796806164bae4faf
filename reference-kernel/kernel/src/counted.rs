//! What is watched of page lists under test: their locks, and how they learn which hart they run on.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base::csr::{self, status};
use mm::sync::Registry;

use crate::watched::Watch;

/// Page lists under test.
#[derive(Debug)]
pub enum Counted {}

/// Every lock of the lists.
pub static LOCKS: Registry = Registry::new();

/// How often a hart's number was asked for while interrupts were on.
static NUMBERS_IN_DOUBT: AtomicU64 = AtomicU64::new(0);

/// How often a hart's number was asked for while interrupts were on, so that it could be another one's a moment later.
pub fn numbers_in_doubt() -> u64 {
    NUMBERS_IN_DOUBT.load(Relaxed)
}

impl Watch for Counted {
    #[inline(always)]
    fn locks() -> &'static Registry {
        &LOCKS
    }

    #[inline(always)]
    fn on_number() {
        if csr::read!("sstatus") & status::SIE != 0 {
            NUMBERS_IN_DOUBT.fetch_add(1, Relaxed);
        }
    }
}
