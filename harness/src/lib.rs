//! Grades the branches of operating-system labs.
//!
//! Data moves one way, each step plain values in and plain values out:
//! Lab + Submission → SourceTree → Image → Transcript → Records → Verdicts → Grade → Reports.

pub mod cache;
pub mod course;
pub mod digest;
pub mod event;
pub mod files;
pub mod grade;
pub mod kind;
pub mod lab;
pub mod oracle;
pub mod owner;
pub mod report;
pub mod seed;
pub mod session;
pub mod similar;
pub mod trace;
pub mod write;
pub mod yaml;
