//! What an allocator may answer, told from the set of free pages alone.

use mm::page::order::LARGEST;
use mm::page::{Extent, MAX_ORDER, ORDERS, PAGE_SIZE, PageError, Statistics};

/// The algorithm that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Buddy,
    BestFit,
    /// Single pages only.
    List,
}

/// A block that is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    pub first: usize,
    pub asked: usize,
    /// What the request was rounded up to.
    pub pages: usize,
}

/// The set of free pages and the blocks that are handed out.
///
/// What is sorted is kept in plain vectors, which Miri gets through several times faster than through trees.
pub struct Model {
    algorithm: Algorithm,
    spans: Vec<Span>,
    /// By first page, upwards.
    live: Vec<Live>,
}

impl Model {
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, spans: Vec::new(), live: Vec::new() }
    }

    pub fn add(&mut self, extent: Extent) {
        self.spans.push(Span::new(extent.start / PAGE_SIZE, extent.pages));
    }

    pub fn live(&self) -> &[Live] {
        &self.live
    }

    /// The number of live blocks that begin before `page`, or there.
    fn live_until(&self, page: usize) -> usize {
        self.live.partition_point(|block| block.first <= page)
    }

    pub fn live_at(&self, first: usize) -> Option<Live> {
        let block = *self.live.get(self.live_until(first).checked_sub(1)?)?;
        (block.first == first).then_some(block)
    }

    /// The size that a request is rounded up to.
    fn rounded(&self, pages: usize) -> Result<usize, PageError> {
        match (self.algorithm, pages) {
            (_, 0) => Err(PageError::Zero),
            (Algorithm::List, 1) => Ok(1),
            (Algorithm::Buddy, 1..=LARGEST) => Ok(pages.next_power_of_two()),
            (Algorithm::BestFit, _) if self.spans.iter().any(|span| pages <= span.pages) => Ok(pages),
            _ => Err(PageError::TooLarge),
        }
    }

    /// Judges the answer to a request.
    pub fn allocated(&mut self, asked: usize, answer: Result<usize, PageError>) -> Result<(), String> {
        let due = self.rounded(asked).and_then(|pages| {
            let smallest = self.spans.iter().filter_map(|span| span.smallest(pages, self.algorithm)).min();
            smallest.map(|smallest| (pages, smallest)).ok_or(PageError::Exhausted)
        });
        let (address, (pages, smallest)) = match (answer, due) {
            (Ok(address), Ok(due)) => (address, due),
            (Err(error), Err(due)) if error == due => return Ok(()),
            (answer, due) => return Err(format!("{asked} pages: got {answer:x?}, due was {due:x?}")),
        };
        let first = address / PAGE_SIZE;
        let unit = if self.algorithm == Algorithm::BestFit { 1 } else { pages };
        if !address.is_multiple_of(PAGE_SIZE) || !first.is_multiple_of(unit) {
            return Err(format!("{asked} pages at {address:#x}, which is no multiple of the block's size"));
        }
        let Some(span) = self.spans.iter_mut().find(|span| span.holds(first, pages)) else {
            return Err(format!("{asked} pages at {address:#x}, which no region holds"));
        };
        let Some((start, length)) = span.run_around(first, pages) else {
            return Err(format!("{asked} pages at {address:#x}, which overlap a live block"));
        };
        let taken = match self.algorithm {
            Algorithm::List => 1,
            Algorithm::Buddy => span.order_around(first).map_or(0, |order| 1 << order),
            Algorithm::BestFit => length,
        };
        if taken != smallest {
            return Err(format!(
                "{asked} pages at {address:#x}, out of {taken} free ones; there were {smallest} somewhere"
            ));
        }
        if self.algorithm == Algorithm::BestFit && first != start && first + pages != start + length {
            return Err(format!("{asked} pages at {address:#x}, out of the middle of {length} free ones"));
        }
        span.take(first, pages);
        self.live.insert(self.live_until(first), Live { first, asked, pages });
        Ok(())
    }

    /// Every error that a free may be refused with; none means that it must succeed.
    pub fn refusals(&self, address: usize, pages: usize) -> Vec<PageError> {
        let page = address / PAGE_SIZE;
        let size = self.rounded(pages);
        let block = self.live[..self.live_until(page)].last();
        let block = block.filter(|block| page < block.first + block.pages);
        let managed = self.spans.iter().any(|span| span.holds(page, 1));
        let is_first = block.is_some_and(|block| block.first == page);
        let has_size = block.is_some_and(|block| Ok(block.pages) == size);
        let mut refusals = Vec::new();
        let mut refuse = |due, error| {
            if due {
                refusals.push(error);
            }
        };
        refuse(pages == 0, PageError::Zero);
        let unit = if self.algorithm == Algorithm::BestFit { 1 } else { size.unwrap_or(1) };
        refuse(!address.is_multiple_of(unit * PAGE_SIZE), PageError::Misaligned);
        refuse(!managed, PageError::Outside);
        refuse(managed && block.is_none(), PageError::Twice);
        refuse(block.is_some() && !is_first, PageError::NotAllocated);
        refuse(is_first && !has_size, PageError::WrongSize);
        refusals
    }

    /// Judges the answer to a free; the block that went, where one did.
    pub fn freed(
        &mut self,
        address: usize,
        pages: usize,
        answer: Result<(), PageError>,
    ) -> Result<Option<Live>, String> {
        let refusals = self.refusals(address, pages);
        match answer {
            Ok(()) if refusals.is_empty() => {}
            Err(error) if refusals.contains(&error) => return Ok(None),
            _ => return Err(format!("free of {pages} pages at {address:#x}: got {answer:?}, due was {refusals:?}")),
        }
        let block = self.live.remove(self.live_until(address / PAGE_SIZE) - 1);
        let span = self.spans.iter_mut().find(|span| span.holds(block.first, 1)).expect("blocks lie in spans");
        span.give(block.first, block.pages);
        Ok(Some(block))
    }

    /// The number of some free page, chosen by `pick`.
    pub fn any_free_page(&self, pick: u64) -> Option<usize> {
        let pages: usize = self.spans.iter().map(|span| span.free_pages).sum();
        let mut index = (pick as usize).checked_rem(pages)?;
        for span in &self.spans {
            if index < span.free_pages {
                return span.free_page(index);
            }
            index -= span.free_pages;
        }
        None
    }

    pub fn statistics(&self) -> Statistics {
        Statistics {
            managed_pages: self.spans.iter().map(|span| span.pages).sum(),
            free_pages: self.spans.iter().map(|span| span.free_pages).sum(),
            free_blocks: self.free_blocks(),
        }
    }

    fn free_blocks(&self) -> [usize; ORDERS] {
        let mut blocks = [0; ORDERS];
        for span in &self.spans {
            match self.algorithm {
                Algorithm::List => blocks[0] += span.free_pages,
                Algorithm::Buddy => (0..ORDERS).for_each(|order| blocks[order] += span.blocks[order]),
                Algorithm::BestFit => {
                    let classes = span.runs.iter().map(|&(_, length)| (length.ilog2() as usize).min(ORDERS - 1));
                    classes.for_each(|class| blocks[class] += 1);
                }
            }
        }
        blocks
    }
}

