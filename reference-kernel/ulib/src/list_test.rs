//! Runs a workload against page lists that all harts share.
//!
//! It judges nothing but what only the guest can see. Every operation is in the kernel's trace; whether it was right is
//! for whoever reads that.

use core::convert::Infallible;

use abi::{
    list_workload::{Lists, MOST_CLIENTS, MOST_HELD, Workload},
    page::{PageError, Pool},
};

use crate::{
    call::{self, Fork},
    ktap::Report,
    println, record,
};

/// The arena's lists, as a workload sees them.
#[derive(Debug)]
struct OverCalls {
    client: u8,
    operations: u64,
}

impl Lists for OverCalls {
    type Stop = Infallible;

    fn phase(&mut self, _: &'static str) -> Result<(), Infallible> {
        Ok(())
    }

    fn move_to(&mut self, hart: u64) -> Result<(), Infallible> {
        if call::move_to(hart as usize).is_err() {
            println!("client {} cannot go on on hart {hart}: there is none of that number", self.client);
            call::exit(1);
        }
        Ok(())
    }

    fn allocate(&mut self) -> Result<Option<u64>, Infallible> {
        self.operations += 1;
        let answer = call::page_allocate(Pool::Arena, 1, self.client);
        assert!(matches!(answer, Ok(_) | Err(PageError::Exhausted)), "lists have no other answer");
        Ok(answer.ok().map(|address| address as u64))
    }

    fn free(&mut self, address: u64) -> Result<(), Infallible> {
        self.operations += 1;
        // What is no page cannot be given back; that it was handed out is in the trace.
        let _ = call::page_free(Pool::Arena, address as usize, 1, self.client);
        Ok(())
    }

    fn count(&mut self) -> Result<(), Infallible> {
        self.operations += 1;
        assert!(call::page_statistics(Pool::Arena, self.client).is_ok(), "the lists were there a moment ago");
        Ok(())
    }
}

/// Runs the workload over the arena; answers the program's status.
pub fn run(workload: &Workload) -> i64 {
    if !call::has_pool(Pool::Arena) {
        println!("there is no arena: give the session one");
        return 2;
    }
    let clients = usize::from(workload.clients);
    let mut report = Report::begin(clients + 4);
    let mut ids = [0; MOST_CLIENTS as usize];
    for (client, id) in (0u8..).zip(&mut ids[..clients]) {
        *id = start(workload, client);
    }
    let mut complete = [false; MOST_CLIENTS as usize];
    while let Ok(ended) = call::wait() {
        for (id, complete) in ids.iter().zip(&mut complete) {
            *complete |= *id == ended.id && ended.killed().is_none() && ended.status == 0;
        }
    }
    for (client, complete) in (0u8..).zip(&complete[..clients]) {
        report
            .result(format_args!("client {client} completes its workload"), complete.then_some(()).ok_or("it did not"));
    }
    while call::trace_print() > 0 {}

    let counter = start(workload, workload.counter());
    let counted = call::wait().is_ok_and(|ended| ended.id == counter && ended.status == 0);
    report.result("all pages are counted in the end", counted.then_some(()).ok_or("the client that does was killed"));
    while call::trace_print() > 0 {}

    let damaged = call::damaged_pages(0);
    report.result("pages hold what was written to them", none(damaged, "came back with something else in them"));
    let wrong = call::interrupt_faults(0).unwrap_or(0);
    report.result("interrupts are on after an operation as they were before", none(wrong, "operations left them off"));
    let doubtful = call::interrupt_faults(1).unwrap_or(0);
    report.result(
        "the number of a hart is used with interrupts off",
        none(doubtful, "times it was asked for with interrupts on, and could be another hart's a moment later"),
    );
    report.status()
}

/// Nothing wrong, or how often and what.
fn none(count: usize, what: &'static str) -> Result<(), impl core::fmt::Display> {
    struct Fault(usize, &'static str);
    impl core::fmt::Display for Fault {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "{} {}", self.0, self.1)
        }
    }
    if count == 0 { Ok(()) } else { Err(Fault(count, what)) }
}

/// Starts a client; answers its process id, or zero.
fn start(workload: &Workload, client: u8) -> u64 {
    match call::fork() {
        Ok(Fork::Parent(child)) => child,
        Ok(Fork::Child) => be_client(workload, client),
        Err(error) => {
            println!("client {client} cannot be started: {error:?}");
            0
        }
    }
}

fn be_client(workload: &Workload, client: u8) -> ! {
    let Ok(memory) = call::sbrk((MOST_HELD * size_of::<u64>()) as isize) else {
        println!("client {client} has no memory for its notes");
        call::exit(1)
    };
    // SAFETY: the heap has just grown by so much. It starts at a page and is all zeros.
    let room = unsafe { core::slice::from_raw_parts_mut(memory.cast::<u64>(), MOST_HELD) };
    let mut lists = OverCalls { client, operations: 0 };
    let Ok(()) = workload.run(client, &mut lists, room);
    record!("\"r\":\"done\",\"client\":{client},\"operations\":{}", lists.operations);
    call::exit(0)
}
