//! The rules, each on the shortest trace that breaks it, and whole workloads over caches that break none.

use std::alloc::{Layout, alloc_zeroed};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::ptr::NonNull;
use std::sync::atomic::AtomicPtr;

use abi::object::{CONSTRUCTOR, DAMAGED, DEBUG, GENERAL, Info, SCRIBBLE, SlabError, WRONG};
use abi::object_workload::{MOST_HELD, Objects, Scenario, Workload};
use mm::slab::{Handle, Harts, Lab, ObjectAllocator, PageSource, Spec};
use mm::sync::{Machine, Registry};

use super::{Case, OF_PAGES, Rule, judge, judgement};
use crate::object_trace::{Beneath, Happened, Operation, Trace, What};

const PAGE: u64 = 0x8040_0000;

/// Operations on cache 0, one after the other, each in ten units of time; what is beneath comes just before them.
fn trace(steps: &[(u8, What)], beneath: &[(usize, Happened)]) -> Trace {
    let operation = |(at, &(flags, what)): (usize, &(u8, What))| {
        let begin = 10 * at as u64 + 5;
        Operation { client: 0, hart: 0, cache: 0, flags, locks: Some(0), instructions: 1, begin, end: begin + 2, what }
    };
    Trace {
        operations: steps.iter().enumerate().map(operation).collect(),
        beneath: beneath.iter().map(|&(before, what)| Beneath { at: 10 * before as u64, what }).collect(),
    }
}

/// What is found in them, all of one phase.
fn rules(phase: &'static str, steps: &[(u8, What)], beneath: &[(usize, Happened)]) -> Vec<Rule> {
    let trace = trace(steps, beneath);
    let phases = vec![phase; trace.operations.len()];
    judge(&Case { trace: &trace, phases: &phases }).violations.into_iter().map(|violation| violation.rule).collect()
}

fn create(size: u64) -> (u8, What) {
    (0, What::Create { size, align: 8, answer: Ok(()) })
}

fn taken(offset: u64) -> (u8, What) {
    (0, What::Allocate { bytes: 0, answer: Ok(PAGE + offset) })
}

fn freed(offset: u64) -> (u8, What) {
    (0, What::Free { address: PAGE + offset, bytes: 0, answer: Ok(()) })
}

const TOOK: (usize, Happened) = (1, Happened::Took { start: PAGE, pages: 1 });

#[test]
fn a_right_trace_breaks_no_rule() {
    let steps = [create(64), taken(64), taken(128), freed(64), taken(64), freed(64), freed(128), (0, What::Shrink(1))];
    let gone = (7, Happened::Gave { start: PAGE, pages: 1 });
    // The pages come back while the cache shrinks.
    let found = rules("", &steps, &[TOOK, gone]);
    assert_eq!(found, [Rule::ShrinkMiscounted { said: 1, due: 0 }], "the pages came back before it was asked");
    assert_eq!(rules("", &steps[..7], &[TOOK]), []);
}

#[test]
fn objects_that_are_misplaced_are_told_apart() {
    assert!(matches!(rules("", &[create(64), taken(68)], &[TOOK])[..], [Rule::Misaligned { align: 8, .. }]));
    let overlap = rules("", &[create(64), taken(64), taken(96)], &[TOOK]);
    assert!(matches!(overlap[..], [Rule::Overlap { size: 64, since: 1, .. }]), "{overlap:?}");
    assert!(matches!(rules("", &[create(64), taken(4064)], &[TOOK])[..], [Rule::NotInPages { .. }]));
    let gone = (3, Happened::Gave { start: PAGE, pages: 1 });
    let found = rules("", &[create(64), taken(64), taken(128), freed(64)], &[TOOK, gone]);
    assert!(matches!(found[..], [Rule::PagesInUse { since: 1, .. }, ..]), "{found:?}");
}

#[test]
fn a_request_that_fails_is_named() {
    let refused = (0, What::Allocate { bytes: 0, answer: Err(SlabError::NoMemory) });
    assert_eq!(rules("", &[create(64), refused], &[]), [Rule::Refused { error: SlabError::NoMemory }]);
}

#[test]
fn another_object_than_the_last_one_freed_is_not_hot() {
    let steps = [create(64), taken(64), taken(128), freed(64), freed(128), taken(64)];
    assert!(matches!(rules("", &steps, &[TOOK])[..], [Rule::NotHot { since: 4, .. }]));
}

