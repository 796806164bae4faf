//! Violations in the words of the course text.

use abi::page::PAGE_SIZE;

use super::free_set::Block;
use super::rules::{KEPT_SHARE, Rule, SPARE_PAGES, Violation};
use crate::oracle::Case;
use crate::oracle::finding::{Finding, Map};
use crate::oracle::words::{count, errors, request, who};

/// Says what happened, what was due, and why.
pub fn explain(violation: &Violation, case: &Case<'_>) -> Finding {
    let operation = case.operations.get(violation.at);
    let (asked, answered) = operation.map_or_else(Default::default, request);
    let (expected, why) = Origin(case.pool.origin).lesson(&violation.rule);
    Finding {
        rule: violation.rule.group().to_owned(),
        operation: violation.at as u64,
        who: operation.map_or_else(|| "the allocator".to_owned(), |operation| who(operation, case, violation.at)),
        asked,
        answered,
        expected,
        why,
        map: violation.map.clone().map(|map| Map { first: map.first + case.pool.origin / PAGE_SIZE, ..map }),
    }
}

/// Where blocks are counted from; rules count from zero, and people read addresses of the machine.
struct Origin(u64);

impl Origin {
    fn address(&self, counted: u64) -> u64 {
        self.0.saturating_add(counted)
    }

    fn block(&self, block: Block) -> String {
        format!("the order-{} block at {:#x}", block.order, self.address(block.first.saturating_mul(PAGE_SIZE)))
    }

    fn counted_from(&self) -> String {
        if self.0 == 0 { String::new() } else { format!(", counted from {:#x}", self.0) }
    }

    /// What would have been right, and the rule behind it.
    fn lesson(&self, rule: &Rule) -> (String, String) {
        match rule {
            Rule::Misaligned { address, order } => {
                let size = PAGE_SIZE << order;
                (
                    format!("an address that is a multiple of {size:#x}"),
                    format!(
                        "a block of order {order} is {} long and starts at a multiple of that{}; {:#x} is {:#x} past one",
                        count(1 << order),
                        self.counted_from(),
                        self.address(*address),
                        address % size
                    ),
                )
            }
            Rule::Outside { .. } => (
                "a block within the memory that add_region said can be handed out".to_owned(),
                "pages elsewhere belong to somebody else, or do not exist".to_owned(),
            ),
            Rule::Overlap { block: taken, live, live_pages, since } => (
                "a block of which no page is allocated".to_owned(),
                format!(
                    "{} meets the {} at {:#x} that operation {since} was given and that were not freed since",
                    self.block(*taken),
                    count(*live_pages),
                    self.address(live.saturating_mul(PAGE_SIZE))
                ),
            ),
            Rule::NotSmallest { taken, split, fitting } => (
                format!("a block out of {}, or another of order {}", self.block(*fitting), fitting.order),
                format!(
                    "{} was taken out of {}, although a free block of order {} was large enough; splitting larger \
                 blocks than needed uses up the large ones",
                    self.block(*taken),
                    self.block(*split),
                    fitting.order
                ),
            ),
            Rule::Unmerged { order, parent } => (
                format!("a block of order {order}, such as {}", self.block(*parent)),
                format!(
                    "all of {} is free, but in pieces: when a block is freed and its buddy is free, the two become \
                 one, and that one may have a free buddy again",
                    self.block(*parent)
                ),
            ),
            Rule::CountedUnmerged { order, counted, due } => (
                format!("free blocks of order {order}: {due}, not {counted}"),
                "that is what is left when every pair of free buddies is one block: some were left apart here, or \
                 blocks that are no buddies were joined"
                    .to_owned(),
            ),
            Rule::RefusedWhileFree { order, free } => (
                format!("a block of order {order}"),
                format!(
                    "{} is free and large enough; a request may fail only when there is none such",
                    self.block(*free)
                ),
            ),
            Rule::KeptTooMuch { start, pages, managed, least } => (
                format!(
                    "at least {least} of the {pages} pages at {:#x} to hand out, not {managed}",
                    self.address(*start)
                ),
                format!("an allocator may keep one page in {KEPT_SHARE} and {SPARE_PAGES} more a region for its state"),
            ),
            Rule::GrantedImpossible { due, .. } => {
                (format!("error {due}"), "there can be no such block, however much is free".to_owned())
            }
            Rule::RefusedWrongly { pages, due, .. } => {
                (format!("error {due}"), format!("that is the error for a request of {} now", count(*pages)))
            }
            Rule::AcceptedWrongFree { address, due, .. } => (
                format!("error {}", errors(due)),
                format!(
                    "nothing that was allocated starts at {:#x} with that size; accepting such a free breaks the memory \
                 of somebody who did nothing wrong",
                    self.address(*address)
                ),
            ),
            Rule::MisnamedWrongFree { due, .. } => {
                (format!("error {}", errors(due)), "the error tells the caller which mistake it made".to_owned())
            }
            Rule::RefusedRightFree { block: live, since, .. } => (
                "accepted".to_owned(),
                format!("operation {since} was given {}, and it was not freed since", self.block(*live)),
            ),
            Rule::Miscounted { due, what, .. } => {
                (format!("{due} {what}"), "that is what the operations so far leave".to_owned())
            }
        }
    }
}
