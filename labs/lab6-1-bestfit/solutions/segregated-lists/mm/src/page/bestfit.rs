//! Best-fit allocation over segregated lists: one for each length below 64 pages, one for each power of two from there.
//!
//! A bitmap says which of the exact lists have an extent. The others hold few, and are searched. The boundary tags lie
//! in the region's first pages: a length for each page, whose sign says whether it is free.

use core::mem::offset_of;
use core::ptr::NonNull;

use super::{Extent, MAX_REGIONS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};
use crate::list::{Linked, Links, List};

/// Lengths below this have lists of their own.
const EXACT: usize = 64;
const LISTS: usize = EXACT + 26;

/// A best-fit allocator.
#[derive(Debug)]
pub struct BestFit {
    lists: [List<FreeExtent>; LISTS],
    /// Bit n: the list of extents of n pages is not empty.
    exact: u64,
    spans: [Span; MAX_REGIONS],
    count: usize,
    longest: usize,
}

// SAFETY: the pointers lead into regions that, by the contract of `add_region`, nothing else uses.
unsafe impl Send for BestFit {}

#[derive(Debug)]
struct FreeExtent {
    links: Links,
    pages: usize,
    span: usize,
}

// SAFETY: there are links at that offset.
unsafe impl Linked for FreeExtent {
    const LINKS: usize = offset_of!(FreeExtent, links);
}

#[derive(Debug, Clone, Copy)]
struct Span {
    first: *mut u8,
    pages: usize,
    /// One a page: positive at both ends of a free extent, negative at the start of a block.
    lengths: *mut i32,
}

impl Span {
    /// # Safety
    /// The page lies in the span.
    unsafe fn length(&self, page: usize) -> i32 {
        // SAFETY: see above.
        unsafe { self.lengths.add(page).read() }
    }

    /// # Safety
    /// The page lies in the span.
    unsafe fn set(&self, page: usize, length: i32) {
        // SAFETY: see above.
        unsafe { self.lengths.add(page).write(length) }
    }

    /// # Safety
    /// A free extent begins at that page.
    unsafe fn extent(&self, page: usize) -> NonNull<FreeExtent> {
        // SAFETY: see above.
        unsafe { NonNull::new_unchecked(self.first.add(page * PAGE_SIZE).cast()) }
    }

    fn page_of(&self, extent: NonNull<FreeExtent>) -> usize {
        (extent.addr().get() - self.first.addr()) / PAGE_SIZE
    }
}

/// The list that extents of so many pages are on.
fn list_of(pages: usize) -> usize {
    if pages < EXACT { pages } else { EXACT + pages.ilog2() as usize - EXACT.ilog2() as usize }
}

impl BestFit {
    /// An allocator without a page.
    pub const fn new() -> Self {
        const NONE: Span = Span { first: core::ptr::null_mut(), pages: 0, lengths: core::ptr::null_mut() };
        Self { lists: [const { List::new() }; LISTS], exact: 0, spans: [NONE; MAX_REGIONS], count: 0, longest: 0 }
    }

    unsafe fn put(&mut self, number: usize, page: usize, pages: usize) {
        let span = &self.spans[number];
        // SAFETY: the pages are free, and in this span.
        unsafe {
            span.set(page, pages as i32);
            span.set(page + pages - 1, pages as i32);
            let extent = span.extent(page);
            extent.write(FreeExtent { links: Links::new(), pages, span: number });
            self.lists[list_of(pages)].push_front(extent);
        }
        if pages < EXACT {
            self.exact |= 1 << pages;
        }
    }

    unsafe fn take(&mut self, extent: NonNull<FreeExtent>) -> (usize, usize, usize) {
        // SAFETY: the extent is free, so it is on the list of its length.
        unsafe {
            let FreeExtent { pages, span: number, .. } = *extent.as_ref();
            let list = list_of(pages);
            self.lists[list].remove(extent);
            if pages < EXACT && self.lists[list].is_empty() {
                self.exact &= !(1 << pages);
            }
            let span = &self.spans[number];
            let page = span.page_of(extent);
            span.set(page, 0);
            span.set(page + pages - 1, 0);
            (number, page, pages)
        }
    }

