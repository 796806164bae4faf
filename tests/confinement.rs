//! What a submission can do while it is built, and what is asked before it may.

use crate::student::{LAB, Outcome, SOLUTION, Student, course, grader, reference};

/// Grades one check, on a machine without some means to confine.
fn run_without(means: &str, student: &Student, arguments: &[&str]) -> Outcome {
    let json = student.path().join(".git/grade.json");
    let _ = std::fs::remove_file(&json);
    let mut command = grader(student.path());
    command.env("GRADER_WITHOUT", means).arg("--course").arg(course());
    command.args(["run", "--lab", LAB, "--check", "^requests$", "--json"]).arg(&json).args(arguments);
    Outcome::of(&mut command, &json)
}

#[test]
fn somebody_else_s_code_is_refused_where_a_protection_is_missing_unless_it_is_named() {
    let student = Student::with(&reference());
    let repository = ["--repo", student.path().to_str().expect("UTF-8")];
    let refused = run_without("landlock", &student, &repository);
    assert_eq!(refused.code, Some(3), "{}", refused.said());
    assert!(refused.stderr.contains("the kernel has no Landlock"), "{}", refused.said());
    assert!(refused.stderr.contains("--allow-unconfined files"), "{}", refused.said());
    assert!(refused.grade.is_null(), "nothing was graded: {}", refused.said());

    let wrong = run_without("landlock", &student, &[&repository[..], &["--allow-unconfined", "network"]].concat());
    assert_eq!(wrong.code, Some(3), "{}", wrong.said());

    let allowed = run_without("landlock", &student, &[&repository[..], &["--allow-unconfined", "files"]].concat());
    assert_eq!(allowed.code, Some(0), "{}", allowed.said());
    assert_eq!(allowed.grade["confinement"]["waived"][0], "files", "{}", allowed.said());
    assert!(allowed.grade["confinement"]["missing"]["files"].is_string(), "{}", allowed.said());
    assert!(allowed.stdout.contains("without files, as allowed"), "{}", allowed.said());
}

#[test]
fn a_student_s_own_code_is_graded_on_any_machine_and_the_report_says_with_what() {
    let student = Student::with(&reference());
    let outcome = run_without("landlock,seccomp,namespaces,qemu-sandbox", &student, &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    let lines: Vec<&str> = outcome.stdout.lines().filter(|line| line.contains("Confined")).collect();
    assert_eq!(lines.len(), 1, "{}", outcome.said());
    assert!(lines[0].contains("without files, network, qemu, which your own code"), "{}", outcome.said());
    let with = run_without("", &student, &[]);
    assert_eq!(with.grade["checks"], outcome.grade["checks"], "the grade depends on the machine");
}

#[test]
fn a_forbidden_construct_is_the_submission_s_fault_with_file_line_and_rule() {
    let student = Student::with(&(reference() + "const SECRET: &[u8] = include_bytes!(\"/etc/passwd\");\n"));
    let line = 1 + reference().lines().count();
    let outcome = student.check("requests");
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    let place = format!("{SOLUTION}:{line}:23");
    assert_eq!(outcome.grade["build"]["places"][0], place.as_str(), "{}", outcome.said());
    assert!(outcome.stdout.contains(&format!("{place}: `include_bytes!` is forbidden")), "{}", outcome.said());
    assert_eq!(outcome.verdict("requests"), "fail", "{}", outcome.said());
}
