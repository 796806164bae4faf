//! Grades the branches of operating-system labs.
//!
//! Data moves one way, each step plain values in and plain values out:
//! Lab + Submission → SourceTree → Image → Transcript → Records → Verdicts → Grade → Reports.

pub mod digest;
pub mod lab;
pub mod owner;
pub mod serial;
pub mod session;
pub mod symbols;
pub mod trace;
