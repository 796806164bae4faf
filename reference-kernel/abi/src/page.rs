//! Requests to a page allocator under test, their outcomes, and the trace entry that keeps one of each.

use core::fmt;

/// Bytes in a page (RISC-V Privileged Architecture, Sv39).
pub const PAGE_SIZE: u64 = 4096;

/// The largest order of block that the buddy lab asks for: 2^10 pages, 4 MiB, as in Linux.
pub const MAX_ORDER: u32 = 10;

/// The number of orders, 0 to [`MAX_ORDER`].
pub const ORDERS: usize = MAX_ORDER as usize + 1;

/// Why a page allocator turned a request down.
///
/// The discriminants are what system calls return, negated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PageError {
    /// Zero pages were asked for.
    Zero = 1,
    /// No block can ever be that large.
    TooLarge = 2,
    /// No free block is large enough now.
    Exhausted = 3,
    /// The address freed is no multiple of the page size, or of the size of the block.
    Misaligned = 4,
    /// The address freed lies in no region of the allocator.
    Outside = 5,
    /// The address freed lies within an allocated block, but is not its first page.
    NotAllocated = 6,
    /// The block freed is free already.
    Twice = 7,
    /// The block freed was allocated with another size.
    WrongSize = 8,
}

impl PageError {
    /// Every error, in order of code.
    pub const ALL: [Self; 8] = [
        Self::Zero,
        Self::TooLarge,
        Self::Exhausted,
        Self::Misaligned,
        Self::Outside,
        Self::NotAllocated,
        Self::Twice,
        Self::WrongSize,
    ];

    /// The error with this code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|error| *error as u8 == code)
    }

    /// The word that stands for the error in a record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::TooLarge => "too-large",
            Self::Exhausted => "exhausted",
            Self::Misaligned => "misaligned",
            Self::Outside => "outside",
            Self::NotAllocated => "not-allocated",
            Self::Twice => "twice",
            Self::WrongSize => "wrong-size",
        }
    }

    /// The error that a record's word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.word() == word)
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An allocator that a test program can drive through system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Pool {
    /// The one that every page of the kernel comes from.
    Kernel = 0,
    /// A fresh one of the lab's, over memory set aside at boot ([`crate::boot::Options::arena`]).
    Arena = 1,
}

impl Pool {
    /// The pool with this number.
    pub const fn from_number(number: usize) -> Option<Self> {
        match number {
            0 => Some(Self::Kernel),
            1 => Some(Self::Arena),
            _ => None,
        }
    }

    /// The word that stands for the pool in a record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Arena => "arena",
        }
    }
}

/// What a pool was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Allocate.
    Allocate = 1,
    /// Free.
    Free = 2,
    /// Report statistics. One [`Operation`] an order follows, as [`Kind::FreeBlocks`].
    Statistics = 3,
    /// The free blocks of one order; belongs to the [`Kind::Statistics`] before it.
    FreeBlocks = 4,
}

/// The client number of requests that the kernel makes for itself.
pub const KERNEL_CLIENT: u8 = 255;

/// One operation of a pool, as the kernel traces it while it holds the pool's lock.
///
/// The order of the trace is the order in which the operations took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Operation {
    /// A [`Kind`].
    pub kind: u8,
    /// Who asked: a number that the test program gives its processes, or [`KERNEL_CLIENT`].
    pub client: u8,
    /// The hart that the operation ran on.
    pub hart: u8,
    /// Zero for success, or the code of a [`PageError`].
    pub error: u8,
    /// For [`Kind::FreeBlocks`], the order; else zero.
    pub order: u8,
    /// Keeps the layout free of padding.
    pub reserved: [u8; 3],
    /// Guest instructions from just before the allocator was called to just after it returned.
    pub instructions: u64,
    /// Pages asked for or given back; free pages for [`Kind::Statistics`]; blocks for [`Kind::FreeBlocks`].
    pub pages: u64,
    /// The byte address of the block; pages under management for [`Kind::Statistics`].
    pub address: u64,
}

impl Operation {
    /// Bytes of one entry as [`crate::syscall::Syscall::TraceRead`] copies it out.
    pub const SIZE: usize = 32;
}

const _: () = assert!(size_of::<Operation>() == Operation::SIZE);
