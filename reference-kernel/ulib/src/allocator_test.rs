//! Runs a workload against the lab's page allocator, for whichever test program asks.
//!
//! It judges nothing but what only the guest can see. Every operation is in the kernel's trace, which is printed
//! along the way; whether it was right is for whoever reads that.

use core::convert::Infallible;

use abi::{
    page::{PageError, Pool},
    workload::{Held, MOST_CLIENTS, MOST_HELD, Pages, Workload},
};

use crate::{
    call::{self, Fork},
    ktap::Report,
    println, record,
};

/// Operations after which a client prints what is in the trace: often enough that the kernel's buffer never
/// overflows, and seldom enough that clients spend most of their time on the allocator, side by side.
const BETWEEN_PRINTS: u64 = 1024;

/// The most records that a client prints at a time, so that none is kept busy with what the others do.
const PRINTS: usize = 64;

/// The status of a client that could not write to memory, since it got none.
const HANDED_NOTHING: i64 = 2;

/// A pool of the kernel's as a workload sees it.
#[derive(Debug)]
struct PoolOverCalls {
    pool: Pool,
    client: u8,
    operations: u64,
    handed_out: u64,
}

impl PoolOverCalls {
    fn count(&mut self) {
        self.operations += 1;
        if self.operations.is_multiple_of(BETWEEN_PRINTS) {
            print_trace(PRINTS);
        }
    }
}

impl Pages for PoolOverCalls {
    type Stop = Infallible;

    fn phase(&mut self, _: &'static str) -> Result<(), Infallible> {
        Ok(())
    }

    fn allocate(&mut self, pages: u64) -> Result<Result<u64, PageError>, Infallible> {
        let answer = call::page_allocate(self.pool, pages as usize, self.client).map(|address| address as u64);
        self.handed_out += u64::from(answer.is_ok());
        self.count();
        Ok(answer)
    }

    fn free(&mut self, address: u64, pages: u64) -> Result<Result<(), PageError>, Infallible> {
        let answer = call::page_free(self.pool, address as usize, pages as usize, self.client);
        self.count();
        Ok(answer)
    }

    fn statistics(&mut self) -> Result<(), Infallible> {
        let answer = call::page_statistics(self.pool, self.client);
        assert!(answer.is_ok(), "the pool was there a moment ago");
        self.count();
        Ok(())
    }
}

/// Runs the workload over the arena if there is one, else over the kernel's own pool; answers the program's status.
pub fn run(workload: &Workload) -> i64 {
    let pool = if call::has_pool(Pool::Arena) { Pool::Arena } else { Pool::Kernel };
    let clients = usize::from(workload.clients);
    let mut report = Report::begin(clients);
    let mut ids = [0; MOST_CLIENTS as usize];
    for (client, id) in (0u8..).zip(&mut ids[..clients]) {
        match call::fork() {
            Ok(Fork::Parent(child)) => *id = child,
            Ok(Fork::Child) => be_client(workload, pool, client),
            Err(error) => println!("client {client} cannot be started: {error:?}"),
        }
    }
    let mut statuses = [None; MOST_CLIENTS as usize];
    while let Ok(ended) = call::wait() {
        for (id, status) in ids.iter().zip(&mut statuses) {
            if *id == ended.id && ended.killed().is_none() {
                *status = Some(ended.status);
            }
        }
    }
    print_trace(usize::MAX);
    for (client, &status) in (0u8..).zip(&statuses[..clients]) {
        let result = match (status, call::damaged_pages(client)) {
            (Some(0), 0) => Ok(()),
            (Some(HANDED_NOTHING), _) => Err("it was never handed a page to write to"),
            (Some(0), damaged) => {
                println!("client {client}: {damaged} pages did not hold what had been written to them");
                Err("somebody else wrote to its pages")
            }
            _ => Err("it did not complete its workload"),
        };
        report.result(format_args!("client {client} reads what it has written"), result);
    }
    report.status()
}

fn be_client(workload: &Workload, pool: Pool, client: u8) -> ! {
    let bytes = MOST_HELD * size_of::<Held>();
    let Ok(memory) = call::sbrk(bytes as isize) else {
        println!("client {client} has no memory for its notes");
        call::exit(1)
    };
    // SAFETY: the heap has just grown by so much. It starts at a page and is all zeros, and so are blocks of no pages.
    let room = unsafe { core::slice::from_raw_parts_mut(memory.cast::<Held>(), MOST_HELD) };
    let mut pages = PoolOverCalls { pool, client, operations: 0, handed_out: 0 };
    let Ok(()) = workload.run(client, &mut pages, room);
    record!("\"r\":\"done\",\"client\":{client},\"operations\":{}", pages.operations);
    call::exit(if pages.handed_out == 0 { HANDED_NOTHING } else { 0 })
}

/// Prints up to `most` records of operations.
fn print_trace(most: usize) {
    for _ in 0..most {
        if call::trace_print() == 0 {
            break;
        }
    }
}
