//! Single pages for all harts: a list and a lock for each hart, so that harts do not wait for one another.
//!
//! The idea is that of xv6's lab on locks (Cox, Kaashoek and Morris, MIT 6.1810, "Parallelism/locking"), and of Linux's
//! per-CPU page lists (mm/page_alloc.c, `rmqueue_pcplist`). A hart takes from its own list and gives back to it. Only
//! when that is empty does it look at the others', and then it takes a batch, so that it need not come again soon.

use core::ptr::{self, NonNull};

use super::{PAGE_SIZE, PageLists, Region};
use crate::sync::{Here, MAX_HARTS, Machine, SpinLock, on_this_hart};

/// The most pages that are stolen at a time; walking to the end of them is what the victim has to wait for.
const BATCH: usize = 64;

/// One list of free pages a hart.
pub struct PerHart<M: Machine> {
    harts: [OwnList<M>; MAX_HARTS],
    /// Held by the hart that steals. So pages move from list to list one thief at a time, and a thief that finds all
    /// lists empty has not missed any that moved behind its back. And as a thief holds one list's lock at a time, no
    /// two of them can wait for each other.
    stealing: SpinLock<(), M>,
}

/// On a cache line of its own, or harts would still wait for one another.
#[repr(align(64))]
struct OwnList<M: Machine>(SpinLock<List, M>);

impl<M: Machine> PerHart<M> {
    /// Lists without a page.
    #[expect(clippy::new_without_default, reason = "only ever a static")]
    pub const fn new() -> Self {
        Self {
            harts: [const { OwnList(SpinLock::new("pages of a hart", List::EMPTY)) }; MAX_HARTS],
            stealing: SpinLock::new("stealing pages", ()),
        }
    }

    fn list(&self, hart: usize) -> &SpinLock<List, M> {
        &self.harts[hart % MAX_HARTS].0
    }

    /// Where somebody else holds the hart's own lock, or its list is empty.
    #[cold]
    #[inline(never)]
    fn allocate_slowly(&self) -> Option<NonNull<u8>> {
        on_this_hart::<M, _>(|here| {
            let page = self.list(here.hart()).with_here(here, List::pop);
            if page.is_some() { page } else { self.steal(here) }
        })
    }

    /// # Safety
    /// As for [`PageLists::free`].
    #[cold]
    #[inline(never)]
    unsafe fn free_slowly(&self, page: NonNull<u8>) -> Option<()> {
        on_this_hart::<M, _>(|here| {
            // SAFETY: the caller gives the page up.
            self.list(here.hart()).with_here(here, |own| unsafe { own.push(page) });
        });
        Some(())
    }

    /// Moves some of another hart's pages to this one's list, all but one, which is the answer.
    fn steal(&self, here: &Here<'_, M>) -> Option<NonNull<u8>> {
        self.stealing.with_here(here, |()| {
            // Beginning with the next hart, lest all steal from the same one.
            let victims = (1..MAX_HARTS).map(|distance| self.list(here.hart() + distance));
            let mut stolen =
                victims.map(|victim| victim.with_here(here, List::take_half)).find(|stolen| stolen.count > 0)?;
            let page = stolen.pop();
            self.list(here.hart()).with_here(here, |own| own.append(stolen));
            page
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

    #[inline]
    fn allocate(&self) -> Option<NonNull<u8>> {
        SpinLock::try_own(|hart| self.list(hart), List::pop, || self.allocate_slowly())
    }

    #[inline]
    unsafe fn free(&self, page: NonNull<u8>) {
        let push = |own: &mut List| {
            // SAFETY: the caller gives the page up.
            unsafe { own.push(page) };
            Some(())
        };
        // SAFETY: likewise, and `push` was not called.
        let slowly = || unsafe { self.free_slowly(page) };
        let freed = SpinLock::try_own(|hart| self.list(hart), push, slowly);
        debug_assert!(freed.is_some());
    }

    fn free_pages(&self) -> usize {
        self.harts.iter().map(|own| own.0.with(|list| list.count)).sum()
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

    /// Adds a page.
    ///
    /// # Safety
    /// The page is memory that nobody else uses.
    #[inline(always)]
    unsafe fn push(&mut self, page: NonNull<u8>) {
        let page = page.cast::<Free>();
        // SAFETY: the caller gives the page up.
        unsafe { page.write(Free { next: self.first }) };
        self.first = page.as_ptr();
        self.count += 1;
    }

    /// Takes the page that was added last.
    #[inline(always)]
    fn pop(&mut self) -> Option<NonNull<u8>> {
        let page = NonNull::new(self.first)?;
        // SAFETY: pages on the list are the list's own.
        self.first = unsafe { page.read() }.next;
        self.count -= 1;
        Some(page.cast())
    }

    /// Takes half of the pages, the larger half, but no more than a batch.
    fn take_half(&mut self) -> Self {
        let count = self.count.div_ceil(2).min(BATCH);
        let taken = Self { first: self.first, count };
        let Some(last) = taken.last() else { return taken };
        // SAFETY: as for `pop`.
        let rest = unsafe { &mut (*last).next };
        self.first = core::mem::replace(rest, ptr::null_mut());
        self.count -= count;
        taken
    }

    /// The last of the counted pages.
    fn last(&self) -> Option<*mut Free> {
        // SAFETY: as for `pop`; there are as many pages as are counted.
        self.count.checked_sub(1).map(|links| (0..links).fold(self.first, |page, _| unsafe { (*page).next }))
    }

    /// Adds all of another list's pages.
    fn append(&mut self, other: Self) {
        if let Some(last) = other.last() {
            // SAFETY: as for `pop`.
            unsafe { (*last).next = self.first };
            self.first = other.first;
            self.count += other.count;
        }
    }
}
