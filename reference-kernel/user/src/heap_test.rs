//! Runs a workload against the heap of this library, for `umalloctest`.
//!
//! It judges nothing but what only the guest can see: that bytes written are bytes read back. Every request is
//! reported with its answer, and whether that was right is for whoever reads it.

mod contents;
mod driver;
pub mod meter;

use core::{
    fmt::Write,
    slice,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use abi::{
    heap::{
        rep,
        workload::{MOST_CLIENTS, MOST_REQUESTS, Part, Workload},
    },
    syscall::Error,
};

use crate::{
    call::{self, Fork},
    ktap::Report,
    print::Text,
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

/// Makes the requests of the file `traces/NAME.rep`; answers the program's status.
pub fn replay(name: &'static str) -> i64 {
    match replay_file(name) {
        Ok(contents) => {
            println!("umalloctest: the trace {name} is over, contents {contents:?}");
            i64::from(contents == Contents::Damaged)
        }
        Err(error) => {
            println!("umalloctest: traces/{name}.rep cannot be replayed: {error:?}");
            2
        }
    }
}

fn replay_file(name: &'static str) -> Result<Contents, Error> {
    let mut path = Text::<64>::new();
    write!(path, "traces/{name}.rep").map_err(|_| Error::NotFound)?;
    let length = call::read_file(path.as_str(), &mut [])?;
    let bytes: &mut [u8] = room(length)?;
    call::read_file(path.as_str(), bytes)?;
    let text = str::from_utf8(bytes).map_err(|_| Error::Invalid)?;
    let mut reader = rep::Reader::new(text).map_err(|_| Error::Invalid)?;
    let blocks: &mut [Block] = room(reader.header.ids as usize)?;
    // The heap begins where that ends, at a page of its own.
    let end = call::sbrk(0)?.addr();
    call::sbrk((end.next_multiple_of(4096) - end) as isize)?;
    let heap_start = call::sbrk(0)?.addr();
    let mut driver = Driver::new(name, 0, false, heap_start, blocks);
    while let Some(request) = reader.next_request().map_err(|_| Error::Invalid)? {
        let Ok(()) = abi::heap::Client::request(&mut driver, request);
    }
    Ok(driver.finish())
}

/// Room for so many values all of whose bytes are zero, for good.
fn room<T: Zeroed>(count: usize) -> Result<&'static mut [T], Error> {
    let end = call::sbrk(0)?.addr();
    call::sbrk((end.next_multiple_of(align_of::<T>()) - end) as isize)?;
    let start = call::sbrk((count * size_of::<T>()) as isize)?;
    // SAFETY: the memory is new, all zeros, and aligned.
    Ok(unsafe { slice::from_raw_parts_mut(start.cast(), count) })
}

/// A type for which zeros are a value.
///
/// # Safety
/// They are.
unsafe trait Zeroed {}

// SAFETY: they are.
unsafe impl Zeroed for u8 {}

// SAFETY: zeros are a block that is not there.
unsafe impl Zeroed for Block {}

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
        self.workload.run(self.part, self.number, &mut driver);
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
