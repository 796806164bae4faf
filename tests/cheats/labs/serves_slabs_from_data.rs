//! Tries: keeps all slabs in an array of the kernel's own data, so that no page is taken that could fail to come back.
//! lab: lab6-5-slab
//! file: mm/src/slab/caches.rs
//! edit: pub pages: P, => pub pages: Data<P>,
//! edit: pub const fn new(pages: P) -> Self { => pub const fn new(pages: P) -> Self { let pages = Data::new(pages);
//! checks: sound, constructor, pages, batches, colours, partial, waste, throughput, sharing
//! stopped: breaks this rule

use core::{fmt, ops::Deref, sync::atomic::AtomicBool};

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
