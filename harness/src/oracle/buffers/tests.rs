use abi::buffer_workload::{content, initial};

use super::*;

/// Operations one after the other, each with stamps of its own: client, letter, block, buffer, content.
fn trace(operations: &[(u8, char, u64, u64, u64)]) -> Vec<Operation> {
    let operation = |(at, &(client, letter, block, buffer, content)): (usize, &(u8, char, u64, u64, u64))| {
        let what = match letter {
            'r' => What::Read { content },
            'w' => What::Write { content },
            'x' => What::Release,
            'p' => What::Pin,
            _ => What::Unpin,
        };
        let begin = 2 * at as u64;
        Operation { client, begin, end: begin + 1, block, buffer, what }
    };
    operations.iter().enumerate().map(operation).collect()
}

fn rules(operations: &[(u8, char, u64, u64, u64)]) -> Vec<(OpIndex, &'static str)> {
    judge(&trace(operations)).iter().map(|violation| (violation.at, violation.rule.group())).collect()
}

use crate::trace::OpIndex;

const ONE: u64 = content(0, 1);
const TWO: u64 = content(1, 1);

#[test]
fn a_cache_that_hands_blocks_from_client_to_client_breaks_no_rule() {
    let right = [
        (0, 'r', 5, 100, initial(5)),
        (0, 'w', 5, 100, ONE),
        (1, 'r', 6, 200, initial(6)),
        (0, 'x', 5, 100, 0),
        (1, 'r', 5, 100, ONE),
        (1, 'x', 6, 200, 0),
        (1, 'w', 5, 100, TWO),
        (1, 'x', 5, 100, 0),
        // Recycled, and read from the disk again.
        (0, 'r', 7, 100, initial(7)),
        (0, 'x', 7, 100, 0),
        (0, 'r', 5, 300, TWO),
        (0, 'x', 5, 300, 0),
    ];
    assert_eq!(rules(&right), []);
}

#[test]
fn a_buffer_that_is_got_while_another_client_has_it_is_a_broken_lock() {
    let found = rules(&[(0, 'r', 5, 100, initial(5)), (1, 'r', 5, 100, initial(5)), (0, 'x', 5, 100, 0)]);
    assert_eq!(found, [(1, "owner")]);
}

#[test]
fn two_buffers_for_one_block_are_found_at_the_second_one() {
    let found = rules(&[(0, 'r', 5, 100, initial(5)), (1, 'r', 5, 200, initial(5)), (0, 'x', 5, 100, 0)]);
    assert_eq!(found, [(1, "single")]);
}

#[test]
fn a_pinned_block_must_stay_where_it_is_and_may_be_had_there() {
    let there = |buffer, content| {
        rules(&[
            (0, 'r', 5, 100, initial(5)),
            (0, 'w', 5, 100, ONE),
            (0, 'p', 5, 100, 0),
            (0, 'x', 5, 100, 0),
            (1, 'r', 5, buffer, content),
            (1, 'x', 5, buffer, 0),
            (0, 'u', 5, 100, 0),
        ])
    };
    assert_eq!(there(100, ONE), []);
    assert_eq!(there(200, initial(5)), [(4, "single")]);
}

#[test]
fn a_buffer_in_use_must_not_be_given_to_another_block() {
    let found = rules(&[(0, 'r', 5, 100, initial(5)), (1, 'r', 6, 100, initial(6)), (0, 'x', 5, 100, 0)]);
    assert_eq!(found, [(1, "busy")]);
}

#[test]
fn what_is_read_must_be_what_was_written_last() {
    let read = |content| {
        rules(&[
            (0, 'r', 5, 100, initial(5)),
            (0, 'w', 5, 100, ONE),
            (0, 'x', 5, 100, 0),
            (1, 'r', 5, 100, content),
            (1, 'x', 5, 100, 0),
        ])
    };
    assert_eq!(read(ONE), []);
    assert_eq!(read(initial(5)), [(3, "contents")]);
    assert_eq!(read(0), [(3, "contents")]);
}

#[test]
fn operations_that_overlap_are_given_the_benefit_of_the_doubt() {
    // The second client's read ends before the release returns, but after it began.
    let mut operations = trace(&[(0, 'r', 5, 100, initial(5)), (0, 'x', 5, 100, 0), (1, 'r', 5, 100, initial(5))]);
    operations[1].end = 9;
    assert_eq!(judge(&operations), []);
}

#[test]
fn a_finding_names_both_operations_and_says_what_to_mind() {
    let operations = trace(&[(0, 'r', 5, 256, initial(5)), (1, 'r', 5, 512, initial(5)), (0, 'x', 5, 256, 0)]);
    let case = Case { operations: &operations, phases: &["chase"; 3] };
    let judgement = judgement(&case);
    let finding = &judgement.groups["single"].explained[0];
    assert_eq!((finding.operation, finding.asked.as_str()), (1, "bread block 5"));
    assert_eq!(finding.who, "client 1, on hart 1, in phase \"chase\"");
    assert_eq!(finding.expected, "the buffer at 0x100");
    assert!(finding.why.contains("operation 0 of client 0") && finding.why.contains("not cached"), "{}", finding.why);
    assert!(judgement.groups.contains_key("all") && judgement.is_telling());
}
