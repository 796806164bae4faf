//! Judges the saved transcripts of a class again, after a lab's points or checks changed, without a build or a boot.
//!
//! Seeds stay those of the transcripts, though a lab's version is part of them: the operations that were asked for are
//! what the trace answers.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::batch::Kept;
use crate::grade::{Build, Grade};
use crate::gradebook::{Gradebook, GradebookError, Graded, LabRow, PastRun, Row, Run, RunKind, State, Update};
use crate::grading::{Booted, Boots};
use crate::lab::{KindId, Lab, SessionId};
use crate::plan::{self, Planned};
use crate::run_folder::{RunFolder, Shelf};
use crate::runner::chain;
use crate::runner::inputs::{self, plan_digest};
use crate::seed::{Choice, Seed};
use crate::stability;

/// What came of judging a class again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regraded {
    /// The number of the new run.
    pub run: i64,
    /// How many were judged again.
    pub judged: usize,
    /// Those that need a fresh run, and why: student, reason.
    pub fresh: Vec<(String, String)>,
}

/// A submission that was judged again.
struct Judged {
    grade: Grade,
    plans: Vec<(String, String)>,
}

/// Judges the submissions of a run again, in a new run that takes over all others as they are.
///
/// # Errors
/// When the gradebook cannot be read or written.
pub fn regrade(gradebook: &mut Gradebook, past: &PastRun, class: &Path, lab: &Lab) -> Result<Regraded, GradebookError> {
    let rows = gradebook.rows(past.id)?;
    let graded: Vec<&Row> =
        rows.iter().filter(|row| row.lab == lab.id.0 && row.state == State::Graded && row.grade.is_some()).collect();
    let mut saved = Vec::with_capacity(graded.len());
    for row in &graded {
        let Some(grade) = &row.grade else { continue };
        let document = gradebook.document(&grade.document)?;
        let plans = gradebook.plans(past.id, &row.student.student, &row.lab)?;
        saved.push((document, plans, Kept::folder(class, &grade.key)));
    }
    let judged = side_by_side(&saved, |(document, plans, folder)| again(document, plans, folder, lab));

    let run = begin(gradebook, past, &rows, lab)?;
    let others = rows.iter().filter(|row| !graded.iter().any(|graded| std::ptr::eq(*graded, *row)));
    gradebook.take_over(past.id, run, others.map(|row| (row.student.student.as_str(), row.lab.as_str())))?;
    let fingerprints = gradebook.fingerprints(past.id, &lab.id.0)?;
    let mut fresh = Vec::new();
    for (row, judged) in graded.iter().zip(&judged) {
        let student = row.student.student.as_str();
        let Some(before) = &row.grade else { continue };
        if let Some(found) = &row.found {
            gradebook.learn(run, [((student, row.lab.as_str()), Update::Found(found))])?;
        }
        let fingerprint = fingerprints.iter().find(|(of, _)| of == student).map(|(_, numbers)| numbers.as_slice());
        let result = judged.as_ref().map(|judged| Graded {
            grade: &judged.grade,
            key: &before.key,
            source: &before.source,
            plans: &judged.plans,
            fingerprint: fingerprint.unwrap_or_default(),
            cached: true,
            seconds: before.seconds,
        });
        let update = match &result {
            Ok(graded) => Update::Graded(graded, row.attempts),
            Err(reason) => {
                fresh.push((student.to_owned(), (*reason).clone()));
                Update::Error(reason, row.attempts)
            }
        };
        gradebook.learn(run, [((student, row.lab.as_str()), update)])?;
    }
    gradebook.finish(run)?;
    Ok(Regraded { run, judged: graded.len() - fresh.len(), fresh })
}

