//! Whose grade changed between two runs of a class, and what of its causes changed with it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::gradebook::{CheckRow, Gradebook, GradebookError, PastRun, Row};

/// A run that is compared.
#[derive(Debug)]
pub struct Side {
    run: PastRun,
    rows: Vec<Row>,
    verdicts: HashMap<(String, String), Vec<CheckRow>>,
}

impl Side {
    /// Reads a run.
    ///
    /// # Errors
    /// When the gradebook cannot be read.
    pub fn read(gradebook: &Gradebook, run: PastRun) -> Result<Self, GradebookError> {
        let mut verdicts: HashMap<(String, String), Vec<CheckRow>> = HashMap::new();
        for check in gradebook.checks(run.id)? {
            verdicts.entry((check.student.clone(), check.lab.clone())).or_default().push(check);
        }
        Ok(Self { rows: gradebook.rows(run.id)?, run, verdicts })
    }

    fn version(&self, lab: &str) -> Option<&str> {
        self.run.run.labs.iter().find(|row| row.lab == lab).map(|row| row.version.as_str())
    }
}

/// Something that decides a grade, and that is not the same in both runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The files that were handed in.
    Submission {
        /// The commits, before and after.
        commits: (String, String),
    },
    /// The lab's own file.
    Lab,
    /// Other files of the course: drivers, kernel, traces.
    Course,
    /// The compiler, before and after.
    Compiler(String, String),
    /// QEMU, before and after.
    Qemu(String, String),
    /// Whether boots were watched from outside of the guest, before and after.
    Witness(String, String),
    /// The seed, though neither lab nor submission changed.
    Seed(String, String),
    /// The grader itself.
    Harness(String, String),
    /// It could not be graded, by our fault, in one of the runs.
    OurFault(String),
    /// Nothing was handed in, in one of the runs.
    Missing(String),
    /// It was not graded yet, or the student was not in the class, in one of the runs.
    NotThere,
    /// Nothing that is known. The same submission should get the same grade, so this is a fault of ours.
    Nothing,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
        match self {
            Self::Submission { commits: (one, other) } if one == other => f.write_str("the submitted files"),
            Self::Submission { commits: (one, other) } => {
                write!(f, "the submission (commit {}, then {})", short(one), short(other))
            }
            Self::Lab => f.write_str("the lab (lab.yaml)"),
            Self::Course => f.write_str("the course's files"),
            Self::Compiler(one, other) => write!(f, "the compiler ({one}, then {other})"),
            Self::Qemu(one, other) => write!(f, "QEMU ({one}, then {other})"),
            Self::Witness(one, other) => write!(f, "the witness of boots ({one}, then {other})"),
            Self::Seed(one, other) => write!(f, "the seed ({one}, then {other})"),
            Self::Harness(one, other) => write!(f, "the grader ({one}, then {other})"),
            Self::OurFault(reason) => write!(f, "a fault of ours: {reason}"),
            Self::Missing(reason) => write!(f, "nothing was handed in: {reason}"),
            Self::NotThere => f.write_str("it is not graded in both runs"),
            Self::Nothing => f.write_str("nothing that is known, which is a fault of the grader: please report it"),
        }
    }
}

/// A submission whose grade is not the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The student.
    pub student: String,
    /// The lab.
    pub lab: String,
    /// As in `97.5 of 100`, or the status; empty where it is not there.
    pub before: String,
    /// Likewise.
    pub after: String,
    /// Checks with other verdicts or points: the name, before, after.
    pub checks: Vec<(String, String, String)>,
    /// What changed with it.
    pub causes: Vec<Cause>,
}

/// All changes, by lab and in the order of the roster; then those who are not in the first run.
pub fn changes(before: &Side, after: &Side) -> Vec<Change> {
    let key = |row: &Row| (row.student.student.clone(), row.lab.clone());
    let others: HashMap<(String, String), &Row> = after.rows.iter().map(|row| (key(row), row)).collect();
    let mut changes = Vec::new();
    let mut seen = BTreeSet::new();
    for row in &before.rows {
        seen.insert(key(row));
        changes.extend(change(before, after, Some(row), others.get(&key(row)).copied()));
    }
    let new = after.rows.iter().filter(|row| !seen.contains(&key(row)));
    changes.extend(new.filter_map(|row| change(before, after, None, Some(row))));
    changes
}

