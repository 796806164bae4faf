//! The object caches of the kernel: those that its own heap is made of, and those that test programs drive.

use abi::page::Pool;
use mm::slab::{Harts, Lab};

use crate::{cross_call, object_pages::PoolPages, spin::RiscV, stop};

/// The lab's object caches over a pool.
pub type Caches = Lab<RiscV, PoolPages>;

/// Those of the kernel's heap.
pub static HEAP: Caches = Caches::new(PoolPages::new(Pool::Kernel));

/// Those of test programs.
pub static TESTED: Caches = Caches::new(PoolPages::new(Pool::Arena));

impl Harts for RiscV {
    fn harts() -> usize {
        stop::harts()
    }

    fn on_each_hart(work: &(dyn Fn() + Sync)) {
        cross_call::on_each_hart(work);
    }
}
