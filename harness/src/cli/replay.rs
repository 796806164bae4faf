//! `grader replay`

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::failure::Failure;
use super::reports::Publisher;
use super::{Context, Replay, judges};
use crate::grade::{Build, Grade};
use crate::grading::Boots;
use crate::lab::{KindId, SessionId};
use crate::plan;
use crate::run_folder::{RunFolder, RunFolderError, Shelf};
use crate::seed::Choice;
use crate::stability;

/// Judges the saved transcripts of a run again, without building or booting.
pub fn replay(context: &Context, options: &Replay) -> Result<ExitCode, Failure> {
    let mut publisher = Publisher::begin(&options.reports)?;
    match judge(context, options) {
        Ok(grade) => publisher.publish(&grade),
        Err(failure) => publisher.without_grade(failure),
    }
}

fn judge(context: &Context, options: &Replay) -> Result<Grade, Failure> {
    let folder = RunFolder::at(&options.folder);
    let saved = folder.load_grade().map_err(not_a_run)?;
    let lab = context.course.lab(&saved.lab.id, judges())?;
    if lab.version != saved.lab.version {
        return Err(Failure::caller(format!(
            "judge {} again: it was graded with another version of lab {} than this course has ({:.12} there, {:.12} here)",
            options.folder.display(),
            lab.id,
            saved.lab.version,
            lab.version
        ))
        .with_help("name the course that it was graded with: --course DIR, at the commit of that time"));
    }
    let Ok(Choice::Given(seed)) = saved.seed.parse() else {
        return Err(Failure::caller(format!("understand the seed {:?} of {}", saved.seed, options.folder.display())));
    };
    let wanted: BTreeSet<&str> = saved.checks.iter().map(|check| check.id.as_str()).collect();
    let checks: Vec<_> = lab.checks.iter().filter(|check| wanted.contains(check.id.0.as_str())).collect();
    let plan = plan::boots(&lab, &KindId(saved.lab.kernel.clone()), seed, |session| {
        checks.iter().any(|check| check.sessions.contains(&session.id))
    });
    let (mut boots, mut second, mut reference) = (Boots::new(), Boots::new(), Boots::new());
    if matches!(saved.build, Build::Built { .. }) {
        let ids: Vec<&SessionId> = plan.iter().map(|planned| &planned.id).collect();
        boots = folder.load_boots(ids.iter().copied(), Shelf::First).map_err(damaged)?;
        second = folder.load_boots(ids.iter().copied(), Shelf::Second).map_err(damaged)?;
        reference = folder.load_boots(ids.iter().copied(), Shelf::Reference).map_err(damaged)?;
        // A boot that failed left no transcript; its reason is in the grade.
        for session in saved.sessions.iter().filter(|session| session.ending == "error") {
            let failed = crate::grading::Booted::Failed(session.explanation.clone());
            boots.entry(SessionId(session.id.clone())).or_insert(failed);
        }
    }
    Ok(stability::grade(saved.clone(), &lab, &wanted, &plan, [&boots, &second], &reference))
}

fn not_a_run(error: RunFolderError) -> Failure {
    Failure::caller(crate::runner::chain(&error))
        .with_help("DIR is a folder that `grader run --out DIR` made, or that a run said it was kept in")
}

fn damaged(error: RunFolderError) -> Failure {
    Failure::caller(crate::runner::chain(&error))
        .with_help("the run is damaged; grade the submission again with `grader run`")
}
