//! The allocators of the labs.
//!
//! Nothing here knows a device or a page table: an allocator gets memory and gives out parts of it. Locks and harts
//! are known by a trait. So the same code runs in the kernel, in host tests and under Miri.

#![no_std]

pub mod list;
pub mod page;
pub mod slab;

pub use sync;
