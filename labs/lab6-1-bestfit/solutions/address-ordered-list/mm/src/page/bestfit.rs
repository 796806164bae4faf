//! Best-fit allocation over one list of all free extents, in order of address.
//!
//! Every operation is linear in the number of free extents. Blocks are cut from the low end of an extent, and state
//! lies in the last pages of a region: a byte for each page says whether a block begins there, or goes on, or none is
//! there.

use core::mem::offset_of;
use core::ptr::{self, NonNull};

use super::{Extent, MAX_REGIONS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};
use crate::list::{Linked, Links, List};

/// A best-fit allocator.
#[derive(Debug)]
pub struct BestFit {
    free: List<FreeExtent>,
    spans: [Option<Span>; MAX_REGIONS],
}

// SAFETY: the pointers lead into regions that, by the contract of `add_region`, nothing else uses.
unsafe impl Send for BestFit {}

#[derive(Debug)]
struct FreeExtent {
    links: Links,
    pages: usize,
    /// Which region it lies in.
    span: usize,
}

// SAFETY: there are links at that offset.
unsafe impl Linked for FreeExtent {
    const LINKS: usize = offset_of!(FreeExtent, links);
}

#[derive(Debug, Clone, Copy)]
struct Span {
    first: NonNull<u8>,
    pages: usize,
    /// One byte a page, behind the pages.
    states: *mut u8,
}

const FREE: u8 = 0;
const BEGINS: u8 = 1;
const GOES_ON: u8 = 2;

impl Span {
    fn index(&self, address: usize) -> Option<usize> {
        let index = address.checked_sub(self.first.addr().get())? / PAGE_SIZE;
        (index < self.pages).then_some(index)
    }

    fn page(&self, index: usize) -> NonNull<u8> {
        // SAFETY: the page lies in the span.
        unsafe { self.first.add(index * PAGE_SIZE) }
    }

    fn state(&self, index: usize) -> u8 {
        // SAFETY: there is a byte for each page.
        unsafe { self.states.add(index).read() }
    }

    fn set(&self, index: usize, state: u8) {
        // SAFETY: there is a byte for each page.
        unsafe { self.states.add(index).write(state) }
    }

    /// The pages of the block that begins at a page.
    fn length(&self, index: usize) -> usize {
        1 + (index + 1..self.pages).take_while(|&page| self.state(page) == GOES_ON).count()
    }
}

impl BestFit {
    /// An allocator without a page.
    pub const fn new() -> Self {
        Self { free: List::new(), spans: [None; MAX_REGIONS] }
    }

    fn find(&self, address: usize) -> Option<(usize, Span, usize)> {
        let spans = self.spans.iter().enumerate();
        spans.flat_map(|(number, span)| Some((number, (*span)?))).find_map(|(number, span)| {
            let index = span.index(address)?;
            Some((number, span, index))
        })
    }

    /// Puts pages onto the list, as one extent with what is free next to them.
    unsafe fn insert(&mut self, start: NonNull<u8>, pages: usize, span: usize) {
        let mut new = start.cast::<FreeExtent>();
        // SAFETY: the pages are free, and so is everything on the list.
        unsafe {
            new.write(FreeExtent { links: Links::new(), pages, span });
            let before = self.free.iter_back().find(|&extent| extent < new);
            match before {
                Some(before) => self.free.insert_after(before, new),
                None => self.free.push_front(new),
            }
            if let Some(next) = self.free.iter_from(new).nth(1)
                && next.as_ref().span == span
                && new.byte_add(pages * PAGE_SIZE) == next
            {
                self.free.remove(next);
                new.as_mut().pages += next.as_ref().pages;
            }
            if let Some(mut before) = before
                && before.as_ref().span == span
                && before.byte_add(before.as_ref().pages * PAGE_SIZE) == new
            {
                self.free.remove(new);
                before.as_mut().pages += new.as_ref().pages;
            }
        }
    }
}

impl Default for BestFit {
    fn default() -> Self {
        Self::new()
    }
}

impl PageAllocator for BestFit {
    unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError> {
        let start = region.start.addr().get();
        if !start.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let pages = region.pages - region.pages.div_ceil(PAGE_SIZE + 1);
        let number = self.spans.iter().position(Option::is_none).filter(|_| pages > 0).ok_or(PageError::Exhausted)?;
        // SAFETY: the region is ours, and the pages behind the first ones have room for a byte for each of those.
        let states = unsafe { region.start.add(pages * PAGE_SIZE) }.as_ptr();
        // SAFETY: as above.
        unsafe { ptr::write_bytes(states, FREE, pages) };
        self.spans[number] = Some(Span { first: region.start, pages, states });
        // SAFETY: nobody uses the pages yet.
        unsafe { self.insert(region.start, pages, number) };
        Ok(Extent { start, pages })
    }

    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {
        if pages == 0 {
            return Err(PageError::Zero);
        }
        if self.spans.iter().flatten().all(|span| span.pages < pages) {
            return Err(PageError::TooLarge);
        }
        // SAFETY: what is on the list is free.
        let length = |extent: &NonNull<FreeExtent>| unsafe { extent.as_ref() }.pages;
        let fitting = self.free.iter().filter(|extent| length(extent) >= pages);
        let extent = fitting.min_by_key(length).ok_or(PageError::Exhausted)?;
        // SAFETY: as above.
        unsafe {
            let FreeExtent { pages: length, span, .. } = *extent.as_ref();
            if length > pages {
                let rest = extent.byte_add(pages * PAGE_SIZE);
                rest.write(FreeExtent { links: Links::new(), pages: length - pages, span });
                self.free.insert_after(extent, rest);
            }
            self.free.remove(extent);
        }
        let (_, span, index) = self.find(extent.addr().get()).ok_or(PageError::Outside)?;
        span.set(index, BEGINS);
        (index + 1..index + pages).for_each(|page| span.set(page, GOES_ON));
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
        let (number, span, index) = self.find(address).ok_or(PageError::Outside)?;
        match span.state(index) {
            FREE => return Err(PageError::Twice),
            GOES_ON => return Err(PageError::NotAllocated),
            _ if span.length(index) != pages => return Err(PageError::WrongSize),
            _ => {}
        }
        (index..index + pages).for_each(|page| span.set(page, FREE));
        // SAFETY: the block was handed out, and is given back.
        unsafe { self.insert(span.page(index), pages, number) };
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        let managed_pages = self.spans.iter().flatten().map(|span| span.pages).sum();
        let mut statistics = Statistics { managed_pages, ..Statistics::default() };
        // SAFETY: what is on the list is free.
        self.free.iter().for_each(|extent| statistics.count_free(unsafe { extent.as_ref() }.pages));
        statistics
    }
}
