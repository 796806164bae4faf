//! The rules of page lists that all harts share, checked against a trace whose order is known in part only.
//!
//! An operation takes effect at some moment between its begin and its end. A trace is right if moments can be chosen so
//! that what happened is what one list under one lock would have done: linearisability (Herlihy and Wing,
//! "Linearizability: a correctness condition for concurrent objects", TOPLAS 1990). For lists of pages it need not be
//! searched for: a page is its holder's from an allocation to a free by the same client, so the order of its holds is
//! known.

use std::collections::BTreeMap;

use abi::page::PAGE_SIZE;

use super::exchange;
use crate::list_trace::{Operation, What};
use crate::trace::{OpIndex, Region};

/// What the trace showed that page lists must not do.
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
    /// What was handed out is no page of the memory that the lists were given.
    NoPage {
        /// What it is.
        address: u64,
    },
    /// A page was handed out while somebody held it.
    Owned {
        /// The page.
        address: u64,
        /// The allocation that it was handed out by before.
        since: OpIndex,
        /// The free that gave it back, which began too late; none if it never was given back.
        until: Option<OpIndex>,
    },
    /// A request was refused though pages were free all the while, and nobody else did anything.
    Lost {
        /// How many.
        free: u64,
        /// One of them.
        page: u64,
        /// The operation that gave it back; none if it never was handed out.
        freed: Option<OpIndex>,
    },
    /// A request was refused though pages were free all the while, as others took, gave or stole pages.
    Missed {
        /// How many.
        free: u64,
        /// One of them.
        page: u64,
        /// The operation that gave it back; none if it never was handed out.
        freed: Option<OpIndex>,
    },
    /// While nothing else happened, another number of free pages was counted than there are.
    Miscounted {
        /// What was counted.
        counted: u64,
        /// What is free.
        free: u64,
    },
    /// Pages went from one hart to another, and no lock led there.
    PassedUnlocked {
        /// The operation that gave this one back.
        given: OpIndex,
        /// How many went from one hart to another.
        passed: u64,
        /// How many of them without a lock.
        unlocked: u64,
    },
}

impl Rule {
    /// The group of rules that a check names.
    pub const fn group(self) -> &'static str {
        match self {
            Self::NoPage { .. } => "sound",
            Self::Owned { .. } => "owner",
            Self::Lost { .. } => "reach",
            Self::Missed { .. } => "refusal",
            Self::Miscounted { .. } => "count",
            Self::PassedUnlocked { .. } => "locked",
        }
    }
}

/// What a trace showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// In order of operations.
    pub violations: Vec<Violation>,
    /// Requests that could be met.
    pub due: u64,
    /// Those that were.
    pub met: u64,
}

/// The time for which a page is somebody's, from an allocation to the free by the same client.
#[derive(Debug, Clone, Copy)]
struct Hold {
    taken: OpIndex,
    given: Option<OpIndex>,
}

/// Judges operations in order of their begins.
pub fn judge(regions: &[Region], operations: &[Operation]) -> Judged {
    let mut judged = Judged::default();
    let holds = holds(operations, |at, address| {
        let is_page = address.is_multiple_of(PAGE_SIZE)
            && regions.iter().any(|region| address.wrapping_sub(region.start) / PAGE_SIZE < region.pages);
        if !is_page {
            judged.violations.push(Violation { at, rule: Rule::NoPage { address } });
        }
        is_page
    });
    let trace = Trace::new(regions, operations, holds);
    for (&address, holds) in &trace.holds {
        trace.owners(address, holds, &mut judged.violations);
    }
    for (at, operation) in operations.iter().enumerate() {
        match operation.what {
            What::Allocate(Some(_)) => judged.met += 1,
            What::Allocate(None) => judged.violations.extend(trace.refused(at)),
            What::Count(counted) if trace.is_alone(at) => {
                let free = trace.free_during(at);
                if free != counted {
                    judged.violations.push(Violation { at, rule: Rule::Miscounted { counted, free } });
                }
            }
            _ => {}
        }
    }
    let refused = |violation: &&Violation| matches!(violation.rule, Rule::Lost { .. } | Rule::Missed { .. });
    judged.violations.extend(exchange::judge(operations));
    judged.due = judged.met + judged.violations.iter().filter(refused).count() as u64;
    judged.violations.sort_by_key(|violation| violation.at);
    judged
}

