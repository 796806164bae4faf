use std::fs;

use super::*;
use crate::report::samples;

fn lines_of(grade: &Grade, kind: &str) -> Vec<String> {
    let start = format!("::{kind} ");
    commands(grade).lines().filter(|line| line.starts_with(&start)).map(str::to_owned).collect()
}

#[test]
fn a_compiler_error_is_shown_at_the_student_s_own_line() {
    let lines = commands(&samples::refused("mismatched types: 50%, or so", 1));
    assert_eq!(
        lines,
        "::error file=mm/src/page/buddy.rs,line=1,col=5,title=compiler error E0308::mismatched types: 50%25, or so\n"
    );
}

#[test]
fn of_many_errors_ten_are_shown_and_the_rest_is_counted() {
    let grade = samples::refused("mismatched types", 23);
    assert_eq!(lines_of(&grade, "error").len(), 10);
    assert_eq!(lines_of(&grade, "notice").len(), 1);
    assert!(commands(&grade).contains("and 13 more"));
}

#[test]
fn a_panic_comes_before_lost_points_and_the_greatest_loss_before_others() {
    let mut grade = samples::failed();
    grade.checks.reverse();
    let lines = lines_of(&grade, "error");
    let starts = [
        "::error file=mm/src/page/buddy.rs,line=41,col=5,title=panic in session mixed::",
        "::error title=merge%3A 12 of 12 points lost::",
        "::error title=throughput%3A 3.5 of 6 points lost::",
    ];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    assert_eq!(lines.len(), starts.len());
    assert!(lines[1].contains("operation 193") && lines[1].contains("%0A  because "), "{}", lines[1]);
}

#[test]
fn one_panic_in_many_sessions_is_one_annotation() {
    let mut grade = samples::failed();
    grade.sessions = vec![grade.sessions[0].clone(); 5];
    for (hart, session) in grade.sessions.iter_mut().enumerate() {
        session.problem = Some(samples::problem("panic", 41, &format!("the kernel panicked on hart {hart}")));
    }
    assert_eq!(lines_of(&grade, "error").iter().filter(|line| line.contains("panic")).count(), 1);
}

#[test]
fn a_fault_of_ours_is_a_warning_and_no_output_that_could_be_taken_for_a_grade() {
    let grade = samples::undecided();
    let warnings = lines_of(&grade, "warning");
    assert!(warnings.len() == 1 && warnings[0].contains("no fault of yours"), "{warnings:?}");
    assert_eq!(outputs(&grade), "");
    assert_eq!(outputs(&samples::failed()), "score=14.5\nmax-score=34\npassed=false\n");
}

#[test]
fn summary_and_outputs_are_added_to_the_files_of_the_step_within_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (summary, output) = (folder.path().join("summary"), folder.path().join("output"));
    let variable = |name: &str| match name {
        "GITHUB_STEP_SUMMARY" => Some(summary.clone().into_os_string()),
        "GITHUB_OUTPUT" => Some(output.clone().into_os_string()),
        _ => None,
    };
    fs::write(&output, "before=1\n").unwrap();
    write_step_files(&samples::failed(), variable).unwrap();
    assert_eq!(fs::read_to_string(&output).unwrap(), "before=1\nscore=14.5\nmax-score=34\npassed=false\n");
    assert!(fs::read_to_string(&summary).unwrap().starts_with("## ❌ lab6-2-buddy"));
    // As often as one likes: the step's own limit holds.
    for _ in 0..200 {
        write_step_files(&samples::failed(), variable).unwrap();
    }
    assert!(fs::metadata(&summary).unwrap().len() <= LONGEST_SUMMARY);
    write_step_files(&samples::failed(), |_| None).unwrap();
    let gone = write_step_files(&samples::failed(), |_| Some(folder.path().join("no/such").into_os_string()));
    assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn no_two_fences_have_one_token() {
    let [(one, opening), (two, _)] = [Fence::open(), Fence::open()];
    assert!(opening.starts_with("::stop-commands::grader-"), "{opening}");
    let closing = one.close();
    assert_eq!(closing, format!("::{}::\n", opening.trim_end().trim_start_matches("::stop-commands::")));
    assert_ne!(closing, two.close());
}
