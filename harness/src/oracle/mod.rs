//! Host-side judges of traces: each holds what the textbook says, never a copy of the solution.
//!
//! A new oracle is a file or folder beside its siblings and one line in [`ORACLES`].

pub mod buddy;
pub mod buffers;
pub mod cow;
pub mod extents;
pub mod finding;
pub mod heap;
pub mod lists;
pub mod metrics;
pub mod requests;
pub mod slab;
mod words;

use std::collections::BTreeMap;

use crate::trace::{Operation, Pool};
use finding::Finding;

/// A trace of a pool of pages, with what is known of how it came to be.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The allocator that was driven.
    pub pool: &'a Pool,
    /// Everything that it did, in order.
    pub operations: &'a [Operation],
    /// The phase of its client's workload that each operation belongs to; empty for the kernel's own.
    pub phases: &'a [&'static str],
}

/// A judge, by the name that lab files use.
#[derive(Debug, Clone, Copy)]
pub struct Oracle {
    /// The part of `oracle: NAME.RULE` before the dot.
    pub name: &'static str,
    /// The groups of rules that a check can ask for, with what each means for a student.
    pub rules: &'static [(&'static str, &'static str)],
    /// Judges a trace by all of them.
    pub judging: Judging,
}

/// How an oracle judges, by the subject whose traces it knows.
#[derive(Debug, Clone, Copy)]
pub enum Judging {
    /// The trace of a pool of pages.
    Pages(fn(&Case<'_>) -> Judgement),
    /// The requests to a program's heap, one element a part of the workload.
    Heap(fn(&[heap::Case]) -> Judgement),
    /// The trace of page lists that all harts share.
    Lists(fn(&lists::Case<'_>) -> Judgement),
    /// The trace of a buffer cache.
    Buffers(fn(&buffers::Case<'_>) -> Judgement),
    /// The trace of processes that share memory.
    Spaces(fn(&cow::Case<'_>) -> Judgement),
    /// The trace of object caches.
    Objects(fn(&slab::Case<'_>) -> Judgement),
}

/// What an oracle says of a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What is wrong, by group of rules; a group without findings may be absent.
    pub groups: BTreeMap<&'static str, Findings>,
    /// Requests that could be met.
    pub due: u64,
    /// Those of them that were.
    pub met: u64,
}

impl Judgement {
    /// Whether enough was handed out to show how the allocator goes about it: an allocator that refuses everything
    /// breaks few rules.
    pub fn is_telling(&self) -> bool {
        self.met > 0 && self.met * 2 >= self.due
    }
}

/// What an oracle found wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The first of each kind, explained.
    pub explained: Vec<Finding>,
    /// How many there are in all.
    pub count: usize,
}

/// The most kinds of violations of a group that are explained; the others are counted.
const EXPLAINED: usize = 3;

/// Gathers violations by their groups of rules, and in the group `all`; `group_and_kind` names a violation's.
fn by_group<V, K: PartialEq>(
    violations: &[V],
    group_and_kind: impl Fn(&V) -> (&'static str, K),
    explain: impl Fn(&V) -> Finding,
) -> BTreeMap<&'static str, Findings> {
    by_groups(violations, |_| &[], group_and_kind, explain)
}

/// As [`by_group`]; `also` names the groups that can show nothing any more where a violation is found, beside its own.
fn by_groups<V, K: PartialEq>(
    violations: &[V],
    also: impl Fn(&V) -> &'static [&'static str],
    group_and_kind: impl Fn(&V) -> (&'static str, K),
    explain: impl Fn(&V) -> Finding,
) -> BTreeMap<&'static str, Findings> {
    let mut groups: BTreeMap<&'static str, Findings> = BTreeMap::new();
    let mut explained: Vec<(&'static str, K)> = Vec::new();
    for violation in violations {
        let own = [group_and_kind(violation).0, "all"];
        for group in own.into_iter().chain(also(violation).iter().copied()) {
            let findings = groups.entry(group).or_default();
            findings.count += 1;
            // One of each kind says more than the first few, which are mostly the same mistake again.
            let kind = (group, group_and_kind(violation).1);
            if findings.explained.len() < EXPLAINED && !explained.contains(&kind) {
                explained.push(kind);
                findings.explained.push(explain(violation));
            }
        }
    }
    groups
}

/// Every oracle there is.
pub const ORACLES: [Oracle; 7] =
    [buddy::ORACLE, extents::ORACLE, heap::ORACLE, lists::ORACLE, slab::ORACLE, buffers::ORACLE, cow::ORACLE];

/// Every oracle's name and rules, for the readers of lab files.
pub const NAMES: &[(&str, &[(&str, &str)])] = &{
    let mut names: [(&str, &[(&str, &str)]); ORACLES.len()] = [("", &[]); ORACLES.len()];
    let mut index = 0;
    while index < ORACLES.len() {
        names[index] = (ORACLES[index].name, ORACLES[index].rules);
        index += 1;
    }
    names
};

/// The oracle of that name.
pub fn find(name: &str) -> Option<&'static Oracle> {
    ORACLES.iter().find(|oracle| oracle.name == name)
}
