//! What is written into a gradebook: each call is a transaction, so that a kill finds it before or after, never
//! between.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::rows::{self, Found, Graded, Run, StudentRow, Terms, stamp};
use super::{Gradebook, GradebookError};
use crate::digest;
use crate::grade::{Grade, Points, Verdict, Watched};
use crate::report::json;

/// Something that was learned of a submission.
#[derive(Debug)]
pub enum Update<'a> {
    /// The commit that will be graded.
    Found(&'a Found),
    /// Nothing was handed in, and why.
    Missing(&'a str),
    /// It could not be fetched or graded, by our fault, for so many times.
    Error(&'a str, u32),
    /// It has a grade, after so many tries.
    Graded(&'a Graded<'a>, u32),
}

/// A student and a lab.
pub type Pair<'a> = (&'a str, &'a str);

impl Gradebook {
    /// Does several things, all of them or none.
    fn all_or_none<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, GradebookError> {
        let done = || -> rusqlite::Result<T> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        }();
        done.map_err(|cause| self.error(cause))
    }

    /// Begins a run, in which everything is due.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin<'a>(
        &mut self,
        run: &Run,
        students: &[StudentRow],
        due: impl Iterator<Item = (Pair<'a>, Terms)>,
    ) -> Result<i64, GradebookError> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.all_or_none(|connection| {
            connection.execute(
                "INSERT INTO runs (started_at, host, kind, roster, seed, grader, shard, only) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                params![stamp(), host, run.kind.word(), run.roster, run.seed, run.grader, run.shard, run.only],
            )?;
            let id = connection.last_insert_rowid();
            let mut insert = connection
                .prepare("INSERT INTO labs (run, position, lab, title, version, points) VALUES (?, ?, ?, ?, ?, ?)")?;
            for (position, lab) in run.labs.iter().enumerate() {
                insert.execute(params![id, position as i64, lab.lab, lab.title, lab.version, f64::from(lab.points)])?;
            }
            let mut insert = connection
                .prepare("INSERT INTO students (run, position, student, name, team) VALUES (?, ?, ?, ?, ?)")?;
            for (position, row) in students.iter().enumerate() {
                insert.execute(params![id, position as i64, row.student, row.name, row.team])?;
            }
            let mut insert = connection.prepare(
                "INSERT INTO submissions (run, student, lab, state, repository, wanted, due) VALUES (?, ?, ?, 'due', ?, ?, ?)",
            )?;
            for ((student, lab), terms) in due {
                insert.execute(params![id, student, lab, terms.repository, terms.wanted, terms.due])?;
            }
            Ok(id)
        })
    }

    /// Writes down what was learned, all of it or nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn learn<'a>(
        &mut self,
        run: i64,
        updates: impl IntoIterator<Item = (Pair<'a>, Update<'a>)>,
    ) -> Result<(), GradebookError> {
        self.all_or_none(|connection| {
            for (pair, update) in updates {
                match update {
                    Update::Found(found) => write_found(connection, run, pair, found)?,
                    Update::Missing(reason) => write_state(connection, run, pair, "missing", reason, 1)?,
                    Update::Error(reason, attempts) => write_state(connection, run, pair, "error", reason, attempts)?,
                    Update::Graded(graded, attempts) => write_grade(connection, run, pair, graded, attempts)?,
                }
            }
            Ok(())
        })
    }

    /// Takes submissions over from another run, with all that is known of them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_over<'a>(
        &mut self,
        from: i64,
        to: i64,
        pairs: impl Iterator<Item = Pair<'a>>,
    ) -> Result<(), GradebookError> {
        self.all_or_none(|connection| {
            for (student, lab) in pairs {
                // Only those that the new run has at all.
                let there = connection
                    .prepare_cached("DELETE FROM submissions WHERE run = ? AND student = ? AND lab = ?")?
                    .execute(params![to, student, lab])?;
                for table in ["submissions", "checks", "sessions"].into_iter().filter(|_| there > 0) {
                    let columns = columns(connection, table)?;
                    let copy = format!(
                        "INSERT INTO {table} (run, {columns}) SELECT ?, {columns} FROM {table} \
                         WHERE run = ? AND student = ? AND lab = ?"
                    );
                    connection.prepare_cached(&copy)?.execute(params![to, from, student, lab])?;
                }
            }
            Ok(())
        })
    }

    /// Takes all submissions of a run of another gradebook over.
    ///
    /// # Errors
    /// When the other cannot be read, or this one not be written.
    pub fn absorb(&mut self, other: &Path, from: i64, to: i64) -> Result<(), GradebookError> {
        let attach = |connection: &Connection| {
            let path = other.to_string_lossy();
            connection.execute("ATTACH DATABASE ? AS part", [path.as_ref()])
        };
        attach(&self.connection).map_err(|cause| self.error(cause))?;
        let done = self.all_or_none(|connection| {
            connection.execute(
                "DELETE FROM submissions WHERE run = ?1 AND (student, lab) IN \
                 (SELECT student, lab FROM part.submissions WHERE run = ?2)",
                params![to, from],
            )?;
            connection.execute("INSERT OR IGNORE INTO documents SELECT * FROM part.documents", [])?;
            for table in ["submissions", "checks", "sessions"] {
                let columns = columns(connection, table)?;
                let copy =
                    format!("INSERT INTO {table} (run, {columns}) SELECT ?, {columns} FROM part.{table} WHERE run = ?");
                connection.execute(&copy, params![to, from])?;
            }
            Ok(())
        });
        let detached = self.connection.execute("DETACH DATABASE part", []);
        done?;
        detached.map(|_| ()).map_err(|cause| self.error(cause))
    }

    /// Closes the file, so that all of it is in one.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn close(self) -> Result<(), GradebookError> {
        let Self { connection, path } = self;
        connection.close().map_err(|(_, cause)| super::wrap(&path, cause))
    }

    /// Says that a run is over.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self, run: i64) -> Result<(), GradebookError> {
        self.all_or_none(|connection| {
            connection.execute("UPDATE runs SET finished_at = ? WHERE run = ?", params![stamp(), run]).map(|_| ())
        })
    }
}

