//! Best-fit allocation as the textbook has it (Knuth, TAOCP vol. 1, §2.5), judged from a trace.

mod explain;
pub mod fragmentation;
mod free_set;
mod replay;
mod rules;
#[cfg(test)]
mod tests;

use super::{Case, Judgement, Judging, Oracle};
pub use free_set::Extent;
pub use replay::judge;
pub use rules::{Judged, Rule, Violation};

/// Listed in [`super::ORACLES`].
pub const ORACLE: Oracle = Oracle {
    name: "extents",
    rules: &[
        ("sound", "blocks lie within the memory given, each in one region, and do not overlap"),
        ("best-fit", "a request is met from one end of the shortest free extent that is long enough"),
        ("merge", "a block that is freed is one extent at once with what is free on either side"),
        ("failure", "a request fails only when no free extent is long enough, and little memory is kept back"),
        ("requests", "requests for no pages, or for more than any region has, are refused with the right error"),
        ("rejects", "wrong frees are refused with the right error, and right ones are accepted"),
        ("statistics", "the statistics count what is free"),
        ("all", "all of these"),
    ],
    judging: Judging::Pages(judgement),
};

fn judgement(case: &Case<'_>) -> Judgement {
    let Judged { violations, due, met } = judge(case.pool, case.operations);
    let groups = super::by_group(
        &violations,
        |violation| (violation.rule.group(), std::mem::discriminant(&violation.rule)),
        |violation| explain::explain(violation, case),
    );
    Judgement { groups, due, met }
}
