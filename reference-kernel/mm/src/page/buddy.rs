//! Buddy allocation (Knuth, The Art of Computer Programming, vol. 1, §2.5, algorithms R and S).
//!
//! Free memory is kept as blocks of 2^k pages, aligned to their size from physical address zero, so that the buddy of
//! the block at page p is at page p XOR 2^k, as in Linux (mm/page_alloc.c). Each order has a list of its free blocks,
//! linked through their own first pages; one byte a page, beside the memory, says where blocks begin. That makes both
//! operations O(orders): a buddy is found by arithmetic, recognised by its byte, and unlinked in place.

use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use super::order::{Block, LARGEST, Order};
use super::{Extent, MAX_REGIONS, ORDERS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};

/// A buddy allocator.
///
/// State takes the first pages of every region: one byte a page, and one for each page that a region lacks to whole
/// blocks of the [largest](LARGEST) size at either end. For n pages that is at most n / 4096 + 1.5 pages.
#[derive(Debug)]
pub struct Buddy {
    free: FreeLists,
    spans: [Span; MAX_REGIONS],
    count: usize,
}

// SAFETY: the pointers lead into regions that, by the contract of `add_region`, nothing else uses; whoever owns the
// allocator owns them, on whichever hart.
unsafe impl Send for Buddy {}

impl Buddy {
    /// An allocator without a page.
    pub const fn new() -> Self {
        Self { free: FreeLists::new(), spans: [Span::EMPTY; MAX_REGIONS], count: 0 }
    }

    fn span_of(&self, address: usize) -> Option<&Span> {
        self.spans.iter().find(|span| address.wrapping_sub(span.start) < span.bytes)
    }

    /// Makes `block` free, as part of the largest block that is then free as a whole.
    ///
    /// # Safety
    /// The block lies in `span`, its pages are in use by nobody, and it is on no list.
    #[inline]
    unsafe fn release(&mut self, span: &Span, mut block: Block) {
        while let Some(parent) = block.parent() {
            let buddy = block.buddy();
            // SAFETY: the map covers whole largest blocks, so it has a byte for every buddy.
            if unsafe { span.state(buddy.first()).read() } != State::free(buddy.order()) {
                break;
            }
            // SAFETY: a page in this state begins a free block of that order, which its list holds.
            unsafe { self.free.unlink(span.head(buddy.first()), buddy.order()) };
            block = parent;
        }
        // SAFETY: block and buddies lie in the span, and are now in no list.
        unsafe { self.free.push(span.head(block.first()), span.state(block.first()), block.order()) };
    }

