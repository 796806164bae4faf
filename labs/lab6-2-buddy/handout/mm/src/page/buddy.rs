//! Buddy allocation of pages: the part of the kernel that is yours to write.
//!
//! What is asked is in the lab's text, `handout.md`. The interface is the trait `PageAllocator` in `mod.rs`, whose
//! comments say what each method must answer; orders and the arithmetic of buddies are ready for use in `order.rs`.
//! Only this file is taken from your branch, so everything that you add goes here.

use core::ptr::NonNull;

use super::{Extent, MAX_REGIONS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};

/// A buddy allocator.
#[derive(Debug)]
pub struct Buddy {
    /// What it was given, in order.
    // A list of addresses hands nothing out. Decide what else you must know: which blocks of each order are free, and
    // what begins at each page. There is no heap to keep it in, only this struct and the regions' own memory.
    regions: [Option<Region>; MAX_REGIONS],
}

// SAFETY: the pointers lead into regions that, by the contract of `add_region`, nothing else uses; whoever owns the
// allocator owns them, on whichever hart.
unsafe impl Send for Buddy {}

impl Buddy {
    /// An allocator without a page.
    // It is made at compile time and lies in a static, so this stays `const`, and nothing may point into the struct.
    pub const fn new() -> Self {
        Self { regions: [None; MAX_REGIONS] }
    }
}

impl Default for Buddy {
    fn default() -> Self {
        Self::new()
    }
}

impl PageAllocator for Buddy {
    unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError> {
        let start = region.start.addr().get();
        if !start.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let room = self.regions.iter_mut().find(|room| room.is_none()).ok_or(PageError::Exhausted)?;
        *room = Some(region);
        // To do: set pages aside for your state, at the start or at the end; refuse a region that has no room for
        // state and one page; make everything else free, in blocks as large as alignment and length allow; and answer
        // with what is left beside the state. Until then, all of the region could be handed out, and none of it is.
        Ok(Extent { start, pages: region.pages })
    }

    fn allocate(&mut self, _pages: usize) -> Result<NonNull<u8>, PageError> {
        // To do: refuse zero pages and more than the largest block; round up to an order; take a block of the smallest
        // order that is large enough and not empty; split it, with the halves that are left over going back to their
        // lists, until it is as small as it can be.
        Err(PageError::Exhausted)
    }

    fn free(&mut self, _start: NonNull<u8>, _pages: usize) -> Result<(), PageError> {
        // To do: find out whether that block really was handed out, and with that size, and say what is wrong if not;
        // then merge it with its buddy as long as that is free as a whole, and put what results on its list.
        Err(PageError::Outside)
    }

    fn statistics(&self) -> Statistics {
        // To do: count the free pages, and the free blocks of each order.
        let managed_pages = self.regions.iter().flatten().map(|region| region.pages).sum();
        Statistics { managed_pages, ..Statistics::default() }
    }
}
