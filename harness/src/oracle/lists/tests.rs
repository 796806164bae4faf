//! What the rules accept and what they find, on traces written by hand.

use super::*;
use crate::list_trace::{Taken, Use, What};

const REGION: Region = Region { start: 0x8000, pages: 3, managed_start: 0x8000, managed_pages: 3 };
const A: u64 = 0x8000;
const B: u64 = 0x9000;
const C: u64 = 0xa000;

fn operation(client: u8, (begin, end): (u64, u64), what: What) -> Operation {
    Operation { client, hart: client, instructions: 20, begin, end, what, locks: None }
}

fn take(client: u8, span: (u64, u64), page: u64) -> Operation {
    operation(client, span, What::Allocate(Some(page)))
}

fn refuse(client: u8, span: (u64, u64)) -> Operation {
    operation(client, span, What::Allocate(None))
}

fn give(client: u8, span: (u64, u64), page: u64) -> Operation {
    operation(client, span, What::Free(page))
}

fn count(client: u8, span: (u64, u64), pages: u64) -> Operation {
    operation(client, span, What::Count(pages))
}

/// The groups of the rules that are broken, with the operations that show it.
fn broken(trace: &[Operation]) -> Vec<(&'static str, usize)> {
    judge(&[REGION], trace).violations.iter().map(|violation| (violation.rule.group(), violation.at)).collect()
}

#[test]
fn pages_that_come_and_go_one_after_the_other_are_right() {
    let trace = [
        count(0, (0, 1), 3),
        take(0, (2, 3), B),
        take(1, (4, 5), A),
        give(0, (6, 7), B),
        take(1, (8, 9), B),
        take(1, (10, 11), C),
        refuse(0, (12, 13)),
        count(0, (14, 15), 0),
        give(1, (16, 17), A),
        count(0, (18, 19), 1),
    ];
    assert_eq!(broken(&trace), []);
    assert_eq!(judge(&[REGION], &trace).met, 4);
}

#[test]
fn what_is_no_page_of_the_memory_is_found() {
    let trace = [take(0, (0, 1), A + 8), take(0, (2, 3), 0x7000), take(0, (4, 5), 0xb000)];
    assert_eq!(broken(&trace), [("sound", 0), ("sound", 1), ("sound", 2)]);
}

#[test]
fn a_page_handed_out_while_somebody_holds_it_is_found_even_by_the_same_client() {
    assert_eq!(broken(&[take(0, (0, 1), A), take(1, (2, 3), A)]), [("owner", 1)]);
    assert_eq!(broken(&[take(0, (0, 1), A), take(0, (2, 3), A)]), [("owner", 1)]);
    assert_eq!(broken(&[take(0, (0, 3), A), take(1, (1, 2), A)]), [("owner", 0)], "both at once");
    let late = [take(0, (0, 1), A), take(1, (2, 3), A), give(0, (4, 5), A), give(1, (6, 7), A)];
    assert_eq!(broken(&late), [("owner", 1)]);
}

#[test]
fn operations_that_overlap_may_have_happened_in_either_order() {
    // The free may have taken effect first.
    let trace = [take(0, (0, 1), A), give(0, (2, 9), A), take(1, (3, 4), A), give(1, (5, 6), A), take(2, (7, 8), A)];
    assert_eq!(broken(&trace), []);
    // But not if it began when the other had ended.
    let trace = [take(0, (0, 1), A), take(1, (2, 3), A), give(0, (4, 9), A)];
    assert_eq!(broken(&trace), [("owner", 1)]);
}

#[test]
fn moments_are_found_for_a_chain_of_overlapping_holds_only_if_there_are_any() {
    // Each overlaps the next, but the third began to be held before the first was given back.
    let trace = [take(0, (0, 1), A), take(1, (2, 8), A), give(0, (5, 9), A), take(2, (3, 4), A)];
    let mut sorted = trace;
    sorted.sort_by_key(|operation| operation.begin);
    assert_eq!(broken(&sorted), [("owner", 1), ("owner", 2)]);
}

#[test]
fn a_refusal_while_a_page_is_free_and_nobody_else_acts_means_that_it_is_lost() {
    let trace = [take(0, (0, 1), A), give(0, (2, 3), A), take(1, (4, 5), B), take(1, (6, 7), C), refuse(1, (8, 9))];
    assert_eq!(broken(&trace), [("reach", 4)]);
    let rule = judge(&[REGION], &trace).violations[0].rule;
    assert_eq!(rule, Rule::Lost { free: 1, page: A, freed: Some(1) });
}

#[test]
fn a_refusal_while_others_act_is_judged_by_pages_that_stay_free_all_the_while() {
    let full = [take(0, (0, 1), A), take(0, (2, 3), B)];
    // Somebody takes the last page meanwhile.
    assert_eq!(broken(&[&full[..], &[refuse(1, (4, 7)), take(2, (5, 6), C)]].concat()), []);
    // One page comes as another goes: at every moment one is free, but none all the while.
    let swap = [take(0, (4, 5), C), refuse(1, (6, 11)), give(0, (7, 8), A), take(2, (9, 10), A)];
    assert_eq!(broken(&[&full[..], &swap].concat()), []);
    // Another page comes and goes, and C stays free.
    let missed = [refuse(1, (4, 9)), give(0, (5, 6), A), take(0, (7, 8), A)];
    assert_eq!(broken(&[&full[..], &missed].concat()), [("refusal", 2)]);
}