#[test]
fn constructors_run_once_and_their_work_lasts() {
    let create = (CONSTRUCTOR, What::Create { size: 64, align: 8, answer: Ok(()) });
    let made = |before| (before, Happened::Constructed { first: PAGE + 64, stride: 64, count: 2 });
    assert_eq!(rules("", &[create, taken(64), taken(128)], &[TOOK, made(1)]), []);
    assert!(matches!(rules("", &[create, taken(192)], &[TOOK, made(1)])[..], [Rule::NotConstructed { .. }]));
    let again = rules("", &[create, taken(64), taken(128)], &[TOOK, made(1), made(2)]);
    assert!(matches!(again[..], [Rule::ConstructedAgain { times: 2, .. }, ..]));
    let unmade = (DAMAGED, taken(64).1);
    assert!(matches!(rules("", &[create, unmade], &[TOOK, made(1)])[..], [Rule::Unmade { .. }]));
}

#[test]
fn a_cache_is_destroyed_if_and_only_if_no_object_is_allocated() {
    let destroyed = (0, What::Destroy(Ok(())));
    let refused = (0, What::Destroy(Err(SlabError::Busy)));
    assert_eq!(rules("", &[create(64), taken(64), destroyed], &[TOOK]), [Rule::DestroyedBusy { live: 1 }]);
    assert_eq!(rules("", &[create(64), taken(64), refused], &[TOOK]), []);
    let idle = rules("", &[create(64), taken(64), freed(64), refused], &[TOOK]);
    assert_eq!(idle, [Rule::RefusedToGo { error: SlabError::Busy }]);
    let kept = rules("", &[create(64), taken(64), freed(64), destroyed], &[TOOK]);
    assert_eq!(kept, [Rule::KeptPages { start: PAGE, pages: 1 }]);
}

#[test]
fn wrong_frees_must_be_refused_and_overruns_found() {
    let create = (DEBUG, What::Create { size: 64, align: 8, answer: Ok(()) });
    let wrong = |offset, answer| (WRONG, What::Free { address: PAGE + offset, bytes: 0, answer });
    let accepted = rules("", &[create, taken(64), wrong(72, Ok(()))], &[TOOK]);
    assert!(matches!(&accepted[..], [Rule::AcceptedWrongFree { due, .. }] if *due == [SlabError::NotAnObject]));
    let misnamed = rules("", &[create, taken(64), freed(64), wrong(64, Err(SlabError::Foreign))], &[TOOK]);
    assert!(matches!(&misnamed[..], [Rule::MisnamedWrongFree { due, .. }] if *due == [SlabError::Twice]));
    let missed = rules("", &[create, taken(64), (SCRIBBLE, freed(64).1)], &[TOOK]);
    assert!(matches!(missed[..], [Rule::MissedOverrun { .. }]));
}

#[test]
fn statistics_must_count_what_is_allocated() {
    let said = Info {
        active_objects: 2,
        objects: 60,
        object_size: 64,
        objects_per_slab: 60,
        pages_per_slab: 1,
        limit: 120,
        batch: 60,
        active_slabs: 1,
        slabs: 1,
        damaged: 0,
    };
    let found = rules("", &[create(64), taken(64), (0, What::Info(said))], &[TOOK]);
    assert_eq!(found, [Rule::Miscounted { what: "active objects", said: 2, due: 1 }]);
    let wasteful = Info { active_objects: 1, objects: 40, objects_per_slab: 40, ..said };
    let found = rules("", &[create(64), taken(64), (0, What::Info(wasteful))], &[TOOK]);
    assert_eq!(found, [Rule::Wasteful { objects: 40, pages: 1, least: 56 }]);
}

/// A machine of one hart that nothing interrupts.
enum Alone {}

// SAFETY: there is one hart, the thread that the test runs on.
unsafe impl Machine for Alone {
    type Before = ();
    fn disable_interrupts() {}
    unsafe fn restore_interrupts((): ()) {}
    fn enter() {}
    unsafe fn leave() {}
    fn hart() -> usize {
        0
    }
    fn relax() {}
    fn prepare_to_sleep() {}
    fn sleep() {}
    fn wake(_: usize) {}
    fn instructions() -> u64 {
        0
    }
    fn registry() -> Option<&'static Registry> {
        thread_local!(static LOCKS: &'static Registry = Box::leak(Box::new(Registry::new())));
        Some(LOCKS.with(|locks| *locks))
    }
}

impl Harts for Alone {
    fn harts() -> usize {
        1
    }
    fn on_each_hart(work: &(dyn Fn() + Sync)) {
        work();
    }
}

/// Pages of this process, which stay where they are; the trace is the thread's.
struct Pages {
    start: NonNull<u8>,
    words: Vec<AtomicPtr<()>>,
}

const PAGES: usize = 4096;

/// Pages of a piece, whatever is asked for.
const PIECE: usize = 16;

