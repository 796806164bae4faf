//! Object caches under test: requests and their outcomes, and the trace entries that keep them.

use core::fmt;

/// Why object caches turned a request down.
///
/// The discriminants are what system calls return, negated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SlabError {
    /// There is no memory.
    NoMemory = 1,
    /// A cache cannot be like that.
    Invalid = 2,
    /// Objects of the cache are still allocated.
    Busy = 3,
    /// The object is free already.
    Twice = 4,
    /// No object begins at the address, though it lies in a slab of the cache.
    NotAnObject = 5,
    /// The address lies in no slab of the cache.
    Foreign = 6,
    /// Bytes beside the object were written.
    Overrun = 7,
}

impl SlabError {
    /// Every error, in order of code.
    pub const ALL: [Self; 7] =
        [Self::NoMemory, Self::Invalid, Self::Busy, Self::Twice, Self::NotAnObject, Self::Foreign, Self::Overrun];

    /// The error with this code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|error| *error as u8 == code)
    }

    /// The word that stands for the error in a record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoMemory => "no-memory",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
            Self::Twice => "twice",
            Self::NotAnObject => "not-an-object",
            Self::Foreign => "foreign",
            Self::Overrun => "overrun",
        }
    }
}

impl fmt::Display for SlabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a cache has to say of itself, as a line of Linux's `/proc/slabinfo` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info {
    /// Objects that are allocated; those at hand of a hart are not.
    pub active_objects: u64,
    /// Objects of all slabs.
    pub objects: u64,
    /// Bytes of an object.
    pub object_size: u64,
    /// Objects of a slab.
    pub objects_per_slab: u64,
    /// Pages of a slab.
    pub pages_per_slab: u64,
    /// The most objects that a hart keeps at hand.
    pub limit: u64,
    /// How many move at a time.
    pub batch: u64,
    /// Slabs with an object that is not free.
    pub active_slabs: u64,
    /// All slabs.
    pub slabs: u64,
    /// Damage that the debug mode found: red zones, and writes to free objects.
    pub damaged: u64,
}

impl Info {
    /// How many numbers there are.
    pub const LENGTH: usize = 10;

    /// The numbers, in the order of the fields.
    pub const fn to_numbers(self) -> [u64; Self::LENGTH] {
        [
            self.active_objects,
            self.objects,
            self.object_size,
            self.objects_per_slab,
            self.pages_per_slab,
            self.limit,
            self.batch,
            self.active_slabs,
            self.slabs,
            self.damaged,
        ]
    }

    /// The fields, of numbers in their order.
    pub const fn from_numbers(numbers: [u64; Self::LENGTH]) -> Self {
        let [
            active_objects,
            objects,
            object_size,
            objects_per_slab,
            pages_per_slab,
            limit,
            batch,
            active_slabs,
            slabs,
            damaged,
        ] = numbers;
        Self {
            active_objects,
            objects,
            object_size,
            objects_per_slab,
            pages_per_slab,
            limit,
            batch,
            active_slabs,
            slabs,
            damaged,
        }
    }
}

/// Bytes of a line of the processor's cache, which colours are multiples of.
pub const CACHE_LINE: u64 = 64;

/// The largest object that a cache can be made for.
pub const LARGEST_OBJECT: u64 = 4096;

/// How many objects a hart keeps at hand, and how many move at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// The most objects that a hart keeps.
    pub limit: usize,
    /// How many move at a time between a hart and what lies behind it.
    pub batch: usize,
    /// The most objects that harts share, in an array behind their own; zero where there is one hart only.
    pub shared: usize,
}

impl Tuning {
    /// The tuning for objects of so many bytes (Linux 2.6.30, mm/slab.c, `enable_cpucache`).
    pub fn of(size: usize, harts: usize) -> Self {
        let limit: usize = match size {
            0..=256 => 120,
            257..=1024 => 54,
            1025..=4096 => 24,
            _ => 8,
        };
        let batch = limit.div_ceil(2);
        let shared = if harts > 1 { 8 * batch } else { 0 };
        Self { limit, batch, shared }
    }
}

/// The most caches that test programs have at a time.
pub const MOST_CACHES: usize = 16;

/// Sizes of objects that a cache with a constructor can have in test programs.
pub const CONSTRUCTED_SIZES: [u64; 6] = [16, 32, 64, 192, 512, 2048];

/// The cache number that stands for `kmalloc` and `kfree`.
pub const GENERAL: u8 = 255;

/// A cache has a constructor: a flag of [`Kind::Create`].
pub const CONSTRUCTOR: u8 = 1;

/// A cache is in debug mode: a flag of [`Kind::Create`].
pub const DEBUG: u8 = 2;

/// The object did not hold what it should: what its constructor, or whoever has it, had written. A flag of
/// [`Kind::Allocate`] and [`Kind::Free`].
pub const DAMAGED: u8 = 4;

