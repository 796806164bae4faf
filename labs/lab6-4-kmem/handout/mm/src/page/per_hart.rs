//! Single pages for all harts. Your task is in labs/lab6-4-kmem/handout.md.
//!
//! What is here works: one list of free pages behind one lock, which every hart takes for every page. Give each hart a
//! list and a lock of its own, and let it steal from the others when its own list is empty.

use core::ptr::{self, NonNull};

use super::{PAGE_SIZE, PageLists, Region};
use crate::sync::{Machine, SpinLock};

/// The free pages of the machine.
///
/// `M` is the machine that it runs on: [`MAX_HARTS`](crate::sync::MAX_HARTS) harts at most, each of which finds its own
/// number with [`on_this_hart`](crate::sync::on_this_hart), which keeps interrupts off as long as the number is in use.
pub struct PerHart<M: Machine> {
    pages: SpinLock<List, M>,
}

impl<M: Machine> PerHart<M> {
    /// Lists without a page.
    #[expect(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        Self { pages: SpinLock::new("all pages", List::EMPTY) }
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
        self.pages.lock().pop()
    }

    unsafe fn free(&self, page: NonNull<u8>) {
        // SAFETY: the caller gives the page up.
        unsafe { self.pages.lock().push(page) };
    }

    fn free_pages(&self) -> usize {
        self.pages.lock().count
    }
}

/// Free pages, each of which holds the address of the next one.
struct List {
    first: *mut Free,
    count: usize,
}

/// What a page holds while it is free.
struct Free {
    next: *mut Free,
}

// SAFETY: pages on a list are used by nobody but whoever owns the list, on whichever hart.
unsafe impl Send for List {}

impl List {
    const EMPTY: Self = Self { first: ptr::null_mut(), count: 0 };

    /// Adds a page.
    ///
    /// # Safety
    /// The page is memory that nobody else uses.
    unsafe fn push(&mut self, page: NonNull<u8>) {
        let page = page.cast::<Free>();
        // SAFETY: the caller gives the page up.
        unsafe { page.write(Free { next: self.first }) };
        self.first = page.as_ptr();
        self.count += 1;
    }

    /// Takes the page that was added last.
    fn pop(&mut self) -> Option<NonNull<u8>> {
        let page = NonNull::new(self.first)?;
        // SAFETY: pages on the list are the list's own.
        self.first = unsafe { page.read() }.next;
        self.count -= 1;
        Some(page.cast())
    }
}
