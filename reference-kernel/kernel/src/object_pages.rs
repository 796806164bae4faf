//! Where slabs come from: the pages of a pool, with a word for each.

use core::{
    ops::Range,
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicPtr, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use abi::{object::Kind, page::Pool};
use base::{memory_map::MemoryMap, sv39::PAGE};
use mm::slab::PageSource;

use crate::{object_trace, objects, pools};

/// The pages of a pool, for slabs.
#[derive(Debug)]
pub struct PoolPages {
    pool: Pool,
    start: AtomicUsize,
    count: AtomicUsize,
    /// One for each page; null until there are any.
    words: AtomicPtr<*mut ()>,
}

impl PoolPages {
    /// The pages of a pool, which have no words yet.
    pub const fn new(pool: Pool) -> Self {
        let (start, count) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { pool, start, count, words: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Whether so many bytes lie within these pages.
    pub fn holds(&self, start: NonNull<u8>, bytes: usize) -> bool {
        let offset = start.addr().get().wrapping_sub(self.start.load(Relaxed));
        let length = self.count.load(Relaxed) * PAGE;
        offset < length && bytes <= length - offset
    }

    /// Whether slabs can be made of them.
    pub fn is_ready(&self) -> bool {
        self.count.load(Relaxed) > 0
    }
}

/// Sets memory aside for the words of the pages in a range, if slabs are to be made of them.
pub fn set_up(pool: Pool, range: Option<Range<usize>>, map: &mut MemoryMap) {
    let Some(range) = range else { return };
    let pages = match pool {
        Pool::Kernel => &objects::HEAP.pages,
        Pool::Arena => &objects::TESTED.pages,
    };
    let count = range.len() / PAGE;
    pages.words.store(pools::carve::<*mut ()>(map, count).as_mut_ptr(), Relaxed);
    pages.start.store(range.start, Relaxed);
    pages.count.store(count, Release);
}

// SAFETY: a pool hands pages out once, and panics where it would do otherwise; words lie in memory set aside for good.
unsafe impl PageSource for PoolPages {
    fn allocate(&self, pages: usize) -> Option<NonNull<u8>> {
        let address = match self.pool {
            Pool::Kernel => pools::allocate_pages(pages)?,
            Pool::Arena => pools::named(Pool::Arena).lock().allocate_pages(pages)?,
        };
        if self.pool == Pool::Arena {
            object_trace::note(Kind::TakePages, address, pages, 0);
        }
        NonNull::new(ptr::with_exposed_provenance_mut(address))
    }

    unsafe fn free(&self, start: NonNull<u8>, pages: usize) {
        if self.pool == Pool::Arena {
            object_trace::note(Kind::GivePages, start.addr().get(), pages, 0);
        }
        match self.pool {
            Pool::Kernel => pools::free_pages(start, pages),
            Pool::Arena => pools::named(Pool::Arena).lock().free_pages(start, pages),
        }
    }

    #[inline]
    fn word(&self, address: usize) -> Option<&AtomicPtr<()>> {
        let page = address.wrapping_sub(self.start.load(Relaxed)) / PAGE;
        // SAFETY: there are so many words, in memory that is only ever used as such.
        (page < self.count.load(Acquire)).then(|| unsafe { AtomicPtr::from_ptr(self.words.load(Relaxed).add(page)) })
    }
}
