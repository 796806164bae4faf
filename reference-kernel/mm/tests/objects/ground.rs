//! Pages for tests: each a piece of memory of its own, so that Miri sees every step beyond it.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use mm::page::PAGE_SIZE;
use mm::slab::PageSource;

/// Pages of the host's memory, up to a limit, with account of who has how many.
pub struct Ground {
    most: usize,
    held: AtomicUsize,
    words: Mutex<BTreeMap<usize, &'static AtomicPtr<()>>>,
}

impl Ground {
    pub const fn new(most: usize) -> Self {
        Self { most, held: AtomicUsize::new(0), words: Mutex::new(BTreeMap::new()) }
    }

    /// Pages that are handed out.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn layout(pages: usize) -> Layout {
        Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap()
    }
}

// SAFETY: the host's allocator hands out memory that is nobody else's; words are leaked.
unsafe impl PageSource for Ground {
    fn allocate(&self, pages: usize) -> Option<NonNull<u8>> {
        if self.held.fetch_add(pages, Relaxed) + pages > self.most {
            self.held.fetch_sub(pages, Relaxed);
            return None;
        }
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { alloc(Self::layout(pages)) }).unwrap();
        // Whatever was there before: not zeros, and not what anyone hopes for.
        // SAFETY: it is ours.
        unsafe { start.write_bytes(0xd5, pages * PAGE_SIZE) };
        let mut words = self.words.lock().unwrap();
        for page in 0..pages {
            let address = start.addr().get() + page * PAGE_SIZE;
            let word = words.entry(address).or_insert_with(|| Box::leak(Box::default()));
            assert!(word.load(Relaxed).is_null(), "the word of a page that was given back was left as it was");
        }
        Some(start)
    }

    unsafe fn free(&self, start: NonNull<u8>, pages: usize) {
        self.held.fetch_sub(pages, Relaxed);
        let words = self.words.lock().unwrap();
        for page in 0..pages {
            let word = words[&(start.addr().get() + page * PAGE_SIZE)];
            assert!(word.load(Relaxed).is_null(), "a page is given back before its word is null");
        }
        // SAFETY: it came from there with this layout.
        unsafe { dealloc(start.as_ptr(), Self::layout(pages)) };
    }

    fn word(&self, address: usize) -> Option<&AtomicPtr<()>> {
        self.words.lock().unwrap().get(&(address / PAGE_SIZE * PAGE_SIZE)).copied()
    }
}
