//! Tries: keeps all slabs in an array of the kernel's own data, so that no page is ever taken that could fail to come back.
//! lab: lab6-5-slab
//! file: mm/src/slab/caches.rs
//! checks: sound, constructor, pages, batches, colours, partial, waste, throughput, sharing
//! stopped: breaks this rule

use core::{
    cell::UnsafeCell,
    fmt,
    mem::MaybeUninit,
    ops::Deref,
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed},
};

use super::{
    GENERAL_SIZES, Handle, Harts, Info, LARGEST_OBJECT, ObjectAllocator, PageSource, SlabError, Spec, cache::Cache,
    geometry::Geometry, slabs::Slab,
};
use crate::{page::PAGE_SIZE, sync::SpinLock};

/// Pages of the kernel's own data, in front of those that there are.
pub struct Data<P> {
    others: P,
    frames: UnsafeCell<Frames>,
    used: [AtomicBool; FRAMES],
    words: [AtomicPtr<()>; FRAMES],
}

const FRAMES: usize = 1024;

#[repr(C, align(4096))]
struct Frames([[u8; PAGE_SIZE]; FRAMES]);

impl<P> Deref for Data<P> {
    type Target = P;
    fn deref(&self) -> &P {
        &self.others
    }
}

impl<P> fmt::Debug for Data<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Data")
    }
}

impl<P: PageSource> Data<P> {
    const fn new(others: P) -> Self {
        Self {
            others,
            frames: UnsafeCell::new(Frames([[0; PAGE_SIZE]; FRAMES])),
            used: [const { AtomicBool::new(false) }; FRAMES],
            words: [const { AtomicPtr::new(ptr::null_mut()) }; FRAMES],
        }
    }

    fn start(&self) -> *mut u8 {
        self.frames.get().cast()
    }

    /// From the data, whatever was asked for.
    pub fn allocate(&self, pages: usize) -> Option<NonNull<u8>> {
        let is_free = |first: usize| self.used[first..first + pages].iter().all(|used| !used.load(Relaxed));
        let first = (0..=FRAMES - pages).find(|&first| is_free(first))?;
        self.used[first..first + pages].iter().for_each(|used| used.store(true, Relaxed));
        NonNull::new(self.start().wrapping_add(first * PAGE_SIZE))
    }

    /// Back into the data.
    ///
    /// # Safety
    /// As for the source of pages.
    pub unsafe fn free(&self, start: NonNull<u8>, pages: usize) {
        let first = (start.addr().get() - self.start().addr()) / PAGE_SIZE;
        self.used[first..first + pages].iter().for_each(|used| used.store(false, Relaxed));
    }

    /// A word for a page of the data.
    pub fn word(&self, address: usize) -> Option<&AtomicPtr<()>> {
        let page = address.wrapping_sub(self.start().addr()) / PAGE_SIZE;
        self.words.get(page).or_else(|| self.others.word(address))
    }
}

/// Object caches over one source of pages.
#[derive(Debug)]
pub struct Caches<M: Harts, P> {
    /// Where slabs come from.
    pub pages: Data<P>,
    /// The cache of caches: the only one that no cache holds.
    root: UnsafeCell<MaybeUninit<Cache<M>>>,
    /// The general caches, by size.
    general: [AtomicPtr<Cache<M>>; GENERAL_SIZES.len()],
    /// The first of all caches but the root.
    chain: SpinLock<Chain<M>, M>,
}

#[derive(Debug)]
struct Chain<M: Harts>(*mut Cache<M>);

// SAFETY: caches are shared by all harts.
unsafe impl<M: Harts> Send for Chain<M> {}

// SAFETY: `set_up` makes the root before anyone else is about; from then on it is a cache like all others, which
// lock what they share.
unsafe impl<M: Harts, P: Sync> Sync for Caches<M, P> {}

/// Names of the general caches.
const GENERAL_NAMES: [&str; GENERAL_SIZES.len()] = [
    "size-32",
    "size-64",
    "size-96",
    "size-128",
    "size-192",
    "size-256",
    "size-512",
    "size-1024",
    "size-2048",
    "size-4096",
];

/// The place of the general size for so many bytes, in steps of the smallest.
static GENERAL_OF: [u8; LARGEST_OBJECT / STEP + 1] = {
    let mut table = [0; LARGEST_OBJECT / STEP + 1];
    let mut place = 0;
    let mut size = 0;
    while place < table.len() {
        while GENERAL_SIZES[size] < place * STEP {
            size += 1;
        }
        table[place] = size as u8;
        place += 1;
    }
    table
};
const STEP: usize = GENERAL_SIZES[0];