    fn best(&self, pages: usize) -> Option<NonNull<FreeExtent>> {
        if pages < EXACT {
            let fitting = self.exact >> pages << pages;
            if fitting != 0 {
                return self.lists[fitting.trailing_zeros() as usize].first();
            }
        }
        self.lists[list_of(pages.max(EXACT))..].iter().find_map(|list| {
            // SAFETY: what is on a list is free.
            let length = |extent: &NonNull<FreeExtent>| unsafe { extent.as_ref() }.pages;
            list.iter().filter(|extent| length(extent) >= pages).min_by_key(length)
        })
    }

    fn find(&self, address: usize) -> Option<(usize, usize)> {
        self.spans[..self.count].iter().enumerate().find_map(|(number, span)| {
            let page = address.checked_sub(span.first.addr())? / PAGE_SIZE;
            (page < span.pages).then_some((number, page))
        })
    }

    #[cold]
    fn refusal(&self, number: usize, page: usize) -> PageError {
        let span = &self.spans[number];
        for first in (0..=page).rev() {
            // SAFETY: the page lies in the span.
            match unsafe { span.length(first) } {
                0 => {}
                1.. => return PageError::Twice,
                _ if first == page => return PageError::WrongSize,
                _ => return PageError::NotAllocated,
            }
        }
        PageError::NotAllocated
    }
}

impl Default for BestFit {
    fn default() -> Self {
        Self::new()
    }
}

impl PageAllocator for BestFit {
    unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError> {
        let address = region.start.addr().get();
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let kept = (region.pages * size_of::<i32>()).div_ceil(PAGE_SIZE);
        let pages = region.pages.saturating_sub(kept);
        if pages == 0 || self.count == MAX_REGIONS {
            return Err(PageError::Exhausted);
        }
        let lengths = region.start.as_ptr().cast::<i32>();
        // SAFETY: the region is ours.
        let first = unsafe {
            lengths.write_bytes(0, pages);
            region.start.as_ptr().add(kept * PAGE_SIZE)
        };
        self.spans[self.count] = Span { first, pages, lengths };
        self.count += 1;
        self.longest = self.longest.max(pages);
        // SAFETY: nobody uses the pages yet.
        unsafe { self.put(self.count - 1, 0, pages) };
        Ok(Extent { start: first.addr(), pages })
    }

    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {
        if pages == 0 {
            return Err(PageError::Zero);
        }
        if pages > self.longest {
            return Err(PageError::TooLarge);
        }
        let extent = self.best(pages).ok_or(PageError::Exhausted)?;
        // SAFETY: the extent is free.
        unsafe {
            let (number, page, length) = self.take(extent);
            if length > pages {
                self.put(number, page + pages, length - pages);
            }
            self.spans[number].set(page, -(pages as i32));
        }
        Ok(extent.cast())
    }

    fn free(&mut self, start: NonNull<u8>, pages: usize) -> Result<(), PageError> {
        let address = start.addr().get();
        if pages == 0 {
            return Err(PageError::Zero);
        }
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let (number, page) = self.find(address).ok_or(PageError::Outside)?;
        let span = self.spans[number];
        // SAFETY: the page lies in the span.
        if i64::from(unsafe { span.length(page) }) != -(i64::try_from(pages).unwrap_or(i64::MAX)) {
            return Err(self.refusal(number, page));
        }
        let (mut first, mut length) = (page, pages);
        // SAFETY: a block of so many pages begins there, and what is marked as free beside it is.
        unsafe {
            span.set(page, 0);
            if page + pages < span.pages && span.length(page + pages) > 0 {
                length += self.take(span.extent(page + pages)).2;
            }
            if page > 0 && span.length(page - 1) > 0 {
                first -= span.length(page - 1) as usize;
                length += self.take(span.extent(first)).2;
            }
            self.put(number, first, length);
        }
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        let managed_pages = self.spans.iter().map(|span| span.pages).sum();
        let mut statistics = Statistics { managed_pages, ..Statistics::default() };
        for extent in self.lists.iter().flat_map(List::iter) {
            // SAFETY: what is on a list is free.
            statistics.count_free(unsafe { extent.as_ref() }.pages);
        }
        statistics
    }
}
