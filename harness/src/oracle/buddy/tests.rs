//! The rules, each on the shortest trace that breaks it, and whole workloads over an allocator that breaks none.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::convert::Infallible;
use std::ptr::NonNull;

use abi::page::{MAX_ORDER, ORDERS, PAGE_SIZE, PageError};
use abi::workload::{Held, MOST_HELD, Pages, Scenario, Workload};
use mm::page::{self, PageAllocator, buddy::Buddy};

use super::{Block, Judged, Rule, judge};
use crate::oracle::requests;
use crate::trace::{Operation, Pool, Region, Statistics, What};

/// A page number that is a multiple of every block's size.
const FIRST: u64 = 0x80400;

fn pool(pages: u64) -> Pool {
    let start = FIRST * PAGE_SIZE;
    let region = Region { start, pages, managed_start: start, managed_pages: pages };
    Pool { name: "arena".to_owned(), max_order: MAX_ORDER, origin: 0, regions: vec![region] }
}

fn operation(what: What) -> Operation {
    Operation { client: 0, hart: 0, instructions: 1, what }
}

/// An allocation of pages that came out so many pages after [`FIRST`].
fn taken(pages: u64, at: u64) -> Operation {
    operation(What::Allocate { pages, answer: Ok((FIRST + at) * PAGE_SIZE) })
}

fn refused(pages: u64, error: PageError) -> Operation {
    operation(What::Allocate { pages, answer: Err(error) })
}

fn freed(pages: u64, at: u64, answer: Result<(), PageError>) -> Operation {
    operation(What::Free { address: (FIRST + at) * PAGE_SIZE, pages, answer })
}

fn counted(free_pages: u64, managed_pages: u64, blocks: &[u64]) -> Operation {
    let mut free_blocks = [0; ORDERS];
    free_blocks[..blocks.len()].copy_from_slice(blocks);
    operation(What::Statistics(Statistics { free_pages, managed_pages, free_blocks }))
}

fn violations(pages: u64, trace: &[Operation]) -> Vec<Rule> {
    judge(&pool(pages), trace).violations.into_iter().map(|violation| violation.rule).collect()
}

#[test]
fn blocks_can_be_counted_from_where_the_memory_begins() {
    let origin = FIRST * PAGE_SIZE + 3 * PAGE_SIZE;
    let region = Region { start: origin, pages: 16, managed_start: origin, managed_pages: 16 };
    let pool = Pool { origin, regions: vec![region], ..pool(16) };
    let judged = |trace: &[Operation]| {
        let case = crate::oracle::Case { pool: &pool, operations: trace, phases: &[] };
        super::judgement(&case).groups
    };
    assert_eq!(judged(&[taken(1, 3), taken(2, 5), taken(4, 7), freed(2, 5, Ok(()))]), Default::default());
    let groups = judged(&[taken(4, 4)]);
    let finding = &groups["sound"].explained[0];
    assert_eq!(finding.answered, "0x80404000");
    assert!(finding.why.contains("counted from 0x80403000; 0x80404000 is 0x1000 past one"), "{}", finding.why);
    assert_eq!(finding.map.as_ref().map(|map| map.first), Some(0x80403));
}

#[test]
fn a_right_trace_breaks_no_rule() {
    let trace = [
        taken(1, 0),
        taken(2, 2),
        taken(3, 4),
        counted(9, 16, &[1, 0, 0, 1]),
        refused(16, PageError::Exhausted),
        freed(2, 2, Ok(())),
        freed(1, 0, Ok(())),
        freed(3, 4, Ok(())),
        counted(16, 16, &[0, 0, 0, 0, 1]),
        taken(16, 0),
        refused(1, PageError::Exhausted),
    ];
    assert_eq!(judge(&pool(16), &trace), Judged { violations: vec![], due: 4, met: 4 });
}

