//! One client of a workload: makes its requests, writes and checks blocks, reports.

use core::{
    convert::Infallible,
    fmt::Write,
    ptr,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use abi::{
    heap::{
        Client, Expect, Request,
        record::{self, ENTRIES_PER_RECORD, Entry},
    },
    mark,
};

use super::{
    contents,
    meter::{Function, Meter},
};
use crate::{
    call,
    print::Text,
    println,
    umalloc::{self, pool::Pool},
};

/// A block as the client knows it.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// Its address; zero if it is not there.
    address: usize,
    bytes: usize,
    /// Which of all contents it holds.
    key: u64,
    /// Whether its bytes lie in the heap, so that they can be touched.
    touchable: bool,
}

/// Moments of requests, of all threads.
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// A client of a workload.
#[derive(Debug)]
pub struct Driver<'a> {
    part: &'static str,
    client: u8,
    stamped: bool,
    heap_start: usize,
    blocks: &'a mut [Block],
    entries: [Option<Entry>; ENTRIES_PER_RECORD],
    count: usize,
    printed: u64,
    /// Where the heap ended after what was printed.
    end: u64,
    meter: Meter,
    keys: u64,
    pool: Option<Pool>,
    pool_size: u64,
    damaged: u64,
    handed_out: u64,
}

/// What a client has to say in the end, beside its reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// All bytes written were read back.
    Intact,
    /// Some were not.
    Damaged,
    /// It never had a block to write to.
    None,
}

impl<'a> Driver<'a> {
    /// A client whose blocks are not there yet.
    pub fn new(part: &'static str, client: u8, stamped: bool, heap_start: usize, blocks: &'a mut [Block]) -> Self {
        Self {
            part,
            client,
            stamped,
            heap_start,
            blocks,
            entries: [None; ENTRIES_PER_RECORD],
            count: 0,
            printed: 0,
            end: heap_start as u64,
            meter: Meter::calibrated(),
            keys: u64::from(client) << 32,
            pool: None,
            pool_size: 0,
            damaged: 0,
            handed_out: 0,
        }
    }

    /// Reports what is not reported yet; answers how contents were.
    pub fn finish(mut self) -> Contents {
        self.print();
        match (self.handed_out, self.damaged) {
            (0, _) => Contents::None,
            (_, 0) => Contents::Intact,
            _ => Contents::Damaged,
        }
    }

    /// Whether those bytes lie in the heap. What lies outside may be the client's own notes; the report says that it
    /// was handed out, and that will do.
    fn is_touchable(&self, start: usize, bytes: usize) -> bool {
        let end = call::sbrk(0).map_or(0, |end| end.addr());
        start >= self.heap_start && start <= end && bytes <= end - start
    }

    /// Notes down that a block is there now, and writes to it.
    fn arrive(&mut self, id: u32, address: usize, bytes: usize) {
        let touchable = address > 0 && self.is_touchable(address, bytes);
        self.keys += 1;
        let key = self.keys << 20;
        self.blocks[id as usize] = Block { address, bytes, key, touchable };
        self.handed_out += u64::from(address > 0);
        if touchable {
            // SAFETY: the memory is mapped, and the heap has handed it out.
            unsafe { contents::write(ptr::with_exposed_provenance_mut(address), bytes, key) };
        }
    }

    /// Checks the first bytes of a block that was there.
    fn check(&mut self, id: u32, block: Block, at: usize, bytes: usize) {
        if block.address == 0 || !block.touchable {
            return;
        }
        let memory = ptr::with_exposed_provenance(at);
        // SAFETY: the memory is mapped, and the heap has handed it out.
        let Some(offset) = (unsafe { contents::damage(memory, bytes, block.key) }) else { return };
        self.damaged += 1;
        abi::grader_mark!(mark::DAMAGED);
        if self.damaged == 1 {
            let (part, client, number) = (self.part, self.client, self.printed + self.count as u64);
            println!(
                "{part} {client}: before request {number} somebody wrote to block {id} of {} bytes at {:#x}: byte {offset} is not what it was",
                block.bytes, block.address
            );
        }
    }

    fn stamp(&self) -> u64 {
        if self.stamped { CLOCK.fetch_add(1, SeqCst) } else { 0 }
    }

    fn report(&mut self, request: Request, answer: u64, instructions: u64, begun: u64) {
        abi::grader_mark!(mark::Meter::Heap.noted());
        let stamps = self.stamped.then(|| (begun, self.stamp()));
        let end = call::sbrk(0).map_or(0, |end| end.addr() as u64);
        self.entries[self.count] = Some(Entry { request, answer, instructions, end, stamps });
        self.count += 1;
        if self.count == ENTRIES_PER_RECORD {
            self.print();
        }
    }

    fn print(&mut self) {
        if self.count == 0 {
            return;
        }
        let mut text = Text::<4096>::new();
        let Self { part, client, printed, heap_start, mut end, .. } = *self;
        let mut write = || {
            write!(text, "\"r\":\"heap\",\"part\":\"{part}\",\"client\":{client}")?;
            write!(text, ",\"from\":{printed},\"start\":{heap_start},\"end\":{end},\"ops\":[")?;
            for (index, entry) in self.entries[..self.count].iter().flatten().enumerate() {
                text.write_str(if index == 0 { "" } else { "," })?;
                record::write_entry(&mut text, entry, end)?;
                end = entry.end;
            }
            text.write_str("]")
        };
        write().expect("an entry has up to 120 bytes");
        call::record(text.as_str());
        self.end = end;
        self.printed += self.count as u64;
        self.count = 0;
    }

