//! The page allocators, held against a set of pages.
//!
//! Everything here runs under Miri as well, in smaller numbers:
//! `MIRIFLAGS=-Zmiri-strict-provenance cargo +nightly miri test -p mm`.
//!
//! Requests are drawn with [`abi::draw`], as the workloads are, and shrunk by [`cases`]: a crate for property tests
//! would stand in the lock file of a workspace that students build offline, and Cargo refuses to resolve a lock
//! file with a crate in it that the machine has never seen, needed or not.

mod bestfit;
mod buddy;
mod cases;
mod checked;
mod ground;
mod model;
mod properties;
mod trusted;
mod workloads;
