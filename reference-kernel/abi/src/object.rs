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
