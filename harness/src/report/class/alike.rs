//! Submissions of a class that have code in common, out of its gradebook.

use std::collections::BTreeMap;

use crate::gradebook::{Gradebook, GradebookError, PastRun};
use crate::likeness::{self, Pair};

/// The share of the smaller one's code from which on a pair is worth a look, if nothing else was asked for.
pub const USUAL: f64 = 0.5;

/// The pairs of a lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Alike {
    /// The lab.
    pub lab: String,
    /// Those with the most in common first.
    pub pairs: Vec<Pair>,
}

/// The pairs of a run's labs that have at least that share in common.
///
/// # Errors
/// When the gradebook cannot be read.
pub fn find(
    gradebook: &Gradebook,
    run: &PastRun,
    least: f64,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Alike>, GradebookError> {
    let students = gradebook.students(run.id)?;
    let teams: BTreeMap<String, String> = students.into_iter().map(|row| (row.student, row.team)).collect();
    let labs = run.run.labs.iter().filter(|row| is_wanted(&row.lab));
    let pairs = |lab: &str| Ok(likeness::pairs(&gradebook.fingerprints(run.id, lab)?, &teams, least));
    labs.map(|row| Ok(Alike { lab: row.lab.clone(), pairs: pairs(&row.lab)? })).collect()
}
