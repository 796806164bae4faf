//! The rules of a best-fit allocator, and what violates them.

use abi::page::PageError;

use super::free_set::Extent;
use crate::oracle::finding::Map;
use crate::trace::OpIndex;

/// What an allocator may keep for itself: one page in this many, and [`SPARE_PAGES`] a region.
pub const KEPT_SHARE: u64 = 64;

/// Pages that a region's allocator may keep beside its share, for headers and rounding.
pub const SPARE_PAGES: u64 = 2;

/// A violated rule, with the memory around it as it was just before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The operation.
    pub at: OpIndex,
    /// The rule.
    pub rule: Rule,
    /// The memory around it, for the first violations.
    pub map: Option<Map>,
}

/// What a trace showed that a best-fit allocator must not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A block starts within a page.
    Misaligned {
        /// The byte address handed out.
        address: u64,
    },
    /// A block, or a part of it, lies outside of what the allocator manages.
    Outside {
        /// The byte address handed out.
        address: u64,
        /// Pages asked for.
        pages: u64,
    },
    /// A block reaches from one region into the next.
    AcrossRegions {
        /// The block handed out.
        block: Extent,
        /// Where the next region begins.
        border: u64,
    },
    /// A block holds pages that are allocated already.
    Overlap {
        /// The block handed out.
        block: Extent,
        /// The live block that it meets.
        live: Extent,
        /// The operation that allocated the live block.
        since: OpIndex,
    },
    /// A longer extent was cut although a shorter one was long enough.
    NotBest {
        /// The extent that the block was taken from.
        from: Extent,
        /// One of the shortest that were long enough.
        best: Extent,
    },
    /// A block was cut from the middle of an extent, which left two where one would have been left.
    CutInTwo {
        /// The block handed out.
        block: Extent,
        /// The extent that it was taken from.
        from: Extent,
    },
    /// An extent that is long enough was there, had neighbours been merged when both were free.
    Unmerged {
        /// Pages asked for.
        pages: u64,
        /// The extent that merging makes.
        extent: Extent,
        /// The longest piece of it that was ever split off or freed as one.
        longest_piece: u64,
    },
    /// The statistics show other free extents than merging leaves.
    CountedUnmerged {
        /// The first class of lengths that is wrong: from 2^class pages up.
        class: u32,
        /// How many extents of it the allocator counts.
        counted: u64,
        /// How many there are after merging.
        due: u64,
    },
    /// A request was refused although a free extent was long enough.
    RefusedWhileFree {
        /// Pages asked for.
        pages: u64,
        /// A free extent that was long enough.
        free: Extent,
    },
    /// The allocator keeps back more of a region than its state can need.
    KeptTooMuch {
        /// Byte address of the region.
        start: u64,
        /// Pages in the region.
        pages: u64,
        /// Pages that can be handed out.
        managed: u64,
        /// The fewest that would be right.
        least: u64,
    },
    /// A request that must be refused was met.
    GrantedImpossible {
        /// Pages asked for.
        pages: u64,
        /// The error that was due.
        due: PageError,
    },
    /// A request was refused with an error that does not apply.
    RefusedWrongly {
        /// Pages asked for.
        pages: u64,
        /// The error that was due.
        due: PageError,
        /// The pages of the longest region.
        longest: u64,
    },
    /// A free that must be refused was accepted.
    AcceptedWrongFree {
        /// The byte address.
        address: u64,
        /// The errors that apply.
        due: Vec<PageError>,
        /// The live block that the address lies in, if there is one.
        live: Option<Extent>,
    },
    /// A wrong free was refused with an error that does not apply.
    MisnamedWrongFree {
        /// The errors that apply.
        due: Vec<PageError>,
        /// The live block that the address lies in, if there is one.
        live: Option<Extent>,
    },
    /// A right free was refused.
    RefusedRightFree {
        /// The block.
        block: Extent,
        /// The operation that allocated it.
        since: OpIndex,
    },
    /// The statistics count other pages than there are.
    Miscounted {
        /// What there is.
        due: u64,
        /// Free or managed pages.
        what: &'static str,
    },
}

impl Rule {
    /// The group that a lab's check names.
    pub const fn group(&self) -> &'static str {
        match self {
            Self::Misaligned { .. } | Self::Outside { .. } | Self::AcrossRegions { .. } | Self::Overlap { .. } => {
                "sound"
            }
            Self::NotBest { .. } | Self::CutInTwo { .. } => "best-fit",
            Self::Unmerged { .. } | Self::CountedUnmerged { .. } => "merge",
            Self::RefusedWhileFree { .. } | Self::KeptTooMuch { .. } => "failure",
            Self::GrantedImpossible { .. } | Self::RefusedWrongly { .. } => "requests",
            Self::AcceptedWrongFree { .. } | Self::MisnamedWrongFree { .. } | Self::RefusedRightFree { .. } => {
                "rejects"
            }
            Self::Miscounted { .. } => "statistics",
        }
    }
}

/// A trace, replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Every violation, in order of operations.
    pub violations: Vec<Violation>,
    /// Requests that could be met.
    pub due: u64,
    /// Those of them that were.
    pub met: u64,
}
