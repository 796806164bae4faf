//! Single pages for all harts: each has a few at hand, and fetches or brings back a batch at one central list. When
//! that is empty, a hart takes from what others have at hand.

use core::ptr::{self, NonNull};

use super::{PAGE_SIZE, PageLists, Region};
use crate::sync::{Here, MAX_HARTS, Machine, SpinLock, on_this_hart};

/// The most pages that a hart has at hand.
const AT_HAND: usize = 64;

/// Pages that are fetched or brought back at a time.
const BATCH: usize = 32;

/// A list a hart, and one for all.
///
/// Who needs both kinds of locks takes the central one first. Pages move between lists only under it.
pub struct PerHart<M: Machine> {
    at_hand: [AtHand<M>; MAX_HARTS],
    central: SpinLock<List, M>,
}

/// On a cache line of its own.
#[repr(align(64))]
struct AtHand<M: Machine>(SpinLock<List, M>);

impl<M: Machine> PerHart<M> {
    /// Lists without a page.
    #[expect(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        Self {
            at_hand: [const { AtHand(SpinLock::new("at hand", List::EMPTY)) }; MAX_HARTS],
            central: SpinLock::new("central", List::EMPTY),
        }
    }

    #[cold]
    fn fetch(&self, here: &Here<'_, M>) -> Option<NonNull<u8>> {
        self.central.with_here(here, |central| {
            if central.first.is_null() {
                return self.at_hand.iter().find_map(|other| other.0.with_here(here, List::pop));
            }
            self.at_hand[here.hart()].0.with_here(here, |mine| mine.take(central, BATCH));
            central.pop()
        })
    }

    #[cold]
    fn bring_back(&self, here: &Here<'_, M>) {
        self.central.with_here(here, |central| {
            self.at_hand[here.hart()].0.with_here(here, |mine| central.take(mine, BATCH));
        });
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
        on_this_hart::<M, _>(|here| {
            let page = self.at_hand[here.hart()].0.with_here(here, List::pop);
            if page.is_some() { page } else { self.fetch(here) }
        })
    }

    unsafe fn free(&self, page: NonNull<u8>) {
        on_this_hart::<M, _>(|here| {
            let count = self.at_hand[here.hart()].0.with_here(here, |mine| {
                // SAFETY: the caller gives the page up.
                unsafe { mine.push(page) };
                mine.count
            });
            if count > AT_HAND {
                self.bring_back(here);
            }
        });
    }

    fn free_pages(&self) -> usize {
        let lists = self.at_hand.iter().map(|mine| &mine.0).chain([&self.central]);
        lists.map(|list| list.with(|list| list.count)).sum()
    }
}

/// Free pages, each of which holds the address of the next one.
struct List {
    first: *mut Free,
    count: usize,
}

struct Free {
    next: *mut Free,
}

// SAFETY: pages on a list are used by nobody but whoever owns the list, on whichever hart.
unsafe impl Send for List {}

impl List {
    const EMPTY: Self = Self { first: ptr::null_mut(), count: 0 };

    /// # Safety
    /// The page is memory that nobody else uses.
    unsafe fn push(&mut self, page: NonNull<u8>) {
        let page = page.cast::<Free>();
        // SAFETY: the caller gives the page up.
        unsafe { page.write(Free { next: self.first }) };
        self.first = page.as_ptr();
        self.count += 1;
    }

    fn pop(&mut self) -> Option<NonNull<u8>> {
        let page = NonNull::new(self.first)?;
        // SAFETY: pages on the list are the list's own.
        self.first = unsafe { page.read() }.next;
        self.count -= 1;
        Some(page.cast())
    }

    /// Takes so many pages out of another list, if it has them, but leaves it one.
    fn take(&mut self, other: &mut Self, pages: usize) {
        for _ in 0..pages {
            if other.count > 1
                && let Some(page) = other.pop()
            {
                // SAFETY: it was the other list's.
                unsafe { self.push(page) };
            }
        }
    }
}