    /// Why a free is refused.
    #[cold]
    #[inline(never)]
    fn refusal(&self, address: usize, pages: usize) -> PageError {
        if pages == 0 {
            return PageError::Zero;
        }
        if !address.is_multiple_of(PAGE_SIZE) {
            return PageError::Misaligned;
        }
        let Some(span) = self.span_of(address) else { return PageError::Outside };
        let page = address / PAGE_SIZE;
        for order in Order::all() {
            let block = Block::around(page, order);
            // SAFETY: the map covers whole largest blocks.
            let state = unsafe { span.state(block.first()).read() };
            if state == State::free(order) {
                return PageError::Twice;
            }
            if state == State::allocated(order) {
                return if block.first() == page { PageError::WrongSize } else { PageError::NotAllocated };
            }
        }
        unreachable!("page {page} belongs to no block")
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
        let before = address / PAGE_SIZE % LARGEST;
        let states = (before + region.pages).next_multiple_of(LARGEST);
        let state_pages = states.div_ceil(PAGE_SIZE);
        if region.pages <= state_pages || self.count == MAX_REGIONS {
            return Err(PageError::Exhausted);
        }
        let memory = region.start.as_ptr();
        let extent = Extent { start: address + state_pages * PAGE_SIZE, pages: region.pages - state_pages };
        let map = memory.cast::<State>();
        // SAFETY: the caller gives us the whole region, of which the map is the first `state_pages` pages.
        unsafe { map.write_bytes(State::INNER.0, states) };
        let span = Span {
            start: extent.start,
            bytes: extent.pages * PAGE_SIZE,
            memory: memory.wrapping_sub(address),
            map: map.wrapping_sub(address / PAGE_SIZE - before),
        };
        self.spans[self.count] = span;
        self.count += 1;

        let mut page = extent.start / PAGE_SIZE;
        let end = page + extent.pages;
        while let Some(block) = Block::largest_at(page, end - page) {
            // SAFETY: the block lies in the span's memory, and nobody uses it yet.
            unsafe { self.release(&span, block) };
            page += block.order().pages();
        }
        Ok(extent)
    }

    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {
        let order = Order::holding(pages)?;
        let mut taken = order;
        let (block, state) = loop {
            match self.free.pop(taken) {
                Some(found) => break found,
                None => taken = taken.larger().ok_or(PageError::Exhausted)?,
            }
        };
        while taken > order {
            let Some(half) = taken.smaller() else { break };
            // The lists below the one that the block came from had none.
            // SAFETY: the upper half is free, on no list, and in the same span as the whole block.
            unsafe { self.free.push_first(block.byte_add(half.bytes()), state.add(half.pages()), half) };
            taken = half;
        }
        // SAFETY: a block on a list has its state in its region's map.
        unsafe { state.write(State::allocated(order)) };
        // SAFETY: a block on a list lies in a region, and no region holds the null address.
        Ok(unsafe { NonNull::new_unchecked(block.cast()) })
    }

    fn free(&mut self, start: NonNull<u8>, pages: usize) -> Result<(), PageError> {
        let address = start.addr().get();
        if let (Ok(order), Some(&span)) = (Order::holding(pages), self.span_of(address))
            && address.is_multiple_of(PAGE_SIZE)
        {
            let page = address / PAGE_SIZE;
            let state = span.state(page);
            // SAFETY: the page lies in the span.
            if unsafe { state.read() } == State::allocated(order) {
                // SAFETY: as above; from here on the page may lie anywhere in a free block.
                unsafe { state.write(State::INNER) };
                // SAFETY: a block of this order was handed out there, and now it is given back.
                unsafe { self.release(&span, Block::at(page, order)) };
                return Ok(());
            }
        }
        Err(self.refusal(address, pages))
    }

    fn statistics(&self) -> Statistics {
        let managed_pages = self.spans.iter().map(|span| span.bytes / PAGE_SIZE).sum();
        let mut statistics = Statistics { managed_pages, ..Statistics::default() };
        for order in Order::all() {
            let blocks = self.free.count(order);
            statistics.free_blocks[order.index()] = blocks;
            statistics.free_pages += blocks * order.pages();
        }
        statistics
    }
}

/// The part of a region that is handed out.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// The address of the first page.
    start: usize,
    bytes: usize,
    /// Address zero, reached from the region's own pointer, so that page numbers lead to pages of the region.
    memory: *mut u8,
    /// One state a page, from the last boundary of a largest block before the region to the first one behind it.
    /// This is where page number zero would have its own.
    map: *mut State,
}

impl Span {
    const EMPTY: Self = Self { start: 0, bytes: 0, memory: ptr::null_mut(), map: ptr::null_mut() };

    /// The head of the free block that begins at a page.
    fn head(&self, page: usize) -> *mut FreeBlock {
        self.memory.wrapping_add(page * PAGE_SIZE).cast()
    }

    /// The state of a page, which must lie in the same largest block as some page of the region.
    fn state(&self, page: usize) -> *mut State {
        self.map.wrapping_add(page)
    }
}

/// What begins at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
struct State(u8);

impl State {
    /// No block: the page is a later one of its block, or none of ours.
    const INNER: Self = Self(0);

    /// A free block.
    const fn free(order: Order) -> Self {
        Self(0x40 | order.index() as u8)
    }

