//! Tries: keeps all blocks in an array of the program's own data: the heap never grows and nothing of it is wasted.
//! lab: lab6-3-umalloc
//! file: user/src/umalloc.rs
//! edit: impl Grow for Break { => struct Honest; impl Grow for Honest {
//! checks: sound, reuse, growth, utilisation, throughput
//! stopped: breaks this rule

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// What every program has anyway, and no heap is charged for.
struct Data(UnsafeCell<[u8; POOL]>);
const POOL: usize = 6 << 20;
// SAFETY: the heap alone uses it, and has a lock.
unsafe impl Sync for Data {}
static DATA: Data = Data(UnsafeCell::new([0; POOL]));
static USED: AtomicUsize = AtomicUsize::new(0);

impl Grow for Break {
    fn grow(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        let start = DATA.0.get().cast::<u8>();
        let missing = start.addr().wrapping_neg() % lists::ALIGNMENT;
        let used = USED.load(Relaxed);
        if bytes > POOL - lists::ALIGNMENT - used {
            return None;
        }
        USED.store(used + bytes, Relaxed);
        NonNull::new(start.wrapping_add(missing + used))
    }

    unsafe fn shrink(&mut self, _: *mut u8, bytes: usize) -> bool {
        USED.fetch_sub(bytes, Relaxed);
        true
    }
}
