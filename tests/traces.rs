//! Allocation traces that a student brings: `grader run --trace FILE`.

use std::fs;

use tempfile::TempDir;

use crate::student::{course, grader};

#[test]
fn a_trace_of_ones_own_is_replayed_beside_the_lab_s() {
    let folder = TempDir::new().expect("a temporary folder");
    let trace = folder.path().join("mine.rep");
    fs::write(&trace, "20000\n3\n8\n1\na 0 512\na 1 128\nr 0 640\na 2 24\nf 1\nr 0 4000\nf 0\nf 2\n").expect("a file");
    let mut run = grader(&course());
    run.args(["run", "--lab", "lab6-3-umalloc", "--check", "utilisation", "--trace"]).arg(&trace);
    let output = run.output().expect("grader starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let row = said.lines().find(|line| line.starts_with("mine")).unwrap_or_else(|| panic!("{said}"));
    let cells: Vec<&str> = row.split_whitespace().collect();
    // Eight requests, of which 4000 and 24 bytes live at the same time at most, after growing from 640.
    assert_eq!(cells[..3], ["mine", "(given)", "8"], "{said}");
    let peak: f64 = cells[3].parse().expect("a number");
    assert!((3.9..4.7).contains(&peak), "{row}");
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn a_trace_that_cannot_be_read_is_refused_with_its_line() {
    let folder = TempDir::new().expect("a temporary folder");
    let trace = folder.path().join("bad.rep");
    fs::write(&trace, "1\n1\n1\n1\na 0 x\n").expect("a file");
    let mut run = grader(&course());
    run.args(["run", "--lab", "lab6-3-umalloc", "--trace"]).arg(&trace);
    let output = run.output().expect("grader starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("bad.rep: line 5: expected `a ID SIZE`"), "{said}");
}
