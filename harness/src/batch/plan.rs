//! What of a class is to be graded: a new run, or what is left of one that did not come to its end.

use std::collections::{HashMap, HashSet};

use regex::Regex;

use super::{Batch, BatchError};
use crate::grade::Points;
use crate::gradebook::{Found, Gradebook, LabRow, PastRun, Row, Run, RunKind, State, StudentRow, Terms};
use crate::lab::Lab;
use crate::roster::{Assignment, Student};
use crate::runner::inputs;
use crate::submission::mirror;

/// Which submissions are graded.
#[derive(Debug, Clone)]
pub enum Which {
    /// All of them.
    All,
    /// Those of students whose id, name or group matches.
    Only(Regex),
    /// Those that have no grade or lost points in the last run; the others are taken over from it.
    Failed,
    /// Those that the last run did not come to; all, where there was none.
    Resume,
}

/// A submission that is to be graded.
#[derive(Debug)]
pub struct Item<'a> {
    /// The student.
    pub student: &'a Student,
    /// The lab.
    pub lab: &'a Lab,
    /// Where it is handed in.
    pub assignment: Assignment,
    /// The commit, where it was found before.
    pub found: Option<Found>,
    /// Milliseconds that it will probably take.
    pub weight: u64,
}

/// What is to be done.
pub struct Plan<'a> {
    /// The number of the run.
    pub run: i64,
    /// Submissions of the run.
    pub all: usize,
    /// What is left to do.
    pub items: Vec<Item<'a>>,
    /// Milliseconds that they will probably take, where that is known.
    pub expected: u64,
}

/// What a submission weighs of which nothing is known, in milliseconds.
const USUAL: u64 = 10_000;

impl Plan<'_> {
    /// Looks into the gradebook, and begins a run or goes on with the last one.
    pub fn make<'a>(batch: &Batch<'a>, gradebook: &mut Gradebook) -> Result<Plan<'a>, BatchError> {
        let run = describe(batch);
        let durations = gradebook.durations()?;
        let mean = |lab: &str| {
            let known: Vec<f64> =
                durations.iter().filter(|((_, of), _)| of == lab).map(|(_, seconds)| *seconds).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let means: HashMap<&str, f64> =
            batch.labs.iter().filter_map(|lab| Some((lab.id.0.as_str(), mean(&lab.id.0)?))).collect();
        let weight = |student: &str, lab: &str| {
            let own = durations.get(&(student.to_owned(), lab.to_owned())).or_else(|| means.get(lab));
            own.map(|seconds| (seconds * 1000.0) as u64)
        };
        let (id, all, state) = match batch.which {
            Which::Resume if !gradebook.runs()?.is_empty() => go_on(batch, gradebook, &run)?,
            _ => begin(batch, gradebook, &run)?,
        };
        let mut items = Vec::new();
        let mut expected = 0;
        for (student, lab) in pairs(batch) {
            let found = match state.get(&(student.id.as_str(), lab.id.0.as_str())) {
                Some((State::Due | State::Error | State::Found, found)) => found.clone(),
                _ => continue,
            };
            let known = weight(&student.id, &lab.id.0);
            expected += known.unwrap_or(0);
            let assignment = batch.roster.assignment(student, &lab.id);
            items.push(Item { student, lab, assignment, found, weight: known.unwrap_or(USUAL) });
        }
        Ok(Plan { run: id, all, items, expected })
    }
}

/// By student and lab, how far it got.
type States<'a> = HashMap<(&'a str, &'a str), (State, Option<Found>)>;

fn describe(batch: &Batch<'_>) -> Run {
    let lab = |lab: &Lab| LabRow {
        lab: lab.id.0.clone(),
        title: lab.title.clone(),
        version: lab.version.clone(),
        points: Points::whole(lab.points),
    };
    Run {
        kind: RunKind::Batch,
        roster: batch.roster.digest.clone(),
        seed: batch.seed_name.clone(),
        grader: inputs::harness(),
        shard: batch.shard.to_string(),
        only: match &batch.which {
            Which::Only(pattern) => pattern.as_str().to_owned(),
            _ => String::new(),
        },
        labs: batch.labs.iter().map(lab).collect(),
    }
}

/// The students and labs of this part of the class.
fn pairs<'a>(batch: &Batch<'a>) -> impl Iterator<Item = (&'a Student, &'a Lab)> {
    let (labs, students, shard) = (batch.labs, &batch.roster.students, batch.shard);
    let all = labs.iter().flat_map(move |lab| students.iter().map(move |student| (student, lab)));
    all.filter(move |(student, lab)| shard.has(&student.id, &lab.id.0))
}

