//! The trace of processes that share memory until one of them writes to it, free of kernels and of how it travelled
//! here.

use abi::space_workload::{Answer, Place};

/// One order with its answer. One process does one thing at a time, so they have one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Who was told.
    pub process: u8,
    /// What it was told, and what came of it.
    pub what: What,
}

/// An order with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// To fork.
    Fork {
        /// The child.
        child: u8,
        /// What became of it.
        outcome: Outcome,
    },
    /// Not an order: where a page of the process that was forked last is.
    Mapped {
        /// The page.
        place: Place,
        /// The physical address, zero for none.
        frame: u64,
    },
    /// To store a value.
    Store {
        /// Where.
        place: Place,
        /// What.
        value: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// To have the kernel copy a value there.
    Receive {
        /// Where.
        place: Place,
        /// What.
        value: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// To look what is there.
    Look {
        /// Where.
        place: Place,
        /// What was there.
        value: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// To exit.
    Exit,
    /// To wait for a child that has ended.
    Wait,
    /// Not for the process: the free pages were counted.
    Count {
        /// How many there were.
        pages: u64,
    },
    /// Not for the process: all free pages but these were taken from the kernel.
    Take {
        /// How many were left.
        left: u64,
    },
    /// Not for the process: they were given back.
    GiveBack,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it was carried out.
    pub answer: Answer,
    /// Where the page is since, as a physical address with [`WRITABLE`] added, zero for none; for an order that was
    /// not carried out, how many pages were free, counted up to [`MOST_COUNTED`].
    pub frame: u64,
}

/// Added to the address of a page that the process may write to.
pub const WRITABLE: u64 = 1;

/// As far as free pages are counted when an order is not carried out.
pub const MOST_COUNTED: u64 = 64;