#[test]
fn a_count_is_judged_only_while_nobody_takes_or_gives() {
    assert_eq!(broken(&[take(0, (0, 1), A), count(0, (2, 3), 3)]), [("count", 1)]);
    assert_eq!(broken(&[take(0, (0, 3), A), count(1, (1, 2), 7)]), []);
}

#[test]
fn an_allocator_that_refuses_everything_does_not_show_that_a_rule_holds() {
    let trace = [refuse(0, (0, 1)), refuse(0, (2, 3))];
    let case = Case { regions: &[REGION], operations: &trace, phases: &["", ""], locks: &[] };
    let judged = judgement(&case);
    assert!(!judged.is_telling());
    assert_eq!(judged.groups["reach"].count, 2);
    assert_eq!(judged.groups["all"].explained.len(), 1, "one of each kind is enough");
}

#[test]
fn a_finding_says_who_had_the_page() {
    let trace = [take(2, (0, 1), A), take(1, (2, 3), A)];
    let case = Case { regions: &[REGION], operations: &trace, phases: &["mixed", "mixed"], locks: &[] };
    let finding = &judgement(&case).groups["owner"].explained[0];
    assert_eq!(finding.who, "client 1, on hart 1, in phase \"mixed\"");
    assert_eq!((finding.asked.as_str(), finding.answered.as_str()), ("allocate", "0x8000"));
    assert_eq!(finding.why, "0x8000 was handed out by operation 0, of client 2 on hart 2; it was not given back");
}

#[test]
fn one_lock_for_all_harts_keeps_them_from_working_apart() {
    let lock = |counts: [u64; 2]| Lock {
        of: "lists".into(),
        name: "pages".into(),
        harts: counts.map(|acquisitions| Use { acquisitions, ..Use::default() }).to_vec(),
    };
    let trace: Vec<Operation> = (0..10).map(|at| count(0, (2 * at, 2 * at + 1), 3)).collect();
    let case = |locks| judgement(&Case { regions: &[REGION], operations: &trace, phases: &[""; 10], locks });
    let one = [lock([10, 8])];
    let finding = &case(&one).groups["apart"].explained[0];
    assert_eq!(
        finding.answered,
        "0.80 acquisitions of shared locks per operation; the harts took \"pages\" 10, 8 times"
    );
    assert!(!case(&[lock([10, 1]), lock([0, 8])]).groups.contains_key("apart"));
}

/// Pages that each hart in turn takes and gives back, so many times; of each operation, its hart and the locks that it took.
fn round_robin(harts: u8, rounds: u64, locks: impl Fn(u8) -> Option<u64>) -> Vec<Operation> {
    let taken = |hart| locks(hart).map(Taken);
    let pair = |round| {
        let (hart, from) = ((round % u64::from(harts)) as u8, 4 * round);
        [take(hart, (from, from + 1), A), give(hart, (from + 2, from + 3), A)]
            .map(|operation| Operation { locks: taken(hart), ..operation })
    };
    (0..rounds).flat_map(pair).collect()
}

#[test]
fn pages_that_go_from_hart_to_hart_without_a_lock_that_both_take_are_found() {
    // Each takes a lock of its own, for show.
    let for_show = round_robin(4, 60, |hart| Some(1 << hart));
    assert_eq!(broken(&for_show), [("locked", 2)]);
    let rule = judge(&[REGION], &for_show).violations[0].rule;
    assert_eq!(rule, Rule::PassedUnlocked { given: 1, passed: 59, unlocked: 59 });
    assert_eq!(broken(&round_robin(4, 60, |_| Some(0))), [("locked", 2)], "none at all");
    // One lock for all is right, as far as this goes, and so is a lock of which nobody knows.
    assert_eq!(broken(&round_robin(4, 60, |hart| Some(1 << hart | 1 << 9))), []);
    assert_eq!(broken(&round_robin(4, 60, |_| None)), []);
    // A few show nothing, nor does one hart.
    assert_eq!(broken(&round_robin(4, 20, |hart| Some(1 << hart))), []);
    assert_eq!(broken(&round_robin(1, 60, |_| Some(0))), []);
}

