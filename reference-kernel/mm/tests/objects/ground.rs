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
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// By the page's address; boxed, so that a word stays where it is.
    words: BTreeMap<usize, Box<AtomicPtr<()>>>,
    /// What is handed out, with how many pages.
    given: Vec<(NonNull<u8>, usize)>,
}

// SAFETY: the memory is the ground's until it is handed out.
unsafe impl Send for Books {}

impl Ground {
    pub fn new(most: usize) -> Self {
        Self { most, held: AtomicUsize::new(0), books: Mutex::default() }
    }

    /// Pages that are handed out.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn layout(pages: usize) -> Layout {
        Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap()
    }
}

// SAFETY: the host's allocator hands out memory that is nobody else's; words live as long as the ground.
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
        let mut books = self.books.lock().unwrap();
        books.given.push((start, pages));
        for page in 0..pages {
            let address = start.addr().get() + page * PAGE_SIZE;
            let word = books.words.entry(address).or_default();
            assert!(word.load(Relaxed).is_null(), "the word of a page that was given back was left as it was");
        }
        Some(start)
    }

    unsafe fn free(&self, start: NonNull<u8>, pages: usize) {
        self.held.fetch_sub(pages, Relaxed);
        let mut books = self.books.lock().unwrap();
        let place = books.given.iter().position(|&given| given == (start, pages));
        books.given.swap_remove(place.expect("pages come back as they were handed out"));
        for page in 0..pages {
            let word = &books.words[&(start.addr().get() + page * PAGE_SIZE)];
            assert!(word.load(Relaxed).is_null(), "a page is given back before its word is null");
        }
        // SAFETY: it came from there with this layout.
        unsafe { dealloc(start.as_ptr(), Self::layout(pages)) };
    }

    fn word(&self, address: usize) -> Option<&AtomicPtr<()>> {
        let books = self.books.lock().unwrap();
        let word: *const AtomicPtr<()> = &raw const **books.words.get(&(address / PAGE_SIZE * PAGE_SIZE))?;
        // SAFETY: words stay where they are as long as the ground lives.
        Some(unsafe { &*word })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for (start, pages) in self.books.get_mut().unwrap().given.drain(..) {
            // SAFETY: it came from there with this layout, and the caches over this ground are gone.
            unsafe { dealloc(start.as_ptr(), Self::layout(pages)) };
        }
    }
}
