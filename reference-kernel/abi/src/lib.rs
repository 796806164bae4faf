//! What the kernel, its programs and the harness agree on.
//!
//! The kernel and the programs run it in the guest, the harness links the very same code on the host:
//! a record that one side writes is the record that the other side reads, and a workload that a test
//! program draws from a seed is drawn again by the oracle that judges it.

#![no_std]
#![forbid(unsafe_code)]

pub mod boot;
pub mod buffer_workload;
pub mod draw;
pub mod heap;
pub mod list_workload;
pub mod lists;
pub mod mark;
pub mod object;
pub mod object_workload;
pub mod page;
pub mod record;
pub mod space_workload;
pub mod stamp;
pub mod syscall;
pub mod workload;
