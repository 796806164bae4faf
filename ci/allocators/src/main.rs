//! `allocators [--seed N]`: guest instructions per request, and how much of the memory they take is in use, of umalloc
//! and of five crates on the same traces; of our buddy allocator beside a crate's on the same pages; and of a hart's
//! own list of single pages.
//!
//! Each allocator gets a process of its own for each trace, so that nobody profits from what another left behind.

#![no_std]
#![no_main]

mod candidates;
mod heaps;
mod lists;
mod pages;

use core::alloc::{GlobalAlloc, Layout};

use user::{Arguments, println, umalloc};

/// What the frame allocator of `buddy_system_allocator` keeps its free blocks in comes from here.
struct Umalloc;

// SAFETY: umalloc's blocks are aligned to 16 bytes or as they are asked for, and do not overlap.
unsafe impl GlobalAlloc for Umalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            umalloc::umalloc(layout.size())
        } else {
            umalloc::umalloc_aligned(layout.size(), layout.align())
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller vouches for the block.
        unsafe { umalloc::ufree(block) }
    }
}

#[global_allocator]
static GLOBAL: Umalloc = Umalloc;

user::program!(main);

fn main(arguments: Arguments) -> i64 {
    let mut words = arguments.iter().skip(1).skip_while(|word| *word != "--seed").skip(1);
    let seed = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
    heaps::compare(seed);
    println!("");
    pages::compare(seed);
    println!("");
    lists::measure();
    0
}
