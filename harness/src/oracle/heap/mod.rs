//! What holds of any heap, whatever its algorithm, judged from the requests to it and their answers.

mod explain;
mod rules;
#[cfg(test)]
mod tests;

use std::mem::discriminant;

use abi::heap::Expect;
use abi::heap::record::Entry;

use super::{Judgement, Judging, Oracle, by_groups};
pub use explain::asked;
pub use rules::{Judged, Rule, Violation, judge};

/// Listed in [`super::ORACLES`].
pub const ORACLE: Oracle = Oracle {
    name: "heap",
    rules: &[
        ("sound", "blocks lie in the heap, do not overlap, and begin at multiples of 16"),
        ("requests", "for no bytes at all, for more than there can be, and for the null pointer nothing happens"),
        ("reuse", "what is freed is used again, merged with what is free beside it"),
        ("growth", "the heap grows by what is needed, and not much more"),
        ("failure", "a request is refused only when memory has run out"),
        ("aligned", "aligned blocks begin where they must"),
        ("pool", "a pool has as many objects as it was made for, and gives its memory back"),
        ("trim", "a trim gives the pages at the end of the heap back to the kernel"),
        ("all", "all of these"),
    ],
    judging: Judging::Heap(judgement),
};

/// One part of a workload, which had a heap of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name.
    pub part: String,
    /// How many threads made requests.
    pub clients: u8,
    /// Where the heap began, a byte address.
    pub start: u64,
    /// Bytes of memory that were free before the program began.
    pub memory: u64,
    /// Every request: of one client, in order; of several, each client's in order, and to be put in order by stamps.
    pub operations: Vec<Operation>,
}

/// A request with its answer and its place in the workload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operation {
    /// Who made it.
    pub client: u8,
    /// Which one of this client, from zero.
    pub number: u64,
    /// The phase of the workload.
    pub phase: &'static str,
    /// What must hold in that phase.
    pub expect: Expect,
    /// What was asked and answered.
    pub entry: Entry,
}

/// Of what is no heap nothing else can be said: one that never grew has not grown too much.
const OF_THE_HEAP: &[&str] = &["reuse", "growth"];

fn judgement(cases: &[Case]) -> Judgement {
    let judged: Vec<(&Case, Judged)> = cases.iter().map(|case| (case, judge(case))).collect();
    let violations: Vec<(&Case, &Violation)> = judged
        .iter()
        .flat_map(|(case, judged)| judged.violations.iter().map(move |violation| (*case, violation)))
        .collect();
    let groups = by_groups(
        &violations,
        |(_, violation)| if matches!(violation.rule, Rule::Outside { .. }) { OF_THE_HEAP } else { &[] },
        |(_, violation)| (violation.rule.group(), discriminant(&violation.rule)),
        |(case, violation)| explain::explain(violation, case),
    );
    let sum = |part: fn(&Judged) -> u64| judged.iter().map(|(_, judged)| part(judged)).sum();
    Judgement { groups, due: sum(|judged| judged.due), met: sum(|judged| judged.met) }
}
