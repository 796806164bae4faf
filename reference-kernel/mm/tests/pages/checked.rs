//! An allocator beside its model: every answer is judged, and what was written into live blocks must stay there.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ptr::NonNull;

use mm::page::{Extent, PAGE_SIZE, PageAllocator, PageError, Statistics};

use crate::ground::{Bank, Ground};
use crate::model::{Algorithm, Model};

/// What an allocator did wrong.
pub type Judged<T> = Result<T, String>;

pub struct Checked<A> {
    pub allocator: A,
    pub model: Model,
    pub extents: Vec<Extent>,
    /// What the allocator returned for each live block, by its first page; other pointers may not be written through.
    starts: BTreeMap<usize, NonNull<u8>>,
    initial: Statistics,
    ground: Vec<Ground>,
}

impl<A: PageAllocator> Checked<A> {
    /// An allocator over fresh memory.
    pub fn new(mut allocator: A, algorithm: Algorithm, banks: &[Bank]) -> Judged<Self> {
        let ground: Vec<Ground> = banks.iter().map(Ground::new).collect();
        let mut model = Model::new(algorithm);
        let mut extents = Vec::new();
        for region in ground.iter().flat_map(Ground::regions) {
            let most_state = region.pages / 64 + 2;
            // SAFETY: the memory is the region's alone, and lives as long as the allocator.
            match unsafe { allocator.add_region(region) } {
                Ok(extent) => {
                    let behind = region.start.addr().get() + region.pages * PAGE_SIZE;
                    let within = region.start.addr().get() <= extent.start
                        && extent.start.is_multiple_of(PAGE_SIZE)
                        && extent.start + extent.pages * PAGE_SIZE <= behind;
                    if !within || extent.pages == 0 || extent.pages + most_state < region.pages {
                        return Err(format!("{region:x?} became {extent:x?}"));
                    }
                    model.add(extent);
                    extents.push(extent);
                }
                Err(PageError::Exhausted) if region.pages <= most_state => {}
                Err(error) => return Err(format!("{region:x?} was refused: {error}")),
            }
        }
        let initial = model.statistics();
        let checked = Self { allocator, model, extents, starts: BTreeMap::new(), initial, ground };
        checked.statistics()?;
        Ok(checked)
    }

    pub fn allocate(&mut self, pages: usize) -> Judged<Result<usize, PageError>> {
        let answer = self.allocator.allocate(pages);
        let address = answer.map(|start| start.addr().get());
        self.model.allocated(pages, address)?;
        if let Ok(start) = answer {
            let first = start.addr().get() / PAGE_SIZE;
            self.starts.insert(first, start);
            // SAFETY: the words lie in a block that was handed out to us.
            self.words(first, |word, value| unsafe { word.write(value) });
        }
        Ok(address)
    }

    /// Frees by address alone, as a system call does: the pointer has no right to any memory.
    pub fn free(&mut self, address: usize, pages: usize) -> Judged<Result<(), PageError>> {
        let start = NonNull::without_provenance(NonZero::new(address).expect("no test frees the null address"));
        if self.model.live_at(address / PAGE_SIZE).is_some() {
            self.contents(address / PAGE_SIZE)?;
        }
        let answer = self.allocator.free(start, pages);
        if let Some(block) = self.model.freed(address, pages, answer)? {
            self.starts.remove(&block.first);
        }
        Ok(answer)
    }

    pub fn statistics(&self) -> Judged<()> {
        let (told, due) = (self.allocator.statistics(), self.model.statistics());
        if told == due { Ok(()) } else { Err(format!("statistics are {told:?}, due was {due:?}")) }
    }

    /// Whether the live block that starts at page `first` holds what was written.
    fn contents(&self, first: usize) -> Judged<()> {
        let mut judged = Ok(());
        self.words(first, |word, value| {
            // SAFETY: the word lies in a live block, and was written when that was handed out.
            let found = unsafe { word.read() };
            if found != value {
                judged = Err(format!("{word:?} of a live block held {value:#x} and now holds {found:#x}"));
            }
        });
        judged
    }

    /// Calls `each` with some words of every page of a live block, and the values that they get: those where an
    /// allocator would write if it took the page for its own.
    fn words(&self, first: usize, mut each: impl FnMut(NonNull<u64>, u64)) {
        let start = self.starts[&first];
        let pages = self.model.live_at(first).expect("the block is live").pages;
        for page in 0..pages {
            for offset in [0, 8, 16, PAGE_SIZE - 8] {
                // SAFETY: the offset lies in the block.
                let word = unsafe { start.add(page * PAGE_SIZE + offset) };
                each(word.cast(), word.addr().get() as u64 ^ 0x5eed_5eed_5eed_5eed);
            }
        }
    }

    /// Ends a test: nothing was damaged, everything can be given back, and every page can still be had.
    pub fn finish(mut self) -> Judged<()> {
        for block in self.model.live().to_vec() {
            self.contents(block.first)?;
            self.free(block.first * PAGE_SIZE, block.asked)?.map_err(|error| error.to_string())?;
        }
        self.is_as_at_first()?;
        while self.allocate(1)?.is_ok() {}
        if self.model.live().len() != self.initial.managed_pages {
            return Err(format!("{} of {} pages can be had", self.model.live().len(), self.initial.managed_pages));
        }
        // Neither upwards nor downwards, so that merging meets every pattern of neighbours.
        let live = self.model.live().to_vec();
        for turn in 0..3 {
            for block in live.iter().skip(turn).step_by(3) {
                self.free(block.first * PAGE_SIZE, 1)?.map_err(|error| error.to_string())?;
            }
        }
        self.is_as_at_first()?;
        if !self.ground.iter().all(Ground::fences_are_untouched) {
            return Err("memory beside a region was written".into());
        }
        Ok(())
    }

    fn is_as_at_first(&self) -> Judged<()> {
        self.statistics()?;
        let now = self.allocator.statistics();
        if now == self.initial { Ok(()) } else { Err(format!("all is free, and {:?} became {now:?}", self.initial)) }
    }
}