    /// A block that was handed out.
    const fn allocated(order: Order) -> Self {
        Self(0x80 | order.index() as u8)
    }
}

/// The head of a free block, in its first page.
#[derive(Debug)]
struct FreeBlock {
    next: *mut FreeBlock,
    /// Not kept up in the first block of a list, so that taking that one touches no other.
    previous: MaybeUninit<*mut FreeBlock>,
    /// The state of the block's first page, so that nobody need ask which region it is in.
    state: *mut State,
}

/// The free blocks of each order, in doubly linked lists.
///
/// No bitmap says which are empty: finding the first bit takes a dozen instructions on RV64GC, and to keep it costs
/// some at every operation. Looking at the lists takes three for each one that is empty, and those are just the ones
/// that get a block from the split that follows.
#[derive(Debug)]
struct FreeLists {
    heads: [*mut FreeBlock; ORDERS],
}

impl FreeLists {
    const fn new() -> Self {
        Self { heads: [ptr::null_mut(); ORDERS] }
    }

    /// Adds a block.
    ///
    /// # Safety
    /// The block is on no list, in use by nobody, and has its state at `state`.
    unsafe fn push(&mut self, block: *mut FreeBlock, state: *mut State, order: Order) {
        let next = self.heads[order.index()];
        // SAFETY: the caller's promise.
        unsafe { self.put_before(next, block, state, order) };
        // SAFETY: blocks on lists are free, so only the lists use them.
        if let Some(next) = unsafe { next.as_mut() } {
            next.previous.write(block);
        }
    }

    /// Adds a block to an empty list.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    unsafe fn push_first(&mut self, block: *mut FreeBlock, state: *mut State, order: Order) {
        debug_assert!(self.heads[order.index()].is_null());
        // SAFETY: the caller's promise.
        unsafe { self.put_before(ptr::null_mut(), block, state, order) };
    }

    /// # Safety
    /// As for [`push`](Self::push); the list is empty or begins with `next`, which will know what is before it.
    unsafe fn put_before(&mut self, next: *mut FreeBlock, block: *mut FreeBlock, state: *mut State, order: Order) {
        // SAFETY: the block is ours to write.
        unsafe { block.write(FreeBlock { next, previous: MaybeUninit::uninit(), state }) };
        // SAFETY: its state is in the map of its region.
        unsafe { state.write(State::free(order)) };
        self.heads[order.index()] = block;
    }

    /// Takes the first block of a list, with its state; none when the list is empty.
    fn pop(&mut self, order: Order) -> Option<(*mut FreeBlock, *mut State)> {
        let block = self.heads[order.index()];
        // SAFETY: blocks on lists are free, so only the lists use them.
        let &FreeBlock { next, state, .. } = unsafe { block.as_ref() }?;
        self.heads[order.index()] = next;
        Some((block, state))
    }

    /// Takes a block out of its list.
    ///
    /// # Safety
    /// The block is on the list of this order.
    unsafe fn unlink(&mut self, block: *mut FreeBlock, order: Order) {
        // SAFETY: blocks on lists are free, so only the lists use them.
        let FreeBlock { next, previous, state } = unsafe { block.read() };
        // SAFETY: its state is in the map of its region.
        unsafe { state.write(State::INNER) };
        if self.heads[order.index()] == block {
            self.heads[order.index()] = next;
            return;
        }
        // SAFETY: one that is not the first has another before it, which was written here when it came.
        let previous = unsafe { previous.assume_init() };
        // SAFETY: as for the block itself.
        unsafe { (*previous).next = next };
        // SAFETY: as for the block itself.
        if let Some(next) = unsafe { next.as_mut() } {
            next.previous.write(previous);
        }
    }

    fn count(&self, order: Order) -> usize {
        let mut count = 0;
        let mut block = self.heads[order.index()];
        // SAFETY: blocks on lists are free, so only the lists use them.
        while let Some(head) = unsafe { block.as_ref() } {
            count += 1;
            block = head.next;
        }
        count
    }
}
