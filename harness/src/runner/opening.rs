//! What a grade says before anything is built: the lab, the submission, the seed.

use std::collections::BTreeMap;

use super::{Job, Run, RunError};
use crate::base_tree::From;
use crate::digest;
use crate::grade::{Build, Grade, GradedLab, GradedSubmission, SCHEMA, Score, Times, Tools};
use crate::source_tree::{Overlay, SourceTree};
use crate::submission::Origin;

impl Run<'_> {
    /// The grade with all that is known before anything is built.
    pub(super) fn opening(&self) -> Result<Grade, RunError> {
        let job = self.job;
        let all = job.lab.checks.iter().filter(|check| check.kernels.includes(&job.kind.id)).count();
        Ok(Grade {
            schema: SCHEMA.to_owned(),
            lab: GradedLab {
                id: job.lab.id.0.clone(),
                title: job.lab.title.clone(),
                version: job.lab.version.clone(),
                kernel: job.kind.id.0.clone(),
                hides: job.lab.checks.iter().any(|check| !check.visibility.is_visible()),
            },
            submission: graded_submission(job, &self.tree),
            seed: self.seed.to_string(),
            reproduce: format!("{} --seed {}", job.command, self.seed),
            tools: Tools {
                grader: env!("CARGO_PKG_VERSION").to_owned(),
                course: job.course.digest(job.lab, job.kind)?,
                compiler: String::new(),
                qemu: String::new(),
                handout: match &job.submission.base.from {
                    From::Course => None,
                    From::Handout { repository, name, commit } => Some(format!("{name} of {repository} at {commit}")),
                },
            },
            confinement: None,
            witness: None,
            partial: job.wanted.len() < all,
            points: Score::default(),
            build: Build::Built { source: self.tree.digest.clone() },
            sessions: Vec::new(),
            checks: Vec::new(),
            times: Times::default(),
        })
    }
}

/// The kernel kind, and where its trusted files are from.
pub(super) fn kernel(job: &Job<'_>) -> String {
    let from = match &job.submission.base.from {
        From::Course => String::new(),
        From::Handout { repository, name, .. } => format!(", all but the lab's files from {name} of {repository}"),
    };
    format!("{}: {}{from}", job.kind.id, job.kind.title)
}

pub(super) fn describe(job: &Job<'_>) -> String {
    match job.overlay {
        Overlay::Starter => "the starter".to_owned(),
        Overlay::Solution(solution) => format!("solution {}", solution.name),
        Overlay::Mutant(mutant) => format!("mutant {}", mutant.name),
        Overlay::Reference | Overlay::Submission(_) => job.submission.origin.to_string(),
    }
}

fn graded_submission(job: &Job<'_>, tree: &SourceTree) -> GradedSubmission {
    let files = tree.taken.iter().map(|(path, content)| (path.display().to_string(), digest::of_bytes(content)));
    submission_of(job, files.collect())
}

/// What a grade says of the submission of a job, with the digests of its files.
pub fn submission_of(job: &Job<'_>, files: BTreeMap<String, String>) -> GradedSubmission {
    let (repository, branch, commit) = match &job.submission.origin {
        Origin::Reference => (None, None, None),
        Origin::Commit { repository, name, commit } => {
            (Some(repository.clone()), Some(name.clone()), Some(commit.clone()))
        }
        Origin::WorkTree { repository, branch, commit, .. } => {
            (Some(repository.clone()), branch.clone(), commit.clone())
        }
    };
    let in_vain = &job.submission.in_vain;
    let mut ignored: Vec<String> = in_vain
        .named
        .iter()
        .map(|file| format!("{}{}", file.path.display(), if file.added { " (added)" } else { "" }))
        .collect();
    if in_vain.more > 0 {
        ignored.push(format!("and {} more", in_vain.more));
    }
    GradedSubmission {
        what: describe(job),
        repository,
        branch,
        commit,
        committed: job.submission.committed,
        root: job.submission.root.display().to_string(),
        files,
        ignored,
    }
}
