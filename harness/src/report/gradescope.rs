//! The grade as Gradescope reads it from `/autograder/results/results.json`.
//!
//! Its specification: <https://gradescope-autograders.readthedocs.io/en/latest/specs/>.

use std::io;

use serde::Serialize;

use super::{safe, terminal};
use crate::grade::{Build, Grade, GradedCheck, Outcome, Verdict};
use crate::lab::Visibility;

/// Without a score, here or on every test, it is no grade: Gradescope says that the autograder failed.
#[derive(Debug, Serialize)]
struct Results {
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_time: Option<u64>,
    output: String,
    output_format: &'static str,
    visibility: &'static str,
    /// What the command prints is for staff.
    stdout_visibility: &'static str,
    tests: Vec<Test>,
}

#[derive(Debug, Serialize)]
struct Test {
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    max_score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    name: String,
    number: String,
    output: String,
    output_format: &'static str,
    visibility: &'static str,
}

const TEXT: &str = "text";

/// The document, from the whole grade: hidden checks are hidden tests of it, and nothing else of it speaks of them.
///
/// # Errors
/// None that is known.
pub fn to_string(grade: &Grade) -> io::Result<String> {
    // A sum of points in which something is undecided is no score.
    let decided = grade.outcome() != Outcome::Error;
    let shown = grade.visible();
    let number = |(at, check): (usize, &GradedCheck)| {
        test(if check.visibility.is_visible() { &shown } else { grade }, check, at + 1)
    };
    write(&Results {
        score: decided.then(|| grade.points.earned.into()),
        execution_time: Some(grade.times.total.ceil() as u64),
        output: output(&shown, decided),
        output_format: TEXT,
        visibility: "visible",
        stdout_visibility: "hidden",
        tests: grade.checks.iter().enumerate().map(number).collect(),
    })
}

/// What stands there where nothing was graded: no score, since that would be a zero for a fault of ours.
pub fn without_grade(why: &str) -> String {
    let results = Results {
        score: None,
        execution_time: None,
        output: format!("The grader could not do its work. That is no fault of yours, and no grade.\n{}", lines(why)),
        output_format: TEXT,
        visibility: "visible",
        stdout_visibility: "hidden",
        tests: Vec::new(),
    };
    // It holds strings only, which JSON has.
    write(&results).unwrap_or_default()
}

/// What is said of the whole, from what students may see of it.
fn output(shown: &Grade, decided: bool) -> String {
    let mut text = format!("{}: {}\nGraded: {}\n", shown.lab.id, shown.lab.title, shown.submission.what);
    if !decided {
        text.push_str("Some checks could not be judged. That is no fault of yours; grade again.\n");
    }
    match &shown.build {
        Build::Built { .. } => {}
        Build::Refused { reason, diagnostics, .. } => text.push_str(&format!("{reason}\n\n{diagnostics}\n")),
        Build::Error { reason } => text.push_str(&format!("{reason}\n")),
    }
    lines(&text)
}

fn test(grade: &Grade, check: &GradedCheck, number: usize) -> Test {
    let decided = !matches!(check.verdict, Verdict::Error { .. });
    Test {
        score: decided.then(|| check.points.earned.into()),
        max_score: check.points.max.into(),
        status: decided.then_some(if check.verdict == Verdict::Pass { "passed" } else { "failed" }),
        name: safe::line(&format!("{}: {}", check.id, check.title)),
        number: number.to_string(),
        output: lines(&terminal::details(grade, check).join("\n")),
        output_format: TEXT,
        visibility: match check.visibility {
            Visibility::Visible => "visible",
            Visibility::Hidden => "hidden",
        },
    }
}

fn lines(text: &str) -> String {
    text.lines().map(safe::line).collect::<Vec<_>>().join("\n")
}

fn write(results: &Results) -> io::Result<String> {
    Ok(safe::json(&serde_json::to_string_pretty(results).map_err(io::Error::other)?) + "\n")
}

#[cfg(test)]
mod tests;
