//! A buffer cache that several harts use, judged from a trace whose order is known in part only.

mod explain;
mod rules;
#[cfg(test)]
mod tests;

use super::{Judgement, Judging, Oracle, by_group};
use crate::buffer_trace::{Operation, What};
pub use rules::{Rule, Violation, judge};

/// Listed in [`super::ORACLES`].
pub const ORACLE: Oracle = Oracle {
    name: "buffers",
    rules: &[
        ("owner", "a block's buffer is one client's until it releases it"),
        ("single", "a block that is in use is in one buffer only"),
        ("busy", "a buffer that is in use for one block is not given to another one"),
        ("contents", "a buffer holds what was last written to its block"),
        ("all", "all of these"),
    ],
    judging: Judging::Buffers(judgement),
};

/// A trace of a buffer cache, with what is known of how it came to be.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Everything that was asked of it, in order of begins.
    pub operations: &'a [Operation],
    /// The phase of its client's workload that each operation belongs to.
    pub phases: &'a [&'static str],
}

fn judgement(case: &Case<'_>) -> Judgement {
    let violations = judge(case.operations);
    let kind = |violation: &Violation| (violation.rule.group(), std::mem::discriminant(&violation.rule));
    let groups = by_group(&violations, kind, |violation| explain::explain(violation, case));
    // A cache has no way to refuse.
    let reads = case.operations.iter().filter(|operation| matches!(operation.what, What::Read { .. })).count() as u64;
    Judgement { groups, due: reads, met: reads }
}
