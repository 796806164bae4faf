//! Violations in the words of the course text.

use abi::heap::Request;
use abi::heap::record::Entry;

use super::rules::{GROWTH_SLACK, Live, Rule, SIZE_SLACK, SIZE_TIMES, TRIM_SLACK, Violation};
use super::{Case, Operation};
use crate::oracle::finding::Finding;

/// Says what happened, what was due, and why.
pub fn explain(violation: &Violation, case: &Case) -> Finding {
    let operation = &case.operations[violation.at];
    let (expected, why) = lesson(&violation.rule, case);
    Finding {
        rule: violation.rule.group().to_owned(),
        operation: operation.number,
        who: who(operation, case),
        asked: asked(&operation.entry.request),
        answered: answered(&operation.entry, case.start),
        expected,
        why,
        map: None,
    }
}

fn who(operation: &Operation, case: &Case) -> String {
    let part = &case.part;
    let thread = if case.clients > 1 { format!(" of thread {}", operation.client) } else { String::new() };
    if operation.phase == part {
        format!("in part \"{part}\"{thread}")
    } else {
        format!("in part \"{part}\"{thread}, in phase \"{}\"", operation.phase)
    }
}

/// A request as C would write it.
pub fn asked(request: &Request) -> String {
    match request {
        Request::Allocate { id, size } => format!("block {id} = umalloc({size})"),
        Request::Aligned { id, size, alignment } => format!("block {id} = umalloc_aligned({size}, {alignment})"),
        Request::Reallocate { id, size } => format!("block {id} = urealloc(block {id}, {size})"),
        Request::Free { id } => format!("ufree(block {id})"),
        Request::Trim => "umalloc_trim()".to_owned(),
        Request::Create { size, count } => format!("Pool::create({size}, {count})"),
        Request::Take { id } => format!("object {id} = take()"),
        Request::Give { id } => format!("give(object {id})"),
        Request::Destroy => "destroy()".to_owned(),
    }
}

/// What came back.
pub fn answered(entry: &Entry, start: u64) -> String {
    let end = bytes(entry.end.saturating_sub(start));
    match (entry.request, entry.answer) {
        (Request::Free { .. } | Request::Give { .. } | Request::Destroy, _) => format!("the heap has {end}"),
        (Request::Trim, pages) => format!("the kernel has {pages} more pages, the heap has {end}"),
        (Request::Create { .. }, made) => {
            format!("{}; the heap has {end}", if made == 0 { "no pool" } else { "a pool" })
        }
        (_, 0) => format!("null; the heap has {end}"),
        (_, address) => format!("{address:#x}; the heap has {end}"),
    }
}

fn bytes(bytes: u64) -> String {
    if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") }
}

fn live(live: &Live, case: &Case) -> String {
    let operation = &case.operations[live.since];
    let thread = if case.clients > 1 { format!(" of thread {}", operation.client) } else { String::new() };
    format!(
        "the {} at {:#x} that operation {}{thread} was given and that were not given back since",
        bytes(live.size),
        live.address,
        operation.number
    )
}

/// What would have been right, and the rule behind it.
fn lesson(rule: &Rule, case: &Case) -> (String, String) {
    match rule {
        Rule::Misaligned { address, alignment, .. } => (
            format!("an address that is a multiple of {alignment}"),
            format!(
                "{address:#x} is {} past one; whatever is kept in front of a block must leave the block itself aligned",
                bytes(address % alignment)
            ),
        ),
        Rule::Outside { address, size, end } => (
            format!("a block between {:#x}, where the heap begins, and {end:#x}, where it ends", case.start),
            format!(
                "{} at {address:#x} reach to {:#x}; memory outside of the heap is not there, or somebody else's",
                bytes(*size),
                address.saturating_add(*size)
            ),
        ),
        Rule::Overlap { address, size, live: other, .. } => (
            "a block of which no byte is in use".to_owned(),
            format!("{} at {address:#x} meet {}", bytes(*size), live(other, case)),
        ),
        Rule::GrantedImpossible { size, .. } => (
            "null".to_owned(),
            if *size == 0 {
                "a request for no bytes at all is answered with null".to_owned()
            } else {
                format!("there can never be {}; a size that is rounded up must not wrap around", bytes(*size))
            },
        ),
        Rule::GrewForNothing { by } => (
            "a heap that stays as it is".to_owned(),
            format!("it grew by {} for a request that nothing is handed out for", bytes(*by)),
        ),
        Rule::Refused { size, live, memory } => (
            format!("a block of {}", bytes(*size)),
            format!(
                "only {} are in use, and {} of memory were free before the program began; a request is refused only when the kernel refuses to let the heap grow",
                bytes(*live),
                bytes(*memory)
            ),
        ),
        Rule::RefusedAligned { size } => (
            format!("a block of {}", bytes(*size)),
            "there is memory enough for it and what alignment costs".to_owned(),
        ),
        Rule::NotReused { by, live, heap, .. } => (
            "a heap that does not grow".to_owned(),
            format!(
                "with this block {} are in use, and the heap had {}: what is asked for was there before and was freed, if in pieces. It grew by {} instead of merging those",
                bytes(*live),
                bytes(*heap),
                bytes(*by)
            ),
        ),
        Rule::GrewTooMuch { by, most } => (
            format!("growth by {} at most", bytes(*most)),
            format!(
                "it grew by {}; twice what is asked for and {GROWTH_SLACK} bytes leave room for any rounding",
                bytes(*by)
            ),
        ),
        Rule::TooLarge { heap, peak } => (
            format!(
                "a heap of at most {SIZE_TIMES} times the {} that were ever in use at once, and {SIZE_SLACK} bytes",
                bytes(*peak)
            ),
            format!("it has {}: what is freed is not used again, or not merged", bytes(*heap)),
        ),
        Rule::NoPool { size, count } => {
            ("a pool".to_owned(), format!("there is memory for {count} objects of {}", bytes(*size)))
        }
        Rule::PoolTooSmall { taken, count } => {
            ("an object".to_owned(), format!("the pool was made for {count} objects, and {taken} of them are taken"))
        }
        Rule::PoolTooLarge { count } => {
            ("null".to_owned(), format!("the pool was made for {count} objects, and all of them are taken"))
        }
        Rule::TrimLeft { end, last } => (
            format!("an end of the heap at {:#x} at most", last.saturating_add(TRIM_SLACK)),
            format!(
                "the last block ends at {last:#x}, and the heap at {end:#x}: {} behind it are free",
                bytes(end.saturating_sub(*last))
            ),
        ),
        Rule::TrimTookBlocks { end, live: block } => (
            "an end of the heap behind the last block".to_owned(),
            format!("{} lie beyond the end at {end:#x}", live(block, case)),
        ),
        Rule::TrimKeptPages { back, due } => (
            format!("{due} pages more for the kernel"),
            format!("the heap's end fell by so many pages, and the kernel has {back} more than before"),
        ),
    }
}
