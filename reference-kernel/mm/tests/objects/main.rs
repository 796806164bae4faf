//! Object caches on the host: what they promise, one sentence a test.

mod ground;
mod harts;
mod properties;
mod several;
mod single;

use std::ptr::NonNull;

use ground::Ground;
use harts::Threads;
use mm::slab::{Handle, Info, Lab, ObjectAllocator, SlabError, Spec};

/// Caches over pages of the host, without a limit to speak of.
struct Bench<const HARTS: usize>(Box<Lab<Threads<HARTS>, Ground>>);

impl<const HARTS: usize> Bench<HARTS> {
    fn new() -> Self {
        Self::with_pages(usize::MAX / 2)
    }

    fn with_pages(most: usize) -> Self {
        let caches = Box::new(Lab::new(Ground::new(most)));
        // SAFETY: it is not moved out of its box, and nobody else has it yet.
        unsafe { caches.set_up() }.expect("there is memory for the first caches");
        Self(caches)
    }

    fn create(&self, size: usize, align: usize) -> Handle {
        self.0.create(&spec(size, align)).expect("there is memory for a cache")
    }

    fn allocate(&self, cache: Handle) -> NonNull<u8> {
        self.try_allocate(cache).expect("there is memory for an object")
    }

    fn try_allocate(&self, cache: Handle) -> Option<NonNull<u8>> {
        // SAFETY: tests use caches that live.
        unsafe { self.0.allocate(cache) }
    }

    fn free(&self, cache: Handle, object: NonNull<u8>) {
        assert_eq!(self.try_free(cache, object), Ok(()));
    }

    fn try_free(&self, cache: Handle, object: NonNull<u8>) -> Result<(), SlabError> {
        // SAFETY: tests free what they have, and anything else only into caches in debug mode.
        unsafe { self.0.free(cache, object) }
    }

    fn shrink(&self, cache: Handle) -> usize {
        // SAFETY: tests use caches that live.
        unsafe { self.0.shrink(cache) }
    }

    fn destroy(&self, cache: Handle) -> Result<(), SlabError> {
        // SAFETY: tests use caches that live.
        unsafe { self.0.destroy(cache) }
    }

    fn info(&self, cache: Handle) -> Info {
        // SAFETY: tests use caches that live.
        unsafe { self.0.info(cache) }
    }

    fn pages(&self) -> usize {
        self.0.pages.held()
    }

    /// Gives back what every cache can spare.
    fn shrink_all(&self) {
        // Management and arrays come from general caches: what one gives back another may only then have to spare.
        for _ in 0..3 {
            let mut all = Vec::new();
            self.0.each(&mut |cache| all.push(cache));
            for cache in all {
                self.shrink(cache);
            }
        }
    }
}

fn spec(size: usize, align: usize) -> Spec<'static> {
    Spec { name: "test", size, align, constructor: None, debug: false }
}
