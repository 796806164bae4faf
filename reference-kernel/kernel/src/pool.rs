//! A pool: an allocator with books beside it and a trace of what it did.

use core::{
    fmt::{self, Write},
    ops::Range,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use abi::{
    boot::PageSource,
    mark::Meter,
    page::{KERNEL_CLIENT, Kind, MAX_ORDER, ORDERS, Operation, PageError, Pool},
};
use base::{hart, sv39::PAGE};
use mm::page::{Extent, Lab, MAX_REGIONS, PageAllocator, Region, Statistics, trusted::TrustedList};

use crate::{
    notes::{Block, Notes},
    stamp,
    trace::{Batch, Trace},
};

/// An allocator and what belongs to it.
#[derive(Debug)]
pub struct PagePool {
    // Both stay where they are for good: an allocator may well point into itself.
    trusted: TrustedList,
    lab: Lab,
    source: PageSource,
    regions: [Range<usize>; MAX_REGIONS],
    managed: [Range<usize>; MAX_REGIONS],
    count: usize,
    notes: Notes,
    /// Damaged pages found so far, by client.
    damaged: [u64; KERNEL_CLIENT as usize],
    trace: Option<Trace>,
}

/// Instructions that reading the counter before and after a call of an empty function takes.
static OVERHEAD: AtomicU64 = AtomicU64::new(0);

impl PagePool {
    /// A pool without a page.
    pub const fn new(source: PageSource) -> Self {
        Self {
            trusted: TrustedList::new(),
            lab: Lab::new(),
            source,
            regions: [const { 0..0 }; MAX_REGIONS],
            managed: [const { 0..0 }; MAX_REGIONS],
            count: 0,
            notes: Notes::none(),
            damaged: [0; KERNEL_CLIENT as usize],
            trace: None,
        }
    }

    /// Chooses the allocator, gives the pool its books, and a trace if it is to have one; before its first region.
    pub fn prepare(&mut self, source: PageSource, notes: Notes, trace: Option<Trace>) {
        self.source = source;
        self.notes = notes;
        self.trace = trace;
    }

    /// Gives the pool a region of RAM for good.
    ///
    /// # Panics
    /// When the allocator refuses it, or says that it manages anything else.
    pub fn add_region(&mut self, range: &Range<usize>) {
        let start = NonNull::new(ptr::with_exposed_provenance_mut(range.start)).expect("RAM does not begin at zero");
        let region = Region { start, pages: range.len() / PAGE };
        let allocator: &mut dyn PageAllocator = match self.source {
            PageSource::Trusted => &mut self.trusted,
            PageSource::Lab | PageSource::Stack => &mut self.lab,
        };
        // SAFETY: the region was taken out of the memory map, so it is RAM that nobody else uses.
        let answer = unsafe { allocator.add_region(region) };
        let Extent { start, pages } = match answer {
            Ok(extent) => extent,
            Err(error) => {
                panic!("the page allocator refuses the {} pages at {:#x}: {error}", region.pages, range.start)
            }
        };
        let inside = start >= range.start && pages <= region.pages && start <= range.end - pages * PAGE;
        assert!(
            inside && start.is_multiple_of(PAGE),
            "the page allocator was given {} pages at {:#x}, and says that it manages {pages} at {start:#x}",
            region.pages,
            range.start
        );
        self.regions[self.count] = range.clone();
        self.managed[self.count] = start..start + pages * PAGE;
        self.count += 1;
    }

    /// Whether the pool has any memory.
    pub fn exists(&self) -> bool {
        self.count > 0
    }

    /// Whether a block could be this pool's: whole pages within what its allocator manages.
    pub fn manages(&self, address: usize, pages: usize) -> bool {
        let within = |managed: &Range<usize>| managed.contains(&address) && pages <= (managed.end - address) / PAGE;
        address.is_multiple_of(PAGE) && self.managed[..self.count].iter().any(within)
    }

    /// Asks the allocator for pages.
    fn request(&mut self, pages: usize, client: u8) -> Result<usize, PageError> {
        let (answer, instructions) = match self.source {
            PageSource::Trusted => measured(|| self.trusted.allocate(pages)),
            PageSource::Lab | PageSource::Stack => measured(|| lab_allocate(&mut self.lab, pages)),
        };
        let answer = answer.map(|address| address.expose_provenance().get());
        let (error, address) = answer.map_or_else(|error| (error as u8, 0), |address| (0, address as u64));
        self.note(&[operation(Kind::Allocate, client, error, instructions, pages, address)]);
        answer
    }

    /// Gives the allocator pages back.
    fn give_back(&mut self, address: NonNull<u8>, pages: usize, client: u8) -> Result<(), PageError> {
        let (answer, instructions) = match self.source {
            PageSource::Trusted => measured(|| self.trusted.free(address, pages)),
            PageSource::Lab | PageSource::Stack => measured(|| lab_free(&mut self.lab, address, pages)),
        };
        let error = answer.err().map_or(0, |error| error as u8);
        self.note(&[operation(Kind::Free, client, error, instructions, pages, address.addr().get() as u64)]);
        answer
    }

    fn note(&mut self, group: &[Operation]) {
        if let Some(trace) = &mut self.trace {
            trace.push(group);
        }
    }

    /// A page for the kernel itself, or nothing when there is none.
    ///
    /// # Panics
    /// When the allocator hands out what it must not: better a sentence here than a fault later.
    pub fn allocate_page(&mut self) -> Option<usize> {
        self.allocate_pages(1)
    }

    /// Contiguous pages for the kernel itself, or nothing when there are none.
    ///
    /// # Panics
    /// As for [`allocate_page`](Self::allocate_page).
    pub fn allocate_pages(&mut self, pages: usize) -> Option<usize> {
        let address = match self.request(pages, KERNEL_CLIENT) {
            Ok(address) => address,
            Err(PageError::Exhausted) => return None,
            // The trusted list has single pages only.
            Err(PageError::TooLarge) if pages > 1 => return None,
            Err(error) => panic!("the page allocator answers a request for {pages} pages with {error:?}"),
        };
        assert!(
            self.manages(address, pages),
            "the page allocator handed out {address:#x}, which is no page in the memory that it manages"
        );
        let held = self.notes.hold(address, pages, KERNEL_CLIENT);
        assert!(held.is_ok(), "the page allocator handed out the page at {address:#x}, which is still in use");
        Some(address)
    }

    /// Takes a page of the kernel's own back.
    ///
    /// # Panics
    /// When the allocator refuses it.
    pub fn free_page(&mut self, address: NonNull<u8>) {
        self.free_pages(address, 1);
    }

    /// Takes contiguous pages of the kernel's own back.
    ///
    /// # Panics
    /// When the allocator refuses them.
    pub fn free_pages(&mut self, address: NonNull<u8>, pages: usize) {
        if let Some(block) = self.notes.block_at(address.addr().get()) {
            self.notes.release(&block);
        }
        if let Err(error) = self.give_back(address, pages, KERNEL_CLIENT) {
            panic!("the page allocator refuses to take back the {pages} pages at {address:p}: {error}");
        }
    }

    /// Pages for a test program. What comes back is passed on as it is, and only touched if it is sane.
    ///
    /// # Errors
    /// The allocator's.
    pub fn allocate_for(&mut self, client: u8, pages: usize) -> Result<usize, PageError> {
        let address = self.request(pages, client)?;
        if pages > 0
            && self.manages(address, pages)
            && let Ok(block) = self.notes.hold(address, pages, client)
        {
            // SAFETY: it lies in this pool's memory, and nobody holds any page of it.
            unsafe { stamp::stamp(&block) };
        }
        Ok(address)
    }

    /// Frees pages for a test program, which may well be wrong about them.
    ///
    /// # Errors
    /// The allocator's.
    pub fn free_for(&mut self, client: u8, address: NonNull<u8>, pages: usize) -> Result<(), PageError> {
        let block = self.notes.block_at(address.addr().get());
        if let Some(block) = &block {
            self.check(block);
        }
        self.give_back(address, pages, client)?;
        if let Some(block) = &block {
            self.notes.release(block);
        }
        Ok(())
    }

    /// Whether the page around an address is in use by the kernel, which no program may free.
    pub fn is_kernels(&self, address: usize) -> bool {
        self.notes.is_kernels(address)
    }

    /// Looks at all blocks of a client; answers how many of its pages were ever found damaged.
    pub fn damaged_pages(&mut self, client: u8) -> u64 {
        let found: u64 = self
            .notes
            .blocks_of(client)
            .map(|block| {
                // SAFETY: a client's block is noted only if it lies in the pool and was nobody else's.
                unsafe { stamp::damaged(&block) }
            })
            .sum();
        let damaged = &mut self.damaged[usize::from(client)];
        *damaged += found;
        *damaged
    }

    fn check(&mut self, block: &Block) {
        if block.client != KERNEL_CLIENT {
            // SAFETY: as above.
            self.damaged[usize::from(block.client)] += unsafe { stamp::damaged(block) };
        }
    }

    /// Asks the allocator for its statistics, for a test program.
    pub fn statistics_for(&mut self, client: u8) -> usize {
        let (Statistics { managed_pages, free_pages, free_blocks }, instructions) = measured(|| self.statistics());
        let mut group =
            [operation(Kind::Statistics, client, 0, instructions, free_pages, managed_pages as u64); 1 + ORDERS];
        for (order, blocks) in free_blocks.into_iter().enumerate() {
            let entry = operation(Kind::FreeBlocks, client, 0, 0, blocks, 0);
            group[1 + order] = Operation { order: order as u8, ..entry };
        }
        self.note(&group);
        free_pages
    }

    /// The allocator's statistics, without a trace.
    pub fn statistics(&self) -> Statistics {
        match self.source {
            PageSource::Trusted => self.trusted.statistics(),
            PageSource::Lab | PageSource::Stack => self.lab.statistics(),
        }
    }

    /// Takes operations out of the trace.
    ///
    /// # Panics
    /// When this pool is not the traced one.
    pub fn read_trace(&mut self, most: usize) -> Batch {
        self.trace.as_mut().expect("only the pool with a trace is read").take(most)
    }

    /// Writes the fields of the record that describes the pool.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_record(&self, pool: Pool, out: &mut impl Write) -> fmt::Result {
        // The module that holds the allocator has the name of the algorithm.
        let allocator = core::any::type_name::<Lab>().rsplit("::").nth(1).unwrap_or("lab");
        write!(out, "\"r\":\"pool\",\"pool\":\"{}\",\"allocator\":\"{allocator}\"", pool.word())?;
        write!(out, ",\"max_order\":{MAX_ORDER},\"regions\":[")?;
        for (index, (region, managed)) in self.regions.iter().zip(&self.managed).take(self.count).enumerate() {
            let lead = if index == 0 { "" } else { "," };
            let pages = |range: &Range<usize>| range.len() / PAGE;
            write!(out, "{lead}[{},{},{},{}]", region.start, pages(region), managed.start, pages(managed))?;
        }
        out.write_str("]")
    }
}

