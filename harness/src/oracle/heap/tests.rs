//! The rules, each on the shortest trace that breaks it.

use abi::heap::record::Entry;
use abi::heap::{Expect, Request};

use super::rules::Live;
use super::{Case, Operation, Rule, judge, judgement};

const START: u64 = 0x20000;
const PAGE: u64 = 4096;

/// A trace of one client, put together request by request.
struct Trace {
    case: Case,
    end: u64,
    expect: Expect,
}

impl Trace {
    fn new() -> Self {
        let operations = Vec::new();
        let case = Case { part: "mixed".to_owned(), clients: 1, start: START, memory: 1 << 20, operations };
        Self { case, end: START, expect: Expect::Nothing }
    }

    fn push(mut self, request: Request, answer: u64) -> Self {
        let entry = Entry { request, answer, instructions: 1, end: self.end, stamps: None };
        let number = self.case.operations.len() as u64;
        let expect = self.expect;
        self.case.operations.push(Operation { client: 0, number, phase: "", expect, entry });
        self
    }

    /// From here on the heap has so many bytes.
    fn heap(self, bytes: u64) -> Self {
        Self { end: START + bytes, ..self }
    }

    fn expecting(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }

    /// An allocation that comes out so many bytes behind the heap's start.
    fn allocate(self, id: u32, size: u64, at: u64) -> Self {
        self.push(Request::Allocate { id, size }, START + at)
    }

    fn refused(self, id: u32, size: u64) -> Self {
        self.push(Request::Allocate { id, size }, 0)
    }

    fn free(self, id: u32) -> Self {
        self.push(Request::Free { id }, 0)
    }

    fn rules(&self) -> Vec<Rule> {
        judge(&self.case).violations.into_iter().map(|violation| violation.rule).collect()
    }
}

#[test]
fn a_right_trace_breaks_no_rule() {
    let trace = Trace::new()
        .heap(PAGE)
        .allocate(0, 100, 16)
        .push(Request::Aligned { id: 1, size: 64, alignment: 64 }, START + 192)
        .push(Request::Reallocate { id: 0, size: 150 }, START + 16)
        .expecting(Expect::Null)
        .refused(2, 0)
        .refused(3, u64::MAX)
        .free(4)
        .push(Request::Reallocate { id: 0, size: u64::MAX }, 0)
        .expecting(Expect::NoGrowth)
        .push(Request::Reallocate { id: 0, size: 0 }, 0)
        .free(1)
        .allocate(5, 3000, 16)
        .free(5)
        .heap(0)
        .push(Request::Trim, 1);
    let judged = judge(&trace.case);
    assert_eq!(judged.violations, []);
    assert_eq!((judged.due, judged.met, judged.peak, judged.heap), (4, 4, 3000, PAGE));
}

#[test]
fn a_block_in_the_wrong_place_is_misaligned_outside_or_an_overlap() {
    let heap = || Trace::new().heap(PAGE);
    let misaligned = heap().allocate(0, 8, 8).rules();
    assert_eq!(misaligned, [Rule::Misaligned { address: START + 8, alignment: 16, asked: false }]);
    let aligned = heap().push(Request::Aligned { id: 0, size: 8, alignment: 64 }, START + 16).rules();
    assert_eq!(aligned, [Rule::Misaligned { address: START + 16, alignment: 64, asked: true }]);
    assert!(matches!(heap().allocate(0, PAGE, 16).rules()[..], [Rule::Outside { .. }]));
    let overlap = heap().allocate(0, 100, 16).allocate(1, 8, 112).rules();
    let live = Live { address: START + 16, size: 100, since: 0 };
    assert_eq!(overlap, [Rule::Overlap { address: START + 112, size: 8, live, object: false }]);
    assert_eq!(heap().allocate(0, 100, 16).free(0).allocate(1, 8, 112).rules(), []);
}

#[test]
fn a_block_that_was_reallocated_is_where_it_was_moved_to_and_stays_if_that_fails() {
    let moved = |answer| {
        let trace = Trace::new().heap(PAGE).allocate(0, 100, 16);
        let size = if answer == 0 { 1 << 19 } else { 200 };
        trace.expecting(Expect::Scarcity).push(Request::Reallocate { id: 0, size }, answer).allocate(1, 32, 16).rules()
    };
    assert_eq!(moved(START + 512), []);
    assert!(moved(0).iter().any(|rule| matches!(rule, Rule::Overlap { .. })));
}

#[test]
fn nothing_is_handed_out_and_nothing_grows_for_impossible_requests() {
    let heap = || Trace::new().heap(PAGE).expecting(Expect::Null);
    assert!(matches!(
        heap().allocate(0, 0, 16).rules()[..],
        [Rule::GrewForNothing { .. }, ..] | [Rule::GrantedImpossible { size: 0, .. }, ..]
    ));
    let huge = Trace::new().heap(PAGE).expecting(Expect::Null).allocate(0, u64::MAX, 16).allocate(1, u64::MAX, 16);
    assert!(huge.free(0).free(1).rules().iter().any(|rule| matches!(rule, Rule::GrantedImpossible { .. })));
    let grew = Trace::new().expecting(Expect::Null).heap(PAGE).refused(0, u64::MAX).rules();
    assert_eq!(grew, [Rule::GrewForNothing { by: PAGE }]);
}

