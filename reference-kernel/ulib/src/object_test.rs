//! Runs a workload against the lab's object caches, for whichever test program asks.
//!
//! It judges nothing: every operation is in the kernel's trace, with what the kernel saw in the objects.

use core::convert::Infallible;

use abi::{
    object::{GENERAL, SlabError},
    object_workload::{MOST_CLIENTS, MOST_HELD, Objects, SHARED_CACHES, Workload},
};

use crate::{
    call::{self, Fork},
    println, record,
};

/// Operations after which a client prints what is in the trace: often enough that it never overflows.
const BETWEEN_PRINTS: u64 = 1024;

/// The most records that a client prints at a time.
const PRINTS: usize = 64;

/// The caches as a workload sees them.
#[derive(Debug)]
struct CachesOverCalls {
    client: u8,
    operations: u64,
}

impl CachesOverCalls {
    fn count(&mut self) {
        self.operations += 1;
        if self.operations.is_multiple_of(BETWEEN_PRINTS) {
            print_trace(PRINTS);
        }
    }
}

impl Objects for CachesOverCalls {
    type Stop = Infallible;

    fn phase(&mut self, _: &'static str) -> Result<(), Infallible> {
        Ok(())
    }

    fn create(&mut self, size: u64, align: u64, flags: u8) -> Result<Result<u8, SlabError>, Infallible> {
        self.count();
        Ok(call::cache_create(size as usize, align as usize, flags, self.client))
    }

    fn destroy(&mut self, cache: u8) -> Result<Result<(), SlabError>, Infallible> {
        self.count();
        Ok(call::cache_destroy(cache, self.client))
    }

    fn shrink(&mut self, cache: u8) -> Result<(), Infallible> {
        self.count();
        call::cache_shrink(cache, self.client).ok();
        Ok(())
    }

    fn allocate(&mut self, cache: u8) -> Result<Result<u64, SlabError>, Infallible> {
        self.count();
        Ok(call::cache_allocate(cache, 0, self.client).map(|address| address as u64))
    }

    fn free(&mut self, cache: u8, address: u64, flags: u8) -> Result<Result<(), SlabError>, Infallible> {
        self.count();
        Ok(call::cache_free(cache, address as usize, 0, flags, self.client))
    }

    fn info(&mut self, cache: u8) -> Result<u64, Infallible> {
        self.count();
        Ok(call::cache_info(cache, self.client).map_or(0, |pages| pages as u64))
    }

    fn kmalloc(&mut self, bytes: u64) -> Result<Result<u64, SlabError>, Infallible> {
        self.count();
        Ok(call::cache_allocate(GENERAL, bytes as usize, self.client).map(|address| address as u64))
    }

    fn kfree(&mut self, address: u64, bytes: u64) -> Result<Result<(), SlabError>, Infallible> {
        self.count();
        Ok(call::cache_free(GENERAL, address as usize, bytes as usize, 0, self.client))
    }
}

/// Runs the workload; answers the program's status.
pub fn run(workload: &Workload) -> i64 {
    let Some(room) = room() else { return 1 };
    let mut caches = CachesOverCalls { client: 0, operations: 0 };
    let Ok(shared) = workload.begin(&mut caches, room);
    let mut status = 0;
    for client in 1..=workload.clients_beside().min(MOST_CLIENTS) {
        match call::fork() {
            Ok(Fork::Parent(_)) => {}
            Ok(Fork::Child) => be_client(workload, client, shared, room),
            Err(error) => {
                println!("client {client} cannot be started: {error:?}");
                status = 1;
            }
        }
    }
    while let Ok(ended) = call::wait() {
        if ended.killed().is_some() || ended.status != 0 {
            println!("a client {ended}");
            status = 1;
        }
    }
    let Ok(()) = workload.finish(shared, &mut caches);
    print_trace(usize::MAX);
    record!("\"r\":\"done\",\"client\":0,\"operations\":{}", caches.operations);
    status
}

fn be_client(workload: &Workload, client: u8, shared: [u8; SHARED_CACHES], room: &mut [u64]) -> ! {
    let mut caches = CachesOverCalls { client, operations: 0 };
    let Ok(()) = workload.share(client, shared, &mut caches, room);
    record!("\"r\":\"done\",\"client\":{client},\"operations\":{}", caches.operations);
    call::exit(0)
}

/// Memory for what a workload holds.
fn room() -> Option<&'static mut [u64]> {
    let Ok(memory) = call::sbrk((MOST_HELD * size_of::<u64>()) as isize) else {
        println!("there is no memory for notes");
        return None;
    };
    // SAFETY: the heap has just grown by so much. It starts at a page and is all zeros.
    Some(unsafe { core::slice::from_raw_parts_mut(memory.cast(), MOST_HELD) })
}

/// Prints up to `most` records of events.
fn print_trace(most: usize) {
    for _ in 0..most {
        if call::cache_trace() == 0 {
            break;
        }
    }
}
