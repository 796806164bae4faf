//! Object caches: the interface of the slab allocator, and what it stands on.
//!
//! The model is Linux 2.6.30's `mm/slab.c`, which follows Bonwick, "The Slab Allocator: An Object-Caching Kernel Memory
//! Allocator" (USENIX Summer 1994), and Bonwick and Adams, "Magazines and Vmem" (USENIX 2001).

pub mod array;
pub mod cache;
pub mod caches;
pub mod debug;
pub mod geometry;
pub mod slabs;

use core::ptr::NonNull;
use core::sync::atomic::AtomicPtr;

pub use abi::object::{Info, SlabError, Tuning};

pub use crate::sync::Harts;

/// The allocator of the lab.
pub type Lab<M, P> = caches::Caches<M, P>;

/// Bytes of a line of the processor's cache, which colours are multiples of.
pub const CACHE_LINE: usize = abi::object::CACHE_LINE as usize;

/// The most pages of a slab.
pub const MOST_SLAB_PAGES: usize = 8;

/// The largest object that a cache can be made for.
pub const LARGEST_OBJECT: usize = abi::object::LARGEST_OBJECT as usize;

/// The sizes that `kmalloc` rounds up to (Linux 2.6.30, `include/linux/kmalloc_sizes.h`); more is taken in whole pages.
pub const GENERAL_SIZES: [usize; 10] = [32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096];

/// Where slabs come from.
///
/// # Safety
/// Pages handed out are readable and writable, aligned to [`PAGE_SIZE`](crate::page::PAGE_SIZE), contiguous, and
/// nobody else's until they are given back; a page's word stays where it is.
pub unsafe trait PageSource: Sync {
    /// Contiguous pages, if there are any.
    fn allocate(&self, pages: usize) -> Option<NonNull<u8>>;

    /// Takes pages back, all that were handed out together.
    ///
    /// # Safety
    /// They came from [`allocate`](Self::allocate) with the same number, and nobody uses them any more.
    unsafe fn free(&self, start: NonNull<u8>, pages: usize);

    /// A word for the page around an address, as in Linux's `struct page`: null at first, and the caches' own to use
    /// while they hold the page. They leave null behind. None for an address in no page of this source.
    fn word(&self, address: usize) -> Option<&AtomicPtr<()>>;
}

/// What a cache is asked to be.
#[derive(Debug, Clone, Copy)]
pub struct Spec<'a> {
    /// For statistics; cut if it is longer than [`NAME`] bytes.
    pub name: &'a str,
    /// Bytes of an object.
    pub size: usize,
    /// A power of two that addresses of objects are multiples of, up to the size of a page; 1 for whatever suits.
    pub align: usize,
    /// Makes an object out of raw memory, once, when its slab is made. Whoever frees an object leaves it as this did.
    pub constructor: Option<unsafe fn(NonNull<u8>)>,
    /// Detects wrong frees and writes to what is not allocated, and is slow.
    pub debug: bool,
}

/// Bytes of a cache's name that are kept.
pub const NAME: usize = 24;

/// A cache, by whatever its allocator knows it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle(pub NonNull<()>);

// SAFETY: it is a name; what it names is shared by all harts.
unsafe impl Send for Handle {}
// SAFETY: likewise.
unsafe impl Sync for Handle {}

/// A set of object caches over one source of pages.
pub trait ObjectAllocator: Sync {
    /// Makes the first caches, before anything else is asked for.
    ///
    /// # Errors
    /// [`SlabError::NoMemory`].
    ///
    /// # Safety
    /// Called once, on one hart; the value is never moved afterwards, and lives as long as anything from it.
    unsafe fn set_up(&self) -> Result<(), SlabError>;

    /// Makes a cache.
    ///
    /// # Errors
    /// [`SlabError::Invalid`] for no bytes, more than [`LARGEST_OBJECT`], or an alignment that is no power of two or
    /// larger than a page; [`SlabError::NoMemory`].
    fn create(&self, spec: &Spec<'_>) -> Result<Handle, SlabError>;

    /// Gives up a cache and all of its pages.
    ///
    /// # Errors
    /// [`SlabError::Busy`] while objects of it are allocated; it then stays as it was.
    ///
    /// # Safety
    /// The cache is one of this allocator's, and nobody else uses it meanwhile.
    unsafe fn destroy(&self, cache: Handle) -> Result<(), SlabError>;

    /// Gives back every page of a cache that holds no allocated object; answers how many.
    ///
    /// # Safety
    /// The cache is one of this allocator's.
    unsafe fn shrink(&self, cache: Handle) -> usize;

    /// An object of a cache, constructed if it has a constructor; none when memory is short.
    ///
    /// # Safety
    /// The cache is one of this allocator's.
    unsafe fn allocate(&self, cache: Handle) -> Option<NonNull<u8>>;

    /// Takes an object back.
    ///
    /// # Errors
    /// Of a cache in debug mode: [`SlabError::Twice`], [`SlabError::NotAnObject`] for an address that is none of an
    /// object, [`SlabError::Foreign`] for one in no slab of this cache; nothing changes then. [`SlabError::Overrun`]
    /// when bytes beside the object were written; it is taken back all the same.
    ///
    /// # Safety
    /// The cache is one of this allocator's; unless it is in debug mode, the object came from it and is not used any
    /// more.
    unsafe fn free(&self, cache: Handle, object: NonNull<u8>) -> Result<(), SlabError>;

    /// Memory of at least so many bytes; none when memory is short, and for no bytes.
    ///
    /// It is aligned to 16 bytes; for a power of two, to as many bytes, up to [`CACHE_LINE`]; from a page on, to a
    /// page.
    fn kmalloc(&self, bytes: usize) -> Option<NonNull<u8>>;

    /// Takes back what [`kmalloc`](Self::kmalloc) answered.
    ///
    /// # Errors
    /// [`SlabError::Foreign`] for an address in no page of this allocator's.
    ///
    /// # Safety
    /// It came from `kmalloc` and is not used any more, or lies in no page of this allocator's.
    unsafe fn kfree(&self, start: NonNull<u8>) -> Result<(), SlabError>;

    /// What a cache has to say of itself, as a line of Linux's `/proc/slabinfo`.
    ///
    /// # Safety
    /// The cache is one of this allocator's.
    unsafe fn info(&self, cache: Handle) -> Info;

    /// Shows every cache, the ones that it made for itself too.
    fn each(&self, show: &mut dyn FnMut(Handle));
}
