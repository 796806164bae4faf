//! Violations in the words of the course text.

use abi::object::{DEBUG, GENERAL, SCRIBBLE, SlabError, WRONG};

use super::{Case, Rule, Violation};
use crate::object_trace::{Operation, What};
use crate::oracle::finding::Finding;

/// Says what happened, what was due, and why.
pub fn explain(violation: &Violation, case: &Case<'_>) -> Finding {
    let operation = case.trace.operations.get(violation.at);
    let (asked, answered) = operation.map_or_else(Default::default, request);
    let (expected, why) = lesson(&violation.rule);
    Finding {
        rule: violation.rule.group().to_owned(),
        operation: violation.at as u64,
        who: operation.map_or_else(|| "the caches".to_owned(), |operation| who(operation, case, violation.at)),
        asked,
        answered,
        expected,
        why,
        map: None,
    }
}

fn who(operation: &Operation, case: &Case<'_>, at: usize) -> String {
    let Operation { client, hart, .. } = operation;
    match case.phases.get(at).copied().unwrap_or_default() {
        "" => format!("client {client}, on hart {hart}"),
        phase => format!("client {client}, on hart {hart}, in phase \"{phase}\""),
    }
}

/// What was asked and answered, as two phrases.
pub fn request(operation: &Operation) -> (String, String) {
    let Operation { cache, flags, .. } = *operation;
    let done = |answer: Result<(), SlabError>| match answer {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("error {error}"),
    };
    match operation.what {
        What::Create { size, align, answer } => {
            let debug = if flags & DEBUG != 0 { ", in debug mode" } else { "" };
            (format!("create cache {cache} for objects of {size} bytes, aligned to {align}{debug}"), done(answer))
        }
        What::Destroy(answer) => (format!("destroy cache {cache}"), done(answer)),
        What::Shrink(pages) => (format!("shrink cache {cache}"), format!("{pages} pages given back")),
        What::Allocate { bytes, answer } => {
            let asked = if cache == GENERAL {
                format!("kmalloc {bytes} bytes")
            } else {
                format!("allocate from cache {cache}")
            };
            (asked, answer.map_or_else(|error| format!("error {error}"), |address| format!("{address:#x}")))
        }
        What::Free { address, answer, .. } => {
            let how = match () {
                () if flags & SCRIBBLE != 0 => ", after a write beyond its end",
                () if flags & WRONG != 0 => ", which is wrong",
                () => "",
            };
            let asked = if cache == GENERAL { "kfree".to_owned() } else { format!("free to cache {cache}") };
            (format!("{asked} {address:#x}{how}"), done(answer))
        }
        What::Info(said) => (
            format!("statistics of cache {cache}"),
            format!(
                "{} of {} objects active, {} of {} slabs, {} objects and {} pages a slab, limit {}, batch {}, damage {}",
                said.active_objects,
                said.objects,
                said.active_slabs,
                said.slabs,
                said.objects_per_slab,
                said.pages_per_slab,
                said.limit,
                said.batch,
                said.damaged
            ),
        ),
    }
}

fn errors(errors: &[SlabError]) -> String {
    errors.iter().map(|error| error.word()).collect::<Vec<_>>().join(" or ")
}

