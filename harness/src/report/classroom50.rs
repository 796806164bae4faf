//! The grade as Classroom 50's runner takes it: a result of schema `classroom50/result/v1`.
//!
//! What it says beside scores comes from the runner's environment: whose repository it is, which tag was graded, and
//! where it can be looked at. Facts as in `foundation50/classroom50`: `schemas/result-v1.schema.json`, `runner.py`.

use std::io;

use junit_report::OffsetDateTime;
use serde::Serialize;

use super::safe;
use crate::grade::{Grade, Outcome, Points, Verdict};

/// The version that we write.
const SCHEMA: &str = "classroom50/result/v1";

/// What a tag of a submission begins with.
const TAG: &str = "submit/";

/// A result. Other keys are refused.
#[derive(Debug, Serialize)]
struct Result50 {
    schema: &'static str,
    classroom: String,
    assignment: String,
    assignment_type: &'static str,
    owner: String,
    submission: String,
    commit: String,
    release: String,
    review: String,
    datetime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    graded_at: Option<String>,
    score: u32,
    #[serde(rename = "max-score")]
    max_score: u32,
    tests: Vec<Test>,
}

#[derive(Debug, Serialize)]
struct Test {
    #[serde(rename = "test-name")]
    name: String,
    passed: bool,
    score: u32,
    #[serde(rename = "max-score")]
    max_score: u32,
    /// For people; the runner keeps it as it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

/// The document.
///
/// # Errors
/// Where a check could not be judged, since that would be a score; and where the environment does not say whose result
/// it is.
pub fn to_string(grade: &Grade, variable: impl Fn(&str) -> Option<String>) -> io::Result<String> {
    if grade.outcome() == Outcome::Error {
        return Err(io::Error::other(
            "some checks could not be judged, which is the grader's fault, and a score would be the student's loss",
        ));
    }
    let environment = Environment { variable: &|name| variable(name).filter(|value| !value.is_empty()) };
    let (classroom, assignment) = (environment.must("CLASSROOM")?, environment.must("ASSIGNMENT")?);
    let submission = environment.must("SUBMISSION_TAG")?;
    if !submission.starts_with(TAG) {
        return Err(io::Error::other(format!("SUBMISSION_TAG is {submission:?}, and must begin with {TAG:?}")));
    }
    let committed = grade.submission.committed.and_then(time);
    let committed = committed.ok_or_else(|| io::Error::other("what was graded is no commit with a date"))?;
    let commit = environment.commit(grade)?;
    let result = Result50 {
        schema: SCHEMA,
        assignment_type: if environment.get("MODE").as_deref() == Some("group") { "group" } else { "individual" },
        owner: environment.owner(&classroom, &assignment)?,
        classroom,
        assignment,
        release: environment.release(&submission)?,
        submission,
        review: environment.get("REVIEW_URL").unwrap_or_else(|| commit.clone()),
        commit,
        datetime: committed,
        graded_at: i64::try_from(grade.times.started).ok().and_then(time),
        score: whole(grade.points.earned),
        max_score: whole(grade.points.max),
        tests: grade.checks.iter().map(test).collect(),
    };
    let text = serde_json::to_string_pretty(&result).map_err(io::Error::other)?;
    Ok(safe::json(&text) + "\n")
}

fn test(check: &crate::grade::GradedCheck) -> Test {
    let message = match &check.verdict {
        Verdict::Pass => String::new(),
        Verdict::Fail { reason, .. } | Verdict::Error { reason } | Verdict::Skipped { reason } => safe::line(reason),
    };
    Test {
        name: check.id.clone(),
        passed: check.verdict == Verdict::Pass,
        score: whole(check.points.earned),
        max_score: whole(check.points.max),
        message,
    }
}

/// Scores are whole: a part of a point is none, so that only all of it is all of it.
fn whole(points: Points) -> u32 {
    f64::from(points) as u32
}

/// What the runner sets.
struct Environment<'e> {
    variable: &'e dyn Fn(&str) -> Option<String>,
}

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    fn must(&self, name: &str) -> io::Result<String> {
        self.get(name)
            .ok_or_else(|| io::Error::other(format!("the variable {name} is not set; Classroom 50's runner sets it")))
    }

    fn repository(&self) -> io::Result<String> {
        let server = self.get("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned());
        Ok(format!("{}/{}", server.trim_end_matches('/'), self.must("GITHUB_REPOSITORY")?))
    }

    /// The student's login: the end of the repository's name, `<classroom>-<assignment>-<login>`.
    fn owner(&self, classroom: &str, assignment: &str) -> io::Result<String> {
        if let Some(name) = self.get("USERNAME") {
            return Ok(name);
        }
        let repository = self.get("GITHUB_REPOSITORY").unwrap_or_default();
        let name = repository.rsplit('/').next().unwrap_or_default();
        let before = format!("{classroom}-{assignment}-");
        match name.get(..before.len()) {
            Some(start) if start.eq_ignore_ascii_case(&before) && name.len() > before.len() => {
                Ok(name[before.len()..].to_owned())
            }
            _ => self.must("GITHUB_ACTOR"),
        }
    }

    fn commit(&self, grade: &Grade) -> io::Result<String> {
        if let Some(url) = self.get("COMMIT_URL") {
            return Ok(url);
        }
        let commit = grade.submission.commit.as_deref().unwrap_or_default();
        Ok(format!("{}/commit/{commit}", self.repository()?))
    }

    fn release(&self, tag: &str) -> io::Result<String> {
        if let Some(url) = self.get("RELEASE_URL") {
            return Ok(url);
        }
        let escape = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        Ok(format!("{}/releases/tag/{}", self.repository()?, tag.bytes().map(escape).collect::<String>()))
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ`; none for a time of no year that one writes so.
fn time(seconds: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|at| (0..10_000).contains(&at.year()))?;
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    Some(format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second()))
}

#[cfg(test)]
mod tests;
