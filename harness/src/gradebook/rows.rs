//! What stands in a gradebook, as values.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::grade::{Grade, Outcome, Points};

/// How a run came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// `grader batch`
    Batch,
    /// `grader regrade`
    Regrade,
    /// `grader merge`
    Merge,
}

impl RunKind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Regrade => "regrade",
            Self::Merge => "merge",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        match word {
            "regrade" => Self::Regrade,
            "merge" => Self::Merge,
            _ => Self::Batch,
        }
    }
}

/// A run: a class graded in some labs.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// How it came to be.
    pub kind: RunKind,
    /// SHA-256 of the roster.
    pub roster: String,
    /// Where seeds came from: `derived`, `derived with key …`, or the number.
    pub seed: String,
    /// Version of the harness, and digest of its sources.
    pub grader: String,
    /// Which part of the class, as in `2/16`.
    pub shard: String,
    /// The pattern of `--only`; empty where there was none.
    pub only: String,
    /// The labs, in the order of the command line.
    pub labs: Vec<LabRow>,
}

/// A lab of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct LabRow {
    /// Its name.
    pub lab: String,
    /// What students call it.
    pub title: String,
    /// SHA-256 of its `lab.yaml`.
    pub version: String,
    /// The points of all checks together.
    pub points: Points,
}

/// A student of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudentRow {
    /// What they are called.
    pub student: String,
    /// Their name; may be empty.
    pub name: String,
    /// Their group; may be empty.
    pub team: String,
}

/// How far a student's submission in a lab got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nobody looked for it yet.
    Due,
    /// The commit is known that will be graded.
    Found,
    /// Nothing was handed in that could be graded.
    Missing,
    /// Our fault: it could not be fetched or graded. Never a zero.
    Error,
    /// It has a grade.
    Graded,
}

impl State {
    /// In one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Found => "found",
            Self::Missing => "missing",
            Self::Error => "error",
            Self::Graded => "graded",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        [Self::Due, Self::Found, Self::Missing, Self::Error, Self::Graded]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// Where something was to be handed in, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The repository, without passwords.
    pub repository: String,
    /// `branch …` or `tag …`.
    pub wanted: String,
    /// When it was due.
    pub due: Option<i64>,
}

/// A commit that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The commit that is graded.
    pub commit: String,
    /// Its committer's date.
    pub commit_time: i64,
    /// The last commit of the branch.
    pub head: String,
    /// Its committer's date.
    pub head_time: i64,
    /// Commits that came too late to be graded.
    pub later: u64,
    /// Seconds that the graded commit is late by; 0 where it is not.
    pub late: i64,
    /// Which commit is graded, and why.
    pub rule: String,
    /// What should be known of it besides; mostly empty.
    pub note: String,
}

/// A submission that was graded.
#[derive(Debug, Clone)]
pub struct Graded<'a> {
    /// The document.
    pub grade: &'a Grade,
    /// Digest of all that decides the grade.
    pub key: &'a str,
    /// SHA-256 of the source tree, built or not.
    pub source: &'a str,
    /// For each boot its name, and the digest of what was booted and how.
    pub plans: &'a [(String, String)],
    /// Of the submitted files.
    pub fingerprint: &'a [u32],
    /// It was graded before, and is the same.
    pub cached: bool,
    /// Wall time of grading it.
    pub seconds: f64,
}

/// A student's submission in a lab, with all but its checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The student.
    pub student: StudentRow,
    /// The lab.
    pub lab: String,
    /// How far it got.
    pub state: State,
    /// Why it is missing or an error.
    pub reason: String,
    /// How many times it was tried.
    pub attempts: u32,
    /// Where it was to be handed in.
    pub terms: Terms,
    /// The commit, once it was found.
    pub found: Option<Found>,
    /// The grade's main figures, once it was graded.
    pub grade: Option<RowGrade>,
}

/// The main figures of a grade.
#[derive(Debug, Clone, PartialEq)]
pub struct RowGrade {
    /// Digest of all that decides the grade.
    pub key: String,
    /// The kernel kind.
    pub kernel: String,
    /// SHA-256 of the source tree, built or not.
    pub source: String,
    /// The seed, in hex.
    pub seed: String,
    /// The grade in one word.
    pub outcome: String,
    /// Points earned.
    pub earned: Points,
    /// Points to be had.
    pub max: Points,
    /// The compiler's version.
    pub compiler: String,
    /// QEMU's version.
    pub qemu: String,
    /// SHA-256 of the course's files that went into it.
    pub course: String,
    /// `witness` where boots were watched from outside of the guest, `none` where they were not; empty where none was.
    pub attestation: String,
    /// The digest of its document.
    pub document: String,
    /// It was graded before, and is the same.
    pub cached: bool,
    /// Wall time of grading it.
    pub seconds: f64,
}

impl Row {
    /// Why it has no grade, or what a person should look at.
    pub fn note(&self) -> &str {
        match &self.found {
            Some(found) if self.reason.is_empty() => &found.note,
            _ => &self.reason,
        }
    }

    /// The one word that reports use: `passed`, `failed`, `missing`, `error`, or `not graded yet`.
    pub fn status(&self) -> &str {
        match (self.state, &self.grade) {
            (State::Graded, Some(grade)) => &grade.outcome,
            (State::Missing, _) => "missing",
            (State::Error, _) => "error",
            _ => "not graded yet",
        }
    }
}

/// The word for what a grade comes to.
pub(super) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Error => "error",
    }
}

/// Now, in seconds since 1970-01-01 UTC.
pub fn stamp() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