#[test]
fn a_refusal_is_right_only_when_memory_has_run_out() {
    let refused = Trace::new().refused(0, 100).rules();
    assert_eq!(refused, [Rule::Refused { size: 100, live: 0, memory: 1 << 20 }]);
    let scarce = |size| Trace::new().expecting(Expect::Scarcity).refused(0, size).rules();
    assert_eq!(scarce(900_000), []);
    assert!(matches!(scarce(100_000)[..], [Rule::Refused { .. }]));
}

#[test]
fn growth_where_memory_was_free_or_far_beyond_what_was_asked_for_is_named() {
    let again = Trace::new().heap(PAGE).allocate(0, 3000, 16).free(0).expecting(Expect::NoGrowth);
    let again = again.heap(2 * PAGE).allocate(1, 3000, 4112).rules();
    assert_eq!(again, [Rule::NotReused { by: PAGE, live: 3000, heap: PAGE, pool: false }]);
    let much = Trace::new().heap(40 * PAGE).allocate(0, 100, 16).rules();
    assert!(matches!(much[..], [Rule::GrewTooMuch { most: 65_736, .. }, Rule::TooLarge { .. }]));
}

#[test]
fn a_heap_that_trims_itself_does_not_grow_when_it_comes_back() {
    let trace = Trace::new().heap(PAGE).allocate(0, 3000, 16).heap(0).free(0).expecting(Expect::NoGrowth);
    assert_eq!(trace.heap(PAGE).allocate(1, 3000, 16).rules(), []);
}

#[test]
fn a_pool_has_as_many_objects_as_it_was_made_for() {
    let pool = || Trace::new().heap(PAGE).push(Request::Create { size: 32, count: 2 }, 1);
    let take = |trace: Trace, id: u32, at: u64| {
        let answer = if at == 0 { 0 } else { START + at };
        trace.push(Request::Take { id }, answer)
    };
    assert_eq!(take(take(take(pool(), 0, 16), 1, 48), 2, 0).rules(), []);
    let small = take(take(pool(), 0, 16), 1, 0).rules();
    assert_eq!(small, [Rule::PoolTooSmall { taken: 1, count: 2 }]);
    let large = take(take(take(pool(), 0, 16), 1, 48), 2, 80).rules();
    assert_eq!(large, [Rule::PoolTooLarge { count: 2 }]);
    let twice = take(take(pool(), 0, 16), 1, 16).rules();
    assert!(matches!(twice[..], [Rule::Overlap { object: true, .. }]));
    assert!(matches!(Trace::new().push(Request::Create { size: 8, count: 8 }, 0).rules()[..], [Rule::NoPool { .. }]));
}

#[test]
fn a_trim_gives_back_what_is_free_behind_the_last_block_and_no_more() {
    let grown = || Trace::new().heap(16 * PAGE).allocate(0, 100, 16);
    assert!(matches!(grown().push(Request::Trim, 0).rules()[..], [Rule::TrimLeft { .. }]));
    assert!(matches!(grown().heap(0).push(Request::Trim, 16).rules()[..], [Rule::TrimTookBlocks { .. }]));
    let kept = grown().heap(PAGE).push(Request::Trim, 3).rules();
    assert_eq!(kept, [Rule::TrimKeptPages { back: 3, due: 15 }]);
    assert_eq!(grown().heap(PAGE).push(Request::Trim, 15).rules(), []);
}

#[test]
fn of_several_threads_only_what_overlaps_in_time_is_an_overlap() {
    let entry =
        |request, answer, stamps| Entry { request, answer, instructions: 0, end: START + PAGE, stamps: Some(stamps) };
    let case = |freed: (u64, u64), taken: (u64, u64)| {
        let operations = [
            (0, 0, entry(Request::Allocate { id: 0, size: 32 }, START + 16, (0, 1))),
            (0, 1, entry(Request::Free { id: 0 }, 0, freed)),
            (1, 0, entry(Request::Allocate { id: 0, size: 32 }, START + 16, taken)),
        ];
        let operations = operations.map(|(client, number, entry)| Operation {
            client,
            number,
            phase: "",
            expect: Expect::Nothing,
            entry,
        });
        Case { part: "mixed".to_owned(), clients: 2, start: START, memory: 1 << 20, operations: operations.to_vec() }
    };
    // The request began before the free did, and was over after that.
    assert_eq!(judge(&case((3, 5), (2, 4))).violations, []);
    assert_eq!(judge(&case((4, 5), (2, 3))).violations.len(), 1);
}

#[test]
fn blocks_outside_of_the_heap_earn_nothing_for_a_heap_that_does_not_grow() {
    let elsewhere = Trace::new().allocate(0, 100, 1 << 20).free(0);
    let groups = judgement(&[elsewhere.case]).groups;
    assert_eq!(groups.keys().copied().collect::<Vec<_>>(), ["all", "growth", "reuse", "sound"]);
    assert_eq!(judgement(&[Trace::new().heap(PAGE).allocate(0, 100, 16).free(0).case]).groups.len(), 0);
}
