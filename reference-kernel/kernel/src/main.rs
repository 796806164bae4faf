//! A small RISC-V kernel that carries the labs: everything of it that hands out memory, over [`base`].

#![no_std]
#![no_main]

mod contents;
#[cfg(feature = "kmem")]
mod counted;
mod heap;
mod list_trace;
mod lists;
mod locks;
mod notes;
mod object_calls;
mod object_pages;
mod object_trace;
mod objects;
mod page_calls;
mod pool;
mod pools;
mod stamp;
mod taken;
mod trace;
mod watched;

extern crate alloc;

use core::{ops::Range, ptr::NonNull};

use abi::{
    boot::Options,
    syscall::{Error, Syscall},
};
use base::{
    console::{self, Console},
    memory::{MAX_REGIONS, Memory},
    memory_map::MemoryMap,
    process::Process,
    syscall::Code,
};

/// Whether there are object caches. A lab that needs none is compiled faster without.
const OBJECTS: bool = cfg!(any(feature = "slab", not(feature = "lab")));

struct LabMemory;

// SAFETY: nothing else has this name, and `base` declares it with this type.
#[unsafe(no_mangle)]
extern "Rust" fn kernel_memory() -> &'static dyn Memory {
    &LabMemory
}

impl Memory for LabMemory {
    fn default_options(&self) -> Options {
        pools::default_options()
    }

    fn set_up(&self, map: &mut MemoryMap, options: &Options) -> [Range<usize>; MAX_REGIONS] {
        let arena = pools::set_up(map, options);
        heap::begin();
        pools::print_record(&mut console::lock());
        arena
    }

    fn allocate_page(&self) -> Option<usize> {
        pools::allocate_page()
    }

    fn free_page(&self, page: NonNull<u8>) {
        pools::free_page(page);
    }

    fn serve(&self, process: &mut Process, call: Syscall, [a, b, c, d]: [usize; 4]) -> Result<usize, Code> {
        Ok(match call {
            Syscall::PageAllocate => page_calls::allocate(a, b, c)?,
            Syscall::PageFree => page_calls::free(a, b, c, d)?,
            Syscall::PageStatistics => page_calls::statistics(a, b)?,
            Syscall::TraceRead => page_calls::read_trace(process, a, b)?,
            Syscall::FreePages => page_calls::free_pages(),
            Syscall::DamagedPages => page_calls::damaged(a)?,
            Syscall::InterruptFaults => page_calls::interrupt_faults(a)?,
            Syscall::CacheCreate if OBJECTS => object_calls::create(a, b, c, d)?,
            Syscall::CacheDestroy if OBJECTS => object_calls::destroy(a, b)?,
            Syscall::CacheShrink if OBJECTS => object_calls::shrink(a, b)?,
            Syscall::CacheAllocate if OBJECTS => object_calls::allocate(a, b, c)?,
            Syscall::CacheFree if OBJECTS => object_calls::free(a, b, c, d)?,
            Syscall::CacheInfo if OBJECTS => object_calls::info(a, b)?,
            Syscall::CacheTrace if OBJECTS => object_trace::print_next(&mut console::lock()) as usize,
            _ => return Err(Error::NoSuchCall.into()),
        })
    }

    unsafe fn print_rest(&self, console: &mut Console) {
        // SAFETY: the caller's promise.
        unsafe { trace::print_rest(console) };
    }

    fn print_locks(&self, console: &mut Console) {
        locks::print(console);
    }
}
