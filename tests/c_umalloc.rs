//! `umalloc` in C, graded as a program of our kernel.

use std::fs;

use tempfile::TempDir;

use crate::student::{Outcome, course_file, grader};

fn graded(source: &str, checks: &str) -> Outcome {
    let folder = TempDir::new().expect("a temporary folder");
    let student = folder.path().join("student");
    fs::create_dir(&student).expect("a folder");
    git2::Repository::init(&student).expect("a repository");
    fs::write(student.join("umalloc.c"), source).expect("a file");
    fs::write(student.join("umalloc.h"), course_file("labs/kernels/xv6n-umalloc/umalloc.h")).expect("a file");
    // What else such a branch has is no business of this lab.
    fs::create_dir(student.join("kernel")).expect("a folder");
    fs::write(student.join("kernel/kalloc.c"), "").expect("a file");
    let json = folder.path().join("grade.json");
    let mut run = grader(&student);
    run.args(["run", "--lab", "lab6-3-umalloc", "--worktree", "--check", checks, "--json"]).arg(&json);
    Outcome::of(&mut run, &json)
}

#[test]
#[ignore = "long: ci/long"]
fn c_umalloc_a_right_one_earns_what_the_interface_can_and_one_that_never_merges_fails_for_that() {
    let right = course_file("labs/kernels/xv6n-umalloc/umalloc.c");
    let outcome = graded(&right, ".*");
    assert_eq!((outcome.code, outcome.earned()), (Some(0), 64.0), "{}", outcome.said());
    assert!(outcome.stderr.contains("umalloc in C"), "{}", outcome.said());
    assert!(outcome.stdout.contains("binary") && !outcome.stdout.contains("changed in vain"), "{}", outcome.said());

    let merge = "  put(merge(block));\n";
    assert!(right.contains(merge));
    let outcome = graded(&right.replace(merge, "  put(block);\n"), "^(reuse|sound|c-utilisation|c-throughput)$");
    let verdicts = ["reuse", "sound", "c-utilisation", "c-throughput"].map(|check| outcome.verdict(check));
    assert_eq!(verdicts, ["fail", "pass", "fail", "fail"], "{}", outcome.said());
    // Twelve points are those of `sound`: neither small heaps nor speed are worth anything without merging.
    assert_eq!(outcome.earned(), 12.0, "{}", outcome.said());
}

#[test]
fn c_umalloc_that_does_not_compile_is_shown_with_the_line() {
    let outcome = graded("#include \"umalloc.h\"\nvoid *umalloc(unsigned long size) { return size }\n", "^sound$");
    assert_eq!((outcome.code, outcome.earned()), (Some(1), 0.0), "{}", outcome.said());
    assert!(outcome.stdout.contains("umalloc.c:2:"), "{}", outcome.said());
}
