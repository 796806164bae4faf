//! Violations in the words of the course text.

use abi::page::PAGE_SIZE;

use super::free_set::Extent;
use super::rules::{KEPT_SHARE, Rule, SPARE_PAGES, Violation};
use crate::oracle::Case;
use crate::oracle::finding::Finding;
use crate::oracle::words::{count, errors, request, who};

/// Says what happened, what was due, and why.
pub fn explain(violation: &Violation, case: &Case<'_>) -> Finding {
    let operation = case.operations.get(violation.at);
    let (asked, answered) = operation.map_or_else(Default::default, request);
    let (expected, why) = lesson(&violation.rule);
    Finding {
        rule: violation.rule.group().to_owned(),
        operation: violation.at as u64,
        who: operation.map_or_else(|| "the allocator".to_owned(), |operation| who(operation, case, violation.at)),
        asked,
        answered,
        expected,
        why,
        map: violation.map.clone(),
    }
}

/// The words for a run of pages.
fn run(extent: Extent) -> String {
    format!("{} at {:#x}", count(extent.pages), extent.first.saturating_mul(PAGE_SIZE))
}

fn holder(live: Option<Extent>) -> String {
    live.map_or_else(
        || "nothing is allocated there".to_owned(),
        |live| format!("what is allocated there are the {}", run(live)),
    )
}

/// What would have been right, and the rule behind it.
fn lesson(rule: &Rule) -> (String, String) {
    match rule {
        Rule::Misaligned { address } => (
            format!("an address that is a multiple of {PAGE_SIZE:#x}"),
            format!("pages begin at multiples of their size; {address:#x} is {:#x} past one", address % PAGE_SIZE),
        ),
        Rule::Outside { .. } => (
            "a block within the memory that add_region said can be handed out".to_owned(),
            "pages elsewhere belong to somebody else, or do not exist".to_owned(),
        ),
        Rule::AcrossRegions { block, border } => (
            "a block within one region".to_owned(),
            format!(
                "the {} go on beyond {:#x}, where another region begins; regions that lie side by side stay apart",
                run(*block),
                border.saturating_mul(PAGE_SIZE)
            ),
        ),
        Rule::Overlap { block, live, since } => (
            "a block of which no page is allocated".to_owned(),
            format!(
                "the {} meet the {} that operation {since} was given and that were not freed since",
                run(*block),
                run(*live)
            ),
        ),
        Rule::NotBest { from, best } => (
            format!("a block out of the free {}, or of another extent of that length", run(*best)),
            format!(
                "it was taken out of the free {}, although an extent of {} was long enough; cutting longer extents \
                 than needed uses up those that long requests will need",
                run(*from),
                count(best.pages)
            ),
        ),
        Rule::CutInTwo { block, from } => (
            "a block from the first page of the extent on, or up to its last".to_owned(),
            format!(
                "the {} come from the middle of the free {}, which leaves two extents of {} and {} where one of {} \
                 could be left",
                run(*block),
                run(*from),
                count(block.first - from.first),
                count(from.end().saturating_sub(block.end())),
                count(from.pages.saturating_sub(block.pages))
            ),
        ),
        Rule::Unmerged { pages, extent, longest_piece } => (
            format!("{}, such as those at {:#x}", count(*pages), extent.first.saturating_mul(PAGE_SIZE)),
            format!(
                "all {} are free, but they came back in pieces, the longest of {}: a block that is freed becomes one \
                 extent with what is free on either side of it",
                run(*extent),
                count(*longest_piece)
            ),
        ),
        Rule::CountedUnmerged { class, counted, due } => (
            format!("free extents of {}: {due}, not {counted}", class_of(*class)),
            "that is what is left when all neighbours that are free are one: some were left apart here, or extents \
             that are no neighbours were joined"
                .to_owned(),
        ),
        Rule::RefusedWhileFree { pages, free } => (
            format!("{}, such as those at {:#x}", count(*pages), free.first.saturating_mul(PAGE_SIZE)),
            format!(
                "the {} are free, which is enough; a request may fail only when no extent is long enough",
                run(*free)
            ),
        ),
        Rule::KeptTooMuch { start, pages, managed, least } => (
            format!("at least {least} of the {pages} pages at {start:#x} to hand out, not {managed}"),
            format!("an allocator may keep one page in {KEPT_SHARE} and {SPARE_PAGES} more a region for its state"),
        ),
        Rule::GrantedImpossible { due, .. } => {
            (format!("error {due}"), "there can be no such block, however much is free".to_owned())
        }
        Rule::RefusedWrongly { pages, due, longest } => (
            format!("error {due}"),
            format!(
                "that is the error for a request of {} now; the largest region has {}",
                count(*pages),
                count(*longest)
            ),
        ),
        Rule::AcceptedWrongFree { address, due, live } => (
            format!("error {}", errors(due)),
            format!(
                "nothing that was allocated starts at {address:#x} with that size ({}); accepting such a free breaks the \
                 memory of somebody who did nothing wrong",
                holder(*live)
            ),
        ),
        Rule::MisnamedWrongFree { due, live } => (
            format!("error {}", errors(due)),
            format!("the error tells the caller which mistake it made; {}", holder(*live)),
        ),
        Rule::RefusedRightFree { block, since } => (
            "accepted".to_owned(),
            format!("operation {since} was given the {}, and they were not freed since", run(*block)),
        ),
        Rule::Miscounted { due, what } => {
            (format!("{due} {what}"), "that is what the operations so far leave".to_owned())
        }
    }
}

/// The lengths that statistics count together.
fn class_of(class: u32) -> String {
    if class as usize + 1 == abi::page::ORDERS {
        return format!("{} and more", count(1 << class));
    }
    match (2u64 << class) - 1 {
        1 => "1 page".to_owned(),
        last => format!("{} to {last} pages", 1u64 << class),
    }
}
