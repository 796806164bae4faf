//! Buddy allocation with a bitmap of free blocks for each order, and no lists: nothing is ever written into a free
//! page.
//!
//! Bit b of order k's bitmap says that block b of that order, counted from the boundary of a largest block before the
//! region, is free as a whole. The order of a block in use stands in a byte for its first page. A count of free blocks
//! for each order and region spares most searches, and a search looks at 64 blocks at a time.

use core::ptr::{self, NonNull};

use super::order::{Block, LARGEST, Order};
use super::{Extent, MAX_REGIONS, ORDERS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};

const BITS: usize = u64::BITS as usize;

/// A buddy allocator.
#[derive(Debug)]
pub struct Buddy {
    spans: [Span; MAX_REGIONS],
    count: usize,
}

// SAFETY: the pointers lead into regions that, by the contract of `add_region`, nothing else uses.
unsafe impl Send for Buddy {}

#[derive(Debug, Clone, Copy)]
struct Span {
    /// The number of the first page that can be handed out.
    first: usize,
    pages: usize,
    /// That page.
    memory: *mut u8,
    /// The number of the page at the boundary of a largest block before the region.
    base: usize,
    /// Pages from there to the boundary behind the region.
    window: usize,
    maps: [*mut u64; ORDERS],
    free: [usize; ORDERS],
    /// The order plus one of the block in use that begins at a page of the window, or zero.
    in_use: *mut u8,
}

impl Span {
    const EMPTY: Self = Self {
        first: 0,
        pages: 0,
        memory: ptr::null_mut(),
        base: 0,
        window: 0,
        maps: [ptr::null_mut(); ORDERS],
        free: [0; ORDERS],
        in_use: ptr::null_mut(),
    };

    fn holds(&self, page: usize) -> bool {
        page.wrapping_sub(self.first) < self.pages
    }

    /// Word and bit of a block in its order's bitmap.
    fn place(&self, block: Block) -> (*mut u64, u64) {
        let index = (block.first() - self.base) / block.order().pages();
        (self.maps[block.order().index()].wrapping_add(index / BITS), 1 << (index % BITS))
    }

    fn is_free(&self, block: Block) -> bool {
        let (word, bit) = self.place(block);
        // SAFETY: the bitmaps cover the window, and blocks that are asked about lie in it.
        unsafe { word.read() & bit != 0 }
    }

    fn set_free(&mut self, block: Block, free: bool) {
        let (word, bit) = self.place(block);
        // SAFETY: as above.
        unsafe { word.write(if free { word.read() | bit } else { word.read() & !bit }) };
        let count = &mut self.free[block.order().index()];
        *count = if free { *count + 1 } else { *count - 1 };
    }

    /// Some free block of an order.
    fn find(&self, order: Order) -> Option<Block> {
        if self.free[order.index()] == 0 {
            return None;
        }
        let words = (self.window / order.pages()).div_ceil(BITS);
        (0..words).find_map(|index| {
            // SAFETY: the order's bitmap has so many words.
            let word = unsafe { self.maps[order.index()].add(index).read() };
            let bit = index * BITS + word.trailing_zeros() as usize;
            (word != 0).then(|| Block::around(self.base + bit * order.pages(), order))
        })
    }

    fn release(&mut self, mut block: Block) {
        while let Some(parent) = block.parent()
            && self.is_free(block.buddy())
        {
            self.set_free(block.buddy(), false);
            block = parent;
        }
        self.set_free(block, true);
    }

    fn in_use(&self, page: usize) -> *mut u8 {
        self.in_use.wrapping_add(page - self.base)
    }

    #[cold]
    fn refusal(&self, page: usize) -> PageError {
        for block in Order::all().map(|order| Block::around(page, order)) {
            if self.is_free(block) {
                return PageError::Twice;
            }
            // SAFETY: there is a byte for every page of the window.
            if unsafe { self.in_use(block.first()).read() } == block.order().index() as u8 + 1 {
                return if block.first() == page { PageError::WrongSize } else { PageError::NotAllocated };
            }
        }
        PageError::NotAllocated
    }
}