#[test]
fn a_block_in_the_wrong_place_is_misaligned_outside_or_an_overlap() {
    assert!(matches!(violations(16, &[taken(2, 1)])[..], [Rule::Misaligned { order: 1, .. }, ..]));
    assert!(matches!(violations(16, &[taken(1, 16)])[..], [Rule::Outside { .. }]));
    let overlap = violations(16, &[taken(4, 0), taken(1, 3)]);
    assert!(matches!(overlap[..], [Rule::Overlap { live, live_pages: 4, since: 0, .. }] if live == FIRST));
}

#[test]
fn splitting_a_larger_block_than_needed_names_the_one_that_would_have_done() {
    // Pages 1 and 2..4 are free as blocks of orders 0 and 1; a page is taken from the block of order 3.
    let found = violations(16, &[taken(1, 0), taken(1, 8)]);
    let fitting = Block { first: FIRST + 1, order: 0 };
    let split = Block { first: FIRST + 8, order: 3 };
    assert_eq!(found, [Rule::NotSmallest { taken: Block { first: FIRST + 8, order: 0 }, split, fitting }]);
}

#[test]
fn a_refusal_that_merging_would_have_spared_is_told_from_one_without_a_reason() {
    let apart = [taken(1, 0), freed(1, 0, Ok(())), refused(16, PageError::Exhausted)];
    assert_eq!(violations(16, &apart), [Rule::Unmerged { order: 4, parent: Block { first: FIRST, order: 4 } }]);
    let whole = violations(16, &[refused(16, PageError::Exhausted)]);
    assert_eq!(whole, [Rule::RefusedWhileFree { order: 4, free: Block { first: FIRST, order: 4 } }]);
}

#[test]
fn an_allocator_that_says_that_it_does_not_merge_is_not_blamed_for_its_choices_too() {
    // Never merging leaves pages 0 and 1 apart, so two pages come out of the larger block beside them.
    let trace = [taken(1, 0), freed(1, 0, Ok(())), counted(16, 16, &[2, 1, 1, 1]), taken(1, 0), taken(2, 2)];
    let found = violations(16, &trace);
    assert_eq!(found, [Rule::CountedUnmerged { order: 0, counted: 2, due: 0 }]);
}

#[test]
fn impossible_requests_must_be_refused_with_the_right_error() {
    assert!(matches!(violations(16, &[taken(0, 0)])[..], [Rule::GrantedImpossible { due: PageError::Zero, .. }]));
    let wrong = violations(16, &[refused(0, PageError::TooLarge), refused(2048, PageError::Exhausted)]);
    assert!(matches!(wrong[..], [Rule::RefusedWrongly { .. }, Rule::RefusedWrongly { due: PageError::TooLarge, .. }]));
}

#[test]
fn wrong_frees_must_be_refused_and_right_ones_accepted() {
    let twice = [taken(2, 0), freed(2, 0, Ok(())), freed(2, 0, Ok(()))];
    assert!(
        matches!(&violations(16, &twice)[..], [Rule::AcceptedWrongFree { due, .. }] if due.contains(&PageError::Twice))
    );
    let inner = [taken(4, 0), freed(1, 1, Err(PageError::Outside))];
    assert!(
        matches!(&violations(16, &inner)[..], [Rule::MisnamedWrongFree { due, .. }] if *due == [PageError::NotAllocated])
    );
    let size = [taken(4, 0), freed(2, 0, Ok(()))];
    assert!(
        matches!(&violations(16, &size)[..], [Rule::AcceptedWrongFree { due, .. }] if *due == [PageError::WrongSize])
    );
    let right = [taken(4, 0), freed(4, 0, Err(PageError::Twice))];
    assert!(matches!(violations(16, &right)[..], [Rule::RefusedRightFree { since: 0, error: PageError::Twice, .. }]));
}

#[test]
fn statistics_must_count_what_is_free() {
    let found = violations(16, &[counted(15, 16, &[1, 1, 1, 1])]);
    assert_eq!(found, [Rule::Miscounted { said: 15, due: 16, what: "free" }]);
}