/// The columns of a table but for the run, with commas.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<String> {
    let mut select = connection.prepare_cached("SELECT name FROM pragma_table_info(?) WHERE name <> 'run'")?;
    let names: Vec<String> = select.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names.join(", "))
}

fn write_state(
    connection: &Connection,
    run: i64,
    (student, lab): Pair<'_>,
    state: &str,
    reason: &str,
    attempts: u32,
) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE submissions SET state = ?4, reason = ?5, attempts = ?6 WHERE run = ?1 AND student = ?2 AND lab = ?3",
    )?;
    update.execute(params![run, student, lab, state, reason, attempts]).map(|_| ())
}

fn write_found(connection: &Connection, run: i64, (student, lab): Pair<'_>, found: &Found) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE submissions SET state = 'found', commit_id = ?4, commit_time = ?5, head_id = ?6, head_time = ?7, \
         later = ?8, late = ?9, rule = ?10, note = ?11 WHERE run = ?1 AND student = ?2 AND lab = ?3",
    )?;
    let later = i64::try_from(found.later).unwrap_or(i64::MAX);
    update
        .execute(params![
            run,
            student,
            lab,
            found.commit,
            found.commit_time,
            found.head,
            found.head_time,
            later,
            found.late,
            found.rule,
            found.note
        ])
        .map(|_| ())
}

fn write_grade(
    connection: &Connection,
    run: i64,
    (student, lab): Pair<'_>,
    graded: &Graded<'_>,
    attempts: u32,
) -> rusqlite::Result<()> {
    let grade = graded.grade;
    let text = json::to_string(grade);
    let document = digest::of_bytes(text.as_bytes());
    connection
        .prepare_cached("INSERT OR IGNORE INTO documents (digest, grade) VALUES (?, ?)")?
        .execute(params![document, text])?;
    let fingerprint: Vec<u8> = graded.fingerprint.iter().flat_map(|number| number.to_le_bytes()).collect();
    let points = |points: Points| f64::from(points);
    let attestation = grade.witness.as_ref().map(|watched| match watched {
        Watched::Available => "witness",
        Watched::Missing { .. } => "none",
    });
    let mut update = connection.prepare_cached(
        "UPDATE submissions SET state = 'graded', reason = '', attempts = ?4, grade_key = ?5, source = ?6, seed = ?7, outcome = ?8, \
         earned = ?9, max = ?10, compiler = ?11, qemu = ?12, course = ?13, document = ?14, fingerprint = ?15, \
         cached = ?16, graded_at = ?17, spent_seconds = ?18, kernel = ?19, attestation = ?20 WHERE run = ?1 AND student = ?2 AND lab = ?3",
    )?;
    update.execute(params![
        run,
        student,
        lab,
        attempts,
        graded.key,
        graded.source,
        grade.seed,
        rows::outcome(grade.outcome()),
        points(grade.points.earned),
        points(grade.points.max),
        grade.tools.compiler,
        grade.tools.qemu,
        grade.tools.course,
        document,
        fingerprint,
        graded.cached,
        stamp(),
        graded.seconds,
        grade.lab.kernel,
        attestation
    ])?;
    write_checks(connection, run, (student, lab), grade)?;
    write_sessions(connection, run, (student, lab), graded)
}

fn write_checks(connection: &Connection, run: i64, (student, lab): Pair<'_>, grade: &Grade) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM checks WHERE run = ? AND student = ? AND lab = ?")?;
    delete.execute(params![run, student, lab])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO checks (run, student, lab, position, name, title, proof, verdict, reason, earned, max) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for (position, check) in grade.checks.iter().enumerate() {
        let (verdict, reason) = match &check.verdict {
            Verdict::Pass => ("pass", ""),
            Verdict::Fail { reason, .. } => ("fail", reason.as_str()),
            Verdict::Error { reason } => ("error", reason.as_str()),
            Verdict::Skipped { reason } => ("skipped", reason.as_str()),
        };
        // Its own serial form names it.
        let proof = serde_json::to_value(check.proof).ok();
        let proof = proof.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
        insert.execute(params![
            run,
            student,
            lab,
            position as i64,
            check.id,
            check.title,
            proof,
            verdict,
            reason,
            f64::from(check.points.earned),
            f64::from(check.points.max)
        ])?;
    }
    Ok(())
}

fn write_sessions(
    connection: &Connection,
    run: i64,
    (student, lab): Pair<'_>,
    graded: &Graded<'_>,
) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM sessions WHERE run = ? AND student = ? AND lab = ?")?;
    delete.execute(params![run, student, lab])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO sessions (run, student, lab, position, session, ending, explanation, operations, plan) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for (position, session) in graded.grade.sessions.iter().enumerate() {
        let plan = graded.plans.iter().find(|(id, _)| *id == session.id).map_or("", |(_, plan)| plan.as_str());
        insert.execute(params![
            run,
            student,
            lab,
            position as i64,
            session.id,
            session.ending,
            session.explanation,
            i64::try_from(session.operations).unwrap_or(i64::MAX),
            plan
        ])?;
    }
    Ok(())
}