fn operation(kind: Kind, client: u8, error: u8, instructions: u64, pages: usize, address: u64) -> Operation {
    let hart = hart::this().id() as u8;
    Operation {
        kind: kind as u8,
        client,
        hart,
        error,
        order: 0,
        reserved: [0; 3],
        instructions,
        pages: pages as u64,
        address,
    }
}

// What is measured is a call, not code mixed with ours.
#[inline(never)]
fn lab_allocate(lab: &mut Lab, pages: usize) -> Result<NonNull<u8>, PageError> {
    lab.allocate(pages)
}

#[inline(never)]
fn lab_free(lab: &mut Lab, address: NonNull<u8>, pages: usize) -> Result<(), PageError> {
    lab.free(address, pages)
}

#[inline(never)]
fn empty() -> Result<NonNull<u8>, PageError> {
    core::hint::black_box(Err(PageError::Zero))
}

/// A call's result, and the guest instructions that it took beyond those of an empty function.
#[inline(always)]
pub fn measured<R>(call: impl FnOnce() -> R) -> (R, u64) {
    let before = abi::grader_counter!(Meter::Pages.begin());
    let result = call();
    let after = abi::grader_counter!(Meter::Pages.end());
    (result, (after - before).saturating_sub(OVERHEAD.load(Relaxed)))
}

/// Finds out what measuring itself takes.
pub fn calibrate() {
    OVERHEAD.store((0..8).map(|_| measured(empty).1).min().unwrap_or(0), Relaxed);
    abi::grader_mark!(Meter::Pages.calibrated());
}
