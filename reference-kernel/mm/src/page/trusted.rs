//! A plain list of single pages, which carries the kernel while the lab's allocator is not to be trusted.

use core::ptr::{self, NonNull};

use super::{Extent, MAX_REGIONS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};

/// A list of free pages, last in, first out.
///
/// A request for more than one page is [`PageError::TooLarge`]. Every operation takes constant time, and a region
/// is added without a look at its pages: those that were never handed out are known by their place alone.
///
/// One byte a page says whether it is handed out; the bytes lie in the first pages of their region, one page in
/// every 4097.
#[derive(Debug)]
pub struct TrustedList {
    spans: [Span; MAX_REGIONS],
    count: usize,
    /// Pages that were handed out once and came back.
    returned: *mut Returned,
    free_pages: usize,
}

/// The part of a region that is handed out.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: *mut u8,
    pages: usize,
    /// Pages from this one on were never handed out, and their `states` never written.
    fresh: usize,
    /// One byte a page, in the region's first pages.
    states: *mut State,
}

/// Whether a page is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Free,
    Allocated,
}

/// What a page that came back holds while it waits.
#[derive(Debug)]
struct Returned {
    next: *mut Returned,
    state: *mut State,
}

// SAFETY: the pointers lead into regions that, by the contract of `add_region`, nothing else uses; whoever owns the
// list owns them, on whichever hart.
unsafe impl Send for TrustedList {}

impl TrustedList {
    /// A list without a page.
    pub const fn new() -> Self {
        const NONE: Span = Span { first: ptr::null_mut(), pages: 0, fresh: 0, states: ptr::null_mut() };
        Self { spans: [NONE; MAX_REGIONS], count: 0, returned: ptr::null_mut(), free_pages: 0 }
    }

    /// Takes a page that was never handed out.
    fn allocate_fresh(&mut self) -> Result<NonNull<u8>, PageError> {
        let span = self.spans[..self.count].iter_mut().find(|span| span.fresh < span.pages);
        let span = span.ok_or(PageError::Exhausted)?;
        let index = span.fresh;
        span.fresh += 1;
        self.free_pages -= 1;
        // SAFETY: `index` is below `pages`, so page and state lie in the region, which is ours.
        unsafe {
            span.states.add(index).write(State::Allocated);
            Ok(NonNull::new_unchecked(span.first.add(index * PAGE_SIZE)))
        }
    }
}

impl Default for TrustedList {
    fn default() -> Self {
        Self::new()
    }
}

impl PageAllocator for TrustedList {
    unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError> {
        if !region.start.addr().get().is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        // One page of states serves PAGE_SIZE pages beside it.
        let state_pages = region.pages.div_ceil(PAGE_SIZE + 1);
        let pages = region.pages - state_pages;
        if pages == 0 || self.count == MAX_REGIONS {
            return Err(PageError::Exhausted);
        }
        // SAFETY: the caller gives us the whole region, of which `state_pages` are a part.
        let first = unsafe { region.start.as_ptr().add(state_pages * PAGE_SIZE) };
        self.spans[self.count] = Span { first, pages, fresh: 0, states: region.start.as_ptr().cast() };
        self.count += 1;
        self.free_pages += pages;
        Ok(Extent { start: first.addr(), pages })
    }

    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {
        match pages {
            0 => return Err(PageError::Zero),
            1 => {}
            _ => return Err(PageError::TooLarge),
        }
        let Some(page) = NonNull::new(self.returned) else { return self.allocate_fresh() };
        self.free_pages -= 1;
        // SAFETY: `free` wrote the link into the page, and nobody else may touch a free page; its state lies in the
        // same region.
        unsafe {
            let Returned { next, state } = page.read();
            self.returned = next;
            state.write(State::Allocated);
        }
        Ok(page.cast())
    }

    fn free(&mut self, start: NonNull<u8>, pages: usize) -> Result<(), PageError> {
        let address = start.addr().get();
        if pages == 0 {
            return Err(PageError::Zero);
        }
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let place = |span: &Span| {
            let index = address.checked_sub(span.first.addr())? / PAGE_SIZE;
            (index < span.pages).then_some((*span, index))
        };
        let (span, index) = self.spans[..self.count].iter().find_map(place).ok_or(PageError::Outside)?;
        if index >= span.fresh {
            return Err(PageError::Twice);
        }
        // SAFETY: the page was handed out once, so its state lies in the region and was written.
        let state = unsafe { span.states.add(index) };
        // SAFETY: as above.
        if unsafe { state.read() } == State::Free {
            return Err(PageError::Twice);
        }
        if pages != 1 {
            return Err(PageError::WrongSize);
        }
        // SAFETY: the page lies in the region and is given back, so only we use it from here on. The pointer comes
        // from the region's own, whatever the caller's may reach.
        unsafe {
            let page = span.first.add(index * PAGE_SIZE).cast::<Returned>();
            page.write(Returned { next: self.returned, state });
            state.write(State::Free);
            self.returned = page;
        }
        self.free_pages += 1;
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        let managed_pages = self.spans[..self.count].iter().map(|span| span.pages).sum();
        let mut statistics = Statistics { managed_pages, free_pages: self.free_pages, ..Statistics::default() };
        statistics.free_blocks[0] = self.free_pages;
        statistics
    }
}
