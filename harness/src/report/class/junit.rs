//! A class as JUnit XML: one file with a suite for each student and lab, or a file for each with all explanations.

use std::io;
use std::path::Path;

use junit_report::{Duration, OffsetDateTime, Report, TestCase, TestCaseBuilder, TestSuiteBuilder};

use super::Class;
use crate::gradebook::{CheckRow, Gradebook, Row};
use crate::report::{junit, safe};
use crate::runner::chain;
use crate::write;

/// The class as text.
///
/// # Errors
/// When a string cannot be written as XML.
pub fn to_string(class: &Class) -> io::Result<String> {
    let mut report = Report::new();
    for (row, checks) in class.with_checks() {
        let mut suite = TestSuiteBuilder::new(&safe::xml(&format!("{}.{}", row.student.student, row.lab)));
        let cases: Vec<TestCase> = match row.status() {
            "passed" | "failed" => checks.iter().map(|check| case(row, check)).collect(),
            status => vec![without_grade(row, status)],
        };
        suite.add_testcases(cases);
        if let Ok(time) = OffsetDateTime::from_unix_timestamp(class.run.started) {
            suite.set_timestamp(time);
        }
        report.add_testsuite(suite.build());
    }
    let mut xml = Vec::new();
    report.write_xml(&mut xml).map_err(io::Error::other)?;
    String::from_utf8(xml).map_err(io::Error::other)
}

fn named(row: &Row, mut case: junit_report::TestCaseBuilder) -> TestCase {
    case.set_classname(&safe::xml(&format!("{}.{}", row.student.student, row.lab)));
    case.build()
}

fn case(row: &Row, check: &CheckRow) -> TestCase {
    let name = safe::xml(&check.name);
    let reason = safe::xml(&safe::line(&check.reason));
    let mut case = match check.verdict.as_str() {
        "pass" => TestCaseBuilder::success(&name, Duration::ZERO),
        "error" => TestCaseBuilder::error(&name, Duration::ZERO, "harness", &reason),
        "skipped" => TestCaseBuilder::skipped_with_cause(&name, "skipped", &reason),
        _ => TestCaseBuilder::failure(&name, Duration::ZERO, "submission", &reason),
    };
    case.set_system_out(&safe::xml(&format!("{} of {} points: {}", check.earned, check.max, check.title)));
    named(row, case)
}

/// One case that stands for all: nothing was handed in, or it could not be graded.
fn without_grade(row: &Row, status: &str) -> TestCase {
    let reason = safe::xml(&safe::line(&row.reason));
    let case = match status {
        "missing" => TestCaseBuilder::failure("submission", Duration::ZERO, "missing", &reason),
        "error" => TestCaseBuilder::error("submission", Duration::ZERO, "harness", &reason),
        _ => TestCaseBuilder::skipped_with_cause("submission", "skipped", "not graded yet"),
    };
    named(row, case)
}

/// Writes `LAB/STUDENT.xml` for each grade, as `grader run --junit` does.
///
/// # Errors
/// Why not, in a phrase.
pub fn write_each(class: &Class, gradebook: &Gradebook, folder: &Path) -> Result<(), String> {
    for row in &class.rows {
        let Some(grade) = &row.grade else { continue };
        let grade = gradebook.document(&grade.document).map_err(|error| chain(&error))?;
        // Such a file is what a student gets.
        let mut grade = grade.visible();
        // Names of cases must be unique in a class, in which several may hand in the same repository.
        grade.submission.repository = Some(row.student.student.clone());
        let path = folder.join(&row.lab).join(format!("{}.xml", row.student.student));
        let written = junit::to_string(&grade).and_then(|text| write::atomically(&path, text.as_bytes()));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
