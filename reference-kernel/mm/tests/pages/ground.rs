//! Memory for an allocator under test, at the alignment that a test asks for.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use mm::page::order::LARGEST;
use mm::page::{PAGE_SIZE, Region};

/// Regions that lie directly one behind the other.
#[derive(Debug, Clone)]
pub struct Bank {
    /// Pages between a boundary of the largest block and the first region.
    pub skew: usize,
    /// The regions' lengths in pages.
    pub lengths: Vec<usize>,
}

impl Bank {
    /// A single region.
    pub fn of(pages: usize, skew: usize) -> Self {
        Self { skew, lengths: vec![pages] }
    }
}

/// What the pages around the regions hold.
const UNTOUCHED: u8 = 0xa5;

/// The memory of one bank, with a page on either side that nobody may touch.
pub struct Ground {
    allocation: NonNull<u8>,
    layout: Layout,
    /// In pages from the allocation's start.
    first: usize,
    lengths: Vec<usize>,
}

impl Ground {
    pub fn new(bank: &Bank) -> Self {
        assert!(bank.skew < LARGEST);
        let first = if bank.skew == 0 { LARGEST } else { bank.skew };
        let pages: usize = bank.lengths.iter().sum();
        let layout = Layout::from_size_align((first + pages + 1) * PAGE_SIZE, LARGEST * PAGE_SIZE).unwrap();
        // SAFETY: the size is not zero.
        let allocation = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        let ground = Self { allocation, layout, first, lengths: bank.lengths.clone() };
        for page in ground.fences() {
            // SAFETY: both fences lie in the allocation.
            unsafe { page.write_bytes(UNTOUCHED, PAGE_SIZE) };
        }
        ground
    }

    pub fn regions(&self) -> impl Iterator<Item = Region> + '_ {
        self.lengths.iter().scan(self.first, |next, &pages| {
            // SAFETY: all regions lie in the allocation.
            let start = unsafe { self.allocation.add(*next * PAGE_SIZE) };
            *next += pages;
            Some(Region { start, pages })
        })
    }

    /// The page before the first region, and the one behind the last.
    fn fences(&self) -> [NonNull<u8>; 2] {
        let behind = self.first + self.lengths.iter().sum::<usize>();
        // SAFETY: the allocation has room for both.
        [self.first - 1, behind].map(|page| unsafe { self.allocation.add(page * PAGE_SIZE) })
    }

    pub fn fences_are_untouched(&self) -> bool {
        self.fences().into_iter().all(|page| {
            // SAFETY: the page was written in `new`, and no region holds it.
            let bytes = unsafe { NonNull::slice_from_raw_parts(page, PAGE_SIZE).as_ref() };
            bytes == [UNTOUCHED; PAGE_SIZE]
        })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // SAFETY: it came from `alloc` with the same layout.
        unsafe { dealloc(self.allocation.as_ptr(), self.layout) };
    }
}
