//! Tries: keeps one queue for all harts behind a bakery of plain loads and stores, in which a page waits so long that a lock
//! taken for show now and then seems to have brought it.
//! lab: lab6-4-kmem
//! file: mm/src/page/per_hart.rs
//! checks: bursts, apart-2, apart-4, apart-8, throughput
//! stopped: figures count only where the rules lists.own hold: the trace breaks this rule

use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};

use super::{PAGE_SIZE, PageLists, Region};
use crate::sync::{MAX_HARTS, Machine, SpinLock, on_this_hart};

/// One list for all.
pub struct PerHart<M: Machine> {
    shown: [Shown<M>; MAX_HARTS],
    show: SpinLock<(), M>,
    shared: UnsafeCell<Shared>,
}

#[repr(align(64))]
struct Shown<M: Machine>(SpinLock<(), M>);

struct Shared {
    /// Lamport's bakery, "A new solution of Dijkstra's concurrent programming problem" (CACM 1974).
    choosing: [bool; MAX_HARTS],
    numbers: [usize; MAX_HARTS],
    first: *mut u8,
    last: *mut u8,
    turn: [usize; MAX_HARTS],
    count: usize,
}

// SAFETY: the bakery lets one hart at a time to the pages.
unsafe impl<M: Machine> Sync for PerHart<M> {}

/// The compiler moves no access past it, and keeps nothing in registers over it.
fn fence<M: Machine>() {
    // SAFETY: as they were before.
    unsafe { M::restore_interrupts(M::disable_interrupts()) };
}

impl<M: Machine> PerHart<M> {
    /// Lists without a page.
    #[expect(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        let (choosing, numbers) = ([false; MAX_HARTS], [0; MAX_HARTS]);
        Self {
            shown: [const { Shown(SpinLock::new("pages of a hart", ())) }; MAX_HARTS],
            show: SpinLock::new("stealing pages", ()),
            shared: UnsafeCell::new(Shared {
                choosing,
                numbers,
                first: ptr::null_mut(),
                last: ptr::null_mut(),
                turn: [0; MAX_HARTS],
                count: 0,
            }),
        }
    }

    fn alone<R>(&self, work: impl FnOnce(*mut Shared) -> R) -> R {
        on_this_hart::<M, _>(|here| {
            let (me, shared) = (here.hart() % MAX_HARTS, self.shared.get());
            self.shown[me].0.with_here(here, |()| {
                // SAFETY: everybody reads and writes these words whenever they like; that is the trick.
                unsafe {
                    (*shared).choosing[me] = true;
                    fence::<M>();
                    let last = (0..MAX_HARTS).map(|hart| (*shared).numbers[hart]).max();
                    (*shared).numbers[me] = last.unwrap_or(0) + 1;
                    fence::<M>();
                    (*shared).choosing[me] = false;
                    fence::<M>();
                    for hart in 0..MAX_HARTS {
                        while (*shared).choosing[hart] {
                            M::sleep();
                        }
                        while (*shared).numbers[hart] != 0
                            && ((*shared).numbers[hart], hart) < ((*shared).numbers[me], me)
                        {
                            M::sleep();
                        }
                    }
                    fence::<M>();
                    (*shared).turn[me] += 1;
                    if (*shared).turn[me] % 20 == 0 {
                        self.show.with_here(here, |()| {});
                    }
                    let answer = work(shared);
                    fence::<M>();
                    (*shared).numbers[me] = 0;
                    fence::<M>();
                    answer
                }
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
        // SAFETY: alone with the pages, each of which holds the address of the next one.
        self.alone(|shared| unsafe {
            let page = NonNull::new((*shared).first)?;
            (*shared).first = page.cast::<*mut u8>().read();
            (*shared).count -= 1;
            Some(page)
        })
    }

    unsafe fn free(&self, page: NonNull<u8>) {
        // SAFETY: alone with the pages, and the caller gives this one up.
        self.alone(|shared| unsafe {
            page.cast::<*mut u8>().write(ptr::null_mut());
            if (*shared).first.is_null() {
                (*shared).first = page.as_ptr();
            } else {
                (*shared).last.cast::<*mut u8>().write(page.as_ptr());
            }
            (*shared).last = page.as_ptr();
            (*shared).count += 1;
        });
    }

    fn free_pages(&self) -> usize {
        // SAFETY: alone with the pages.
        self.alone(|shared| unsafe { (*shared).count })
    }
}
