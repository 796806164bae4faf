//! Page lists that all harts share, judged from a trace whose order is known in part only.

mod exchange;
mod explain;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::mem::Discriminant;

use super::{Findings, Judgement, Judging, Oracle};
use crate::list_trace::{Lock, Operation};
use crate::trace::Region;
pub use rules::{Judged, Rule, Violation, judge};

/// Listed in [`super::ORACLES`].
pub const ORACLE: Oracle = Oracle {
    name: "lists",
    rules: &[
        ("sound", "what is handed out is a page of the memory that the lists were given"),
        ("owner", "no page is handed out while somebody holds it"),
        ("reach", "every hart can obtain every free page, whoever gave it back, and none is lost"),
        (
            "refusal",
            "no request is refused while a page stays free, though others take, give and steal pages meanwhile",
        ),
        ("count", "the free pages are counted right while nobody takes or gives any"),
        ("locked", "pages go from one hart to another through locks that both take"),
        ("own", "harts that take a page and give one back are handed pages that they gave back themselves"),
        ("apart", "harts seldom take the same lock"),
        ("all", "all of these but the last two"),
    ],
    judging: Judging::Lists(judgement),
};

/// A trace of page lists, with what is known of how it came to be.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The memory that the lists were given.
    pub regions: &'a [Region],
    /// Everything that was asked of them, in order of begins.
    pub operations: &'a [Operation],
    /// The phase of its client's workload that each operation belongs to.
    pub phases: &'a [&'static str],
    /// The locks that the lists took.
    pub locks: &'a [Lock],
}

impl Case<'_> {
    /// How often a hart took a lock that another one takes more often, per operation.
    pub fn shared_locks(&self) -> f64 {
        let shared: u64 = self.locks.iter().map(Lock::shared).sum();
        shared as f64 / (self.operations.len() as f64).max(1.0)
    }
}

/// Harts that take shared locks more often than this, per operation, do not work apart.
const APART: f64 = 0.5;

/// The most kinds of violations of a group that are explained; the others are counted.
const EXPLAINED: usize = 3;

fn judgement(case: &Case<'_>) -> Judgement {
    let judged = judge(case.regions, case.operations);
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
    if case.shared_locks() > APART {
        let finding = explain::not_apart(case);
        groups.insert("apart", Findings { explained: vec![finding], count: 1 });
    }
    if let Some(moved) = exchange::moved(case.operations, case.phases) {
        let finding = explain::not_own(&moved, case);
        groups.insert("own", Findings { explained: vec![finding], count: 1 });
    }
    Judgement { groups, due: judged.due, met: judged.met }
}
