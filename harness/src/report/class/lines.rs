//! A class as JSON lines: for each student and lab an object with all that is known, the grade document in it.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Class;
use crate::grade::{Grade, Score};
use crate::gradebook::{Gradebook, Row};
use crate::runner::chain;

/// What [`Line::schema`] says; the number goes up when a reader of the last one would misunderstand.
pub const SCHEMA: &str = "grader/class-line/v1";

/// One student's submission in one lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// [`SCHEMA`].
    pub schema: String,
    /// What the student is called.
    pub student: String,
    /// Their name; may be empty.
    pub name: String,
    /// Their group; may be empty.
    pub group: String,
    /// The lab.
    pub lab: String,
    /// `passed`, `failed`, `missing`, `error` (ours), or `not graded yet`.
    pub status: String,
    /// Why it is missing or an error, or what else should be known.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub note: String,
    /// Points earned and to be had; absent without a grade, which is not the same as none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub points: Option<Score>,
    /// Where it was handed in.
    pub repository: String,
    /// `branch …` or `tag …`.
    pub wanted: String,
    /// When it was due, in seconds since 1970-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub due: Option<i64>,
    /// The commit that counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commit: Option<Counted>,
    /// The grade document.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grade: Option<Grade>,
}

/// The commit that counts, and what came too late to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// Its id.
    pub id: String,
    /// Its committer's date, in seconds since 1970-01-01 UTC.
    pub time: i64,
    /// Seconds that it is late by; 0 where it is not.
    pub late: i64,
    /// Commits on the branch that came too late to be graded.
    pub later: u64,
    /// Which commit counts, and why.
    pub rule: String,
}

/// Writes the lines, whole or not at all.
///
/// # Errors
/// Why not, in a phrase.
pub fn write(class: &Class, gradebook: &Gradebook, path: &Path) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: io::Error| error.to_string();
    std::fs::create_dir_all(folder).map_err(failed)?;
    // A class's documents together are too many to be held at once.
    let file = tempfile::Builder::new().prefix(".grader-").tempfile_in(folder).map_err(failed)?;
    let mut out = BufWriter::new(file);
    for row in &class.rows {
        let line = line(row, gradebook).map_err(|error| chain(&error))?;
        serde_json::to_writer(&mut out, &line).map_err(|error| error.to_string())?;
        out.write_all(b"\n").map_err(failed)?;
    }
    let file = out.into_inner().map_err(|error| error.to_string())?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| error.error.to_string())?;
    Ok(())
}

fn line(row: &Row, gradebook: &Gradebook) -> Result<Line, crate::gradebook::GradebookError> {
    let grade = row.grade.as_ref().map(|grade| gradebook.document(&grade.document)).transpose()?;
    let commit = row.found.as_ref().map(|found| Counted {
        id: found.commit.clone(),
        time: found.commit_time,
        late: found.late,
        later: found.later,
        rule: found.rule.clone(),
    });
    Ok(Line {
        schema: SCHEMA.to_owned(),
        student: row.student.student.clone(),
        name: row.student.name.clone(),
        group: row.student.team.clone(),
        lab: row.lab.clone(),
        status: row.status().to_owned(),
        note: row.note().to_owned(),
        points: grade.as_ref().map(|grade| grade.points),
        repository: row.terms.repository.clone(),
        wanted: row.terms.wanted.clone(),
        due: row.terms.due,
        commit,
        grade,
    })
}
