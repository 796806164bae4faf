//! The trace of a page allocator, free of kernels and of how it travelled here.

use abi::page::{ORDERS, PageError};
use serde::{Deserialize, Serialize};

/// Memory that a traced allocator was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Byte address of the first page.
    pub start: u64,
    /// Length in pages.
    pub pages: u64,
    /// Byte address of the first page that the allocator says it can hand out.
    pub managed_start: u64,
    /// The number of pages that it says it can hand out.
    pub managed_pages: u64,
}

/// The allocator that a trace is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// `arena` or `kernel`.
    pub name: String,
    /// The order of the largest block.
    pub max_order: u32,
    /// The byte address from which blocks are counted that start at multiples of their size.
    #[serde(default)]
    pub origin: u64,
    /// What it was given.
    pub regions: Vec<Region>,
}

impl Pool {
    /// The same with addresses counted from `origin`.
    pub fn from(&self, origin: u64) -> Self {
        let region = |region: &Region| Region {
            start: region.start.wrapping_sub(origin),
            managed_start: region.managed_start.wrapping_sub(origin),
            ..*region
        };
        Self { origin: 0, regions: self.regions.iter().map(region).collect(), ..self.clone() }
    }
}

/// One operation, in the order in which they took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The process of the test program that asked, or [`abi::page::KERNEL_CLIENT`].
    pub client: u8,
    /// The hart that it ran on.
    pub hart: u8,
    /// Guest instructions that the allocator took.
    pub instructions: u64,
    /// What was asked and answered.
    pub what: What,
}

impl Operation {
    /// The same with addresses counted from `origin`.
    pub fn from(&self, origin: u64) -> Self {
        let what = match self.what {
            What::Allocate { pages, answer: Ok(address) } => {
                What::Allocate { pages, answer: Ok(address.wrapping_sub(origin)) }
            }
            What::Free { address, pages, answer } => {
                What::Free { address: address.wrapping_sub(origin), pages, answer }
            }
            other => other,
        };
        Self { what, ..*self }
    }
}

/// A request with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Contiguous pages were asked for; the answer is the byte address of the first.
    Allocate {
        /// The number of pages.
        pages: u64,
        /// What came back.
        answer: Result<u64, PageError>,
    },
    /// Pages were given back.
    Free {
        /// Byte address.
        address: u64,
        /// The number of pages.
        pages: u64,
        /// What came back.
        answer: Result<(), PageError>,
    },
    /// The allocator was asked how much is free.
    Statistics(Statistics),
}

/// What an allocator says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Pages free.
    pub free_pages: u64,
    /// Pages under management.
    pub managed_pages: u64,
    /// Free blocks by order.
    pub free_blocks: [u64; ORDERS],
}

/// The position of an operation in its trace, from zero.
pub type OpIndex = usize;
