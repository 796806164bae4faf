//! Heaps on the traces that the umalloc lab measures.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use abi::heap::{Client, Expect, Request, shapes::Shape, workload::MOST_REQUESTS};
use user::{
    call::{self, Fork},
    heap_test::meter::Meter,
    print::Text,
    println,
};

use crate::candidates::{ALL, BEFORE, Candidate};

/// Memory that an allocator gets which is measured for speed, in bytes.
const PLENTY: usize = 8 << 20;

/// Memory is taken in steps of so many bytes when the least is sought that completes a trace.
const STEP: usize = 1 << 10;

/// Prints instructions per request, and utilisation in percent: the most payload at a time over the least memory that
/// completes the trace.
pub fn compare(seed: u64) {
    head("instructions per request");
    let mut sums = [(0, 0); ALL.len()];
    for shape in Shape::ALL {
        let figures = ALL.each_ref().map(|candidate| in_process(candidate, |candidate| speed(candidate, shape, seed)));
        let requests = count(shape, seed).requests as i64;
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum = (sum.0 + figure * requests, sum.1 + requests);
        }
        row(shape.word(), figures);
    }
    row("all", sums.map(|(sum, count)| sum / count));
    println!("");
    head("utilisation in percent");
    let mut sums = [0; ALL.len()];
    for shape in Shape::ALL {
        let figures = ALL.each_ref().map(|candidate| utilisation(candidate, shape, seed));
        sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        row(shape.word(), figures);
    }
    row("mean", sums.map(|sum| sum / Shape::ALL.len() as i64));
}

fn head(title: &str) {
    let mut line = Text::<160>::new();
    let _ = core::fmt::Write::write_fmt(&mut line, format_args!("{title:<26}"));
    for candidate in &ALL {
        let _ = core::fmt::Write::write_fmt(&mut line, format_args!(" {:>13}", candidate.name));
    }
    println!("{}", line.as_str());
}

/// Figures in tenths; a negative one is that the trace was not completed.
fn row(name: &str, figures: [i64; ALL.len()]) {
    let mut line = Text::<160>::new();
    let _ = core::fmt::Write::write_fmt(&mut line, format_args!("{name:<26}"));
    for figure in figures {
        let _ = if figure < 0 {
            core::fmt::Write::write_fmt(&mut line, format_args!(" {:>13}", "-"))
        } else {
            core::fmt::Write::write_fmt(&mut line, format_args!(" {:>11}.{}", figure / 10, figure % 10))
        };
    }
    println!("{}", line.as_str());
}

/// Does something in a process of its own, which ends with the answer.
fn in_process(candidate: &Candidate, what: impl FnOnce(&Candidate) -> i64) -> i64 {
    match call::fork() {
        Ok(Fork::Child) => call::exit(what(candidate)),
        Ok(Fork::Parent(_)) => {
            call::wait().ok().filter(|ended| ended.killed().is_none()).map_or(-1, |ended| ended.status)
        }
        Err(error) => {
            println!("allocators: a process cannot be started: {error:?}");
            -1
        }
    }
}

/// Instructions per request in tenths, or -1.
fn speed(candidate: &Candidate, shape: Shape, seed: u64) -> i64 {
    let Some(mut run) = Run::new(candidate, PLENTY) else { return -1 };
    match shape.run(seed, &mut run) {
        Ok(()) => (run.instructions * 10 / run.requests) as i64,
        Err(Full) => -1,
    }
}

fn count(shape: Shape, seed: u64) -> Count {
    SIZES.iter().for_each(|size| size.store(0, Relaxed));
    let mut count = Count { requests: 0, live: 0, peak: 0 };
    let Ok(()) = shape.run(seed, &mut count);
    count
}

