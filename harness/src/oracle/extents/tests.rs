//! The rules, each on the shortest trace that breaks it, and whole workloads over allocators that break none.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::convert::Infallible;
use std::ptr::NonNull;

use abi::page::{MAX_ORDER, ORDERS, PAGE_SIZE, PageError};
use abi::workload::{Held, MOST_HELD, Pages, Scenario, Workload};
use mm::page::{self, PageAllocator, bestfit::BestFit};

use super::{Extent, Judged, Rule, judge};
use crate::oracle::{Case, requests};
use crate::trace::{Operation, Pool, Region, Statistics, What};

/// The number of the first page.
const FIRST: u64 = 0x80403;

fn pool(lengths: &[u64]) -> Pool {
    let mut start = FIRST * PAGE_SIZE;
    let regions = lengths.iter().map(|&pages| {
        let region = Region { start, pages, managed_start: start, managed_pages: pages };
        start += pages * PAGE_SIZE;
        region
    });
    Pool { name: "arena".to_owned(), max_order: MAX_ORDER, origin: 0, regions: regions.collect() }
}

/// What a [`Case`] borrows.
pub struct Owned<'a> {
    pool: Pool,
    operations: &'a [Operation],
    phases: &'a [&'static str],
}

impl Owned<'_> {
    pub fn as_case(&self) -> Case<'_> {
        Case { pool: &self.pool, operations: self.operations, phases: self.phases }
    }
}

/// A case over one region of so many pages.
pub fn case<'a>(pages: u64, operations: &'a [Operation], phases: &'a [&'static str]) -> Owned<'a> {
    Owned { pool: pool(&[pages]), operations, phases }
}

pub fn operation(what: What) -> Operation {
    Operation { client: 0, hart: 0, instructions: 1, what }
}

/// An allocation of pages that came out so many pages after [`FIRST`].
pub fn taken(pages: u64, at: u64) -> What {
    What::Allocate { pages, answer: Ok((FIRST + at) * PAGE_SIZE) }
}

pub fn refused(pages: u64, error: PageError) -> What {
    What::Allocate { pages, answer: Err(error) }
}

pub fn freed(pages: u64, at: u64, answer: Result<(), PageError>) -> What {
    What::Free { address: (FIRST + at) * PAGE_SIZE, pages, answer }
}

fn counted(free_pages: u64, managed_pages: u64, extents: &[u64]) -> What {
    let mut free_blocks = [0; ORDERS];
    free_blocks[..extents.len()].copy_from_slice(extents);
    What::Statistics(Statistics { free_pages, managed_pages, free_blocks })
}

const fn run(at: u64, pages: u64) -> Extent {
    Extent { first: FIRST + at, pages }
}

fn judged(lengths: &[u64], trace: &[What]) -> Judged {
    let operations: Vec<_> = trace.iter().map(|&what| operation(what)).collect();
    judge(&pool(lengths), &operations)
}

fn violations(pages: u64, trace: &[What]) -> Vec<Rule> {
    judged(&[pages], trace).violations.into_iter().map(|violation| violation.rule).collect()
}

/// Extents of 6, 3 and 5 pages at 0, 7 and 11, with a page in use behind each.
const THREE: [What; 9] = [
    taken_const(6, 0),
    taken_const(1, 6),
    taken_const(3, 7),
    taken_const(1, 10),
    taken_const(5, 11),
    taken_const(1, 16),
    freed_const(6, 0),
    freed_const(3, 7),
    freed_const(5, 11),
];

const fn taken_const(pages: u64, at: u64) -> What {
    What::Allocate { pages, answer: Ok((FIRST + at) * PAGE_SIZE) }
}

const fn freed_const(pages: u64, at: u64) -> What {
    What::Free { address: (FIRST + at) * PAGE_SIZE, pages, answer: Ok(()) }
}

/// What is wrong with a trace over the three extents.
fn after_three(then: &[What]) -> Vec<Rule> {
    let trace: Vec<What> = THREE.iter().chain(then).copied().collect();
    violations(17, &trace)
}

#[test]
fn either_end_of_any_of_the_shortest_extents_is_right() {
    for at in [7, 8] {
        assert_eq!(after_three(&[taken(2, at)]), []);
    }
    // A second extent of three pages is left at either end of the one with five, or of the one with six.
    for left in [11, 13] {
        let other = if left == 11 { 14 } else { 11 };
        assert_eq!(after_three(&[taken(3, 7), taken(2, other), freed(3, 7, Ok(())), taken(3, left)]), []);
        assert_eq!(after_three(&[taken(3, 7), taken(2, other), freed(3, 7, Ok(())), taken(3, 7)]), []);
    }
    assert_eq!(after_three(&[taken(5, 11), taken(3, 7), taken(6, 0), refused(1, PageError::Exhausted)]), []);
}

#[test]
fn a_longer_extent_than_needed_is_named_with_a_better_one() {
    let (first, best, second) = (run(0, 6), run(7, 3), run(11, 5));
    assert_eq!(after_three(&[taken(2, 0)]), [Rule::NotBest { from: first, best }]);
    assert_eq!(after_three(&[taken(3, 13)]), [Rule::NotBest { from: second, best }]);
    assert_eq!(after_three(&[taken(4, 0)]), [Rule::NotBest { from: first, best: second }]);
}