thread_local! {
    static BENEATH: RefCell<Vec<Beneath>> = const { RefCell::new(Vec::new()) };
    static NOW: Cell<u64> = const { Cell::new(0) };
    static FREE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn note(what: Happened) {
    NOW.set(NOW.get() + 1);
    BENEATH.with_borrow_mut(|beneath| beneath.push(Beneath { at: NOW.get(), what }));
}

// SAFETY: only the thread of the test uses it.
unsafe impl Sync for Pages {}

// SAFETY: pieces are handed out once until they come back, and words live as long as the pages.
unsafe impl PageSource for Pages {
    fn allocate(&self, pages: usize) -> Option<NonNull<u8>> {
        let piece = FREE.with_borrow_mut(Vec::pop).filter(|_| pages <= PIECE)?;
        // SAFETY: the piece lies in the memory.
        let start = unsafe { self.start.add((piece * PIECE) << 12) };
        note(Happened::Took { start: start.addr().get() as u64, pages: pages as u64 });
        Some(start)
    }

    unsafe fn free(&self, start: NonNull<u8>, pages: usize) {
        note(Happened::Gave { start: start.addr().get() as u64, pages: pages as u64 });
        FREE.with_borrow_mut(|free| free.push((start.addr().get() - self.start.addr().get()) / (PIECE << 12)));
    }

    fn word(&self, address: usize) -> Option<&AtomicPtr<()>> {
        self.words.get(address.wrapping_sub(self.start.addr().get()) >> 12)
    }
}

/// The reference over memory of this process, with its trace.
struct Traced {
    caches: Box<Lab<Alone, Pages>>,
    handles: Vec<Option<Handle>>,
    operations: Vec<Operation>,
    phase: &'static str,
    phases: Vec<&'static str>,
}

unsafe fn construct(object: NonNull<u8>) {
    note(Happened::Constructed { first: object.addr().get() as u64, stride: 0, count: 1 });
}

impl Traced {
    fn new() -> Self {
        let layout = Layout::from_size_align(PAGES << 12, PIECE << 12).expect("a size");
        // SAFETY: the layout's size is not zero. The memory is never given back: a test is a short-lived process.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        FREE.set((0..PAGES / PIECE).collect());
        BENEATH.take();
        let words = (0..PAGES).map(|_| AtomicPtr::default()).collect();
        let caches = Box::new(Lab::new(Pages { start, words }));
        // SAFETY: it stays in its box.
        unsafe { caches.set_up() }.expect("memory for the first caches");
        Self { caches, handles: Vec::new(), operations: Vec::new(), phase: "", phases: Vec::new() }
    }

    fn locks() -> u64 {
        let registry = Alone::registry().expect("locks count");
        registry.locks().map(|(_, counters)| counters.of(0).acquisitions).sum()
    }

    fn pointer(&self, address: u64) -> NonNull<u8> {
        let address = std::num::NonZero::new(usize::try_from(address).expect("an address")).expect("no null");
        self.caches.pages.start.with_addr(address)
    }

    fn run<R>(&mut self, cache: u8, flags: u8, call: impl FnOnce(&Self) -> (R, What)) -> Result<R, Infallible> {
        let (begin, locks) = (NOW.get() + 1, Self::locks());
        NOW.set(begin);
        let (answer, what) = call(self);
        let (end, locks) = (NOW.get() + 1, Some((Self::locks() - locks) as u16));
        NOW.set(end);
        self.operations.push(Operation { client: 0, hart: 0, cache, flags, locks, instructions: 1, begin, end, what });
        self.phases.push(self.phase);
        Ok(answer)
    }

    fn handle(&self, cache: u8) -> Handle {
        self.handles[usize::from(cache)].expect("the cache is there")
    }
}

impl Objects for Traced {
    type Stop = Infallible;

    fn phase(&mut self, name: &'static str) -> Result<(), Infallible> {
        self.phase = name;
        Ok(())
    }

    fn create(&mut self, size: u64, align: u64, flags: u8) -> Result<Result<u8, SlabError>, Infallible> {
        let number = self.handles.iter().position(Option::is_none).unwrap_or(self.handles.len());
        let constructor = (flags & CONSTRUCTOR != 0).then_some(construct as unsafe fn(NonNull<u8>));
        let (bytes, step) = (size as usize, align as usize);
        let spec = Spec { name: "test", size: bytes, align: step, constructor, debug: flags & DEBUG != 0 };
        let made = self.run(number as u8, flags, |this| {
            let made = this.caches.create(&spec);
            (made, What::Create { size, align, answer: made.map(drop) })
        })?;
        self.handles.resize(self.handles.len().max(number + 1), None);
        self.handles[number] = made.ok();
        Ok(made.map(|_| number as u8))
    }

    fn destroy(&mut self, cache: u8) -> Result<Result<(), SlabError>, Infallible> {
        let answer = self.run(cache, 0, |this| {
            // SAFETY: the cache is there.
            let answer = unsafe { this.caches.destroy(this.handle(cache)) };
            (answer, What::Destroy(answer))
        })?;
        if answer.is_ok() {
            self.handles[usize::from(cache)] = None;
        }
        Ok(answer)
    }

    fn shrink(&mut self, cache: u8) -> Result<(), Infallible> {
        // SAFETY: the cache is there.
        self.run(cache, 0, |this| ((), What::Shrink(unsafe { this.caches.shrink(this.handle(cache)) } as u64)))
    }

    fn allocate(&mut self, cache: u8) -> Result<Result<u64, SlabError>, Infallible> {
        self.run(cache, 0, |this| {
            // SAFETY: the cache is there.
            let object = unsafe { this.caches.allocate(this.handle(cache)) };
            let answer = object.map(|object| object.addr().get() as u64).ok_or(SlabError::NoMemory);
            (answer, What::Allocate { bytes: 0, answer })
        })
    }

    fn free(&mut self, cache: u8, address: u64, flags: u8) -> Result<Result<(), SlabError>, Infallible> {
        self.run(cache, flags, |this| {
            let object = this.pointer(address);
            if flags & SCRIBBLE != 0 {
                // SAFETY: the byte behind an object of a cache in debug mode is in its red zone.
                unsafe { object.add(this.caches.info(this.handle(cache)).object_size as usize).write(1) };
            }
            // SAFETY: the cache is there; wrong frees go to caches in debug mode.
            let answer = unsafe { this.caches.free(this.handle(cache), object) };
            (answer, What::Free { address, bytes: 0, answer })
        })
    }

    fn info(&mut self, cache: u8) -> Result<u64, Infallible> {
        self.run(cache, 0, |this| {
            // SAFETY: the cache is there.
            let info = unsafe { this.caches.info(this.handle(cache)) };
            (info.pages_per_slab, What::Info(info))
        })
    }

    fn kmalloc(&mut self, bytes: u64) -> Result<Result<u64, SlabError>, Infallible> {
        self.run(GENERAL, 0, |this| {
            let memory = this.caches.kmalloc(bytes as usize);
            let answer = memory.map(|memory| memory.addr().get() as u64).ok_or(SlabError::NoMemory);
            (answer, What::Allocate { bytes, answer })
        })
    }

    fn kfree(&mut self, address: u64, bytes: u64) -> Result<Result<(), SlabError>, Infallible> {
        self.run(GENERAL, 0, |this| {
            // SAFETY: it came from there.
            let answer = unsafe { this.caches.kfree(this.pointer(address)) };
            (answer, What::Free { address, bytes, answer })
        })
    }
}

#[test]
fn the_reference_breaks_no_rule_in_any_workload() {
    for (seed, scenario) in (0..).zip(Scenario::ALL) {
        let workload = Workload { scenario, operations: 2400, clients: 1, seed };
        let mut traced = Traced::new();
        let mut room = vec![0; MOST_HELD];
        let Ok(shared) = workload.begin(&mut traced, &mut room);
        if scenario.is_shared() {
            let Ok(()) = workload.share(1, shared, &mut traced, &mut room);
        }
        let Ok(()) = workload.finish(shared, &mut traced);
        let trace = Trace { operations: traced.operations, beneath: BENEATH.take() };
        let judged = judge(&Case { trace: &trace, phases: &traced.phases });
        assert_eq!(judged.violations, [], "{scenario:?}");
        assert_eq!(judged.met, judged.due, "{scenario:?}");
        assert!(judged.met > 50, "{scenario:?}");
    }
}

#[test]
fn objects_outside_of_the_pages_show_nothing_about_slabs_and_pages() {
    let groups = |offset, took: &[(usize, Happened)]| {
        let trace = trace(&[create(64), taken(offset), (0, What::Shrink(0))], took);
        let judgement = judgement(&Case { trace: &trace, phases: &[""; 3] });
        judgement.groups.into_keys().collect::<Vec<_>>()
    };
    let mut all = [&["all", "sound"][..], OF_PAGES].concat();
    all.sort_unstable();
    assert_eq!(groups(64, &[]), all);
    // One that only reaches beyond its page is misplaced, and no more.
    assert_eq!(groups(4096 - 8, &[TOOK]), ["all", "sound"]);
}
