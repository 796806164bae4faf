//! Grades the branches of operating-system labs.
//!
//! Data moves one way, each step plain values in and plain values out:
//! Lab + Submission → SourceTree → Image → Transcript → Records → Verdicts → Grade → Reports.

pub mod cache;
pub mod course;
pub mod digest;
pub mod doctor;
pub mod files;
pub mod image;
pub mod kind;
pub mod lab;
pub mod owner;
pub mod session;
pub mod similar;
pub mod source_tree;
pub mod submission;
pub mod trace;
pub mod yaml;