impl<M: Harts, P: PageSource> Caches<M, P> {
    /// No caches yet, over that source.
    pub const fn new(pages: P) -> Self {
        Self {
            pages: Data::new(pages),
            root: UnsafeCell::new(MaybeUninit::uninit()),
            general: [const { AtomicPtr::new(ptr::null_mut()) }; GENERAL_SIZES.len()],
            chain: SpinLock::new("the chain of caches", Chain(ptr::null_mut())),
        }
    }

    fn root(&self) -> *mut Cache<M> {
        self.root.get().cast()
    }

    /// Makes a cache out of the cache of caches, without arrays yet.
    fn begin(&self, spec: &Spec<'_>) -> Result<*mut Cache<M>, SlabError> {
        let fits = spec.align.is_power_of_two() && spec.align <= PAGE_SIZE && (1..=LARGEST_OBJECT).contains(&spec.size);
        let geometry = if fits { Geometry::of(spec.size, spec.align, spec.debug, true) } else { None };
        let geometry = geometry.ok_or(SlabError::Invalid)?;
        // SAFETY: the root was made first.
        let memory = unsafe { (*self.root()).allocate(self) }.ok_or(SlabError::NoMemory)?;
        let cache = memory.cast::<Cache<M>>().as_ptr();
        // SAFETY: an object of the root is memory for a cache.
        unsafe { cache.write(Cache::new(spec, geometry)) };
        Ok(cache)
    }

    /// Shows a cache to everyone.
    fn enlist(&self, cache: *mut Cache<M>) {
        self.chain.with(|Chain(first)| {
            // SAFETY: caches on the chain live until they are taken off it.
            unsafe { (*cache).next.store(*first, Relaxed) };
            *first = cache;
        });
    }

    /// Memory of one of the general sizes.
    #[inline]
    pub fn general(&self, bytes: usize) -> Option<NonNull<u8>> {
        let place = usize::from(*GENERAL_OF.get(bytes.div_ceil(STEP))?);
        let cache = self.general[place].load(Relaxed);
        // SAFETY: general caches are made for good; before that there is null.
        unsafe { cache.as_ref() }?.allocate(self)
    }

    /// Takes back what [`general`](Self::general) answered.
    pub fn release_general(&self, memory: Option<NonNull<u8>>) {
        let Some(memory) = memory else { return };
        let slab = self.slab_of(memory.addr().get());
        // SAFETY: it lies in a slab of a general cache, and whoever had it gives it up.
        let freed = unsafe { (*(*slab).cache.cast::<Cache<M>>()).free(self, memory) };
        debug_assert!(freed.is_ok());
    }

    /// Writes down for pages which slab they are.
    pub fn mark(&self, pages: NonNull<u8>, count: usize, slab: *mut ()) {
        for page in 0..count {
            let word = self.pages.word(pages.addr().get() + page * PAGE_SIZE);
            word.expect("a page of the source has a word").store(slab, Relaxed);
        }
    }

    /// The slab around an address; null if there is none.
    pub fn slab_of(&self, address: usize) -> *mut Slab {
        let word = self.pages.word(address).map_or(ptr::null_mut(), |word| word.load(Relaxed));
        if is_large(word) { ptr::null_mut() } else { word.cast() }
    }

    fn cache(handle: Handle) -> *mut Cache<M> {
        handle.0.cast().as_ptr()
    }

    fn large(&self, bytes: usize) -> Option<NonNull<u8>> {
        let pages = bytes.div_ceil(PAGE_SIZE);
        let start = self.pages.allocate(pages)?;
        // The number of pages stands in the first one's word, odd, as no pointer to a slab is.
        self.mark(start, 1, ptr::without_provenance_mut(pages << 1 | 1));
        Some(start)
    }
}

/// Whether a page's word says that it begins a large piece of memory.
fn is_large(word: *mut ()) -> bool {
    word.addr() & 1 == 1
}

impl<M: Harts, P: PageSource> ObjectAllocator for Caches<M, P> {
    unsafe fn set_up(&self) -> Result<(), SlabError> {
        // 1. The cache of caches, which nobody allocates. It has no arrays, and its slabs hold their own management:
        //    there is nothing yet that either could come from.
        let spec = Spec {
            name: "caches",
            size: size_of::<Cache<M>>(),
            align: align_of::<Cache<M>>(),
            constructor: None,
            debug: false,
        };
        let geometry = Geometry::of(spec.size, spec.align, false, false).ok_or(SlabError::Invalid)?;
        // SAFETY: nobody else is about yet.
        unsafe { self.root().write(Cache::new(&spec, geometry)) };

        // 2. The general caches come out of it, the smallest first, since management off the slab comes from a smaller
        //    one. They have no arrays yet either.
        for ((&size, name), place) in GENERAL_SIZES.iter().zip(GENERAL_NAMES).zip(&self.general) {
            let align = 1 << size.trailing_zeros().min(super::CACHE_LINE.trailing_zeros());
            let cache = self.begin(&Spec { name, size, align, constructor: None, debug: false })?;
            place.store(cache, Relaxed);
            self.enlist(cache);
        }

        // 3. Now there is memory for arrays: those of the general caches come from themselves, working straight from
        //    slabs until it is their turn. The root is the last.
        for cache in self.general.iter().map(|place| place.load(Relaxed)).chain([self.root()]) {
            // SAFETY: nobody else is about yet, and an allocation reads what of the cache it needs.
            unsafe { (*cache).enable_arrays(self)? };
        }
        Ok(())
    }

