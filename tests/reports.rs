//! The same submission gets the same grade, and what is written is what was found.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::student::{LAB, Outcome, Student, course, grader, reference, with_statement};

/// Keeps both processors busy until it is dropped.
struct Busy(Vec<std::process::Child>);

impl Busy {
    fn start() -> Self {
        let spin = || Command::new("sh").args(["-c", "while :; do :; done"]).stdout(Stdio::null()).spawn();
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self((0..cores).map(|_| spin().expect("a shell")).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The grade but for its times, as it stands in the document.
fn without_times(mut grade: Value) -> String {
    let times = grade.as_object_mut().expect("a grade").remove("times");
    assert!(times.is_some(), "a grade has times");
    serde_json::to_string_pretty(&grade).expect("JSON")
}

#[test]
fn two_runs_differ_in_nothing_but_times_on_a_busy_machine_too() {
    let student = Student::with(&reference());
    // Sessions on one hart and on several, figures, and the kernel on the lab's pages.
    let calm = student.check("split|shared|throughput|kernel|requests");
    let busy = Busy::start();
    let loaded = student.check("split|shared|throughput|kernel|requests");
    drop(busy);
    assert_eq!(calm.code, Some(0), "{}", calm.said());
    assert_eq!(without_times(calm.grade), without_times(loaded.grade));
}

#[test]
fn a_changed_solution_gets_another_seed_and_the_same_one_the_same() {
    let student = Student::with(&reference());
    let first = student.check("requests");
    student.write(crate::student::SOLUTION, &format!("{}// a comment\n", reference()));
    let second = student.check("requests");
    assert_ne!(first.grade["seed"], second.grade["seed"]);
    student.write(crate::student::SOLUTION, &reference());
    assert_eq!(first.grade["seed"], student.check("requests").grade["seed"]);
}

#[test]
fn a_kept_run_is_judged_again_to_the_same_grade() {
    let student = Student::with(&with_statement("if pages == 2 { return Err(PageError::Exhausted) }"));
    let folder = TempDir::new().expect("a folder");
    let out = folder.path().join("run");
    let first = student.run(&["--out", out.to_str().expect("UTF-8")]);
    assert_eq!(first.code, Some(1), "{}", first.said());
    for kept in ["grade.json", "build.log", "sessions/mixed.serial", "traces/mixed.txt"] {
        assert!(out.join(kept).exists(), "{kept} is not kept");
    }
    let json = folder.path().join("again.json");
    let mut command = grader(folder.path());
    command.arg("--course").arg(course()).arg("replay").arg(&out).arg("--json").arg(&json);
    let again = Outcome::of(&mut command, &json);
    assert_eq!(again.code, Some(1), "{}", again.said());
    assert_eq!(
        fs::read_to_string(out.join("grade.json")).expect("a grade"),
        fs::read_to_string(&json).expect("a grade")
    );

    // A transcript that was cut is a damaged run, not a worse grade.
    let serial = out.join("sessions/mixed.serial");
    let whole = fs::read(&serial).expect("a transcript");
    fs::write(&serial, &whole[..whole.len() / 2]).expect("half a transcript");
    let mut command = grader(folder.path());
    command.arg("--course").arg(course()).arg("replay").arg(&out);
    let damaged = Outcome::of(&mut command, &json);
    assert_eq!(damaged.code, Some(2), "{}", damaged.said());
    assert!(damaged.stderr.contains("mixed.serial"), "{}", damaged.said());
}

#[test]
fn the_junit_report_has_a_case_a_check_and_the_students_words_made_harmless() {
    let student = Student::with(&with_statement(r#"if pages == 64 { panic!("<b>]]>\u{1b}[31m & \"quoted\"") }"#));
    let junit = student.path().join(".git/junit.xml");
    let outcome = student.run(&["--check", "^(split|requests)$", "--junit", junit.to_str().expect("UTF-8")]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    let xml = fs::read_to_string(&junit).expect("a report");
    assert_eq!(xml.matches("<testcase ").count(), 2, "{xml}");
    assert_eq!(xml.matches("<failure ").count(), 1, "{xml}");
    assert!(!xml.contains('\u{1b}'), "{xml}");
    assert!(xml.contains("<property name=\"confinement.limits\" value=\"file size"), "{xml}");
    let suite = xml.find("<testsuite ").expect("a suite");
    assert!(xml[suite..].find("<properties>") < xml[suite..].find("<testcase "), "{xml}");
    // Every CDATA section ends where it is meant to.
    assert_eq!(xml.matches("<![CDATA[").count(), xml.matches("]]>").count(), "{xml}");
    assert!(!outcome.stdout.contains('\u{1b}'), "{}", outcome.said());
}

#[test]
fn colours_are_for_terminals_only() {
    let outcome = Student::with(&reference()).check("requests");
    assert!(!outcome.stdout.contains('\u{1b}') && !outcome.stderr.contains('\u{1b}'), "{}", outcome.said());
}

#[test]
fn the_command_that_a_failure_names_shows_the_same_failure() {
    let student = Student::with(&with_statement("if pages == 2 { return Err(PageError::Exhausted) }"));
    let first = student.check("exhaustion");
    let again = first.stdout.lines().find_map(|line| line.trim().strip_prefix("again: grader ")).expect("a command");
    let json = student.path().join(".git/again.json");
    let mut command = grader(student.path());
    command.arg("--course").arg(course()).args(again.split(' ')).arg("--json").arg(&json);
    let second = Outcome::of(&mut command, &json);
    assert!(again.starts_with(&format!("run --lab {LAB}")), "{again}");
    assert_eq!(first.graded("exhaustion"), second.graded("exhaustion"));
}