/// Before the free, the kernel wrote a byte just behind the object: a flag of [`Kind::Free`], and what asks for it.
pub const SCRIBBLE: u8 = 8;

/// The free is meant to be wrong, so the kernel does not touch what lies there: a flag of [`Kind::Free`].
pub const WRONG: u8 = 16;

/// Instead of a number of locks: the operation ended on another hart than it began on, so that nobody has counted.
pub const UNCOUNTED: u16 = u16::MAX;

/// What an [`Event`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A cache was asked for; `a` is the size of its objects, `b` their alignment.
    Create = b'c',
    /// A cache was given up.
    Destroy = b'd',
    /// A cache was shrunk; `a` is the number of pages that it says it gave back.
    Shrink = b's',
    /// An object was asked for; `a` is its address, and `b` for [`GENERAL`] the bytes asked for.
    Allocate = b'a',
    /// An object was given back; `a` is its address, and `b` for [`GENERAL`] the bytes that were asked for.
    Free = b'f',
    /// A cache was asked for its statistics; five of [`Kind::Numbers`] follow.
    Info = b'i',
    /// Two numbers of an [`Info`]: `a` and `b`.
    Numbers = b'n',
    /// Pages were taken from the page allocator: `a` is the address, `b` how many.
    TakePages = b'p',
    /// Pages were given back to it.
    GivePages = b'q',
    /// A constructor ran, on `b` objects: the first at `a`, the others each so many bytes further as `instructions`
    /// says.
    Construct = b'o',
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Create,
        Self::Destroy,
        Self::Shrink,
        Self::Allocate,
        Self::Free,
        Self::Info,
        Self::Numbers,
        Self::TakePages,
        Self::GivePages,
        Self::Construct,
    ];

    /// The kind that a letter stands for.
    pub fn from_letter(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == letter)
    }
}

/// One thing that happened to object caches, as the kernel traces it on the hart where it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// A [`Kind`].
    pub kind: u8,
    /// Who asked: a number that the test program gives its processes, or [`KERNEL_CLIENT`](crate::page::KERNEL_CLIENT).
    pub client: u8,
    /// The number of the cache, or [`GENERAL`].
    pub cache: u8,
    /// Zero for success, or the code of a [`SlabError`].
    pub error: u8,
    /// See [`CONSTRUCTOR`], [`DEBUG`], [`DAMAGED`], [`SCRIBBLE`], [`WRONG`].
    pub flags: u8,
    /// Keeps the layout free of padding.
    pub reserved: u8,
    /// Locks taken meanwhile on this hart, or [`UNCOUNTED`].
    pub locks: u16,
    /// Guest instructions from just before the call to just after it.
    pub instructions: u64,
    /// When it began, by a clock that all harts share.
    pub begin: u64,
    /// When it ended.
    pub end: u64,
    /// See [`Kind`].
    pub a: u64,
    /// See [`Kind`].
    pub b: u64,
}

impl Event {
    /// Nothing.
    pub const NONE: Self = Self {
        kind: 0,
        client: 0,
        cache: 0,
        error: 0,
        flags: 0,
        reserved: 0,
        locks: 0,
        instructions: 0,
        begin: 0,
        end: 0,
        a: 0,
        b: 0,
    };
}

/// Writes the fields of an `objects` record: events of one hart, the first with that number.
///
/// # Errors
/// Those of `out`.
pub fn write_events(out: &mut impl fmt::Write, hart: usize, from: u64, events: &[Event]) -> fmt::Result {
    write!(out, "\"r\":\"objects\",\"hart\":{hart},\"from\":{from},\"events\":[")?;
    for (index, event) in events.iter().enumerate() {
        let lead = if index == 0 { "" } else { "," };
        let Event { kind, client, cache, error, flags, locks, instructions, begin, end, a, b, .. } = *event;
        let letter = char::from(kind);
        write!(
            out,
            "{lead}[\"{letter}\",{client},{cache},{error},{flags},{locks},{instructions},{begin},{end},{a},{b}]"
        )?;
    }
    out.write_str("]")
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    #[test]
    fn events_are_written_as_documented() {
        let event = Event { kind: Kind::Allocate as u8, client: 1, cache: 2, instructions: 30, a: 4096, ..Event::NONE };
        let mut text = String::new();
        write_events(&mut text, 3, 7, &[event, Event { begin: 5, end: 9, ..event }]).unwrap();
        assert_eq!(
            text,
            r#""r":"objects","hart":3,"from":7,"events":[["a",1,2,0,0,0,30,0,0,4096,0],["a",1,2,0,0,0,30,5,9,4096,0]]"#
        );
    }

    #[test]
    fn statistics_survive_as_numbers() {
        let numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        assert_eq!(Info::from_numbers(numbers).to_numbers(), numbers);
    }
}
