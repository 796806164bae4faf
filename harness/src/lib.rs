//! Grades the branches of operating-system labs.
//!
//! Data moves one way, each step plain values in and plain values out:
//! Lab + Submission → SourceTree → Image → Transcript → Records → Verdicts → Grade → Reports.

pub mod event;
pub mod grade;
pub mod lab;
pub mod oracle;
pub mod report;
pub mod session;
pub mod trace;
pub mod write;
