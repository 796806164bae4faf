//! Best-fit allocation with nothing but two bitmaps: which pages are in use, and which of those end a block.
//!
//! There are no lists, and nothing is ever written into a free page. A request looks through the bits of all regions;
//! merging is nothing that has to be done, since two runs of zeros beside each other are one.

use core::ptr::{self, NonNull};

use super::{Extent, MAX_REGIONS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};

const BITS: usize = u64::BITS as usize;

/// A best-fit allocator.
#[derive(Debug)]
pub struct BestFit {
    spans: [Span; MAX_REGIONS],
    count: usize,
}

// SAFETY: the pointers lead into regions that, by the contract of `add_region`, nothing else uses.
unsafe impl Send for BestFit {}

#[derive(Debug, Clone, Copy)]
struct Span {
    first: *mut u8,
    pages: usize,
    in_use: Bitmap,
    last: Bitmap,
}

/// A bit for each page of a span, in words that have zeros behind the last page.
#[derive(Debug, Clone, Copy)]
struct Bitmap(*mut u64);

impl Bitmap {
    fn word(self, index: usize) -> u64 {
        // SAFETY: callers stay within the span.
        unsafe { self.0.add(index).read() }
    }

    fn get(self, page: usize) -> bool {
        self.word(page / BITS) >> (page % BITS) & 1 != 0
    }

    fn set(self, page: usize, to: bool) {
        let bit = 1 << (page % BITS);
        let word = self.word(page / BITS);
        // SAFETY: callers stay within the span.
        unsafe { self.0.add(page / BITS).write(if to { word | bit } else { word & !bit }) };
    }

    /// The first page from `from` on, and before `end`, whose bit is so; `end` if there is none.
    fn find(self, mut from: usize, end: usize, value: bool) -> usize {
        while from < end {
            let word = if value { self.word(from / BITS) } else { !self.word(from / BITS) };
            let rest = word >> (from % BITS);
            if rest != 0 {
                return (from + rest.trailing_zeros() as usize).min(end);
            }
            from += BITS - from % BITS;
        }
        end
    }
}

impl Span {
    /// The free runs, as first page and length.
    fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut from = 0;
        core::iter::from_fn(move || {
            let first = self.in_use.find(from, self.pages, false);
            from = self.in_use.find(first, self.pages, true);
            (first < self.pages).then_some((first, from - first))
        })
    }

    fn page(&self, page: usize) -> *mut u8 {
        self.first.wrapping_add(page * PAGE_SIZE)
    }
}

impl BestFit {
    /// An allocator without a page.
    pub const fn new() -> Self {
        const NO_BITS: Bitmap = Bitmap(ptr::null_mut());
        const NONE: Span = Span { first: ptr::null_mut(), pages: 0, in_use: NO_BITS, last: NO_BITS };
        Self { spans: [NONE; MAX_REGIONS], count: 0 }
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
        let words = region.pages.div_ceil(BITS);
        let kept = (2 * words * size_of::<u64>()).div_ceil(PAGE_SIZE);
        let pages = region.pages.saturating_sub(kept);
        if pages == 0 || self.count == MAX_REGIONS {
            return Err(PageError::Exhausted);
        }
        let bits = region.start.as_ptr().cast::<u64>();
        // SAFETY: the region is ours.
        let (last, first) = unsafe {
            bits.write_bytes(0, 2 * words);
            (bits.add(words), region.start.as_ptr().add(kept * PAGE_SIZE))
        };
        self.spans[self.count] = Span { first, pages, in_use: Bitmap(bits), last: Bitmap(last) };
        self.count += 1;
        Ok(Extent { start: first.addr(), pages })
    }

    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {
        if pages == 0 {
            return Err(PageError::Zero);
        }
        let spans = &self.spans[..self.count];
        if spans.iter().all(|span| span.pages < pages) {
            return Err(PageError::TooLarge);
        }
        let runs = spans.iter().flat_map(|span| span.runs().map(move |(first, length)| (span, first, length)));
        let best = runs.filter(|run| run.2 >= pages).min_by_key(|run| run.2);
        let (span, first, _) = best.ok_or(PageError::Exhausted)?;
        (first..first + pages).for_each(|page| span.in_use.set(page, true));
        span.last.set(first + pages - 1, true);
        NonNull::new(span.page(first)).ok_or(PageError::Exhausted)
    }

    fn free(&mut self, start: NonNull<u8>, pages: usize) -> Result<(), PageError> {
        let address = start.addr().get();
        if pages == 0 {
            return Err(PageError::Zero);
        }
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let found = self.spans[..self.count].iter().find_map(|span| {
            let page = address.checked_sub(span.first.addr())? / PAGE_SIZE;
            (page < span.pages).then_some((span, page))
        });
        let (span, first) = found.ok_or(PageError::Outside)?;
        if !span.in_use.get(first) {
            return Err(PageError::Twice);
        }
        if first > 0 && span.in_use.get(first - 1) && !span.last.get(first - 1) {
            return Err(PageError::NotAllocated);
        }
        let last = span.last.find(first, span.pages, true);
        if last - first + 1 != pages {
            return Err(PageError::WrongSize);
        }
        (first..=last).for_each(|page| span.in_use.set(page, false));
        span.last.set(last, false);
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        let spans = &self.spans[..self.count];
        let managed_pages = spans.iter().map(|span| span.pages).sum();
        let mut statistics = Statistics { managed_pages, ..Statistics::default() };
        spans.iter().flat_map(Span::runs).for_each(|(_, pages)| statistics.count_free(pages));
        statistics
    }
}
