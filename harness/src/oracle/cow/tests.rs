use abi::space_workload::{Answer, Place};

use super::*;
use crate::space_trace::{Outcome, What};

const DONE: Answer = Answer::Done;

/// A place in a frame; frames are numbered from one.
fn done(frame: u64) -> Outcome {
    Outcome { answer: DONE, frame: frame * 4096 }
}

fn failed(answer: Answer, free: u64) -> Outcome {
    Outcome { answer, frame: free }
}

fn page(number: u8) -> Place {
    Place::Word(2 * number)
}

fn at(process: u8, what: What) -> Operation {
    Operation { process, what }
}

fn store(process: u8, place: Place, value: u64, outcome: Outcome) -> Operation {
    at(process, What::Store { place, value, outcome })
}

fn receive(process: u8, place: Place, value: u64, outcome: Outcome) -> Operation {
    at(process, What::Receive { place, value, outcome })
}

fn look(process: u8, place: Place, value: u64, outcome: Outcome) -> Operation {
    at(process, What::Look { place, value, outcome })
}

fn fork(parent: u8, child: u8) -> Operation {
    at(parent, What::Fork { child, outcome: done(0) })
}

fn mapped(child: u8, place: Place, frame: u64) -> Operation {
    at(child, What::Mapped { place, frame: frame * 4096 })
}

fn count(pages: u64) -> Operation {
    at(0, What::Count { pages })
}

fn rules(operations: &[Operation]) -> Vec<(usize, &'static str)> {
    judge(operations).violations.iter().map(|violation| (violation.at, violation.rule.group())).collect()
}

#[test]
fn a_fork_that_shares_until_somebody_writes_breaks_no_rule() {
    let right = [
        store(0, page(0), 10, done(1)),
        count(100),
        fork(0, 1),
        mapped(1, page(0), 1),
        look(1, page(0), 10, done(1)),
        store(1, page(0), 11, done(2)),
        look(0, page(0), 10, done(1)),
        // The last who has a frame may keep it.
        store(0, page(0), 12, done(1)),
        look(1, page(0), 11, done(2)),
        at(1, What::Exit),
        at(0, What::Wait),
        count(100),
    ];
    assert_eq!(rules(&right), []);
    let judged = judge(&right);
    assert_eq!((judged.due, judged.met), (7, 7));
}

#[test]
fn what_another_process_wrote_is_seen_with_who_wrote_it() {
    let operations = [
        store(0, page(0), 10, done(1)),
        fork(0, 1),
        mapped(1, page(0), 1),
        receive(1, page(0), 11, done(1)),
        look(0, page(0), 11, done(1)),
        look(0, page(0), 11, done(1)),
    ];
    assert_eq!(rules(&operations), [(3, "private"), (4, "contents")]);
    let case = Case { operations: &operations, phases: &["tree"; 6] };
    let finding = explain::explain(&judge(&operations).violations[1], &case);
    assert_eq!(finding.expected, "0xa");
    assert!(
        finding.why.contains("operation 3 of process 1 (copyout 0xb to the beginning of page 0"),
        "{}",
        finding.why
    );
}

#[test]
fn a_fork_that_copies_at_once_is_told_so() {
    let operations = [store(0, page(0), 10, done(1)), fork(0, 1), mapped(1, page(0), 2), look(1, page(0), 10, done(2))];
    assert_eq!(rules(&operations), [(2, "sharing")]);
}

#[test]
fn pages_that_do_not_come_back_or_come_back_twice_are_counted_from_the_last_count() {
    assert_eq!(rules(&[count(100), count(97), count(97), count(99)]), [(1, "returned"), (3, "returned")]);
}

#[test]
fn a_store_out_of_bounds_must_end_the_process_and_a_copy_there_must_not_be_made() {
    for place in [Place::Guard, Place::Hole, Place::Beyond, Place::Last, Place::Text] {
        let start = look(0, Place::Text, 7, done(5));
        let tried = |operation| rules(&[start, operation]);
        assert_eq!(tried(store(0, place, 9, failed(Answer::Died, 64))), [], "{place:?}");
        assert_eq!(tried(receive(0, place, 9, failed(Answer::Refused, 64))), [], "{place:?}");
        assert_eq!(tried(receive(0, place, 9, failed(Answer::Died, 64))), [], "{place:?}");
        assert_eq!(tried(store(0, place, 9, done(6))), [(1, "bounds")], "{place:?}");
        assert_eq!(tried(receive(0, place, 9, done(6))), [(1, "bounds")], "{place:?}");
    }
}

#[test]
fn code_that_was_writable_from_the_start_is_a_page_like_any_other_and_code_that_was_not_stays_so() {
    let writable = |frame: u64| Outcome { answer: DONE, frame: frame * 4096 + 1 };
    let forked = |outcome| [look(0, Place::Text, 7, outcome), fork(0, 1), store(1, Place::Text, 9, writable(6))];
    assert_eq!(rules(&forked(writable(5))), []);
    assert_eq!(rules(&forked(done(5))), [(2, "bounds")]);
    let later = [look(0, Place::Text, 7, done(5)), fork(0, 1), look(1, Place::Text, 7, writable(6))];
    assert_eq!(rules(&later), [(2, "bounds")]);
}

#[test]
fn who_is_refused_or_killed_must_have_found_no_page_left() {
    let shared = [store(0, page(0), 10, done(1)), fork(0, 1), mapped(1, page(0), 1)];
    let then = |operation| rules(&[&shared[..], &[operation]].concat());
    assert_eq!(then(store(1, page(0), 11, failed(Answer::Died, 0))), []);
    assert_eq!(then(receive(1, page(0), 11, failed(Answer::Refused, 0))), []);
    assert_eq!(then(store(1, page(0), 11, failed(Answer::Died, 3))), [(3, "alive")]);
    assert_eq!(then(at(0, What::Fork { child: 2, outcome: failed(Answer::Refused, 9) })), [(3, "alive")]);
    // Nobody sees what was not written.
    let refused = receive(1, page(0), 11, failed(Answer::Refused, 0));
    let looked = [&shared[..], &[refused, look(1, page(0), 10, done(1))]].concat();
    assert_eq!(rules(&looked), []);
}

#[test]
fn a_page_has_one_frame_and_a_copy_of_it_has_all_its_words() {
    let end = Place::Word(1);
    let right = [
        store(0, page(0), 10, done(1)),
        store(0, end, 20, done(1)),
        fork(0, 1),
        mapped(1, page(0), 1),
        store(1, page(0), 11, done(2)),
        look(1, end, 20, done(2)),
        store(0, end, 21, done(1)),
    ];
    assert_eq!(rules(&right), []);
    let mut half = right;
    half[5] = look(1, end, 0, done(2));
    assert_eq!(rules(&half), [(5, "contents")]);
}
