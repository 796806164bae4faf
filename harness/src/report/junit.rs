//! The grade as JUnit XML, for CI systems and gradebooks.
//!
//! One suite a grade; `classname` is submission and lab, which with the check's name is unique. A failed check of
//! the submission is a `failure`, a fault of the harness an `error`.

use std::io;

use junit_report::{Duration, OffsetDateTime, Report, TestCase, TestCaseBuilder, TestSuiteBuilder};

use super::{safe, terminal};
use crate::confinement::Protection;
use crate::grade::{Grade, GradedCheck, Verdict};

/// The report as text.
///
/// # Errors
/// When a string cannot be written as XML.
pub fn to_string(grade: &Grade) -> io::Result<String> {
    let mut suite = TestSuiteBuilder::new(&safe::xml(&grade.lab.id));
    let started = i64::try_from(grade.times.started).unwrap_or(0);
    if let Ok(time) = OffsetDateTime::from_unix_timestamp(started) {
        suite.set_timestamp(time);
    }
    suite.set_system_out(&safe::xml(&terminal::summary(grade)));
    for check in &grade.checks {
        suite.add_testcase(case(grade, check));
    }
    let mut report = Report::new();
    report.add_testsuite(suite.build());
    let mut xml = Vec::new();
    report.write_xml(&mut xml).map_err(io::Error::other)?;
    let xml = String::from_utf8(xml).map_err(io::Error::other)?;
    Ok(with_properties(xml, &properties(grade)))
}

/// What the whole grade says beside its checks.
fn properties(grade: &Grade) -> Vec<(String, String)> {
    let mut properties = vec![
        ("lab.version".to_owned(), grade.lab.version.clone()),
        ("points".to_owned(), format!("{} of {}", grade.points.earned, grade.points.max)),
    ];
    if !grade.is_part() {
        properties.push(("seed".to_owned(), grade.seed.clone()));
    }
    let unstable: Vec<&str> =
        grade.checks.iter().filter(|check| check.unstable.is_some()).map(|check| check.id.as_str()).collect();
    if !unstable.is_empty() {
        properties.push(("unstable".to_owned(), unstable.join(", ")));
    }
    if let Some(confined) = &grade.confinement {
        let name = |protection: &Protection| format!("confinement.{}", protection.name());
        properties.extend(confined.in_force.iter().map(|(protection, how)| (name(protection), how.clone())));
        let missing = |(protection, why): (&Protection, &String)| (name(protection), format!("missing: {why}"));
        properties.extend(confined.missing.iter().map(missing));
    }
    properties
}

/// The report with properties of its suite, which the library has no place for; they must come before the cases.
fn with_properties(xml: String, properties: &[(String, String)]) -> String {
    let Some(end) = xml.find("<testsuite ").and_then(|at| Some(at + xml[at..].find('>')? + 1)) else { return xml };
    let one = |(name, value): &(String, String)| {
        format!("<property name=\"{}\" value=\"{}\" />", attribute(name), attribute(value))
    };
    let all: String = properties.iter().map(one).collect();
    format!("{}<properties>{all}</properties>{}", &xml[..end], &xml[end..])
}

/// Text as the value of an attribute.
fn attribute(text: &str) -> String {
    safe::xml(&safe::line(text)).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn case(grade: &Grade, check: &GradedCheck) -> TestCase {
    let name = safe::xml(&check.id);
    // Boots are shared between checks, so a check has no time of its own.
    let time = Duration::ZERO;
    let text = safe::xml(&terminal::details(grade, check).join("\n"));
    let mut case = match &check.verdict {
        Verdict::Pass => TestCaseBuilder::success(&name, time),
        Verdict::Fail { reason, .. } => {
            let unstable =
                if check.unstable.is_some() { "unstable, it passed in another boot with the same seed: " } else { "" };
            let reason = format!("{unstable}{}", safe::line(reason));
            TestCaseBuilder::failure(&name, time, "submission", &safe::xml(&reason))
        }
        Verdict::Error { reason } => TestCaseBuilder::error(&name, time, "harness", &safe::xml(&safe::line(reason))),
        Verdict::Skipped { reason } => {
            TestCaseBuilder::skipped_with_cause(&name, "skipped", &safe::xml(&safe::line(reason)))
        }
    };
    if !matches!(check.verdict, Verdict::Pass) {
        case.set_trace(&text);
    }
    let submission = grade.submission.repository.as_deref().unwrap_or("reference");
    case.set_classname(&safe::xml(&format!("{submission}.{}", grade.lab.id)));
    case.set_system_out(&safe::xml(&format!(
        "{} of {} points: {}; it rests on {}",
        check.points.earned,
        check.points.max,
        check.title,
        check.proof.words()
    )));
    case.build()
}
