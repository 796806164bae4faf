//! The kernel but for its memory: harts, traps, address spaces, processes.
//!
//! A hart begins in [`entry`], in machine mode, and leaves it for good but for what [`machine`] keeps working.
//! Hart 0 sets everything up in [`start`]; then all harts run processes, in [`scheduler`].

#![no_std]

mod address_space;
mod backtrace;
mod boxed;
pub mod console;
pub mod cross_call;
pub mod csr;
mod deadline;
mod device_tree;
mod ending;
mod entry;
mod exec;
pub mod hart;
mod initrd;
mod kernel_space;
mod machine;
pub mod memory;
pub mod memory_map;
mod pages;
mod panic;
mod platform;
mod power;
pub mod process;
pub mod scheduler;
mod shared;
mod sleep;
pub mod spin;
mod start;
pub mod stop;
pub mod sv39;
mod switch;
pub mod syscall;
mod timer;
mod trampoline;
mod trap;
mod uart;

extern crate alloc;
