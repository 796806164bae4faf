//! The allocators of the labs.
//!
//! Nothing here knows a device, a lock or a page table: an allocator gets memory and gives out parts of it,
//! and the kernel puts the lock around it. So the same code runs in the kernel, in host tests and under Miri.

#![no_std]

pub mod page;
pub mod sync;
