//! The object caches of the kernel: those that its own heap is made of, and those that test programs drive.

use abi::page::Pool;
use base::spin::RiscV;
use mm::{slab::Lab, sync::Registry};

use crate::{
    object_pages::PoolPages,
    watched::{Watch, Watched},
};

/// Those of the kernel's heap.
pub static HEAP: Lab<RiscV, PoolPages> = Lab::new(PoolPages::new(Pool::Kernel));

/// Those of test programs.
pub static TESTED: Lab<Watched<Tested>, PoolPages> = Lab::new(PoolPages::new(Pool::Arena));

/// Every lock of the caches that test programs drive.
pub static LOCKS: Registry = Registry::new();

/// Object caches under test.
#[derive(Debug)]
pub enum Tested {}

impl Watch for Tested {
    #[inline(always)]
    fn locks() -> &'static Registry {
        &LOCKS
    }
}