fn begin<'a>(batch: &Batch<'a>, gradebook: &mut Gradebook, run: &Run) -> Result<(i64, usize, States<'a>), BatchError> {
    let matches = |student: &Student| match &batch.which {
        Which::Only(pattern) => {
            let group = student.group.as_deref().unwrap_or_default();
            [student.id.as_str(), &student.name, group].iter().any(|text| pattern.is_match(text))
        }
        _ => true,
    };
    let chosen: Vec<(&Student, &Lab)> = pairs(batch).filter(|(student, _)| matches(student)).collect();
    if chosen.is_empty() {
        return Err(BatchError::Nobody);
    }
    let mut rows: Vec<StudentRow> = Vec::new();
    for student in batch.roster.students.iter().filter(|student| matches(student)) {
        rows.push(StudentRow {
            student: student.id.clone(),
            name: student.name.clone(),
            team: student.group.clone().unwrap_or_default(),
        });
    }
    let due = chosen.iter().map(|(student, lab)| {
        let assignment = batch.roster.assignment(student, &lab.id);
        let terms = Terms {
            repository: mirror::without_password(&assignment.repository),
            wanted: assignment.wanted.to_string(),
            due: assignment.due.map(|due| due.seconds()),
        };
        ((student.id.as_str(), lab.id.0.as_str()), terms)
    });
    let before = match batch.which {
        Which::Failed => Some(gradebook.run(None)?),
        _ => None,
    };
    let id = gradebook.begin(run, &rows, due)?;
    let mut states: States<'a> = HashMap::new();
    let taken = match &before {
        Some(before) => take_over(gradebook, before, run, id)?,
        None => Vec::new(),
    };
    let taken: HashSet<(&str, &str)> =
        taken.iter().map(|row| (row.student.student.as_str(), row.lab.as_str())).collect();
    for (student, lab) in &chosen {
        let is_taken = taken.contains(&(student.id.as_str(), lab.id.0.as_str()));
        let state = if is_taken { State::Graded } else { State::Due };
        states.insert((student.id.as_str(), lab.id.0.as_str()), (state, None));
    }
    Ok((id, chosen.len(), states))
}

/// Takes those over from the last run that passed, where the lab is still the same.
fn take_over(gradebook: &mut Gradebook, before: &PastRun, run: &Run, id: i64) -> Result<Vec<Row>, BatchError> {
    let same = |lab: &str| {
        let version = |run: &Run| run.labs.iter().find(|row| row.lab == lab).map(|row| row.version.clone());
        version(run).is_some() && version(run) == version(&before.run)
    };
    let rows = gradebook.rows(before.id)?;
    let passed: Vec<Row> = rows.into_iter().filter(|row| row.status() == "passed" && same(&row.lab)).collect();
    let pairs = passed.iter().map(|row| (row.student.student.as_str(), row.lab.as_str()));
    gradebook.take_over(before.id, id, pairs)?;
    Ok(passed)
}

fn go_on<'a>(batch: &Batch<'a>, gradebook: &Gradebook, run: &Run) -> Result<(i64, usize, States<'a>), BatchError> {
    let last = gradebook.run(None)?;
    let is_batch = last.run.kind == RunKind::Batch;
    let differs: Vec<&str> = [
        ("the roster", last.run.roster == run.roster),
        ("the labs, or their versions", last.run.labs == run.labs),
        ("the seed", last.run.seed == run.seed),
        ("the grader", last.run.grader == run.grader),
        ("the shard", last.run.shard == run.shard),
        ("its kind: it is no batch", is_batch),
    ]
    .into_iter()
    .filter(|(_, same)| !same)
    .map(|(what, _)| what)
    .collect();
    if !differs.is_empty() {
        return Err(BatchError::Another { run: last.id, differs: differs.join(", ") });
    }
    let mut rows: HashMap<(String, String), (State, Option<Found>)> = HashMap::new();
    for row in gradebook.rows(last.id)? {
        rows.insert((row.student.student, row.lab), (row.state, row.found));
    }
    let all = rows.len();
    let mut states: States<'a> = HashMap::new();
    for (student, lab) in pairs(batch) {
        if let Some(state) = rows.remove(&(student.id.clone(), lab.id.0.clone())) {
            states.insert((student.id.as_str(), lab.id.0.as_str()), state);
        }
    }
    Ok((last.id, all, states))
}