/// The pages of one region that can be handed out.
struct Span {
    first: usize,
    pages: usize,
    free_pages: usize,
    /// Free pages in runs as long as possible, as first page and length, upwards.
    runs: Vec<(usize, usize)>,
    /// The free blocks that eager merging leaves, by order.
    blocks: [usize; ORDERS],
}

impl Span {
    fn new(first: usize, pages: usize) -> Self {
        let mut span = Self { first, pages, free_pages: 0, runs: Vec::new(), blocks: [0; ORDERS] };
        span.give(first, pages);
        span
    }

    fn holds(&self, page: usize, pages: usize) -> bool {
        self.first <= page && page + pages <= self.first + self.pages
    }

    /// The number of runs that begin before `page`, or there.
    fn runs_until(&self, page: usize) -> usize {
        self.runs.partition_point(|&(first, _)| first <= page)
    }

    /// The run of free pages that holds all of these.
    fn run_around(&self, page: usize, pages: usize) -> Option<(usize, usize)> {
        let &(first, length) = self.runs[..self.runs_until(page)].last()?;
        (page + pages <= first + length).then_some((first, length))
    }

    fn free_page(&self, mut index: usize) -> Option<usize> {
        for &(first, length) in &self.runs {
            if index < length {
                return Some(first + index);
            }
            index -= length;
        }
        None
    }

    /// The pages of the smallest free block, as the algorithm has them, that holds so many.
    fn smallest(&self, pages: usize, algorithm: Algorithm) -> Option<usize> {
        match algorithm {
            Algorithm::List => (self.free_pages > 0).then_some(1),
            Algorithm::Buddy => {
                let order = (pages.ilog2()..=MAX_ORDER).find(|&order| self.blocks[order as usize] > 0);
                order.map(|order| 1 << order)
            }
            Algorithm::BestFit => self.runs.iter().map(|&(_, length)| length).filter(|&length| length >= pages).min(),
        }
    }

    /// The order of the free block that a free page lies in.
    fn order_around(&self, page: usize) -> Option<u32> {
        let (first, length) = self.run_around(page, 1)?;
        let mut around = None;
        blocks_of(first, length, |block, order| {
            if block <= page && page < block + (1 << order) {
                around = Some(order);
            }
        });
        around
    }

    fn take(&mut self, page: usize, pages: usize) {
        let (first, length) = self.run_around(page, pages).expect("pages that are taken are free");
        self.remove_run(first);
        self.insert_run(first, page - first);
        self.insert_run(page + pages, first + length - (page + pages));
        self.free_pages -= pages;
    }

    fn give(&mut self, page: usize, pages: usize) {
        let before = page.checked_sub(1).and_then(|last| self.run_around(last, 1));
        let behind = self.run_around(page + pages, 1);
        for (first, _) in [before, behind].into_iter().flatten() {
            self.remove_run(first);
        }
        let first = before.map_or(page, |(first, _)| first);
        let end = behind.map_or(page + pages, |(first, length)| first + length);
        self.insert_run(first, end - first);
        self.free_pages += pages;
    }

    fn insert_run(&mut self, first: usize, length: usize) {
        if length > 0 {
            self.runs.insert(self.runs_until(first), (first, length));
            blocks_of(first, length, |_, order| self.blocks[order as usize] += 1);
        }
    }

    fn remove_run(&mut self, first: usize) {
        let (first, length) = self.runs.remove(self.runs_until(first) - 1);
        blocks_of(first, length, |_, order| self.blocks[order as usize] -= 1);
    }
}

/// Calls `each` with first page and order of the aligned blocks, each as large as can be, that make up a run of pages.
///
/// A block in a run of free pages is part of a larger free one unless that would be misaligned or leave the run, so
/// these are the blocks that are left when every two buddies have merged.
fn blocks_of(first: usize, length: usize, mut each: impl FnMut(usize, u32)) {
    let mut page = first;
    while page < first + length {
        let order = (first + length - page).ilog2().min(page.trailing_zeros()).min(MAX_ORDER);
        each(page, order);
        page += 1 << order;
    }
}
