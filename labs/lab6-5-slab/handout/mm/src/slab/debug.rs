//! The debug mode: wrong frees are refused, and writes to memory that is not allocated are found out.
//!
//! To do, when all else works.
