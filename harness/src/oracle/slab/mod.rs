//! Object caches as Bonwick has them ("The Slab Allocator", USENIX Summer 1994; "Magazines and Vmem", USENIX 2001),
//! with the array sizes of Linux 2.6.30, judged from a trace.

mod account;
mod exchange;
mod explain;
mod pages;
mod rules;
#[cfg(test)]
mod tests;

use std::mem::discriminant;

use super::{Judgement, Judging, Oracle, by_groups};
use crate::object_trace::Trace;
pub use explain::request;
pub use rules::{Rule, Violation, judge};

/// A trace of object caches, with what is known of how it came to be.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Everything that happened.
    pub trace: &'a Trace,
    /// The phase of its client's workload that each operation belongs to.
    pub phases: &'a [&'static str],
}

/// Listed in [`super::ORACLES`].
pub const ORACLE: Oracle = Oracle {
    name: "slab",
    rules: &[
        ("sound", "objects are aligned, lie in pages that the caches hold, and do not overlap"),
        ("failure", "a request is met as long as there are pages"),
        ("contents", "objects hold what was written to them, and what their constructor wrote"),
        ("constructor", "a constructor runs once for each object of a slab, and not again"),
        ("hot", "the object freed last on a hart is the first that it hands out"),
        ("batches", "objects move to and from a hart in batches of the size that is asked for, and with a lock"),
        ("colours", "successive slabs begin their objects at successive cache lines"),
        ("partial", "slabs that are partly free are used before those that are wholly free"),
        ("pages", "pages come back on shrink and destroy, and free slabs beyond the limit by themselves"),
        ("waste", "no more than an eighth of a slab is wasted"),
        ("lifecycle", "caches that can be are made, others refused; one with live objects is not destroyed"),
        ("rejects", "wrong frees and overruns are found in debug mode, and right frees accepted"),
        ("statistics", "the statistics agree with what happened"),
        ("all", "all of these"),
    ],
    judging: Judging::Objects(judgement),
};

/// What cannot be shown by objects that lie elsewhere: who never took a page has kept none.
const OF_PAGES: &[&str] = &["constructor", "batches", "colours", "partial", "pages", "waste"];

fn judgement(case: &Case<'_>) -> Judgement {
    let judged = judge(case);
    let groups = by_groups(
        &judged.violations,
        |violation| if matches!(violation.rule, Rule::Elsewhere { .. }) { OF_PAGES } else { &[] },
        |violation| (violation.rule.group(), discriminant(&violation.rule)),
        |violation| explain::explain(violation, case),
    );
    Judgement { groups, due: judged.due, met: judged.met }
}
