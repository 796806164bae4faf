//! What is read out of a gradebook again.

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, Row as SqlRow, params};

use super::rows::{Found, LabRow, Row, RowGrade, Run, RunKind, State, StudentRow, Terms};
use super::{Gradebook, GradebookError};
use crate::grade::{Grade, Points};

/// A check of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRow {
    /// The student.
    pub student: String,
    /// The lab.
    pub lab: String,
    /// Its name.
    pub name: String,
    /// What must hold.
    pub title: String,
    /// What its verdict rests on.
    pub proof: String,
    /// The verdict in one word.
    pub verdict: String,
    /// Why not.
    pub reason: String,
    /// Points earned.
    pub earned: Points,
    /// Points to be had.
    pub max: Points,
}

/// A run with when and where it was.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRun {
    /// Its number.
    pub id: i64,
    /// What was graded, and how.
    pub run: Run,
    /// When it began.
    pub started: i64,
    /// When it was over, if it was.
    pub finished: Option<i64>,
    /// Where it ran.
    pub host: String,
}

impl Gradebook {
    /// All runs, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn runs(&self) -> Result<Vec<PastRun>, GradebookError> {
        let read = || -> rusqlite::Result<Vec<PastRun>> {
            let mut labs: HashMap<i64, Vec<LabRow>> = HashMap::new();
            let mut select =
                self.connection.prepare("SELECT run, lab, title, version, points FROM labs ORDER BY run, position")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let lab = LabRow {
                    lab: row.get(1)?,
                    title: row.get(2)?,
                    version: row.get(3)?,
                    points: Points::from(row.get::<_, f64>(4)?),
                };
                labs.entry(row.get(0)?).or_default().push(lab);
            }
            let mut select = self.connection.prepare(
                "SELECT run, kind, roster, seed, grader, shard, only, started_at, finished_at, host FROM runs ORDER BY run",
            )?;
            let runs = select.query_map([], |row| {
                let id: i64 = row.get(0)?;
                let run = Run {
                    kind: RunKind::of(&row.get::<_, String>(1)?),
                    roster: row.get(2)?,
                    seed: row.get(3)?,
                    grader: row.get(4)?,
                    shard: row.get(5)?,
                    only: row.get(6)?,
                    labs: labs.remove(&id).unwrap_or_default(),
                };
                Ok(PastRun { id, run, started: row.get(7)?, finished: row.get(8)?, host: row.get(9)? })
            })?;
            runs.collect()
        };
        read().map_err(|cause| self.error(cause))
    }

    /// The run of that number, else the last one.
    ///
    /// # Errors
    /// When there is none, or the file cannot be read.
    pub fn run(&self, id: Option<i64>) -> Result<PastRun, GradebookError> {
        let mut runs = self.runs()?;
        let found = match id {
            None => runs.pop(),
            Some(id) => runs.iter().position(|run| run.id == id).map(|at| runs.swap_remove(at)),
        };
        found.ok_or_else(|| {
            let known: Vec<String> = runs.iter().map(|run| run.id.to_string()).collect();
            GradebookError::NoRun {
                path: self.path.clone(),
                run: id.map_or_else(|| "of any number".to_owned(), |id| id.to_string()),
                known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            }
        })
    }

    /// The submissions of a run, by lab and in the order of the roster.
    ///
    /// # Errors
    /// When the file cannot be read, or holds what no grader wrote.
    pub fn rows(&self, run: i64) -> Result<Vec<Row>, GradebookError> {
        let read = || -> rusqlite::Result<Vec<Option<Row>>> {
            let mut select = self.connection.prepare(
                "SELECT s.student, t.name, t.team, s.lab, state, reason, attempts, repository, wanted, due, commit_id, \
                 commit_time, head_id, head_time, later, late, rule, note, grade_key, kernel, source, seed, outcome, earned, max, \
                 compiler, qemu, course, attestation, document, cached, spent_seconds FROM submissions s \
                 JOIN students t ON t.run = s.run AND t.student = s.student \
                 JOIN labs l ON l.run = s.run AND l.lab = s.lab \
                 WHERE s.run = ? ORDER BY l.position, t.position",
            )?;
            select.query_map([run], row)?.collect()
        };
        let rows = read().map_err(|cause| self.error(cause))?;
        let rows: Option<Vec<Row>> = rows.into_iter().collect();
        rows.ok_or_else(|| GradebookError::Damaged {
            path: self.path.clone(),
            reason: format!("a submission of run {run} has a state that there is not"),
        })
    }

    /// The students of a run, in the order of the roster.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn students(&self, run: i64) -> Result<Vec<StudentRow>, GradebookError> {
        let read = || -> rusqlite::Result<Vec<StudentRow>> {
            let mut select =
                self.connection.prepare("SELECT student, name, team FROM students WHERE run = ? ORDER BY position")?;
            let student =
                |row: &SqlRow<'_>| Ok(StudentRow { student: row.get(0)?, name: row.get(1)?, team: row.get(2)? });
            select.query_map([run], student)?.collect()
        };
        read().map_err(|cause| self.error(cause))
    }

    /// The checks of a run, by lab, student and in the order of the lab.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn checks(&self, run: i64) -> Result<Vec<CheckRow>, GradebookError> {
        let read = || -> rusqlite::Result<Vec<CheckRow>> {
            let mut select = self.connection.prepare(
                "SELECT c.student, c.lab, c.name, c.title, proof, verdict, reason, earned, max FROM checks c \
                 JOIN students t ON t.run = c.run AND t.student = c.student \
                 JOIN labs l ON l.run = c.run AND l.lab = c.lab \
                 WHERE c.run = ? ORDER BY l.position, t.position, c.position",
            )?;
            let check = |row: &SqlRow<'_>| {
                Ok(CheckRow {
                    student: row.get(0)?,
                    lab: row.get(1)?,
                    name: row.get(2)?,
                    title: row.get(3)?,
                    proof: row.get(4)?,
                    verdict: row.get(5)?,
                    reason: row.get(6)?,
                    earned: Points::from(row.get::<_, f64>(7)?),
                    max: Points::from(row.get::<_, f64>(8)?),
                })
            };
            select.query_map([run], check)?.collect()
        };
        read().map_err(|cause| self.error(cause))
    }

    /// A grade document.
    ///
    /// # Errors
    /// When it is not there or cannot be understood.
    pub fn document(&self, digest: &str) -> Result<Grade, GradebookError> {
        let select = || {
            let mut select = self.connection.prepare_cached("SELECT grade FROM documents WHERE digest = ?")?;
            select.query_row([digest], |row| row.get::<_, String>(0)).optional()
        };
        let damaged = |reason: String| GradebookError::Damaged { path: self.path.clone(), reason };
        let text = select().map_err(|cause| self.error(cause))?;
        let text = text.ok_or_else(|| damaged(format!("there is no document {digest}")))?;
        serde_json::from_str(&text).map_err(|error| damaged(format!("document {digest}: {error}")))
    }

    /// What was booted for a submission, and how: for each boot its name and the digest of its plan.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn plans(&self, run: i64, student: &str, lab: &str) -> Result<Vec<(String, String)>, GradebookError> {
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let mut select = self.connection.prepare_cached(
                "SELECT session, plan FROM sessions WHERE run = ? AND student = ? AND lab = ? ORDER BY position",
            )?;
            select.query_map(params![run, student, lab], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        read().map_err(|cause| self.error(cause))
    }

    /// The fingerprints of a run's submissions in a lab, in the order of the roster.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn fingerprints(&self, run: i64, lab: &str) -> Result<Vec<(String, Vec<u32>)>, GradebookError> {
        let read = || -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
            let mut select = self.connection.prepare(
                "SELECT s.student, s.fingerprint FROM submissions s \
                 JOIN students t ON t.run = s.run AND t.student = s.student \
                 WHERE s.run = ? AND s.lab = ? AND s.fingerprint IS NOT NULL ORDER BY t.position",
            )?;
            select.query_map(params![run, lab], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let rows = read().map_err(|cause| self.error(cause))?;
        let numbers = |bytes: &[u8]| {
            let number = |four: &[u8]| <[u8; 4]>::try_from(four).map_or(0, u32::from_le_bytes);
            bytes.chunks_exact(4).map(number).collect()
        };
        Ok(rows.into_iter().map(|(student, bytes)| (student, numbers(&bytes))).collect())
    }

    /// How long the grading of each submission took the last time that it was not known before, by student and lab.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn durations(&self) -> Result<HashMap<(String, String), f64>, GradebookError> {
        let read = || -> rusqlite::Result<HashMap<(String, String), f64>> {
            let mut select = self.connection.prepare(
                "SELECT student, lab, spent_seconds, max(run) FROM submissions \
                 WHERE cached = 0 AND spent_seconds IS NOT NULL GROUP BY student, lab",
            )?;
            select.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?.collect()
        };
        read().map_err(|cause| self.error(cause))
    }
}

