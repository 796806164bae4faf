//! Violations in the words of the course text.

use super::exchange::{Moved, OWN};
use super::rules::{Rule, Violation};
use super::{APART, Case};
use crate::list_trace::{Operation, What};
use crate::oracle::finding::{self, Finding};
use crate::trace::OpIndex;

/// Says what happened, what was due, and why.
pub fn explain(violation: &Violation, case: &Case<'_>) -> Finding {
    let operation = &case.operations[violation.at];
    let (asked, answered) = request(operation);
    let (expected, why) = lesson(&violation.rule, case);
    let in_phase = finding::in_phase(case.phases, violation.at);
    Finding {
        rule: violation.rule.group().to_owned(),
        operation: violation.at as u64,
        who: format!("client {}, on hart {}{in_phase}", operation.client, operation.hart),
        asked,
        answered,
        expected,
        why,
        map: None,
    }
}

/// What a student reads who has all harts take the same lock.
pub fn not_apart(case: &Case<'_>) -> Finding {
    let most = case.locks.iter().max_by_key(|lock| lock.shared());
    let named = most.map_or_else(String::new, |lock| {
        let by_hart: Vec<String> = lock.harts.iter().map(|each| each.acquisitions.to_string()).collect();
        format!("; the harts took {:?} {} times", lock.name, by_hart.join(", "))
    });
    Finding {
        rule: "apart".to_owned(),
        operation: case.operations.len().saturating_sub(1) as u64,
        who: "all harts together".to_owned(),
        asked: format!("{} operations", case.operations.len()),
        answered: format!("{:.2} acquisitions of shared locks per operation{named}", case.shared_locks()),
        expected: format!("{APART} at most"),
        why: "a lock is shared as far as harts take it other than the one that takes it most; while one hart holds \
              it, all others wait, and its cache line moves from hart to hart"
            .to_owned(),
        map: None,
    }
}

/// What a student reads whose harts are handed each other's pages.
pub fn not_own(moved: &Moved, case: &Case<'_>) -> Finding {
    let Moved { last, moved, handed_out } = *moved;
    let operation = &case.operations[last];
    Finding {
        rule: "own".to_owned(),
        operation: last as u64,
        who: format!("all harts together{}", finding::in_phase(case.phases, last)),
        asked: format!("{handed_out} pages, each hart one at a time, which then gives one back"),
        answered: format!("{moved} that another hart had given back last, such as that of hart {}", operation.hart),
        expected: format!("{:.0} at most", OWN * handed_out as f64),
        why:
            "with a list of its own, a hart finds what it has given back itself; pages of all harts come from what all \
              harts share, whatever locks they take for it"
                .to_owned(),
        map: None,
    }
}

fn request(operation: &Operation) -> (String, String) {
    match operation.what {
        What::Allocate(Some(address)) => ("allocate".to_owned(), format!("{address:#x}")),
        What::Allocate(None) => ("allocate".to_owned(), "no page".to_owned()),
        What::Free(address) => (format!("free {address:#x}"), "done".to_owned()),
        What::Count(pages) => ("count the free pages".to_owned(), pages.to_string()),
    }
}

/// An operation, for a sentence about another one.
fn reference(at: OpIndex, case: &Case<'_>) -> String {
    let operation = &case.operations[at];
    format!("operation {at}, of client {} on hart {}", operation.client, operation.hart)
}

fn freed(freed: Option<OpIndex>, case: &Case<'_>) -> String {
    match freed {
        Some(at) => format!("was given back by {}", reference(at, case)),
        None => "was never handed out".to_owned(),
    }
}

/// What would have been right, and the rule behind it.
fn lesson(rule: &Rule, case: &Case<'_>) -> (String, String) {
    match *rule {
        Rule::NoPage { .. } => (
            "the address of a page in the memory that add_region was given".to_owned(),
            "memory elsewhere belongs to somebody else, or does not exist".to_owned(),
        ),
        Rule::Owned { address, since, until } => {
            let until = match until {
                None => "it was not given back".to_owned(),
                Some(until) => format!("gave it back only in operation {until}, which began later than this one ended"),
            };
            (
                "a page that nobody holds".to_owned(),
                format!("{address:#x} was handed out by {}; {until}", reference(since, case)),
            )
        }
        Rule::Lost { free, page, freed: by } => (
            "a page".to_owned(),
            format!(
                "{free} pages were free, and nobody else did anything meanwhile; one of them is {page:#x}, which {}. \
                 A page on another hart's list is free, too: it must be stolen",
                freed(by, case)
            ),
        ),
        Rule::Missed { free, page, freed: by } => (
            "a page".to_owned(),
            format!(
                "{free} pages were free from before this began until after it had ended, as others took, gave or stole \
                 pages; one of them is {page:#x}, which {}. A thief that looks at list after list misses pages that \
                 another thief moves meanwhile, or holds in its hands",
                freed(by, case)
            ),
        ),
        Rule::Miscounted { free, .. } => {
            (free.to_string(), "that is how many nobody holds, and nobody took or gave any meanwhile".to_owned())
        }
        Rule::PassedUnlocked { given, passed, unlocked } => (
            "a page that this hart had on its own list, or a lock taken to get it from elsewhere".to_owned(),
            format!(
                "another hart gave it back, in {}, and since then there was no lock that first that one took and then \
                 this one; so it was with {unlocked} of {passed} pages that went from one hart to another. What two \
                 harts can touch belongs behind a lock that both take, and the locks that are taken must be those that \
                 the lists are kept by",
                reference(given, case)
            ),
        ),
    }
}
