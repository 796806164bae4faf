//! Copy-on-write fork, judged by what processes see, and by the frames that they see it in.

mod explain;
mod rules;
#[cfg(test)]
mod tests;

use super::{Judgement, Judging, Oracle, by_group};
use crate::space_trace::Operation;
pub use explain::order;
pub use rules::{Judged, Rule, Violation, judge};

/// Listed in [`super::ORACLES`].
pub const ORACLE: Oracle = Oracle {
    name: "cow",
    rules: &[
        ("contents", "a process sees what it wrote last, or what its parent had written before the fork"),
        ("sharing", "after a fork the child's pages are in the frames of its parent's"),
        ("private", "a page that was just written to is in a frame that nobody else has"),
        ("returned", "a frame comes back when the last who had it has ended, and once"),
        ("bounds", "no process, and no copy to one, reaches what is kept from it"),
        ("alive", "nobody is refused or killed while pages are free"),
        ("all", "all of these"),
    ],
    judging: Judging::Spaces(judgement),
};

/// A trace of processes, with what is known of how it came to be.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Everything that was asked of them, in order.
    pub operations: &'a [Operation],
    /// The phase of the workload that each operation belongs to.
    pub phases: &'a [&'static str],
}

fn judgement(case: &Case<'_>) -> Judgement {
    let Judged { violations, due, met } = judge(case.operations);
    let kind = |violation: &Violation| (violation.rule.group(), std::mem::discriminant(&violation.rule));
    let groups = by_group(&violations, kind, |violation| explain::explain(violation, case));
    Judgement { groups, due, met }
}