fn change(before: &Side, after: &Side, one: Option<&Row>, other: Option<&Row>) -> Option<Change> {
    let row = one.or(other)?;
    let key = (row.student.student.clone(), row.lab.clone());
    let checks = checks(before.verdicts.get(&key), after.verdicts.get(&key));
    let (shown_before, shown_after) = (shown(one), shown(other));
    if shown_before == shown_after && checks.is_empty() {
        return None;
    }
    let causes = match (one, other) {
        (Some(one), Some(other)) => causes(before, after, one, other),
        _ => vec![Cause::NotThere],
    };
    Some(Change { student: key.0, lab: key.1, before: shown_before, after: shown_after, checks, causes })
}

fn shown(row: Option<&Row>) -> String {
    match row {
        None => "not in the class".to_owned(),
        Some(row) => match (&row.grade, row.status()) {
            (Some(grade), "passed" | "failed") => format!("{} of {}", grade.earned, grade.max),
            (_, status) => status.to_owned(),
        },
    }
}

fn checks(before: Option<&Vec<CheckRow>>, after: Option<&Vec<CheckRow>>) -> Vec<(String, String, String)> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let shown = |check: Option<&CheckRow>| match check {
        Some(check) => format!("{} {} of {}", check.verdict, check.earned, check.max),
        None => "not there".to_owned(),
    };
    let find = |list: &'_ [CheckRow], name: &str| list.iter().position(|check| check.name == name);
    let new = after.iter().filter(|check| find(before, &check.name).is_none());
    let names: Vec<&str> = before.iter().chain(new).map(|check| check.name.as_str()).collect();
    let pair = |name: &str| {
        let one = find(before, name).and_then(|at| before.get(at));
        let other = find(after, name).and_then(|at| after.get(at));
        (name.to_owned(), shown(one), shown(other))
    };
    names.into_iter().map(pair).filter(|(_, one, other)| one != other).collect()
}

fn causes(before: &Side, after: &Side, one: &Row, other: &Row) -> Vec<Cause> {
    for row in [one, other] {
        match row.status() {
            "error" => return vec![Cause::OurFault(row.reason.clone())],
            "missing" => return vec![Cause::Missing(row.reason.clone())],
            "passed" | "failed" => {}
            _ => return vec![Cause::NotThere],
        }
    }
    let (Some(a), Some(b)) = (&one.grade, &other.grade) else { return vec![Cause::NotThere] };
    let mut causes = Vec::new();
    let commit = |row: &Row| row.found.as_ref().map(|found| found.commit.clone()).unwrap_or_default();
    let lab = before.version(&one.lab) != after.version(&other.lab);
    // A source tree is the submission's files in the course's tree.
    if a.source != b.source && (commit(one) != commit(other) || a.course == b.course) {
        causes.push(Cause::Submission { commits: (commit(one), commit(other)) });
    }
    if lab {
        causes.push(Cause::Lab);
    } else if a.course != b.course {
        causes.push(Cause::Course);
    }
    let mut differs = |one: &String, other: &String, cause: fn(String, String) -> Cause| {
        if one != other {
            causes.push(cause(one.clone(), other.clone()));
        }
    };
    differs(&a.compiler, &b.compiler, Cause::Compiler);
    differs(&a.qemu, &b.qemu, Cause::Qemu);
    differs(&a.attestation, &b.attestation, Cause::Witness);
    differs(&before.run.run.grader, &after.run.run.grader, Cause::Harness);
    if a.seed != b.seed && causes.iter().all(|cause| !matches!(cause, Cause::Submission { .. } | Cause::Lab)) {
        causes.push(Cause::Seed(a.seed.clone(), b.seed.clone()));
    }
    if causes.is_empty() {
        causes.push(Cause::Nothing);
    }
    causes
}