#[test]
fn a_block_out_of_the_middle_leaves_two_rests_and_is_no_best_fit() {
    assert_eq!(after_three(&[taken(1, 8)]), [Rule::CutInTwo { block: run(8, 1), from: run(7, 3) }]);
}

#[test]
fn a_block_in_the_wrong_place_is_misaligned_outside_across_regions_or_an_overlap() {
    let within = What::Allocate { pages: 1, answer: Ok(FIRST * PAGE_SIZE + 8) };
    assert_eq!(violations(16, &[within]), [Rule::Misaligned { address: FIRST * PAGE_SIZE + 8 }]);
    assert!(matches!(violations(16, &[taken(1, 16)])[..], [Rule::Outside { .. }]));
    assert!(matches!(violations(16, &[taken(4, 14)])[..], [Rule::Outside { .. }]));
    let across = judged(&[8, 8], &[taken(4, 6)]).violations;
    assert!(matches!(across[0].rule, Rule::AcrossRegions { border, .. } if border == FIRST + 8));
    let overlap = violations(16, &[taken(4, 0), taken(2, 3)]);
    assert_eq!(overlap, [Rule::Overlap { block: run(3, 2), live: run(0, 4), since: 0 }]);
}

#[test]
fn a_refusal_that_merging_would_have_spared_is_told_from_one_without_a_reason() {
    let apart = [taken(4, 0), freed(4, 0, Ok(())), refused(16, PageError::Exhausted)];
    let unmerged = Rule::Unmerged { pages: 16, extent: run(0, 16), longest_piece: 12 };
    assert_eq!(violations(16, &apart), [unmerged]);
    let whole = violations(16, &[refused(16, PageError::Exhausted)]);
    assert_eq!(whole, [Rule::RefusedWhileFree { pages: 16, free: run(0, 16) }]);
    assert_eq!(judged(&[16, 8], &[taken(16, 0), refused(9, PageError::Exhausted)]).violations, []);
}

#[test]
fn an_allocator_that_says_that_it_does_not_merge_is_not_blamed_for_its_choices_too() {
    // Pieces of 4 and 12 pages, of which the shorter one is the best for three pages, at either end.
    let trace = [taken(4, 0), freed(4, 0, Ok(())), counted(16, 16, &[0, 0, 1, 1]), taken(3, 1), taken(2, 6)];
    let found = violations(16, &trace);
    assert_eq!(found[0], Rule::CountedUnmerged { class: 2, counted: 1, due: 0 });
    assert_eq!(found[1..], [Rule::CutInTwo { block: run(6, 2), from: run(4, 12) }]);
    // Not being the best among the pieces either is a second mistake.
    let trace = [&THREE[..], &[counted(14, 17, &[0, 0, 3]), taken(2, 0)]].concat();
    assert!(matches!(violations(17, &trace)[..], [Rule::CountedUnmerged { .. }, Rule::NotBest { .. }]));
}

#[test]
fn impossible_requests_must_be_refused_with_the_right_error() {
    assert!(matches!(violations(16, &[taken(0, 0)])[..], [Rule::GrantedImpossible { due: PageError::Zero, .. }]));
    let asked =
        [refused(0, PageError::TooLarge), refused(17, PageError::Exhausted), refused(u64::MAX, PageError::Zero)];
    let dues: Vec<_> = violations(16, &asked)
        .into_iter()
        .map(|rule| match rule {
            Rule::RefusedWrongly { due, .. } => Some(due),
            _ => None,
        })
        .collect();
    assert_eq!(dues, [Some(PageError::Zero), Some(PageError::TooLarge), Some(PageError::TooLarge)]);
    let two = judged(&[16, 8], &[refused(17, PageError::TooLarge), taken(16, 0), refused(16, PageError::TooLarge)]);
    let due = PageError::Exhausted;
    assert_eq!(two.violations[0].rule, Rule::RefusedWrongly { pages: 16, due, longest: 16 });
}

#[test]
fn wrong_frees_must_be_refused_and_right_ones_accepted() {
    let twice = [taken(2, 0), freed(2, 0, Ok(())), freed(2, 0, Ok(()))];
    assert!(
        matches!(&violations(16, &twice)[..], [Rule::AcceptedWrongFree { due, .. }] if due.contains(&PageError::Twice))
    );
    let inner = violations(16, &[taken(4, 0), freed(3, 1, Err(PageError::Outside))]);
    assert_eq!(inner, [Rule::MisnamedWrongFree { due: vec![PageError::NotAllocated], live: Some(run(0, 4)) }]);
    for wrong in [3, 5] {
        let size = violations(16, &[taken(4, 0), freed(wrong, 0, Ok(()))]);
        assert!(matches!(&size[..], [Rule::AcceptedWrongFree { due, .. }] if *due == [PageError::WrongSize]));
    }
    let right = violations(16, &[taken(4, 0), freed(4, 0, Err(PageError::Twice))]);
    assert_eq!(right, [Rule::RefusedRightFree { block: run(0, 4), since: 0 }]);
    let huge = [taken(4, 0), freed(u64::MAX, 0, Err(PageError::WrongSize)), freed(0, 0, Err(PageError::Zero))];
    assert_eq!(violations(16, &huge), []);
}

