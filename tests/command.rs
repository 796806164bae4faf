//! What the command line answers when something is wrong with the command, the lab, the repository or the machine.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::student::{LAB, Outcome, Student, course, grader, reference};

/// Runs `grader` with the course named; the grade goes nowhere.
fn run(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = grader(folder);
    command.arg("--course").arg(course()).args(arguments);
    Outcome::of(&mut command, Path::new("/nonexistent"))
}

#[track_caller]
fn assert_refused(outcome: &Outcome, code: i32, sentence: &str) {
    assert_eq!(outcome.code, Some(code), "{}", outcome.said());
    assert!(outcome.stderr.contains(sentence), "{sentence:?} is not in:\n{}", outcome.said());
}

#[test]
fn an_unknown_lab_is_refused_with_the_one_that_was_meant() {
    let student = Student::with(&reference());
    assert_refused(&run(student.path(), &["run", "--lab", "lab6-2-budy"]), 2, "did you mean `lab6-2-buddy`?");
}

#[test]
fn a_folder_without_a_repository_is_refused() {
    let folder = TempDir::new().expect("a folder");
    assert_refused(&run(folder.path(), &["run", "--lab", LAB]), 2, "repository");
}

#[test]
fn a_missing_branch_is_refused_with_what_to_type() {
    let student = Student::with(&reference());
    assert_refused(&run(student.path(), &["run", "--lab", LAB, "--branch", "lab6-2-budy"]), 2, LAB);
}

#[test]
fn a_missing_revision_is_refused() {
    let student = Student::with(&reference());
    assert_refused(&run(student.path(), &["run", "--lab", LAB, "--rev", "no-such-tag"]), 2, "no-such-tag");
}

#[test]
fn words_that_make_no_sense_are_refused_before_anything_is_built() {
    let student = Student::with(&reference());
    assert_refused(&run(student.path(), &["run", "--lab", LAB, "--seed", "soup"]), 2, "is no seed");
    assert_refused(&run(student.path(), &["run", "--lab", LAB, "--check", "("]), 2, "regex parse error");
    assert_refused(&run(student.path(), &["run", "--lab", LAB, "--check", "nothing"]), 2, "its checks are split");
    assert_refused(&run(student.path(), &["run"]), 2, "--lab");
}

#[test]
fn qemu_missing_is_our_fault_and_costs_nothing() {
    let student = Student::with(&reference());
    let json = student.path().join(".git/grade.json");
    let mut command = grader(student.path());
    command.arg("--course").arg(course()).args(["run", "--lab", LAB, "--json"]).arg(&json);
    // A PATH with all that is needed but QEMU.
    let tools = TempDir::new().expect("a folder");
    let path = std::env::var("PATH").expect("a PATH");
    for tool in ["cargo", "rustc", "cc", "ld", "git", "rustup"] {
        let found = std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|path| path.exists());
        if let Some(found) = found {
            std::os::unix::fs::symlink(found, tools.path().join(tool)).expect("a link");
        }
    }
    command.env("PATH", tools.path());
    let outcome = Outcome::of(&mut command, &json);
    assert_eq!(outcome.code, Some(3), "{}", outcome.said());
    for check in outcome.grade["checks"].as_array().expect("checks") {
        assert_eq!(check["verdict"], "error", "{}", outcome.said());
    }
    assert!(outcome.stdout.contains("apt-get install qemu-system-misc"), "{}", outcome.said());
    assert!(outcome.stdout.contains("the harness's fault, not the submission's"), "{}", outcome.said());
}

#[test]
fn a_wrong_lab_file_is_refused_with_file_line_and_column() {
    let folder = TempDir::new().expect("a folder");
    let copy = |path: &str| {
        let goal = folder.path().join(path);
        fs::create_dir_all(goal.parent().expect("a parent")).expect("a folder");
        fs::copy(course().join(path), goal).expect("a copy");
    };
    copy("labs/kernels/reference/kernel.yaml");
    for path in ["Cargo.toml", "mm/Cargo.toml", "mm/src/page/mod.rs", "mm/src/page/buddy.rs"] {
        copy(&format!("reference-kernel/{path}"));
    }
    let lab = fs::read_to_string(course().join(format!("labs/{LAB}/lab.yaml"))).expect("the lab");
    let wrong = lab.replace("points: 100\n", "points: 99\n").replace("buddy.smallest-block", "buddy.smalest-block");
    let path = folder.path().join(format!("labs/{LAB}/lab.yaml"));
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(&path, &wrong).expect("a lab");

    let mut command = grader(folder.path());
    command.arg("--course").arg(folder.path()).args(["labs", "--check"]);
    let outcome = Outcome::of(&mut command, Path::new("/nonexistent"));
    assert_eq!(outcome.code, Some(2), "{}", outcome.said());
    let line = 1 + wrong.lines().position(|line| line.contains("smalest")).expect("the line");
    assert!(outcome.stderr.contains(&format!("lab.yaml:{line}:")), "{}", outcome.said());
    assert!(outcome.stderr.contains("buddy.smallest-block"), "{}", outcome.said());

    let student = Student::with(&reference());
    let mut command = grader(student.path());
    command.arg("--course").arg(folder.path()).args(["run", "--lab", LAB]);
    assert_refused(&Outcome::of(&mut command, Path::new("/nonexistent")), 2, "lab.yaml");
}

#[test]
fn the_courses_own_repository_grades_its_reference_and_says_so() {
    let outcome = run(&course().join("labs"), &["run", "--lab", LAB, "--check", "^requests$"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    assert!(outcome.stderr.contains("its reference solution is graded"), "{}", outcome.said());
    assert!(outcome.stdout.contains("partial"), "{}", outcome.said());
}

#[test]
fn a_file_that_the_lab_does_not_take_is_named_as_changed_in_vain() {
    let student = Student::with(&reference());
    let trait_file = fs::read_to_string(student.path().join("mm/src/page/mod.rs")).expect("the file");
    student.write("mm/src/page/mod.rs", &format!("{trait_file}\n// changed\n"));
    let outcome = student.check("requests");
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    assert_eq!(outcome.grade["submission"]["ignored"][0], "mm/src/page/mod.rs", "{}", outcome.said());
    assert!(outcome.stdout.contains("changed in vain"), "{}", outcome.said());
}

#[test]
fn uncommitted_work_is_graded_on_the_labs_branch_and_the_commit_when_asked_for() {
    let student = Student::with(&reference());
    student.write(crate::student::SOLUTION, "this is no Rust");
    assert_eq!(student.check("requests").code, Some(1));
    let outcome = student.run(&["--check", "^requests$", "--rev", "HEAD"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
}

#[test]
fn labs_and_schema_are_listed_and_the_published_schema_is_the_current_one() {
    let folder = TempDir::new().expect("a folder");
    let labs = run(folder.path(), &["labs"]);
    assert!(labs.stdout.contains("lab6-2-buddy"), "{}", labs.said());
    let schema = run(folder.path(), &["schema"]);
    let published = fs::read_to_string(course().join("harness/schemas/grade-v1.json")).expect("the published schema");
    assert_eq!(schema.stdout, published, "grader schema > harness/schemas/grade-v1.json");
}

#[test]
fn the_course_in_the_binary_does_when_there_is_no_other() {
    let student = Student::with(&reference());
    let json = student.path().join(".git/grade.json");
    let mut command = grader(student.path());
    command.args(["run", "--lab", LAB, "--check", "^requests$", "--json"]).arg(&json);
    let outcome = Outcome::of(&mut command, &json);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
}
