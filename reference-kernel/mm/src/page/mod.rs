//! Page allocators: the interface that all of them implement, one file an algorithm beside it.

pub mod bestfit;
pub mod buddy;
pub mod order;
pub mod per_hart;
pub mod trusted;

use core::ptr::NonNull;

pub use abi::page::{MAX_ORDER, ORDERS, PageError};

/// Bytes in a page.
pub const PAGE_SIZE: usize = abi::page::PAGE_SIZE as usize;

/// The most regions that an allocator must be able to manage.
pub const MAX_REGIONS: usize = 8;

/// The allocator of the lab that this kernel is built for: a Cargo feature, named after it, chooses.
#[cfg(feature = "buddy")]
pub type Lab = buddy::Buddy;

/// The allocator of the lab that this kernel is built for.
#[cfg(feature = "bestfit")]
pub type Lab = bestfit::BestFit;

/// The allocator of a kernel that is built for no lab in particular.
#[cfg(not(any(feature = "bestfit", feature = "buddy")))]
pub type Lab = buddy::Buddy;

/// Memory that is given to an allocator for good.
///
/// Whoever makes one promises that nothing else uses that memory as long as the allocator lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The first byte; a multiple of [`PAGE_SIZE`].
    pub start: NonNull<u8>,
    /// Length in pages.
    pub pages: usize,
}

/// A run of pages by the address of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first byte.
    pub start: usize,
    /// Length in pages.
    pub pages: usize,
}

/// How much of an allocator's memory is free, and in which pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Pages that can be handed out in all, free or not.
    pub managed_pages: usize,
    /// Pages that are free.
    pub free_pages: usize,
    /// Free blocks by order: element k counts those of at least 2^k and fewer than 2^(k+1) pages, the last
    /// element everything from there on.
    pub free_blocks: [usize; ORDERS],
}

impl Statistics {
    /// Counts a free block of so many pages, which must not be zero.
    pub fn count_free(&mut self, pages: usize) {
        self.free_pages += pages;
        self.free_blocks[(pages.ilog2() as usize).min(ORDERS - 1)] += 1;
    }
}

/// An allocator of contiguous pages.
///
/// Addresses that it hands out are multiples of [`PAGE_SIZE`]; a buddy allocator's are multiples of the block's
/// size, counted from address zero, so that a block can back a large page wherever its region begins.
pub trait PageAllocator {
    /// Gives the allocator a region, and answers which part of it can be handed out; the rest holds its state.
    ///
    /// # Errors
    /// [`PageError::Exhausted`] when the region has no room for state and one page, or when there are
    /// [`MAX_REGIONS`] already; [`PageError::Misaligned`] when it does not start at a page.
    ///
    /// # Safety
    /// The region's memory is readable and writable through `region.start`, is used by nothing else as long as
    /// the allocator or any page from it is in use, and overlaps no other region of the allocator.
    unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError>;

    /// Takes `pages` contiguous pages out of the free ones.
    ///
    /// # Errors
    /// [`PageError::Zero`] for no pages at all, [`PageError::TooLarge`] for more than any free block can ever
    /// hold, [`PageError::Exhausted`] when no free block is large enough now.
    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError>;

    /// Takes a block of 2^`order` pages out of the free ones.
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate).
    fn allocate_order(&mut self, order: u32) -> Result<NonNull<u8>, PageError> {
        self.allocate(1usize.checked_shl(order).ok_or(PageError::TooLarge)?)
    }

    /// Gives back what [`allocate`](Self::allocate) returned for the same number of pages.
    ///
    /// # Errors
    /// Nothing changes, and the answer says why, when the address is
    /// [misaligned](PageError::Misaligned), [outside](PageError::Outside) of what is managed,
    /// [free already](PageError::Twice), [no block's first page](PageError::NotAllocated), or was
    /// allocated with [another size](PageError::WrongSize); for no pages at all, [`PageError::Zero`].
    /// Where more than one holds, any of them may be named.
    fn free(&mut self, start: NonNull<u8>, pages: usize) -> Result<(), PageError>;

    /// Counts what is free.
    fn statistics(&self) -> Statistics;
}

/// Single pages, which any hart can take and give back at any time; the locks are inside.
///
/// Nothing here may be called with a lock held that it takes itself. Interrupts are as they were before when it
/// returns.
pub trait PageLists: Sync {
    /// Adds all pages of a region to those that are free.
    ///
    /// # Safety
    /// The region's memory is readable and writable through `region.start`, and is used by nothing else as long as the
    /// lists or any page from them is in use.
    unsafe fn add_region(&self, region: Region);

    /// Takes a page out of the free ones, whichever hart gave it back.
    ///
    /// None only when there is no free page: one that is free from before this is called until after it returned must
    /// be found.
    fn allocate(&self) -> Option<NonNull<u8>>;

    /// Gives a page back.
    ///
    /// # Safety
    /// The page is from [`allocate`](Self::allocate) of these lists, has not been given back since, and nobody uses it
    /// any more.
    unsafe fn free(&self, page: NonNull<u8>);

    /// How many pages are free, exactly so while nobody takes or gives any.
    fn free_pages(&self) -> usize;
}