    /// Calls a function of the heap, and reports that; answers what came back.
    fn call(&mut self, request: Request, function: Function, first: usize, second: usize) -> usize {
        let begun = self.stamp();
        let (answer, instructions) = self.meter.count(function, first, second);
        self.report(request, answer as u64, instructions, begun);
        answer
    }

    fn allocate(&mut self, request: Request, (id, size): (u32, u64), function: Function, first: usize, second: usize) {
        let address = self.call(request, function, first, second);
        self.arrive(id, address, size as usize);
    }

    /// The address of a block that is about to go, null if it is not there.
    fn leave(&mut self, id: u32) -> usize {
        let block = self.blocks[id as usize];
        self.check(id, block, block.address, block.bytes);
        self.blocks[id as usize].address = 0;
        block.address
    }

    fn reallocate(&mut self, request: Request, id: u32, size: usize) {
        let block = self.blocks[id as usize];
        self.check(id, block, block.address, block.bytes);
        let moved = self.call(request, reallocate, block.address, size);
        if moved == 0 && size > 0 {
            return; // the block is as it was
        }
        let kept = block.bytes.min(size);
        if moved > 0 && self.is_touchable(moved, kept) {
            self.check(id, block, moved, kept);
        }
        self.arrive(id, moved, size);
    }
}

extern "C" fn allocate(size: usize, _: usize) -> usize {
    umalloc::umalloc(size).expose_provenance()
}

extern "C" fn allocate_aligned(size: usize, alignment: usize) -> usize {
    umalloc::umalloc_aligned(size, alignment).expose_provenance()
}

extern "C" fn reallocate(block: usize, size: usize) -> usize {
    // SAFETY: the block is there, or the pointer is null.
    unsafe { umalloc::urealloc(ptr::with_exposed_provenance_mut(block), size) }.expose_provenance()
}

extern "C" fn free(block: usize, _: usize) -> usize {
    // SAFETY: the block is there, or the pointer is null.
    unsafe { umalloc::ufree(ptr::with_exposed_provenance_mut(block)) };
    0
}

extern "C" fn trim(_: usize, _: usize) -> usize {
    umalloc::umalloc_trim()
}

extern "C" fn take(pool: usize, _: usize) -> usize {
    // SAFETY: the driver passes its pool.
    let pool = unsafe { &mut *ptr::with_exposed_provenance_mut::<Pool>(pool) };
    pool.take().expose_provenance()
}

extern "C" fn give(pool: usize, object: usize) -> usize {
    // SAFETY: the driver passes its pool, and an object that was taken from it.
    unsafe { (*ptr::with_exposed_provenance_mut::<Pool>(pool)).give(ptr::with_exposed_provenance_mut(object)) };
    0
}

impl Client for Driver<'_> {
    type Stop = Infallible;

    fn phase(&mut self, _: &'static str, _: Expect) -> Result<(), Infallible> {
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), Infallible> {
        match request {
            Request::Allocate { id, size } => self.allocate(request, (id, size), allocate, size as usize, 0),
            Request::Aligned { id, size, alignment } => {
                self.allocate(request, (id, size), allocate_aligned, size as usize, alignment as usize);
            }
            Request::Reallocate { id, size } => self.reallocate(request, id, size as usize),
            Request::Free { id } => {
                let block = self.leave(id);
                self.call(request, free, block, 0);
            }
            Request::Trim => {
                let begun = self.stamp();
                let before = call::free_pages();
                let (_, instructions) = self.meter.count(trim, 0, 0);
                let pages = call::free_pages().saturating_sub(before) as u64;
                self.report(request, pages, instructions, begun);
            }
            Request::Create { size, count } => {
                let begun = self.stamp();
                let pool = Pool::create(size as usize, count as usize);
                self.report(request, u64::from(pool.is_some()), 0, begun);
                (self.pool, self.pool_size) = (pool, size);
            }
            Request::Take { id } => match &mut self.pool {
                Some(pool) => {
                    let pool = ptr::from_mut(pool).expose_provenance();
                    self.allocate(request, (id, self.pool_size), take, pool, 0);
                }
                None => self.report(request, 0, 0, 0),
            },
            Request::Give { id } => {
                let object = self.leave(id);
                match &mut self.pool {
                    Some(pool) if object != 0 => {
                        let pool = ptr::from_mut(pool).expose_provenance();
                        self.call(request, give, pool, object);
                    }
                    _ => self.report(request, 0, 0, 0),
                }
            }
            Request::Destroy => {
                let begun = self.stamp();
                if let Some(pool) = self.pool.take() {
                    // SAFETY: no object of the pool is used any more.
                    unsafe { pool.destroy() };
                }
                self.report(request, 0, 0, begun);
            }
        }
        Ok(())
    }
}