#[test]
fn a_page_may_be_stolen_brought_back_or_passed_on_under_any_lock_that_leads_there() {
    // Of two harts, one takes only its own lock, and the other both: it steals, or gives the page to its home.
    for both in [0, 1] {
        assert_eq!(broken(&round_robin(2, 60, |hart| Some(if hart == both { 3 } else { 1 << hart }))), []);
    }
    // A third hart moves what one gave back to the other's list, without a page for itself.
    let third = |locks| {
        round_robin(2, 60, |hart| Some(1 << hart)).into_iter().enumerate().flat_map(move |(at, operation)| {
            let at = 4 * at as u64;
            let moved = Operation { locks: Some(Taken(locks)), ..refuse(7, (at + 2, at + 3)) };
            [Operation { begin: at, end: at + 1, ..operation }, moved]
        })
    };
    let rules = |trace: Vec<Operation>| broken(&trace).iter().filter(|(group, _)| *group == "locked").count();
    assert_eq!([rules(third(3).collect()), rules(third(4).collect())], [0, 1]);
}

#[test]
fn a_lock_leads_on_only_if_it_was_taken_since_the_page_was_given_back() {
    // Both took it before there was anything to pass on, and never again.
    let mut trace = round_robin(2, 60, |hart| Some(1 << hart));
    for operation in &mut trace[..3] {
        operation.locks = Some(Taken(1 << 5));
    }
    assert_eq!(broken(&trace), [("locked", 4)]);
}

#[test]
fn a_lock_leads_from_an_operation_to_one_that_ends_before_it_does() {
    let overlapping = |locks: fn(u8) -> u64| -> Vec<Operation> {
        let pair = |round: u64| {
            let (hart, from) = ((round % 2) as u8, 10 * round);
            [take(hart, (from, from + 1), A), give(hart, (from + 2, from + 14), A)]
                .map(|operation| Operation { locks: Some(Taken(locks(hart))), ..operation })
        };
        (0..60).flat_map(pair).collect()
    };
    assert_eq!(broken(&overlapping(|_| 1)), []);
    assert_eq!(broken(&overlapping(|hart| 1 << hart)), [("locked", 2)]);
}

#[test]
fn a_lock_that_an_operation_took_before_another_process_ran_on_its_hart_leads_to_that_one_too() {
    // Hart 0 gives forty pages back. A thief on some hart takes both lists' locks; before it ends, somebody on hart 1 is
    // handed all of those pages.
    let groups = |thief: u8, locks: Option<u64>, begin: u64| {
        let pages = (0..40).map(|number| A + number * 0x1000);
        let own = |lock: u64, operation: Operation| Operation { locks: Some(Taken(lock)), ..operation };
        let given = pages.clone().flat_map(|page| {
            let at = page / 0x1000 * 10;
            [own(1, take(0, (at, at + 1), page)), own(1, give(0, (at + 2, at + 3), page))]
        });
        let handed = pages.clone().map(|page| {
            let at = 1000 + page / 0x1000 * 10;
            Operation { client: 2, ..own(2, take(1, (at, at + 1), page)) }
        });
        let stolen = Operation { locks: locks.map(Taken), client: 3, ..refuse(thief, (begin, 2000)) };
        let trace: Vec<Operation> = given.chain(handed).chain([stolen]).collect();
        let region = Region { start: A, pages: 41, managed_start: A, managed_pages: 41 };
        let violations = judge(&[region], &trace).violations;
        violations.iter().map(|violation| violation.rule.group()).filter(|group| *group == "locked").count()
    };
    assert_eq!(groups(1, Some(3), 1000), 0);
    assert_eq!(groups(2, None, 1000), 0, "it may have been on hart 1, and taken any");
    assert_eq!(groups(2, Some(3), 1000), 1, "it was on another hart");
    assert_eq!(groups(1, Some(2), 1000), 1, "it took no lock of hart 0's");
    assert_eq!(groups(1, Some(3), 1999), 1, "it began when they were gone");
}

#[test]
fn what_is_said_of_pages_that_passed_without_a_lock_names_who_gave_them_back() {
    let trace = round_robin(2, 60, |hart| Some(1 << hart));
    let case = Case { regions: &[REGION], operations: &trace, phases: &["mixed"; 120], locks: &[] };
    let judged = judgement(&case);
    let finding = &judged.groups["locked"].explained[0];
    assert!(finding.why.starts_with("another hart gave it back, in operation 1, of client 0 on hart 0"), "{finding:?}");
    assert!(finding.why.contains("59 of 59 pages"), "{finding:?}");
    assert!(judged.groups.contains_key("all"));
}

#[test]
fn harts_that_are_handed_each_others_pages_though_each_gives_back_as_many_have_no_lists_of_their_own() {
    let trace = round_robin(2, 60, |_| None);
    let groups = |trace: &[Operation], phase| {
        judgement(&Case { regions: &[REGION], operations: trace, phases: &vec![phase; trace.len()], locks: &[] }).groups
    };
    let finding = &groups(&trace, "pairs")["own"].explained[0];
    assert_eq!(finding.answered, "59 that another hart had given back last, such as that of hart 1");
    assert_eq!(finding.expected, "12 at most");
    assert!(!groups(&trace, "pairs").contains_key("all"), "it is no rule of right lists");
    assert!(groups(&trace, "mixed").is_empty());
    assert!(groups(&round_robin(1, 60, |_| None), "pairs").is_empty());
}
