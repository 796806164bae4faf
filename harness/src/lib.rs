//! Grades the branches of operating-system labs.
//!
//! Data moves one way, each step plain values in and plain values out:
//! Lab + Submission → SourceTree → Image → Transcript → Records → Verdicts → Grade → Reports.

pub mod base_tree;
pub mod batch;
pub mod blame;
pub mod buffer_trace;
pub mod cache;
pub mod cli;
pub mod confinement;
pub mod course;
pub mod digest;
pub mod doctor;
pub mod event;
pub mod evidence;
pub mod excerpt;
pub mod figures;
pub mod files;
pub mod grade;
pub mod gradebook;
pub mod grading;
pub mod handout;
pub mod image;
pub mod judge;
pub mod kind;
pub mod lab;
pub mod list_trace;
pub mod object_trace;
pub mod oracle;
pub mod owner;
pub mod plan;
pub mod qemu;
pub mod report;
pub mod roster;
pub mod run_folder;
pub mod runner;
pub mod schema;
pub mod seed;
pub mod serial;
pub mod session;
pub mod shell;
pub mod similar;
pub mod source_policy;
pub mod source_tree;
pub mod space_trace;
pub mod subject;
pub mod submission;
pub mod supervised;
pub mod symbols;
pub mod trace;
pub mod visible;
pub mod write;
pub mod yaml;
