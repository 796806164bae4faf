//! What holds of any heap, whatever its algorithm, judged from the requests to it and their answers.

mod explain;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::mem::Discriminant;

use abi::heap::Expect;
use abi::heap::record::Entry;

use super::{Findings, Judgement, Judging, Oracle};
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

/// The most kinds of violations of a group that are explained; the others are counted.
const EXPLAINED: usize = 3;

fn judgement(cases: &[Case]) -> Judgement {
    let mut all = Judgement::default();
    let groups: &mut BTreeMap<&'static str, Findings> = &mut all.groups;
    let mut explained: Vec<(&'static str, Discriminant<Rule>)> = Vec::new();
    for case in cases {
        let judged = judge(case);
        all.due += judged.due;
        all.met += judged.met;
        for violation in &judged.violations {
            // Of what is no heap nothing else can be said: one that never grew has not grown too much.
            let also: &[&str] = if matches!(violation.rule, Rule::Outside { .. }) { &["reuse", "growth"] } else { &[] };
            for group in [violation.rule.group(), "all"].into_iter().chain(also.iter().copied()) {
                let findings = groups.entry(group).or_default();
                findings.count += 1;
                // One of each kind says more than the first few, which are mostly the same mistake again.
                let kind = (group, std::mem::discriminant(&violation.rule));
                if findings.explained.len() < EXPLAINED && !explained.contains(&kind) {
                    explained.push(kind);
                    findings.explained.push(explain::explain(violation, case));
                }
            }
        }
    }
    all
}
