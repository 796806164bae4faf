//! Single pages for all harts: a page belongs to the list that its number says, whichever hart gives it back. Which
//! list a hart looks at first is its own choice, so the number of its hart is only a hint.

use core::ptr::{self, NonNull};

use super::{PAGE_SIZE, PageLists, Region};
use crate::sync::{MAX_HARTS, Machine, SpinLock, without_interrupts};

const LISTS: usize = MAX_HARTS;

/// The lists.
pub struct PerHart<M: Machine> {
    lists: [SpinLock<List, M>; LISTS],
}

impl<M: Machine> PerHart<M> {
    /// Lists without a page.
    #[expect(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        Self { lists: [const { SpinLock::new("pages", List::EMPTY) }; LISTS] }
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
        let first = without_interrupts::<M, _>(|hart| hart);
        (0..LISTS).find_map(|list| self.lists[(first + list) % LISTS].with(List::pop))
    }

    unsafe fn free(&self, page: NonNull<u8>) {
        let list = page.addr().get() / PAGE_SIZE % LISTS;
        // SAFETY: the caller gives the page up.
        self.lists[list].with(|list| unsafe { list.push(page) });
    }

    fn free_pages(&self) -> usize {
        self.lists.iter().map(|list| list.with(|list| list.count)).sum()
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
}