/// A run like the last one, but for the lab.
fn begin(gradebook: &mut Gradebook, past: &PastRun, rows: &[Row], lab: &Lab) -> Result<i64, GradebookError> {
    let mut run = Run { kind: RunKind::Regrade, grader: inputs::harness(), ..past.run.clone() };
    for row in run.labs.iter_mut().filter(|row| row.lab == lab.id.0) {
        *row = LabRow {
            lab: lab.id.0.clone(),
            title: lab.title.clone(),
            version: lab.version.clone(),
            points: crate::grade::Points::whole(lab.points),
        };
    }
    let students = gradebook.students(past.id)?;
    let due = rows.iter().map(|row| ((row.student.student.as_str(), row.lab.as_str()), row.terms.clone()));
    gradebook.begin(&run, &students, due)
}

/// The grade by the lab as it is now, or why that takes a fresh run.
fn again(saved: &Grade, booted: &[(String, String)], folder: &RunFolder, lab: &Lab) -> Result<Judged, String> {
    let kind = KindId(saved.lab.kernel.clone());
    let seed = match saved.seed.parse() {
        Ok(Choice::Given(seed)) => seed,
        _ => return Err(format!("its seed {:?} is none", saved.seed)),
    };
    let wanted: BTreeSet<&str> =
        lab.checks.iter().filter(|check| check.kernels.includes(&kind)).map(|check| check.id.0.as_str()).collect();
    if wanted.is_empty() {
        return Err(format!("the lab has no check for kernels of kind {kind} any more"));
    }
    let plan = plan_of(lab, &kind, seed, &wanted);
    let plans: Vec<(String, String)> =
        plan.iter().map(|planned| (planned.id.0.clone(), plan_digest(lab, planned))).collect();
    let (mut boots, mut second, mut reference) = (Boots::new(), Boots::new(), Boots::new());
    if matches!(saved.build, Build::Built { .. }) {
        for (planned, (id, due)) in plan.iter().zip(&plans) {
            let before = booted.iter().find(|(of, _)| of == id).map(|(_, plan)| plan);
            match before {
                None => return Err(format!("session {id} was not booted then")),
                Some(before) if before != due => return Err(format!("session {id} is booted in another way now")),
                Some(_) => {}
            }
            let again = folder.load_boot(&planned.id, Shelf::Second).ok().flatten();
            second.extend(again.map(|booted| (planned.id.clone(), booted)));
            let compared = plan::is_compared(lab, &wanted, &planned.session);
            boots.insert(planned.id.clone(), load(folder, &planned.id, Shelf::First)?);
            if compared {
                reference.insert(planned.id.clone(), load(folder, &planned.id, Shelf::Reference)?);
            }
        }
    }
    let mut grade = stability::grade(saved.clone(), lab, &wanted, &plan, [&boots, &second], &reference);
    grade.lab.title.clone_from(&lab.title);
    grade.lab.version.clone_from(&lab.version);
    env!("CARGO_PKG_VERSION").clone_into(&mut grade.tools.grader);
    Ok(Judged { grade, plans })
}

fn plan_of(lab: &Lab, kind: &KindId, seed: Seed, wanted: &BTreeSet<&str>) -> Vec<Planned> {
    let checks: Vec<_> = lab.checks.iter().filter(|check| wanted.contains(check.id.0.as_str())).collect();
    plan::boots(lab, kind, seed, |session| checks.iter().any(|check| check.sessions.contains(&session.id)))
}

fn load(folder: &RunFolder, id: &SessionId, shelf: Shelf) -> Result<Booted, String> {
    let whose = if shelf == Shelf::Reference { "the reference's transcript" } else { "the transcript" };
    match folder.load_boot(id, shelf) {
        Ok(Some(booted)) => Ok(booted),
        Ok(None) => Err(format!("{whose} of session {id} is not in {}", folder.path().display())),
        Err(error) => Err(format!("{whose} of session {id} is damaged: failed to {}", chain(&error))),
    }
}

/// Works on items side by side, one a processor; results come in the order of the items.
fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, item)) =
                    Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, items.get(at)?)))
                {
                    let result = work(item);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
