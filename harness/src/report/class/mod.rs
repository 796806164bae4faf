//! A run of a whole class in the forms that people and their tools read; each form a file of its own.

pub mod alike;
pub mod csv;
pub mod junit;
pub mod lines;
pub mod live;
pub mod markdown;
pub mod terminal;

use crate::grade::Points;
use crate::gradebook::{CheckRow, Gradebook, GradebookError, PastRun, Row};

/// A run, read out of a gradebook.
#[derive(Debug)]
pub struct Class {
    /// The run.
    pub run: PastRun,
    /// Its submissions, by lab and in the order of the roster.
    pub rows: Vec<Row>,
    /// Their checks, in the same order.
    pub checks: Vec<CheckRow>,
}

/// What a lab of a class came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// The lab.
    pub lab: String,
    /// What students call it.
    pub title: String,
    /// The points to be had.
    pub points: Points,
    /// How many passed everything, lost points, handed in nothing, could not be graded by our fault, and are left.
    pub counts: Counts,
    /// The points of those that were graded, from the least to the most.
    pub earned: Vec<Points>,
    /// Of each check its name and title, how many passed it, and how many were judged in it.
    pub checks: Vec<(String, String, usize, usize)>,
}

/// How many came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Passed everything.
    pub passed: usize,
    /// Lost points.
    pub failed: usize,
    /// Handed in nothing that could be graded.
    pub missing: usize,
    /// Could not be graded, by our fault.
    pub error: usize,
    /// Were not graded yet.
    pub left: usize,
}

impl Class {
    /// Reads a run.
    ///
    /// # Errors
    /// When the gradebook cannot be read.
    pub fn read(gradebook: &Gradebook, run: &PastRun) -> Result<Self, GradebookError> {
        Ok(Self { run: run.clone(), rows: gradebook.rows(run.id)?, checks: gradebook.checks(run.id)? })
    }

    /// What each lab came to, in the order of the command line.
    pub fn totals(&self) -> Vec<Total> {
        let total = |lab: &crate::gradebook::LabRow| {
            let mut counts = Counts::default();
            let mut earned = Vec::new();
            for row in self.rows.iter().filter(|row| row.lab == lab.lab) {
                match row.status() {
                    "passed" => counts.passed += 1,
                    "failed" => counts.failed += 1,
                    "missing" => counts.missing += 1,
                    "error" => counts.error += 1,
                    _ => counts.left += 1,
                }
                if let ("passed" | "failed", Some(grade)) = (row.status(), &row.grade) {
                    earned.push(grade.earned);
                }
            }
            earned.sort();
            let mut checks: Vec<(String, String, usize, usize)> = Vec::new();
            for check in self.checks.iter().filter(|check| check.lab == lab.lab) {
                let at = checks.iter().position(|(name, ..)| *name == check.name).unwrap_or_else(|| {
                    checks.push((check.name.clone(), check.title.clone(), 0, 0));
                    checks.len() - 1
                });
                checks[at].2 += usize::from(check.verdict == "pass");
                checks[at].3 += 1;
            }
            Total { lab: lab.lab.clone(), title: lab.title.clone(), points: lab.points, counts, earned, checks }
        };
        self.run.run.labs.iter().map(total).collect()
    }

    /// Each submission with its checks.
    pub fn with_checks(&self) -> impl Iterator<Item = (&Row, &[CheckRow])> {
        let mut rest = &self.checks[..];
        self.rows.iter().map(move |row| {
            // They stand in the same order.
            let is_own = |check: &&CheckRow| check.lab == row.lab && check.student == row.student.student;
            let (own, others) = rest.split_at(rest.iter().take_while(is_own).count());
            rest = others;
            (row, own)
        })
    }
}

impl Total {
    /// The mean of the points of those that were graded, and the points that half of them reach.
    pub fn mean_and_median(&self) -> Option<(Points, Points)> {
        let count = self.earned.len();
        if count == 0 {
            return None;
        }
        let sum: f64 = self.earned.iter().map(|points| f64::from(*points)).sum();
        let (low, high) = (self.earned[(count - 1) / 2], self.earned[count / 2]);
        Some((Points::from(sum / count as f64), Points::from((f64::from(low) + f64::from(high)) / 2.0)))
    }
}

#[cfg(test)]
pub(in crate::report) mod tests;