/// What would have been right, and the rule behind it.
fn lesson(rule: &Rule) -> (String, String) {
    let (expected, why) = match rule {
        Rule::Misaligned { address, align } => (
            format!("an address that is a multiple of {align}"),
            format!("{address:#x} is {} past one", address % align),
        ),
        Rule::Overlap { address, size, live, since } => (
            "memory of which no byte is allocated".to_owned(),
            format!(
                "{size} bytes at {address:#x} meet the object at {live:#x} that operation {since} was given and that was not freed since"
            ),
        ),
        Rule::NotInPages { address, size } | Rule::Elsewhere { address, size } => (
            "an object within a slab".to_owned(),
            format!(
                "{size} bytes at {address:#x} lie in no pages that were taken from the page allocator and not given back"
            ),
        ),
        Rule::PagesInUse { start, pages, live, since } => (
            format!("the {pages} pages at {start:#x} kept"),
            format!(
                "the object at {live:#x} lies in them, which operation {since} was given and which was not freed since"
            ),
        ),
        Rule::Refused { .. } => ("an object".to_owned(), "the page allocator has pages to make a slab of".to_owned()),
        Rule::Damaged { address, since } => (
            "an object as its owner left it".to_owned(),
            format!(
                "the object at {address:#x} was written to by somebody else after operation {since} was given it: an object that is allocated is nobody's but its owner's, every byte of it"
            ),
        ),
        Rule::Unmade { address } => (
            "an object as its constructor made it".to_owned(),
            format!(
                "the object at {address:#x} was freed in the state that its constructor had left it in, and handed out in another: whatever the cache needs to remember about a free object with a constructor, it must keep elsewhere"
            ),
        ),
        Rule::NotConstructed { address } => (
            "an object whose constructor ran".to_owned(),
            format!("no constructor ran at {address:#x} since the pages around it were taken"),
        ),
        Rule::ConstructedAgain { address, times } => (
            "one call of the constructor for each object of a slab".to_owned(),
            format!(
                "it ran for the {times}. time at {address:#x}; that it need not run at each allocation is what object caches are for"
            ),
        ),
        Rule::NotHot { hot, since, .. } => (
            format!("{hot:#x}"),
            format!(
                "that object was freed last on this hart, by operation {since}, so the processor's cache still holds it"
            ),
        ),
        Rule::BatchesTooSmall { phase, operations, moves, most, batch } => (
            format!("a lock taken for at most {most} of the {operations} operations in phase \"{phase}\""),
            format!(
                "it was taken for {moves}: the objects that a hart has at hand come and go {batch} at a time, so that most operations touch nothing that is shared"
            ),
        ),
        Rule::BatchesTooLarge { phase, operations, moves, least, batch } => (
            format!("a lock taken for at least {least} of the {operations} operations in phase \"{phase}\""),
            format!(
                "it was taken for {moves}: objects go back {batch} at a time and the others stay at hand, or the next free after a flush finds an empty array, and the next allocation nothing"
            ),
        ),
        Rule::PassedUnlocked { passed, unlocked } => (
            "an object that this hart had at hand, or a lock taken to get it from elsewhere".to_owned(),
            format!(
                "another hart gave it back, and this one has taken no lock since; so it was with {unlocked} of {passed} objects that went from one hart to another. What two harts can touch belongs behind a lock, and a hart's own array is touched by that hart alone"
            ),
        ),
        Rule::WrongColour { offset, before, due } => (
            format!("a first object {due} bytes past the slab's start"),
            format!(
                "the slab before began at {before} and this one at {offset}: each begins one step further than the last, as long as there is room, so that objects of different slabs do not compete for the same lines of the processor's cache"
            ),
        ),
        Rule::BeganFree { partial, holes, .. } => (
            "an object of a slab that is in use".to_owned(),
            format!(
                "{partial} slabs are partly free, with {holes} free objects; a slab that is wholly free is left alone as long as possible, so that its pages can be given back"
            ),
        ),
        Rule::KeptPages { start, pages } => (
            "every slab without an allocated object given back".to_owned(),
            format!(
                "the {pages} pages at {start:#x} hold none; objects that harts have at hand are not allocated, and go back to their slabs first"
            ),
        ),
        Rule::KeptTooMany { objects, most } => (
            format!("at most {most} objects in slabs that are wholly free"),
            format!(
                "there are {objects}; what is beyond the limit goes back to the page allocator when it becomes free"
            ),
        ),
        Rule::ShrinkMiscounted { due, .. } => {
            (format!("{due} pages"), "that is how many came back to the page allocator".to_owned())
        }
        Rule::Wasteful { objects, pages, least } => (
            format!("at least {least} objects in a slab of {pages} pages"),
            format!(
                "{objects} leave more than an eighth of it unused; larger slabs, or management elsewhere, waste less"
            ),
        ),
        Rule::MadeImpossible { size, align } => (
            "error invalid".to_owned(),
            format!(
                "there is no cache for objects of {size} bytes aligned to {align}: see the interface for what there can be"
            ),
        ),
        Rule::RefusedCache { .. } => {
            ("a cache".to_owned(), "size and alignment are right, and there is memory".to_owned())
        }
        Rule::DestroyedBusy { live } => {
            ("error busy".to_owned(), format!("{live} of its objects are still allocated, and somebody uses them"))
        }
        Rule::RefusedToGo { error } => (
            if *error == SlabError::Busy { "done" } else { "error busy" }.to_owned(),
            "whether a cache can go depends on whether an object of it is allocated".to_owned(),
        ),
        Rule::AcceptedWrongFree { address, due } => (
            format!("error {}", errors(due)),
            format!("no allocated object of this cache begins at {address:#x}, and the cache is in debug mode"),
        ),
        Rule::MisnamedWrongFree { due, .. } => {
            (format!("error {}", errors(due)), "the error tells the caller which mistake it made".to_owned())
        }
        Rule::RefusedRightFree { since, .. } => {
            ("done".to_owned(), format!("operation {since} was given that object, and it was not freed since"))
        }
        Rule::MissedOverrun { .. } => (
            "error overrun".to_owned(),
            "the byte just behind the object was written, which is in its red zone".to_owned(),
        ),
        Rule::Miscounted { what, due, .. } => {
            (format!("{due} {what}"), "that is what the operations so far leave".to_owned())
        }
    };
    (expected, why)
}