#[test]
fn an_allocator_that_keeps_most_of_its_memory_back_is_found_out() {
    let mut pool = pool(1024);
    pool.regions[0].managed_pages = 512;
    let found = judge(&pool, &[]).violations;
    assert!(matches!(found[0].rule, Rule::KeptTooMuch { least: 1006, managed: 512, .. }), "{found:?}");
}

/// Memory for an allocator, as long as the value lives.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    fn new(pages: usize) -> Self {
        let layout = Layout::from_size_align(pages << 12, 4 << 20).expect("a size");
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        Self { start, layout }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout, and the allocator over it is gone.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// The reference over memory of this process, with its trace.
struct Traced {
    buddy: Buddy,
    start: NonNull<u8>,
    trace: Vec<Operation>,
}

impl Traced {
    fn pointer(&self, address: u64) -> NonNull<u8> {
        let address = std::num::NonZero::new(usize::try_from(address).expect("an address")).expect("no null");
        self.start.with_addr(address)
    }
}

impl Pages for Traced {
    type Stop = Infallible;

    fn phase(&mut self, _: &'static str) -> Result<(), Infallible> {
        Ok(())
    }

    fn allocate(&mut self, pages: u64) -> Result<Result<u64, PageError>, Infallible> {
        let answer = usize::try_from(pages).map_err(|_| PageError::TooLarge);
        let answer = answer.and_then(|pages| self.buddy.allocate(pages)).map(|block| block.addr().get() as u64);
        self.trace.push(operation(What::Allocate { pages, answer }));
        Ok(answer)
    }

    fn free(&mut self, address: u64, pages: u64) -> Result<Result<(), PageError>, Infallible> {
        let answer = self.buddy.free(self.pointer(address), usize::try_from(pages).expect("a number of pages"));
        self.trace.push(operation(What::Free { address, pages, answer }));
        Ok(answer)
    }

    fn statistics(&mut self) -> Result<(), Infallible> {
        let page::Statistics { managed_pages, free_pages, free_blocks } = self.buddy.statistics();
        self.trace.push(operation(What::Statistics(Statistics {
            free_pages: free_pages as u64,
            managed_pages: managed_pages as u64,
            free_blocks: free_blocks.map(|blocks| blocks as u64),
        })));
        Ok(())
    }
}

#[test]
fn the_reference_breaks_no_rule_in_any_workload_and_its_traces_are_the_workloads_own() {
    for (seed, scenario) in (0..).zip(Scenario::ALL) {
        let memory = Memory::new(1031 + 9);
        // SAFETY: nine pages further the memory goes on for 1031 more.
        let start = unsafe { memory.start.add(9 << 12) };
        let mut traced = Traced { buddy: Buddy::new(), start, trace: Vec::new() };
        // SAFETY: the memory is this allocator's alone and outlives it.
        let extent = unsafe { traced.buddy.add_region(page::Region { start, pages: 1031 }) }.expect("a region");
        let region = Region {
            start: start.addr().get() as u64,
            pages: 1031,
            managed_start: extent.start as u64,
            managed_pages: extent.pages as u64,
        };
        let pool = Pool { name: "arena".to_owned(), max_order: MAX_ORDER, origin: 0, regions: vec![region] };
        let workload =
            Workload { scenario, operations: 3000, clients: 1, hold: u64::MAX, keep: 0, seed, uncounted: false };
        let mut room = vec![Held::default(); MOST_HELD];
        let Ok(()) = workload.run(0, &mut traced, &mut room);

        let judged = judge(&pool, &traced.trace);
        assert_eq!(judged.violations, [], "{scenario:?}");
        assert_eq!(judged.met, judged.due, "{scenario:?}");
        assert_eq!(requests::compare(&[workload], &traced.trace).departures, [], "{scenario:?}");

        let other = Workload { seed: seed + 100, ..workload };
        if scenario != Scenario::Fragment {
            assert_ne!(requests::compare(&[other], &traced.trace).departures, [], "another seed: {scenario:?}");
        }
        traced.trace.pop();
        assert_ne!(requests::compare(&[workload], &traced.trace).departures, [], "cut off: {scenario:?}");
    }
}