/// A submission; `None` where its state is none.
fn row(row: &SqlRow<'_>) -> rusqlite::Result<Option<Row>> {
    let Some(state) = State::of(&row.get::<_, String>("state")?) else { return Ok(None) };
    let found = match row.get::<_, Option<String>>("commit_id")? {
        None => None,
        Some(commit) => Some(Found {
            commit,
            commit_time: row.get("commit_time")?,
            head: row.get("head_id")?,
            head_time: row.get("head_time")?,
            later: row.get::<_, i64>("later")?.unsigned_abs(),
            late: row.get("late")?,
            rule: row.get("rule")?,
            note: row.get("note")?,
        }),
    };
    let grade = match row.get::<_, Option<String>>("document")? {
        None => None,
        Some(document) => Some(RowGrade {
            key: row.get("grade_key")?,
            kernel: row.get("kernel")?,
            source: row.get("source")?,
            seed: row.get("seed")?,
            outcome: row.get("outcome")?,
            earned: Points::from(row.get::<_, f64>("earned")?),
            max: Points::from(row.get::<_, f64>("max")?),
            compiler: row.get("compiler")?,
            qemu: row.get("qemu")?,
            course: row.get("course")?,
            attestation: row.get::<_, Option<String>>("attestation")?.unwrap_or_default(),
            document,
            cached: row.get("cached")?,
            seconds: row.get("spent_seconds")?,
        }),
    };
    Ok(Some(Row {
        student: StudentRow { student: row.get(0)?, name: row.get(1)?, team: row.get(2)? },
        lab: row.get("lab")?,
        state,
        reason: row.get("reason")?,
        attempts: row.get("attempts")?,
        terms: Terms { repository: row.get("repository")?, wanted: row.get("wanted")?, due: row.get("due")? },
        found,
        grade,
    }))
}
