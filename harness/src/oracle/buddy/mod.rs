//! Buddy allocation as the textbook has it (Knuth, TAOCP vol. 1, §2.5, algorithms R and S), judged from a trace.

mod explain;
mod free_set;
mod rules;
#[cfg(test)]
mod tests;

use super::{Case, Judgement, Judging, Oracle};
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

fn judgement(case: &Case<'_>) -> Judgement {
    let Judged { violations, due, met } = if case.pool.origin == 0 {
        judge(case.pool, case.operations)
    } else {
        let from_origin: Vec<_> = case.operations.iter().map(|operation| operation.from(case.pool.origin)).collect();
        judge(&case.pool.from(case.pool.origin), &from_origin)
    };
    let groups = super::by_group(
        &violations,
        |violation| (violation.rule.group(), std::mem::discriminant(&violation.rule)),
        |violation| explain::explain(violation, case),
    );
    Judgement { groups, due, met }
}