/// The holds of every page that `is_page` accepts, in order of the moments at which they had surely begun.
fn holds(operations: &[Operation], mut is_page: impl FnMut(OpIndex, u64) -> bool) -> BTreeMap<u64, Vec<Hold>> {
    let mut holds: BTreeMap<u64, Vec<Hold>> = BTreeMap::new();
    // By client and page: where among the page's holds the client's last one is.
    let mut live: BTreeMap<(u8, u64), usize> = BTreeMap::new();
    for (at, operation) in operations.iter().enumerate() {
        match operation.what {
            What::Allocate(Some(address)) if is_page(at, address) => {
                let page = holds.entry(address).or_default();
                live.insert((operation.client, address), page.len());
                page.push(Hold { taken: at, given: None });
            }
            What::Free(address) => {
                if let Some(hold) = live.remove(&(operation.client, address)) {
                    holds.entry(address).or_default()[hold].given = Some(at);
                }
            }
            _ => {}
        }
    }
    for page in holds.values_mut() {
        page.sort_by_key(|hold| operations[hold.taken].end);
    }
    holds
}

struct Trace<'a> {
    regions: &'a [Region],
    operations: &'a [Operation],
    holds: BTreeMap<u64, Vec<Hold>>,
    /// Of each page that ever was handed out, when somebody may have held it: begins and ends, apart and in order.
    covers: BTreeMap<u64, Vec<(u64, u64)>>,
}

impl<'a> Trace<'a> {
    fn new(regions: &'a [Region], operations: &'a [Operation], holds: BTreeMap<u64, Vec<Hold>>) -> Self {
        let cover = |holds: &Vec<Hold>| {
            let until = |hold: &Hold| hold.given.map_or(u64::MAX, |given| operations[given].end);
            let mut spans: Vec<(u64, u64)> =
                holds.iter().map(|hold| (operations[hold.taken].begin, until(hold))).collect();
            spans.sort_unstable();
            let mut apart: Vec<(u64, u64)> = Vec::new();
            for (begin, end) in spans {
                match apart.last_mut().filter(|last| begin <= last.1) {
                    Some(last) => last.1 = last.1.max(end),
                    None => apart.push((begin, end)),
                }
            }
            apart
        };
        let covers = holds.iter().map(|(&page, holds)| (page, cover(holds))).collect();
        Self { regions, operations, holds, covers }
    }

    /// Finds moments for one page's holds, each as early as it can be, so that none begins before the last has ended.
    fn owners(&self, address: u64, holds: &[Hold], violations: &mut Vec<Violation>) {
        let mut last: Option<(Hold, u64)> = None;
        for &hold in holds {
            let taken = &self.operations[hold.taken];
            let mut moment = taken.begin;
            if let Some((before, given)) = last {
                if given < taken.end {
                    moment = moment.max(given);
                } else {
                    // What comes next is judged as if this had been right.
                    let rule = Rule::Owned { address, since: before.taken, until: before.given };
                    violations.push(Violation { at: hold.taken, rule });
                }
            }
            let given = hold.given.map_or(u64::MAX, |given| self.operations[given].begin.max(moment));
            last = Some((hold, given));
        }
    }

    /// Whether no other operation overlaps this one.
    fn is_alone(&self, at: OpIndex) -> bool {
        let this = &self.operations[at];
        let begun = self.operations.partition_point(|operation| operation.begin < this.end);
        self.operations[..begun].iter().enumerate().all(|(index, operation)| index == at || operation.end < this.begin)
    }

    /// Whether somebody may have held a page at some moment of an operation.
    fn was_held(cover: &[(u64, u64)], during: &Operation) -> bool {
        let over = cover.partition_point(|&(_, end)| end < during.begin);
        cover.get(over).is_some_and(|&(begin, _)| begin < during.end)
    }

    /// How many pages were surely free all through an operation.
    fn free_during(&self, at: OpIndex) -> u64 {
        let pages: u64 = self.regions.iter().map(|region| region.pages).sum();
        let held = self.covers.values().filter(|cover| Self::was_held(cover, &self.operations[at])).count();
        pages.saturating_sub(held as u64)
    }

    /// What is wrong with a refusal, if anything is.
    fn refused(&self, at: OpIndex) -> Option<Violation> {
        let free = self.free_during(at);
        if free == 0 {
            return None;
        }
        let this = &self.operations[at];
        let all = |region: &Region| (region.start..).step_by(PAGE_SIZE as usize).take(region.pages as usize);
        let is_free = |page: &u64| !self.covers.get(page).is_some_and(|cover| Self::was_held(cover, this));
        let page = self.regions.iter().flat_map(all).find(is_free)?;
        let ended = |given: &OpIndex| self.operations[*given].end < this.begin;
        let freed = self.holds.get(&page).and_then(|holds| {
            holds.iter().filter_map(|hold| hold.given).filter(ended).max_by_key(|&given| self.operations[given].end)
        });
        let rule =
            if self.is_alone(at) { Rule::Lost { free, page, freed } } else { Rule::Missed { free, page, freed } };
        Some(Violation { at, rule })
    }
}
