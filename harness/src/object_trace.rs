//! The trace of object caches: what the guest reported of each hart, put together as operations and what happened
//! beneath them.

use abi::object::{Event, Info, Kind, SlabError, UNCOUNTED};
use serde::Deserialize;

/// An event as a record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Wire(char, u8, u8, u8, u8, u16, u64, u64, u64, u64, u64);

impl From<Wire> for Event {
    fn from(Wire(letter, client, cache, error, flags, locks, instructions, begin, end, a, b): Wire) -> Self {
        let kind = u8::try_from(letter).unwrap_or(0);
        Self { kind, client, cache, error, flags, reserved: 0, locks, instructions, begin, end, a, b }
    }
}

/// An operation of a test program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The process of the test program that asked.
    pub client: u8,
    /// The hart that it ended on.
    pub hart: u8,
    /// The number of the cache, or [`abi::object::GENERAL`].
    pub cache: u8,
    /// Flags of the event.
    pub flags: u8,
    /// Locks of the caches that were taken for it; none where it changed harts, so that nobody counted.
    pub locks: Option<u16>,
    /// Guest instructions that it took.
    pub instructions: u64,
    /// When it began.
    pub begin: u64,
    /// When it ended.
    pub end: u64,
    /// What was asked and answered.
    pub what: What,
}

/// A request with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A cache was asked for.
    Create {
        /// Bytes of an object.
        size: u64,
        /// What addresses are to be multiples of.
        align: u64,
        /// What came back.
        answer: Result<(), SlabError>,
    },
    /// A cache was given up.
    Destroy(Result<(), SlabError>),
    /// A cache was shrunk, and says that it gave back so many pages.
    Shrink(u64),
    /// An object was asked for; `bytes` for memory by size.
    Allocate {
        /// As above.
        bytes: u64,
        /// What came back.
        answer: Result<u64, SlabError>,
    },
    /// An object was given back.
    Free {
        /// Where it is.
        address: u64,
        /// How many bytes were asked for, for memory by size.
        bytes: u64,
        /// What came back.
        answer: Result<(), SlabError>,
    },
    /// A cache was asked for its statistics.
    Info(Info),
}

/// Something that happened beneath operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beneath {
    /// When.
    pub at: u64,
    /// What.
    pub what: Happened,
}

/// What happens beneath operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// Pages came from the page allocator.
    Took {
        /// The first byte.
        start: u64,
        /// How many.
        pages: u64,
    },
    /// Pages went back to it.
    Gave {
        /// The first byte.
        start: u64,
        /// How many.
        pages: u64,
    },
    /// A constructor ran on objects in a row.
    Constructed {
        /// The first one.
        first: u64,
        /// Bytes from one to the next.
        stride: u64,
        /// How many.
        count: u64,
    },
}

/// All of a boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// In order of their beginnings.
    pub operations: Vec<Operation>,
    /// In order of time.
    pub beneath: Vec<Beneath>,
}

/// Puts the events of all harts together; those of one hart are in order.
pub fn assemble(events: &[(u8, Event)]) -> Trace {
    let mut trace = Trace::default();
    for (at, (hart, event)) in events.iter().enumerate() {
        let Event { cache, client, flags, locks, instructions, begin, end, a, b, .. } = *event;
        let answer = SlabError::from_code(event.error).map_or(Ok(()), Err);
        let locks = Some(locks).filter(|&locks| locks != UNCOUNTED);
        let beneath = |what| Beneath { at: begin, what };
        let what = match Kind::from_letter(event.kind) {
            Some(Kind::Create) => What::Create { size: a, align: b, answer },
            Some(Kind::Destroy) => What::Destroy(answer),
            Some(Kind::Shrink) => What::Shrink(a),
            Some(Kind::Allocate) => What::Allocate { bytes: b, answer: answer.map(|()| a) },
            Some(Kind::Free) => What::Free { address: a, bytes: b, answer },
            Some(Kind::Info) => What::Info(info(&events[at + 1..])),
            Some(Kind::Numbers) | None => continue,
            Some(Kind::TakePages) => {
                trace.beneath.push(beneath(Happened::Took { start: a, pages: b }));
                continue;
            }
            Some(Kind::GivePages) => {
                trace.beneath.push(beneath(Happened::Gave { start: a, pages: b }));
                continue;
            }
            Some(Kind::Construct) => {
                trace.beneath.push(beneath(Happened::Constructed { first: a, stride: instructions, count: b }));
                continue;
            }
        };
        trace.operations.push(Operation { client, hart: *hart, cache, flags, locks, instructions, begin, end, what });
    }
    trace.operations.sort_by_key(|operation| operation.begin);
    trace.beneath.sort_by_key(|beneath| beneath.at);
    trace
}

/// The statistics out of the events that follow theirs.
fn info(after: &[(u8, Event)]) -> Info {
    let mut numbers = [0; Info::LENGTH];
    let pairs = after.iter().take_while(|(_, event)| event.kind == Kind::Numbers as u8);
    for (places, (_, event)) in numbers.chunks_mut(2).zip(pairs) {
        places.copy_from_slice(&[event.a, event.b]);
    }
    Info::from_numbers(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_several_harts_come_in_order_with_their_statistics() {
        let text = r#"[["i",0,1,0,0,0,9,50,60,0,0],["n",0,1,0,0,0,9,50,60,7,8],["a",0,1,0,0,2,9,10,20,4096,0]]"#;
        let wires: Vec<Wire> = serde_json::from_str(text).expect("events");
        let events: Vec<_> = wires.into_iter().map(|wire| (3, Event::from(wire))).collect();
        let Trace { operations, .. } = assemble(&events);
        assert_eq!(operations[0].what, What::Allocate { bytes: 0, answer: Ok(4096) });
        assert!(matches!(operations[1].what, What::Info(Info { active_objects: 7, objects: 8, .. })));
        assert_eq!((operations[0].hart, operations[0].locks), (3, Some(2)));
    }
}
