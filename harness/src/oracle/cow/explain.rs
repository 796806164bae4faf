//! Violations in the words of the course text.

use abi::space_workload::{Answer, Place};

use super::Case;
use super::rules::{Rule, Violation};
use crate::oracle::finding::{self, Finding};
use crate::space_trace::{Operation, Outcome, WRITABLE, What};
use crate::trace::OpIndex;

/// Says what happened, what was due, and why.
pub fn explain(violation: &Violation, case: &Case<'_>) -> Finding {
    let operation = &case.operations[violation.at];
    let (asked, answered) = order(operation);
    let (expected, why) = lesson(&violation.rule, operation, case);
    let in_phase = finding::in_phase(case.phases, violation.at);
    Finding {
        rule: violation.rule.group().to_owned(),
        operation: violation.at as u64,
        who: format!("process {}{in_phase}", operation.process),
        asked,
        answered,
        expected,
        why,
        map: None,
    }
}

/// A place, in a student's words.
pub fn place_name(place: Place) -> String {
    match place {
        Place::Word(word) => {
            format!("the {} of page {}", if word % 2 == 0 { "beginning" } else { "end" }, word / 2)
        }
        Place::Text => "its code".to_owned(),
        Place::Guard => "the guard page below its stack".to_owned(),
        Place::Hole => "an address above its heap".to_owned(),
        Place::Beyond => "address 0x4000000000 (MAXVA)".to_owned(),
        Place::Last => "address 0xfffffffffffff000".to_owned(),
    }
}

fn result(outcome: Outcome, done: String) -> String {
    match outcome.answer {
        Answer::Done => done,
        Answer::Refused => "refused".to_owned(),
        Answer::Died => "the kernel killed it".to_owned(),
    }
}

fn in_frame(frame: u64) -> String {
    match frame & !WRITABLE {
        0 => "in no frame".to_owned(),
        frame => format!("in the frame at {frame:#x}"),
    }
}

/// What was asked, and what came of it.
pub fn order(operation: &Operation) -> (String, String) {
    match operation.what {
        What::Fork { child, outcome } => ("fork".to_owned(), result(outcome, format!("process {child}"))),
        What::Mapped { place, frame } => {
            (format!("where page {} is after the fork", place.page().unwrap_or_default()), in_frame(frame))
        }
        What::Store { place, value, outcome } => {
            (format!("store {value:#x} to {}", place_name(place)), result(outcome, in_frame(outcome.frame)))
        }
        What::Receive { place, value, outcome } => {
            (format!("copyout {value:#x} to {}", place_name(place)), result(outcome, in_frame(outcome.frame)))
        }
        What::Look { place, value, outcome } => {
            (format!("load from {}", place_name(place)), result(outcome, format!("{value:#x}")))
        }
        What::Exit => ("exit".to_owned(), "done".to_owned()),
        What::Wait => ("wait".to_owned(), "done".to_owned()),
        What::Count { pages } => ("count of free pages".to_owned(), pages.to_string()),
        What::Take { left } => (format!("take all free pages but {left}"), "done".to_owned()),
        What::GiveBack => ("give the taken pages back".to_owned(), "done".to_owned()),
    }
}

/// An operation, for a sentence about another one.
fn reference(at: OpIndex, case: &Case<'_>) -> String {
    let operation = &case.operations[at];
    let (asked, answered) = order(operation);
    format!("operation {at} of process {} ({asked} -> {answered})", operation.process)
}

/// What would have been right, and the rule behind it.
fn lesson(rule: &Rule, operation: &Operation, case: &Case<'_>) -> (String, String) {
    match *rule {
        Rule::Contents { due, written, foreign } => {
            let whence = written.map_or_else(
                || "that was there from the start".to_owned(),
                |at| format!("{} put it there", reference(at, case)),
            );
            let instead = match foreign {
                Some(at) if case.operations[at].process != operation.process => format!(
                    ". What it saw was written by {}: both have the page, and the one that writes must get a copy of \
                     its own first",
                    reference(at, case)
                ),
                Some(at) => format!(". What it saw was there before, since {}", reference(at, case)),
                None => ". What it saw was written by no process: the frame was freed while this one still had it, or \
                         the copy is not whole"
                    .to_owned(),
            };
            (format!("{due:#x}"), format!("{whence}{instead}"))
        }
        Rule::Copied { frame, fork } => (
            in_frame(frame),
            format!(
                "{} copied the page. A copy-on-write fork maps the parent's frames into the child, for reading only, \
                 and copies a page when one of the two writes to it",
                reference(fork, case)
            ),
        ),
        Rule::Shared { with, page } => (
            "a frame of its own".to_owned(),
            format!(
                "process {with} has its page {page} in that frame too, and must not see what this one writes"
            ),
        ),
        Rule::Lost { pages } => (
            format!("{pages} more, as before"),
            "only the first process lives. A frame is free when the last page table that has it is: a reference that \
             is counted at a fork or a copy must be given up at exit, and when the page is replaced by its copy"
                .to_owned(),
        ),
        Rule::Gained { pages } => (
            format!("{pages} fewer, as before"),
            "only the first process lives. Pages are on the free list that were freed twice, or that somebody still has"
                .to_owned(),
        ),
        Rule::Reached => {
            let expected = match operation.what {
                What::Store { .. } => "the process to be killed",
                _ => "a refusal",
            };
            let why = match operation.what {
                What::Store { place: Place::Text, .. } | What::Receive { place: Place::Text, .. } => {
                    "the code was not writable before the fork, so the page is no copy-on-write page: only what was \
                     writable may become so again"
                }
                _ => {
                    "nothing is there that the process may use: a fault, or a copy, must look whether the page is \
                     valid, the user's, and marked as copy-on-write, before it does anything for it"
                }
            };
            (expected.to_owned(), why.to_owned())
        }
        Rule::Writable => (
            "its code, for reading only".to_owned(),
            "the page table has the writable bit on it, which it had not before the fork".to_owned(),
        ),
        Rule::NotDone { free } => {
            let many = if free >= crate::space_trace::MOST_COUNTED { "at least " } else { "" };
            let why = format!("{many}{free} pages were free, and the process may reach there");
            ("it to be done".to_owned(), why)
        }
    }
}
