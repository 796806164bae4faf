//! The rules of a buffer cache, checked against a trace whose order is known in part only.
//!
//! A client surely has a buffer from the end of its read to the begin of its release, and a buffer surely is pinned
//! from the end of a pin to the begin of its unpin. Two of these spans that must not be at the same time and were are a
//! violation, whatever the order of what lies around them.

use std::collections::BTreeMap;

use abi::buffer_workload::initial;

use crate::buffer_trace::{Operation, What};
use crate::trace::OpIndex;

/// What the trace showed that a buffer cache must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The operation that shows it.
    pub at: OpIndex,
    /// What is wrong with it.
    pub rule: Rule,
}

/// The rules, with what is known of their violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A client got a buffer that another one had.
    Owned {
        /// The read by which that one got it.
        since: OpIndex,
    },
    /// A block was in another buffer while it was in use in this one.
    Twice {
        /// The read or pin since which it was in use.
        since: OpIndex,
    },
    /// A buffer was given to a block while it was in use for another one.
    Busy {
        /// The read or pin since which it was in use.
        since: OpIndex,
    },
    /// A buffer held something else than what was last written to its block.
    Content {
        /// What was due.
        due: u64,
        /// The write of it; none for what the disk holds from the start.
        written: Option<OpIndex>,
    },
}

impl Rule {
    /// The group of rules that a check names.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Owned { .. } => "owner",
            Self::Twice { .. } => "single",
            Self::Busy { .. } => "busy",
            Self::Content { .. } => "contents",
        }
    }
}

/// A time in which a buffer was surely in use.
#[derive(Debug, Clone, Copy)]
struct Use {
    since: OpIndex,
    block: u64,
    buffer: u64,
    from: u64,
    until: u64,
    pinned: bool,
}

impl Use {
    fn overlaps(&self, other: &Self) -> bool {
        self.from < other.until && other.from < self.until
    }
}

/// Judges operations in order of their begins.
pub fn judge(operations: &[Operation]) -> Vec<Violation> {
    let mut uses = uses(operations);
    uses.sort_by_key(|each| each.from);
    let mut violations = Vec::new();
    together(
        &uses,
        |each| each.block,
        |earlier, later, since| {
            let rule = if earlier.buffer != later.buffer {
                Rule::Twice { since }
            } else if earlier.pinned || later.pinned {
                return;
            } else {
                Rule::Owned { since }
            };
            violations.push(Violation { at: later.since, rule });
        },
    );
    together(
        &uses,
        |each| each.buffer,
        |earlier, later, since| {
            if earlier.block != later.block {
                violations.push(Violation { at: later.since, rule: Rule::Busy { since } });
            }
        },
    );
    contents(operations, &uses, &mut violations);
    violations.sort_by_key(|violation| violation.at);
    violations
}

/// The spans in which buffers were in use; those that nobody ended last for ever.
fn uses(operations: &[Operation]) -> Vec<Use> {
    let mut uses: Vec<Use> = Vec::new();
    let mut open: BTreeMap<(u8, u64, bool), usize> = BTreeMap::new();
    for (since, operation) in operations.iter().enumerate() {
        let Operation { client, begin, end, block, buffer, what } = *operation;
        match what {
            What::Read { .. } | What::Pin => {
                let pinned = what == What::Pin;
                open.insert((client, block, pinned), uses.len());
                uses.push(Use { since, block, buffer, from: end, until: u64::MAX, pinned });
            }
            What::Release | What::Unpin => {
                if let Some(index) = open.remove(&(client, block, what == What::Unpin)) {
                    uses[index].until = begin;
                }
            }
            What::Write { .. } => {}
        }
    }
    uses
}

/// Calls `found` for every use that began while another one of the same key lasted, with that one.
fn together(uses: &[Use], key: impl Fn(&Use) -> u64, mut found: impl FnMut(&Use, &Use, OpIndex)) {
    let mut lasting: BTreeMap<u64, Vec<Use>> = BTreeMap::new();
    for later in uses {
        let lasting = lasting.entry(key(later)).or_default();
        lasting.retain(|earlier| earlier.until > later.from);
        if let Some(earlier) = lasting.iter().find(|earlier| earlier.overlaps(later)) {
            found(earlier, later, earlier.since);
        }
        lasting.push(*later);
    }
}

/// Compares what reads found with what was written, for blocks that had one owner at a time: the order of all others is
/// not known.
fn contents(operations: &[Operation], uses: &[Use], violations: &mut Vec<Violation>) {
    let mut shared: Vec<u64> = violations.iter().map(|violation| operations[violation.at].block).collect();
    shared.sort_unstable();
    let mut by_client: BTreeMap<(u8, u64), Vec<OpIndex>> = BTreeMap::new();
    for (at, operation) in operations.iter().enumerate() {
        if matches!(operation.what, What::Write { .. }) {
            by_client.entry((operation.client, operation.block)).or_default().push(at);
        }
    }
    let mut held: BTreeMap<u64, (u64, Option<OpIndex>)> = BTreeMap::new();
    for each in uses.iter().filter(|each| !each.pinned && shared.binary_search(&each.block).is_err()) {
        let What::Read { content } = operations[each.since].what else { continue };
        let (due, written) = held.get(&each.block).copied().unwrap_or((initial(each.block), None));
        if content != due {
            violations.push(Violation { at: each.since, rule: Rule::Content { due, written } });
        }
        let client = operations[each.since].client;
        let mut now = (content, written);
        for &at in by_client.get(&(client, each.block)).into_iter().flatten() {
            let operation = &operations[at];
            if let What::Write { content } = operation.what
                && operation.begin > each.from
                && operation.end < each.until
            {
                now = (content, Some(at));
            }
        }
        held.insert(each.block, now);
    }
}