    fn create(&self, spec: &Spec<'_>) -> Result<Handle, SlabError> {
        let cache = self.begin(spec)?;
        // SAFETY: nobody else knows the cache yet.
        if let Err(error) = unsafe { (*cache).enable_arrays(self) } {
            // SAFETY: it came from there, and nobody knows it.
            let freed = unsafe { (*self.root()).free(self, NonNull::new_unchecked(cache.cast())) };
            return Err(freed.err().unwrap_or(error));
        }
        self.enlist(cache);
        NonNull::new(cache.cast()).map(Handle).ok_or(SlabError::NoMemory)
    }

    unsafe fn destroy(&self, cache: Handle) -> Result<(), SlabError> {
        let doomed = Self::cache(cache);
        // SAFETY: the cache is ours, and nobody else uses it meanwhile.
        let this = unsafe { &*doomed };
        this.shrink(self);
        if this.is_busy() {
            return Err(SlabError::Busy);
        }
        self.chain.with(|Chain(first)| {
            // SAFETY: caches on the chain live until they are taken off it.
            unsafe {
                if *first == doomed {
                    *first = this.next.load(Relaxed);
                    return;
                }
                let mut before = *first;
                while !before.is_null() && (*before).next.load(Relaxed) != doomed {
                    before = (*before).next.load(Relaxed);
                }
                if let Some(before) = before.as_ref() {
                    before.next.store(this.next.load(Relaxed), Relaxed);
                }
            }
        });
        this.release_arrays(self);
        // SAFETY: it came from there, and nobody knows it any more.
        unsafe { (*self.root()).free(self, cache.0.cast()) }
    }

    unsafe fn shrink(&self, cache: Handle) -> usize {
        // SAFETY: the cache is ours.
        unsafe { (*Self::cache(cache)).shrink(self) }
    }

    #[inline]
    unsafe fn allocate(&self, cache: Handle) -> Option<NonNull<u8>> {
        // SAFETY: the cache is ours.
        unsafe { (*Self::cache(cache)).allocate(self) }
    }

    #[inline]
    unsafe fn free(&self, cache: Handle, object: NonNull<u8>) -> Result<(), SlabError> {
        // SAFETY: so the caller promises.
        unsafe { (*Self::cache(cache)).free(self, object) }
    }

    fn kmalloc(&self, bytes: usize) -> Option<NonNull<u8>> {
        match bytes {
            0 => None,
            1..=LARGEST_OBJECT => self.general(bytes),
            _ => self.large(bytes),
        }
    }

    unsafe fn kfree(&self, start: NonNull<u8>) -> Result<(), SlabError> {
        let word = self.pages.word(start.addr().get()).ok_or(SlabError::Foreign)?;
        let value = word.load(Relaxed);
        if is_large(value) && start.addr().get().is_multiple_of(PAGE_SIZE) {
            word.store(ptr::null_mut(), Relaxed);
            // SAFETY: so many pages begin there, and their user gives them up.
            unsafe { self.pages.free(start, value.addr() >> 1) };
            return Ok(());
        }
        if is_large(value) || value.is_null() {
            return Err(SlabError::Foreign);
        }
        // SAFETY: a page's word leads to its slab, and that to its cache; the memory came from it.
        unsafe { (*(*value.cast::<Slab>()).cache.cast::<Cache<M>>()).free(self, start) }
    }

    unsafe fn info(&self, cache: Handle) -> Info {
        // SAFETY: the cache is ours.
        unsafe { (*Self::cache(cache)).info() }
    }

    fn each(&self, show: &mut dyn FnMut(Handle)) {
        show(Handle(NonNull::new(self.root().cast()).unwrap_or(NonNull::dangling())));
        let mut cache = self.chain.with(|Chain(first)| *first);
        while let Some(handle) = NonNull::new(cache.cast()) {
            show(Handle(handle));
            // SAFETY: caches on the chain live until they are taken off it.
            cache = unsafe { (*cache).next.load(Relaxed) };
        }
    }
}
