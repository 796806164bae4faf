//! Best-fit allocation (Knuth, The Art of Computer Programming, vol. 1, §2.5): a request is met from the smallest free
//! extent that is large enough.
//!
//! Free memory is kept as extents that are as long as can be: runs of free pages within one region. A word for each
//! page, beside the memory, tells at both ends of an extent how long it is (Knuth's boundary tags, §2.5, algorithm C),
//! so that a block that is freed finds its neighbours in constant time. The free extents are ordered by length in a
//! digital search tree that lies in their own first pages, so that the best one is found in as many steps as the
//! longest possible length has bits.

use core::mem;
use core::ptr::{self, NonNull};

use super::{Extent, MAX_REGIONS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};

/// A best-fit allocator.
///
/// Blocks are cut from the high end of an extent, so that what is left of it begins where it did.
///
/// State takes the first pages of every region: four bytes a page, and eight for what lies beyond its ends. For n pages
/// that is at most n / 1024 + 1 pages.
#[derive(Debug)]
pub struct BestFit {
    free: Tree,
    spans: [Span; MAX_REGIONS],
    count: usize,
    /// The pages of the longest span, which no extent can exceed.
    longest: usize,
}

// SAFETY: the pointers lead into regions that, by the contract of `add_region`, nothing else uses; whoever owns the
// allocator owns them, on whichever hart.
unsafe impl Send for BestFit {}

impl BestFit {
    /// An allocator without a page.
    pub const fn new() -> Self {
        Self { free: Tree::new(), spans: [Span::EMPTY; MAX_REGIONS], count: 0, longest: 0 }
    }

    fn span_of(&self, address: usize) -> Option<&Span> {
        self.spans.iter().find(|span| address.wrapping_sub(span.start) < span.bytes)
    }

    /// Makes pages one free extent.
    ///
    /// # Safety
    /// They lie in one span and are in use by nobody, `mark` is that of the first of them, all of their marks are
    /// [`Mark::INNER`], and the pages on either side are not free.
    #[inline]
    unsafe fn put(&mut self, extent: *mut FreeExtent, mark: *mut Mark, pages: usize) {
        // SAFETY: the pages are ours to write, and so are their marks.
        unsafe {
            mark.write(Mark::free(pages));
            mark.add(pages - 1).write(Mark::free(pages));
            self.free.insert(extent, mark, pages);
        }
    }