#[test]
fn statistics_must_count_what_is_free_in_extents_that_are_merged() {
    assert_eq!(violations(16, &[counted(15, 16, &[1, 1, 1, 1])]), [Rule::Miscounted { due: 16, what: "free" }]);
    assert_eq!(violations(13, &[counted(13, 12, &[0, 0, 0, 1])]), [Rule::Miscounted { due: 13, what: "managed" }]);
    let joined = [&THREE[..], &[counted(14, 17, &[0, 0, 0, 1])]].concat();
    assert_eq!(violations(17, &joined), [Rule::CountedUnmerged { class: 1, counted: 0, due: 1 }]);
}

#[test]
fn an_allocator_that_keeps_most_of_its_memory_back_is_found_out() {
    let mut pool = pool(&[1024]);
    pool.regions[0].managed_pages = 512;
    let found = judge(&pool, &[]).violations;
    assert!(matches!(found[0].rule, Rule::KeptTooMuch { least: 1006, managed: 512, .. }), "{found:?}");
}

#[test]
fn a_finding_shows_the_extents_that_it_is_about_and_what_would_have_been_right() {
    let trace: Vec<Operation> = THREE.iter().chain(&[taken(2, 0)]).map(|&what| operation(what)).collect();
    let phases = vec!["holes"; trace.len()];
    let judgement = super::judgement(&case(17, &trace, &phases).as_case());
    let finding = &judgement.groups["best-fit"].explained[0];
    assert_eq!(finding.operation, 9);
    assert!(finding.expected.contains("3 pages at 0x8040a000"), "{}", finding.expected);
    assert!(finding.why.contains("6 pages at 0x80403000"), "{}", finding.why);
    let drawn = crate::report::map::draw(finding.map.as_ref().expect("a map"));
    assert_eq!(drawn[1..], ["........------#---#-----#.", "        ^^"]);
}

/// Memory for an allocator, as long as the value lives.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    fn new(pages: usize) -> Self {
        let layout = Layout::from_size_align(pages << 12, 1 << 12).expect("a size");
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
    allocator: BestFit,
    start: NonNull<u8>,
    trace: Vec<Operation>,
}

impl Pages for Traced {
    type Stop = Infallible;

    fn phase(&mut self, _: &'static str) -> Result<(), Infallible> {
        Ok(())
    }

    fn allocate(&mut self, pages: u64) -> Result<Result<u64, PageError>, Infallible> {
        let answer = usize::try_from(pages).map_err(|_| PageError::TooLarge);
        let answer = answer.and_then(|pages| self.allocator.allocate(pages)).map(|block| block.addr().get() as u64);
        self.trace.push(operation(What::Allocate { pages, answer }));
        Ok(answer)
    }

    fn free(&mut self, address: u64, pages: u64) -> Result<Result<(), PageError>, Infallible> {
        let start = std::num::NonZero::new(usize::try_from(address).expect("an address")).expect("no null");
        let pages_freed = usize::try_from(pages).expect("a number of pages");
        let answer = self.allocator.free(self.start.with_addr(start), pages_freed);
        self.trace.push(operation(What::Free { address, pages, answer }));
        Ok(answer)
    }

    fn statistics(&mut self) -> Result<(), Infallible> {
        let page::Statistics { managed_pages, free_pages, free_blocks } = self.allocator.statistics();
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
        let memory = Memory::new(1031 + 500);
        let mut traced = Traced { allocator: BestFit::new(), start: memory.start, trace: Vec::new() };
        let mut regions = Vec::new();
        let mut start = memory.start;
        for pages in [1031, 500] {
            // SAFETY: the memory is this allocator's alone and outlives it.
            let extent = unsafe { traced.allocator.add_region(page::Region { start, pages }) }.expect("a region");
            regions.push(Region {
                start: start.addr().get() as u64,
                pages: pages as u64,
                managed_start: extent.start as u64,
                managed_pages: extent.pages as u64,
            });
            // SAFETY: the memory goes on for the second region, or ends there.
            start = unsafe { start.add(pages << 12) };
        }
        let pool = Pool { name: "arena".to_owned(), max_order: MAX_ORDER, origin: 0, regions };
        let workload =
            Workload { scenario, operations: 3000, clients: 1, hold: u64::MAX, keep: 0, seed, uncounted: false };
        let mut room = vec![Held::default(); MOST_HELD];
        let Ok(()) = workload.run(0, &mut traced, &mut room);

        let judged = judge(&pool, &traced.trace);
        assert_eq!(judged.violations, [], "{scenario:?}");
        assert_eq!(judged.met, judged.due, "{scenario:?}");
        assert_eq!(requests::compare(&[workload], &traced.trace).departures, [], "{scenario:?}");
    }
}