impl Buddy {
    /// An allocator without a page.
    pub const fn new() -> Self {
        Self { spans: [Span::EMPTY; MAX_REGIONS], count: 0 }
    }
}

impl Default for Buddy {
    fn default() -> Self {
        Self::new()
    }
}

impl PageAllocator for Buddy {
    unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError> {
        let address = region.start.addr().get();
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let start = address / PAGE_SIZE;
        let base = start / LARGEST * LARGEST;
        let window = (start + region.pages).next_multiple_of(LARGEST) - base;
        let words = |order: Order| (window / order.pages()).div_ceil(BITS);
        let all_words: usize = Order::all().map(words).sum();
        let kept = (window + all_words * size_of::<u64>()).div_ceil(PAGE_SIZE);
        if region.pages <= kept || self.count == MAX_REGIONS {
            return Err(PageError::Exhausted);
        }
        let state = region.start.as_ptr();
        // SAFETY: the region is ours, and its first `kept` pages have room for the state.
        let memory = unsafe {
            state.write_bytes(0, all_words * size_of::<u64>() + window);
            state.add(kept * PAGE_SIZE)
        };
        let (first, pages) = (start + kept, region.pages - kept);
        let mut span = Span { first, pages, memory, base, window, ..Span::EMPTY };
        let mut map = state.cast::<u64>();
        for order in Order::all() {
            span.maps[order.index()] = map;
            map = map.wrapping_add(words(order));
        }
        span.in_use = map.cast();
        let mut page = first;
        while let Some(block) = Block::largest_at(page, first + pages - page) {
            span.set_free(block, true);
            page += block.order().pages();
        }
        self.spans[self.count] = span;
        self.count += 1;
        Ok(Extent { start: first * PAGE_SIZE, pages })
    }

    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {
        let order = Order::holding(pages)?;
        let spans = &mut self.spans[..self.count];
        let orders = Order::all().skip(order.index());
        let mut choices = orders.flat_map(|order| (0..spans.len()).map(move |span| (order, span)));
        let found = choices.find_map(|(order, span)| Some((span, spans[span].find(order)?)));
        let (span, mut block) = found.ok_or(PageError::Exhausted)?;
        let span = &mut spans[span];
        span.set_free(block, false);
        while block.order() > order
            && let Some((lower, upper)) = block.halves()
        {
            span.set_free(upper, true);
            block = lower;
        }
        // SAFETY: there is a byte for every page of the window, and the block lies in the region.
        unsafe {
            span.in_use(block.first()).write(order.index() as u8 + 1);
            Ok(NonNull::new_unchecked(span.memory.add((block.first() - span.first) * PAGE_SIZE)))
        }
    }

    fn free(&mut self, start: NonNull<u8>, pages: usize) -> Result<(), PageError> {
        let address = start.addr().get();
        let order = match Order::holding(pages) {
            Err(PageError::Zero) => return Err(PageError::Zero),
            order => order,
        };
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let page = address / PAGE_SIZE;
        let span = self.spans[..self.count].iter_mut().find(|span| span.holds(page)).ok_or(PageError::Outside)?;
        // SAFETY: there is a byte for every page of the window.
        let found = unsafe { span.in_use(page).read() };
        match order {
            Ok(order) if found == order.index() as u8 + 1 => {
                // SAFETY: as above.
                unsafe { span.in_use(page).write(0) };
                span.release(Block::around(page, order));
                Ok(())
            }
            _ => Err(span.refusal(page)),
        }
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        for span in &self.spans[..self.count] {
            statistics.managed_pages += span.pages;
            for order in Order::all() {
                statistics.free_blocks[order.index()] += span.free[order.index()];
                statistics.free_pages += span.free[order.index()] * order.pages();
            }
        }
        statistics
    }
}