    /// Takes an extent out of the free ones; answers the mark of its first page, and its length.
    ///
    /// # Safety
    /// It is a free extent.
    #[inline]
    unsafe fn take(&mut self, extent: *mut FreeExtent) -> (*mut Mark, usize) {
        // SAFETY: free extents are in the tree, and their marks in the map of their region.
        unsafe {
            let FreeExtent { mark, pages, .. } = *extent;
            self.free.remove(extent);
            mark.write(Mark::INNER);
            mark.add(pages - 1).write(Mark::INNER);
            (mark, pages)
        }
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
        let mut first = page;
        loop {
            // SAFETY: every page of a span has a mark, and the first page begins something.
            let mark = unsafe { span.mark(first).read() };
            if mark.free_pages().is_some() {
                return PageError::Twice;
            }
            if mark != Mark::INNER {
                return if first == page { PageError::WrongSize } else { PageError::NotAllocated };
            }
            first -= 1;
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
        let address = region.start.addr().get();
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Misaligned);
        }
        let state_pages = ((region.pages + Span::FENCES) * size_of::<Mark>()).div_ceil(PAGE_SIZE);
        let pages = region.pages.saturating_sub(state_pages);
        if pages == 0 || pages > Mark::LONGEST || self.count == MAX_REGIONS {
            return Err(PageError::Exhausted);
        }
        let extent = Extent { start: address + state_pages * PAGE_SIZE, pages };
        let first = extent.start / PAGE_SIZE;
        let memory = region.start.as_ptr();
        let marks = memory.cast::<Mark>();
        // SAFETY: the caller gives us the whole region, and its first `state_pages` pages have room for these.
        unsafe { marks.write_bytes(Mark::INNER.0 as u8, pages + Span::FENCES) };
        let span = Span {
            start: extent.start,
            bytes: pages * PAGE_SIZE,
            memory: memory.wrapping_sub(address),
            marks: marks.wrapping_sub(first - 1),
        };
        self.spans[self.count] = span;
        self.count += 1;
        self.longest = self.longest.max(pages);
        self.free.reach(self.longest);
        // SAFETY: the span is all ours, blank, and has no free page on either side.
        unsafe { self.put(span.extent(first), span.mark(first), pages) };
        Ok(extent)
    }

    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {
        if pages == 0 {
            return Err(PageError::Zero);
        }
        if pages > self.longest {
            return Err(PageError::TooLarge);
        }
        let extent = self.free.best(pages).ok_or(PageError::Exhausted)?;
        // SAFETY: what is in the tree is free; the rest stays where it is, and the block behind it is in use from now
        // on, so neither has a free neighbour.
        unsafe {
            let (mark, length) = self.take(extent);
            let rest = length - pages;
            if rest > 0 {
                self.put(extent, mark, rest);
            }
            mark.add(rest).write(Mark::allocated(pages));
            Ok(NonNull::new_unchecked(extent.byte_add(rest * PAGE_SIZE).cast()))
        }
    }

    fn free(&mut self, start: NonNull<u8>, pages: usize) -> Result<(), PageError> {
        let address = start.addr().get();
        let Some(&span) = self.span_of(address).filter(|_| address.is_multiple_of(PAGE_SIZE)) else {
            return Err(self.refusal(address, pages));
        };
        let (mut first, mut length) = (address / PAGE_SIZE, pages);
        let mark = span.mark(first);
        // SAFETY: the page lies in the span, so it has a mark.
        if pages == 0 || pages > Mark::LONGEST || unsafe { mark.read() } != Mark::allocated(pages) {
            return Err(self.refusal(address, pages));
        }
        // SAFETY: a block of so many pages was handed out there and is given back. On either side of it there is a
        // mark, and one that says so is the end of a free extent, which is next to it.
        unsafe {
            mark.write(Mark::INNER);
            if let Some(behind) = mark.add(pages).read().free_pages() {
                self.take(span.extent(first + pages));
                length += behind;
            }
            if let Some(before) = mark.sub(1).read().free_pages() {
                first -= before;
                self.take(span.extent(first));
                length += before;
            }
            self.put(span.extent(first), span.mark(first), length);
        }
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        for span in &self.spans[..self.count] {
            let pages = span.bytes / PAGE_SIZE;
            statistics.managed_pages += pages;
            let mut page = span.start / PAGE_SIZE;
            let end = page + pages;
            while page < end {
                // SAFETY: the page lies in the span, and begins an extent or a block.
                let mark = unsafe { span.mark(page).read() };
                if let Some(free) = mark.free_pages() {
                    statistics.count_free(free);
                }
                page += mark.pages();
            }
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
    /// One mark a page, and one on either side. This is where page number zero would have its own.
    marks: *mut Mark,
}

impl Span {
    const EMPTY: Self = Self { start: 0, bytes: 0, memory: ptr::null_mut(), marks: ptr::null_mut() };

    /// Marks beyond the ends, which are never those of a free extent: they spare the question whether there is a
    /// neighbour at all.
    const FENCES: usize = 2;

    /// The head of the free extent that begins at a page.
    fn extent(&self, page: usize) -> *mut FreeExtent {
        self.memory.wrapping_add(page * PAGE_SIZE).cast()
    }

    /// The mark of a page of the span.
    fn mark(&self, page: usize) -> *mut Mark {
        self.marks.wrapping_add(page)
    }
}

/// What begins at a page, or ends there if it is free: two bits for the kind, and its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
struct Mark(u32);

impl Mark {
    /// Neither begins nor ends anything that a neighbour need know of.
    const INNER: Self = Self(0);
    const FREE: u32 = 1 << 30;
    const ALLOCATED: u32 = 2 << 30;
    /// The most pages that a mark has room for: 4 TiB.
    const LONGEST: usize = Self::FREE as usize - 1;

    /// The first page of a free extent, and the last one.
    const fn free(pages: usize) -> Self {
        Self(Self::FREE | pages as u32)
    }

    /// The first page of a block that was handed out.
    const fn allocated(pages: usize) -> Self {
        Self(Self::ALLOCATED | pages as u32)
    }

    const fn pages(self) -> usize {
        self.0 as usize & Self::LONGEST
    }

    /// The pages of the free extent that begins or ends here, if one does.
    const fn free_pages(self) -> Option<usize> {
        if self.0 & Self::FREE != 0 { Some(self.pages()) } else { None }
    }
}

/// The head of a free extent, in its first page.
#[derive(Debug)]
struct FreeExtent {
    pages: usize,
    /// The mark of the first page.
    mark: *mut Mark,
    /// Others of the same length. Only the first of them is in the tree, and it has none before it.
    next: *mut FreeExtent,
    previous: *mut FreeExtent,
    /// In the tree: what is above, and the subtrees of lengths whose next bit is 0 and 1.
    parent: *mut FreeExtent,
    children: [*mut FreeExtent; 2],
}

/// Free extents by length: a digital search tree (Knuth, vol. 3, §6.3, algorithm D).
///
/// The bits of a length, from the highest down, are the way to its place. An extent is put at the first free place on
/// its way, so all those below a place have the bits in common that lead there, and any of them may move up to it.
/// There is nothing to balance: no way is longer than a length has bits.
#[derive(Debug)]
struct Tree {
    root: *mut FreeExtent,
    /// How far a length is shifted left for its highest bit to become the word's.
    shift: u32,
}

impl Tree {
    const fn new() -> Self {
        Self { root: ptr::null_mut(), shift: usize::BITS - 1 }
    }

    /// Makes place for lengths up to the one given, by starting anew if they have more bits.
    fn reach(&mut self, longest: usize) {
        let shift = longest.leading_zeros();
        if shift < self.shift {
            let mut old = mem::replace(self, Self { shift, ..Self::new() });
            while !old.root.is_null() {
                let extent = old.root;
                // SAFETY: it is in the old tree, and then in none.
                unsafe {
                    let FreeExtent { mark, pages, .. } = *extent;
                    old.remove(extent);
                    self.insert(extent, mark, pages);
                }
            }
        }
    }

    /// One of the shortest extents of at least so many pages.
    fn best(&self, pages: usize) -> Option<*mut FreeExtent> {
        let mut best: Option<(*mut FreeExtent, usize)> = None;
        let mut consider = |extent, length| {
            if length >= pages && best.is_none_or(|(_, best)| length < best) {
                best = Some((extent, length));
            }
        };
        // The lengths to the right of the way of `pages` are larger, and the later they branch off, the smaller.
        let mut larger = ptr::null_mut();
        let mut at = self.root;
        let mut bits = pages << self.shift;
        // SAFETY: what is in the tree is free, so only the tree uses it.
        while let Some(extent) = unsafe { at.as_ref() } {
            if extent.pages == pages {
                // One that is not in the tree is taken out sooner.
                return Some(if extent.next.is_null() { at } else { extent.next });
            }
            consider(at, extent.pages);
            let [zero, one] = extent.children;
            if bits >> (usize::BITS - 1) == 0 {
                larger = if one.is_null() { larger } else { one };
                at = zero;
            } else {
                at = one;
            }
            bits <<= 1;
        }
        at = larger;
        // SAFETY: as above.
        while let Some(extent) = unsafe { at.as_ref() } {
            consider(at, extent.pages);
            let [zero, one] = extent.children;
            at = if zero.is_null() { one } else { zero };
        }
        best.map(|(extent, _)| extent)
    }

    /// Writes the head of a free extent, and adds it.
    ///
    /// # Safety
    /// The extent is not in the tree, in use by nobody, no longer than the tree [reaches](Self::reach), and has the
    /// mark of its first page at `mark`.
    unsafe fn insert(&mut self, extent: *mut FreeExtent, mark: *mut Mark, pages: usize) {
        let [mut next, mut previous, mut parent] = [ptr::null_mut(); 3];
        let mut place = &raw mut self.root;
        let mut bits = pages << self.shift;
        // SAFETY: what is in the tree is free, so only the tree uses it; the new extent is ours to write.
        unsafe {
            while !(*place).is_null() {
                let above = *place;
                if (*above).pages == pages {
                    next = mem::replace(&mut (*above).next, extent);
                    previous = above;
                    if let Some(next) = next.as_mut() {
                        next.previous = extent;
                    }
                    break;
                }
                parent = above;
                place = &raw mut (*above).children[bits >> (usize::BITS - 1)];
                bits <<= 1;
            }
            if previous.is_null() {
                *place = extent;
            }
            extent.write(FreeExtent { pages, mark, next, previous, parent, children: [ptr::null_mut(); 2] });
        }
    }

    /// Takes an extent out.
    ///
    /// # Safety
    /// The extent is in the tree.
    unsafe fn remove(&mut self, extent: *mut FreeExtent) {
        // SAFETY: what is in the tree is free, so only the tree uses it.
        unsafe {
            let FreeExtent { next, previous, parent, .. } = *extent;
            if let Some(next) = next.as_mut() {
                next.previous = previous;
            }
            if let Some(previous) = previous.as_mut() {
                previous.next = next;
                return;
            }
            let heir = if next.is_null() { self.detach_leaf_below(extent) } else { next };
            *self.place_of(extent, parent) = heir;
            if !heir.is_null() {
                let children = (*extent).children;
                (*heir).parent = parent;
                (*heir).children = children;
                for child in children {
                    if let Some(child) = child.as_mut() {
                        child.parent = heir;
                    }
                }
            }
        }
    }

    /// Takes a leaf below an extent out of its place; null where nothing is below.
    ///
    /// # Safety
    /// The extent is the first of its length in the tree.
    unsafe fn detach_leaf_below(&mut self, extent: *mut FreeExtent) -> *mut FreeExtent {
        let mut leaf = extent;
        // SAFETY: what is in the tree is free, so only the tree uses it.
        unsafe {
            while let Some(&child) = (*leaf).children.iter().find(|child| !child.is_null()) {
                leaf = child;
            }
            if leaf == extent {
                return ptr::null_mut();
            }
            *self.place_of(leaf, (*leaf).parent) = ptr::null_mut();
        }
        leaf
    }

    /// Where it says that an extent is below another, or at the root.
    ///
    /// # Safety
    /// It is there.
    unsafe fn place_of(&mut self, extent: *mut FreeExtent, parent: *mut FreeExtent) -> *mut *mut FreeExtent {
        if parent.is_null() {
            return &raw mut self.root;
        }
        // SAFETY: what is in the tree is free, so only the tree uses it.
        unsafe {
            let index = usize::from((*parent).children[0] != extent);
            &raw mut (*parent).children[index]
        }
    }
}
