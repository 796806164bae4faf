//! Violations in the words of the course text.

use super::Case;
use super::rules::{Rule, Violation};
use crate::buffer_trace::{Operation, What};
use crate::oracle::finding::{self, Finding};
use crate::trace::OpIndex;

/// Says what happened, what was due, and why.
pub fn explain(violation: &Violation, case: &Case<'_>) -> Finding {
    let operation = &case.operations[violation.at];
    let (asked, answered) = request(operation);
    let (expected, why) = lesson(&violation.rule, operation, case);
    let in_phase = finding::in_phase(case.phases, violation.at);
    Finding {
        rule: violation.rule.group().to_owned(),
        operation: violation.at as u64,
        who: format!("client {0}, on hart {0}{in_phase}", operation.client),
        asked,
        answered,
        expected,
        why,
        map: None,
    }
}

fn request(operation: &Operation) -> (String, String) {
    let Operation { block, buffer, .. } = operation;
    let buffer = format!("the buffer at {buffer:#x}");
    match operation.what {
        What::Read { content: 0 } => {
            (format!("bread block {block}"), format!("{buffer}, whose two ends do not belong together"))
        }
        What::Read { content } => (format!("bread block {block}"), format!("{buffer}, holding {content:#x}")),
        What::Write { content } => (format!("write {content:#x} to block {block}"), buffer),
        What::Release => (format!("brelse block {block}"), buffer),
        What::Pin => (format!("bpin block {block}"), buffer),
        What::Unpin => (format!("bunpin block {block}"), buffer),
    }
}

/// An operation, for a sentence about another one.
fn reference(at: OpIndex, case: &Case<'_>) -> String {
    let operation = &case.operations[at];
    let (asked, answered) = request(operation);
    format!("operation {at} of client {} ({asked} -> {answered})", operation.client)
}

/// What would have been right, and the rule behind it.
fn lesson(rule: &Rule, operation: &Operation, case: &Case<'_>) -> (String, String) {
    let block = operation.block;
    match *rule {
        Rule::Owned { since } => (
            "to wait until the buffer is released".to_owned(),
            format!("block {block} was in use since {}, and was not released yet", reference(since, case)),
        ),
        Rule::Twice { since } => (
            format!("the buffer at {:#x}", case.operations[since].buffer),
            format!(
                "block {block} was in use there since {}. Of two buffers for one block each misses what is written to \
                 the other: whoever finds that a block is not cached must not let anybody else find the same before \
                 the block has its buffer",
                reference(since, case)
            ),
        ),
        Rule::Busy { since } => (
            "another buffer".to_owned(),
            format!(
                "that one was in use for block {} since {}. A buffer can be recycled only while its reference count is \
                 zero, and nobody may raise it between the look and the taking",
                case.operations[since].block,
                reference(since, case)
            ),
        ),
        Rule::Content { due, written } => {
            let whence = written.map_or_else(
                || "that is what the disk holds, and nobody has written to the block".to_owned(),
                |at| format!("{} was the last to write to the block", reference(at, case)),
            );
            let elsewhere = written.map(|at| case.operations[at].buffer).filter(|&buffer| buffer != operation.buffer);
            let lesson = if elsewhere.is_some() {
                "Of two buffers for one block each misses what is written to the other; and a buffer that is given to \
                 another block must be read from the disk again"
            } else {
                "A buffer that is given to another block must be read from the disk again, and one that is pinned must \
                 not be given away"
            };
            (format!("{due:#x}"), format!("{whence}. {lesson}"))
        }
    }
}
