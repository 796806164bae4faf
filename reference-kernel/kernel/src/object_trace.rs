//! What happens to object caches under test: a ring of events a hart, so that tracing makes no hart wait for another.

use core::{
    fmt::Write,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use abi::{
    object::{Event, GENERAL, Kind, write_events},
    page::KERNEL_CLIENT,
    record::OPERATIONS_PER_RECORD,
};
use base::{
    console::Console,
    csr,
    hart::MAX_HARTS,
    memory_map::MemoryMap,
    scheduler,
    spin::{InterruptsOff, RiscV, SpinLock},
    stop,
};
use mm::sync::Machine;

use crate::pools;

/// Events that all harts together hold.
const CAPACITY: usize = 65536;

/// The events of one hart.
#[derive(Debug)]
struct Ring {
    events: &'static mut [Event],
    first: usize,
    count: usize,
    read: u64,
    lost: u64,
}

static RINGS: [SpinLock<Ring>; MAX_HARTS] =
    [const { SpinLock::new("a trace of objects", Ring { events: &mut [], first: 0, count: 0, read: 0, lost: 0 }) };
        MAX_HARTS];

/// Whom the process in each slot works for, plus one; zero for nobody.
static CLIENTS: [AtomicU8; scheduler::SLOTS] = [const { AtomicU8::new(0) }; scheduler::SLOTS];

/// Sets memory aside.
pub fn set_up(map: &mut MemoryMap) {
    for ring in &RINGS[..stop::harts()] {
        ring.lock().events = pools::carve(map, CAPACITY / stop::harts());
    }
}

/// From here on, what happens in this process is done for that client.
pub fn work_for(client: Option<u8>) {
    let _off = InterruptsOff::new();
    if let Some(slot) = scheduler::current_slot() {
        CLIENTS[slot].store(client.map_or(0, |client| client + 1), Relaxed);
    }
}

fn worked_for() -> u8 {
    let slot = scheduler::current_slot();
    slot.and_then(|slot| CLIENTS[slot].load(Relaxed).checked_sub(1)).unwrap_or(KERNEL_CLIENT)
}

/// The time that events are stamped with, which all harts share.
#[inline(always)]
pub fn now() -> u64 {
    csr::read!("instret") as u64
}

/// Adds events that belong together, of a hart that may be another one than this.
pub fn push(hart: usize, events: &[Event]) {
    let mut ring = RINGS[hart % MAX_HARTS].lock();
    if ring.count + events.len() > ring.events.len() {
        ring.lost += 1;
        return;
    }
    for event in events {
        let at = (ring.first + ring.count) % ring.events.len();
        ring.events[at] = *event;
        ring.count += 1;
    }
}

/// Adds what happened beneath an operation.
pub fn note(kind: Kind, address: usize, count: usize, stride: usize) {
    let _off = InterruptsOff::new();
    let (hart, client, begin) = (RiscV::hart(), worked_for(), now());
    if kind == Kind::Construct && RINGS[hart].lock().extend(client, address, stride, begin) {
        return;
    }
    let event = Event {
        kind: kind as u8,
        client,
        cache: GENERAL,
        instructions: stride as u64,
        begin,
        end: begin,
        a: address as u64,
        b: count as u64,
        ..Event::NONE
    };
    push(hart, &[event]);
}

impl Ring {
    /// Adds an object to the last event if that is of constructors, and the object is the next in its row.
    fn extend(&mut self, client: u8, address: usize, size: usize, now: u64) -> bool {
        let Some(last) = self.count.checked_sub(1) else { return false };
        let at = (self.first + last) % self.events.len();
        let event = &mut self.events[at];
        let next = (address as u64).wrapping_sub(event.a);
        let stride = if event.b == 1 { next } else { event.instructions };
        let is_next = event.kind == Kind::Construct as u8
            && event.client == client
            && next == event.b * stride
            && (size as u64..2 * size as u64 + 256).contains(&stride);
        if is_next {
            event.instructions = stride;
            event.b += 1;
            event.end = now;
        }
        is_next
    }
}

/// Prints the oldest events of the first hart that has any, as one record; answers how many there were.
pub fn print_next(console: &mut Console) -> u64 {
    (0..stop::harts())
        .find_map(|hart| Some(print(console, hart, &mut RINGS[hart].lock())).filter(|&n| n > 0))
        .unwrap_or(0)
}

/// Prints all that is left.
///
/// # Safety
/// The machine is about to stop, and no other hart runs any more.
pub unsafe fn print_rest(console: &mut Console) {
    for (hart, ring) in RINGS.iter().enumerate() {
        // SAFETY: a ring is consistent but for its last event at every moment.
        let ring = unsafe { ring.seize() };
        while print(console, hart, ring) > 0 {}
    }
}

fn print(console: &mut Console, hart: usize, ring: &mut Ring) -> u64 {
    let mut batch = [Event::NONE; OPERATIONS_PER_RECORD];
    let count = ring.count.min(batch.len());
    for event in &mut batch[..count] {
        *event = ring.events[ring.first];
        ring.first = (ring.first + 1) % ring.events.len();
    }
    ring.count -= count;
    let from = ring.read;
    ring.read += count as u64;
    if count > 0 {
        console.record(|out| write_events(out, hart, from, &batch[..count]));
    }
    if ring.count == 0 && ring.lost > 0 {
        let lost = core::mem::take(&mut ring.lost);
        console.record(|out| write!(out, "\"r\":\"lost\",\"operations\":{lost}"));
    }
    count as u64
}
