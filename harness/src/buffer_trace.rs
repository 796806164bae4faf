//! The trace of a buffer cache that several harts use, free of kernels and of how it travelled here.

/// One operation. Nothing puts operations of different clients in order but their stamps, which come from one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Who asked; a client has a hart of its own.
    pub client: u8,
    /// The counter before the cache was called.
    pub begin: u64,
    /// The counter when it had returned.
    pub end: u64,
    /// The number of the block.
    pub block: u64,
    /// The byte address of the buffer that it was in.
    pub buffer: u64,
    /// What was asked and answered.
    pub what: What,
}

/// A request with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The block's buffer was asked for, and held this; zero for what nobody can have written.
    Read {
        /// What the buffer held.
        content: u64,
    },
    /// This was written to the buffer.
    Write {
        /// What was written.
        content: u64,
    },
    /// The buffer was released.
    Release,
    /// The cache was asked to keep the buffer beyond its release.
    Pin,
    /// It was told that it need not any more.
    Unpin,
}