/// Utilisation in tenths of a percent, or -1.
fn utilisation(candidate: &Candidate, shape: Shape, seed: u64) -> i64 {
    let peak = count(shape, seed).peak;
    if candidate.name == "umalloc given" {
        return -1; // it would grow all the same
    }
    if candidate.grows {
        let heap = in_process(candidate, |candidate| {
            let before = call::sbrk(0).map_or(0, |end| end.addr());
            let Some(mut run) = Run::new(candidate, 0) else { return -1 };
            let start = call::sbrk(0).map_or(before, |end| end.addr());
            run.lowest_end = start;
            run.highest_end = start;
            if shape.run(seed, &mut run).is_err() { -1 } else { (run.highest_end - run.lowest_end) as i64 }
        });
        return if heap > 0 { peak as i64 * 1000 / heap } else { -1 };
    }
    let completes = |bytes: usize| {
        in_process(candidate, |candidate| {
            let run = Run::new(candidate, bytes);
            i64::from(run.is_some_and(|mut run| shape.run(seed, &mut run).is_ok()))
        }) == 1
    };
    let (mut fails, mut enough) = (peak / STEP, PLENTY / STEP);
    if !completes(PLENTY) {
        return -1;
    }
    while enough - fails > 1 {
        let middle = fails.midpoint(enough);
        if completes(middle * STEP) { enough = middle } else { fails = middle }
    }
    (peak * 1000 / (enough * STEP)) as i64
}

/// The allocator has nothing left.
struct Full;

/// A trace that an allocator runs.
struct Run<'a> {
    candidate: &'a Candidate,
    meter: Meter,
    blocks: &'static mut [(usize, usize)],
    instructions: u64,
    requests: u64,
    lowest_end: usize,
    highest_end: usize,
}

impl<'a> Run<'a> {
    /// With an allocator that has so many bytes.
    fn new(candidate: &'a Candidate, bytes: usize) -> Option<Self> {
        let notes = MOST_REQUESTS as usize * size_of::<(usize, usize)>();
        let notes = call::sbrk(notes as isize).ok()?;
        // SAFETY: the kernel has just given this memory, full of zeros, and it begins at a page.
        let blocks = unsafe { core::slice::from_raw_parts_mut(notes.cast(), MOST_REQUESTS as usize) };
        if bytes > 0 {
            let end = call::sbrk(0).ok()?;
            let gap = end.align_offset(4096);
            let arena = call::sbrk((gap + bytes) as isize).ok()?.wrapping_add(gap);
            (candidate.give)(arena, bytes);
        }
        let meter = Meter::calibrated();
        Some(Self { candidate, meter, blocks, instructions: 0, requests: 0, lowest_end: 0, highest_end: 0 })
    }
}

impl Client for Run<'_> {
    type Stop = Full;

    fn phase(&mut self, _: &'static str, _: Expect) -> Result<(), Full> {
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), Full> {
        let (function, first, second, id, size) = match request {
            Request::Allocate { id, size } => (self.candidate.allocate, size as usize, 0, id, size as usize),
            Request::Reallocate { id, size } => {
                let (address, before) = self.blocks[id as usize];
                BEFORE.store(before, Relaxed);
                (self.candidate.reallocate, address, size as usize, id, size as usize)
            }
            Request::Free { id } => {
                let (address, bytes) = self.blocks[id as usize];
                (self.candidate.free, address, bytes, id, 0)
            }
            // The traces make no others.
            _ => return Ok(()),
        };
        let (address, instructions) = self.meter.count(function, first, second);
        self.instructions += instructions;
        self.requests += 1;
        if size > 0 && address == 0 {
            return Err(Full);
        }
        self.blocks[id as usize] = (address, size);
        if self.lowest_end > 0 {
            self.highest_end = self.highest_end.max(call::sbrk(0).map_or(0, |end| end.addr()));
        }
        Ok(())
    }
}

/// A trace that is only counted.
struct Count {
    requests: u64,
    live: usize,
    peak: usize,
}

/// What [`Count`] knows of blocks; a stack has no room for it.
static SIZES: [AtomicU32; MOST_REQUESTS as usize] = [const { AtomicU32::new(0) }; MOST_REQUESTS as usize];

impl Client for Count {
    type Stop = core::convert::Infallible;

    fn phase(&mut self, _: &'static str, _: Expect) -> Result<(), Self::Stop> {
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), Self::Stop> {
        let (id, size) = match request {
            Request::Allocate { id, size } | Request::Reallocate { id, size } => (id, size as u32),
            Request::Free { id } => (id, 0),
            _ => return Ok(()),
        };
        self.requests += 1;
        let before = SIZES[id as usize].swap(size, Relaxed);
        self.live = self.live + size as usize - before as usize;
        self.peak = self.peak.max(self.live);
        Ok(())
    }
}
