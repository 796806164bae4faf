//! The heap of programs over [`ulib`], and what tries it.

#![no_std]

pub mod heap_test;
pub mod umalloc;

pub use ulib::*;
