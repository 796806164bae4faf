//! Buddy allocation as the textbook has it (Knuth, TAOCP vol. 1, §2.5, algorithms R and S), judged from a trace.

mod explain;
mod free_set;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::mem::Discriminant;

use super::{Case, Findings, Judgement, Judging, Oracle};
pub use free_set::Block;
pub use rules::{Judged, Rule, Violation, judge};

/// Listed in [`super::ORACLES`].
pub const ORACLE: Oracle = Oracle {
    name: "buddy",
    rules: &[
        ("sound", "blocks are aligned to their size, lie within the memory given, and do not overlap"),
        ("smallest-block", "a request is met from the smallest free block that is large enough"),
        ("eager-merge", "two free buddies are one block at once"),
        ("failure", "a request fails only when no free block is large enough, and little memory is kept back"),
        ("requests", "requests for no pages, or for more than the largest block, are refused with the right error"),
        ("rejects", "wrong frees are refused with the right error, and right ones are accepted"),
        ("statistics", "the statistics count what is free"),
        ("all", "all of these"),
    ],
    judging: Judging::Pages(judgement),
};

/// The most kinds of violations of a group that are explained; the others are counted.
const EXPLAINED: usize = 3;

fn judgement(case: &Case<'_>) -> Judgement {
    let judged = judge(case.pool, case.operations);
    let mut groups: BTreeMap<&'static str, Findings> = BTreeMap::new();
    let mut explained: Vec<(&'static str, Discriminant<Rule>)> = Vec::new();
    for violation in judged.violations {
        for group in [violation.rule.group(), "all"] {
            let findings = groups.entry(group).or_default();
            findings.count += 1;
            // One of each kind says more than the first few, which are mostly the same mistake again.
            let kind = (group, std::mem::discriminant(&violation.rule));
            if findings.explained.len() < EXPLAINED && !explained.contains(&kind) {
                explained.push(kind);
                findings.explained.push(explain::explain(&violation, case));
            }
        }
    }
    Judgement { groups, due: judged.due, met: judged.met }
}
