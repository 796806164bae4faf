//! Runs a workload against the heap of this library, for `umalloctest`.
//!
//! It judges nothing but what only the guest can see: that bytes written are bytes read back. Every request is
//! reported with its answer, and whether that was right is for whoever reads it.

mod contents;
mod driver;
pub mod meter;

use core::{
    slice,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use abi::heap::workload::{MOST_CLIENTS, MOST_REQUESTS, Part, Workload};

use crate::{
    call::{self, Fork},
    ktap::Report,
    println,
    thread::{self, Thread},
};
use driver::{Block, Contents, Driver};

/// Runs every part of the workload in a process of its own; answers the program's status.
pub fn run(workload: &Workload) -> i64 {
    let clients = usize::from(workload.clients);
    let mut report = Report::begin(workload.parts().count() * clients);
    for part in workload.parts() {
        let ended = match call::fork() {
            Ok(Fork::Child) => call::exit(be_process(workload, part)),
            Ok(Fork::Parent(_)) => call::wait(),
            Err(error) => Err(error),
        };
        for client in 0..clients {
            let result = match &ended {
                Ok(ended) if ended.killed().is_some() => Err("its process was killed"),
                Ok(ended) if ended.status & COMPLETE == 0 => Err("its process did not end well"),
                Ok(ended) => match ended.status >> (2 * client) & 3 {
                    INTACT => Ok(()),
                    DAMAGED => Err("somebody else wrote to its blocks"),
                    NONE => Err("it never had a block to write to"),
                    _ => Err("it did not end well"),
                },
                Err(_) => Err("its process cannot be started"),
            };
            report.result(format_args!("{} {client} reads what it has written", part.word()), result);
        }
        if let Ok(ended) = ended
            && let Some(why) = ended.killed()
        {
            println!("umalloctest: {} was killed: {why}", part.word());
        }
    }
    report.status()
}

/// What a client works with.
#[derive(Debug, Clone, Copy)]
struct Client {
    workload: Workload,
    part: Part,
    number: u8,
    /// Where its notes are: an address, so that it can be passed on to a thread.
    room: usize,
    heap_start: usize,
}

const BLOCKS: usize = MOST_REQUESTS as usize;

impl Client {
    /// Makes the client's requests; answers how contents were, as one of the numbers below.
    fn run(&self) -> i64 {
        let room = core::ptr::with_exposed_provenance_mut::<Block>(self.room);
        // SAFETY: the room is this client's alone, all zeros, and those are blocks that are not there.
        let blocks = unsafe { slice::from_raw_parts_mut(room, BLOCKS) };
        let stamped = self.workload.clients > 1;
        let mut driver = Driver::new(self.part.word(), self.number, stamped, self.heap_start, blocks);
        let Ok(()) = self.workload.run(self.part, self.number, &mut driver);
        match driver.finish() {
            Contents::Intact => INTACT,
            Contents::Damaged => DAMAGED,
            Contents::None => NONE,
        }
    }
}

/// In the status of a process all of whose clients ended; a panic's status is without it.
const COMPLETE: i64 = 1 << 32;

/// How a client ended, as two bits of its process's status.
const INTACT: i64 = 1;
const DAMAGED: i64 = 2;
const NONE: i64 = 3;

/// Runs the clients of a part; answers two bits for each.
fn be_process(workload: &Workload, part: Part) -> i64 {
    let clients = workload.clients;
    let each = size_of::<Block>() * BLOCKS;
    // Before the heap: it begins where this ends.
    let Ok(room) = call::sbrk((each * usize::from(clients)) as isize) else {
        println!("umalloctest: there is no memory for notes");
        return 0;
    };
    let room = room.expose_provenance();
    let heap_start = call::sbrk(0).map_or(0, |end| end.addr());
    let all: [Client; MOST_CLIENTS as usize] = core::array::from_fn(|number| {
        let room = room + each * number;
        Client { workload: *workload, part, number: number as u8, room, heap_start }
    });
    if clients == 1 {
        return COMPLETE | all[0].run();
    }
    // Threads find themselves through this; nobody writes it again while they run.
    CLIENTS.store(all.as_ptr().expose_provenance(), Relaxed);
    let threads: [Option<Thread>; MOST_CLIENTS as usize] = core::array::from_fn(|number| {
        let spawned = (number < usize::from(clients)).then(|| thread::spawn(be_thread, number))?;
        spawned.inspect_err(|error| println!("umalloctest: thread {number} cannot be started: {error:?}")).ok()
    });
    let ended = threads.into_iter().enumerate();
    ended.fold(COMPLETE, |all, (number, thread)| {
        let contents = thread.and_then(|thread| thread.join().ok()).unwrap_or(0);
        all | (contents as i64) << (2 * number)
    })
}

static CLIENTS: AtomicUsize = AtomicUsize::new(0);

fn be_thread(number: usize) -> usize {
    let clients = core::ptr::with_exposed_provenance::<Client>(CLIENTS.load(Relaxed));
    // SAFETY: the first thread keeps the array until it has joined this one.
    let client = unsafe { *clients.add(number) };
    client.run() as usize
}
