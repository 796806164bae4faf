//! What programs are written with: system calls, printing, arguments, and the way in and out.

#![no_std]

pub mod allocator_test;
pub mod arguments;
pub mod call;
mod entry;
pub mod ktap;
pub mod print;

pub use arguments::Arguments;
