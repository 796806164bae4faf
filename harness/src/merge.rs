//! Joins the parts of a class that several machines graded into what one would have made.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::batch::{TRANSCRIPTS, place};
use crate::gradebook::{self, Gradebook, GradebookError, PastRun, Row, Run, RunKind, StudentRow};
use crate::owner::Owner;

/// Why parts cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A gradebook cannot be used.
    #[error(transparent)]
    Gradebook(#[from] GradebookError),
    /// Two parts are of different things.
    #[error("join {} and {}: they differ in {what}", one.display(), other.display())]
    Differ {
        /// One part.
        one: PathBuf,
        /// The other.
        other: PathBuf,
        /// In what.
        what: String,
    },
    /// Two parts have the same submission.
    #[error(
        "join {} and {}: both have {}; leave one of them out",
        one.display(), other.display(), first(.doubled)
    )]
    Doubled {
        /// One part.
        one: PathBuf,
        /// The other.
        other: PathBuf,
        /// Whose submissions in which labs.
        doubled: Vec<(String, String)>,
    },
    /// There is something in the folder already.
    #[error("make {}: there is a gradebook in it already", path.display())]
    There {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be copied.
    #[error("write {}", path.display())]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

impl MergeError {
    /// Whose fault it is.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Gradebook(error) => error.owner(),
            Self::Write { .. } => Owner::Harness,
            Self::Differ { .. } | Self::Doubled { .. } | Self::There { .. } => Owner::Caller,
        }
    }
}

/// The first few, and how many more.
fn first(doubled: &[(String, String)]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = doubled.iter().take(SHOWN).map(|(student, lab)| format!("{student} in {lab}")).collect();
    let more = doubled.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// One part.
struct Part {
    folder: PathBuf,
    file: PathBuf,
    run: PastRun,
    rows: Vec<Row>,
    students: Vec<StudentRow>,
    tools: BTreeMap<(String, String), [String; 4]>,
}

/// What came of joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The number of the run.
    pub run: i64,
    /// Submissions that are in no part: student and lab.
    pub missing: Vec<(String, String)>,
}

/// Joins the last runs of the gradebooks in these folders.
///
/// # Errors
/// When they are not parts of the same, when two have the same submission, or when a file cannot be written.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Merged, MergeError> {
    let parts: Vec<Part> = folders.iter().map(|folder| read(folder)).collect::<Result<_, _>>()?;
    let Some(whole) = parts.first() else { return Ok(Merged { run: 0, missing: Vec::new() }) };
    for part in &parts[1..] {
        agree(whole, part)?;
    }
    for (index, part) in parts.iter().enumerate() {
        parts[..index].iter().try_for_each(|other| disjoint(other, part))?;
    }
    let file = out.join(gradebook::FILE);
    if file.exists() {
        return Err(MergeError::There { path: out.to_owned() });
    }
    let failed = |cause| MergeError::Write { path: out.to_owned(), cause };
    std::fs::create_dir_all(out.join(TRANSCRIPTS)).map_err(failed)?;
    for part in &parts {
        copy_transcripts(part, out)?;
    }
    // Where something fails on the way, there is no gradebook.
    let draft = out.join(format!(".new-{}.db", std::process::id()));
    let merged = write(&parts, whole, &draft);
    if merged.is_ok() {
        std::fs::rename(&draft, &file).map_err(failed)?;
    }
    for left in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{left}", draft.display()));
    }
    merged
}

fn write(parts: &[Part], whole: &Part, file: &Path) -> Result<Merged, MergeError> {
    let mut gradebook = Gradebook::create(file)?;
    let run = Run { kind: RunKind::Merge, shard: "1/1".to_owned(), ..whole.run.run.clone() };
    // Every part has the whole class, and only its own submissions.
    let here: BTreeMap<(&str, &str), &Row> = parts
        .iter()
        .flat_map(|part| &part.rows)
        .map(|row| ((row.lab.as_str(), row.student.student.as_str()), row))
        .collect();
    let labs = run.labs.iter();
    let all = labs.flat_map(|lab| whole.students.iter().map(move |row| (row.student.as_str(), lab.lab.as_str())));
    let all: Vec<(&str, &str)> = all.collect();
    let missing: Vec<(String, String)> = all
        .iter()
        .filter(|(student, lab)| !here.contains_key(&(*lab, *student)))
        .map(|(student, lab)| ((*student).to_owned(), (*lab).to_owned()))
        .collect();
    let terms =
        |(student, lab): (&str, &str)| here.get(&(lab, student)).map(|row| row.terms.clone()).unwrap_or_default();
    let id = gradebook.begin(&run, &whole.students, all.iter().map(|pair| (*pair, terms(*pair))))?;
    for part in parts {
        gradebook.absorb(&part.file, part.run.id, id)?;
    }
    if missing.is_empty() && parts.iter().all(|part| part.run.finished.is_some()) {
        gradebook.finish(id)?;
    }
    gradebook.close()?;
    Ok(Merged { run: id, missing })
}

fn read(folder: &Path) -> Result<Part, MergeError> {
    let file = folder.join(gradebook::FILE);
    let gradebook = Gradebook::open(&file)?;
    let run = gradebook.run(None)?;
    let rows = gradebook.rows(run.id)?;
    let students = gradebook.students(run.id)?;
    let mut tools = BTreeMap::new();
    for row in &rows {
        if let Some(grade) = &row.grade {
            let used = [&grade.compiler, &grade.qemu, &grade.course, &grade.attestation].map(Clone::clone);
            let place = (row.lab.clone(), grade.kernel.clone());
            // What was refused before anything was booted says nothing of a witness.
            if !grade.attestation.is_empty() || !tools.contains_key(&place) {
                tools.insert(place, used);
            }
        }
    }
    Ok(Part { folder: folder.to_owned(), file, run, rows, students, tools })
}

/// Refuses parts that are not of the same class, labs, seeds and tools.
fn agree(one: &Part, other: &Part) -> Result<(), MergeError> {
    let (a, b) = (&one.run.run, &other.run.run);
    let shards = |run: &Run| run.shard.split_once('/').map(|(_, of)| of.to_owned());
    let mut what: Vec<String> = [
        ("the roster", a.roster == b.roster && one.students == other.students),
        ("the labs, or their versions", a.labs == b.labs),
        ("the seeds", a.seed == b.seed),
        ("the grader", a.grader == b.grader),
        ("the number of parts", shards(a) == shards(b)),
        ("whom they are of (--only)", a.only == b.only),
    ]
    .into_iter()
    .filter(|(_, same)| !same)
    .map(|(what, _)| what.to_owned())
    .collect();
    for (place, tools) in &one.tools {
        let Some(others) = other.tools.get(place) else { continue };
        for (name, (one, other)) in
            ["compiler", "QEMU", "course", "witness of boots"].iter().zip(tools.iter().zip(others))
        {
            let is_known = !one.is_empty() && !other.is_empty();
            if one != other && (is_known || *name != "witness of boots") {
                what.push(format!("the {name} ({one} and {other})"));
            }
        }
    }
    let unique: BTreeSet<String> = what.into_iter().collect();
    if unique.is_empty() {
        return Ok(());
    }
    let what = unique.into_iter().collect::<Vec<_>>().join(", ");
    Err(MergeError::Differ { one: one.folder.clone(), other: other.folder.clone(), what })
}

fn disjoint(one: &Part, other: &Part) -> Result<(), MergeError> {
    let pair = |row: &Row| (row.student.student.clone(), row.lab.clone());
    let own: BTreeSet<(String, String)> = one.rows.iter().map(pair).collect();
    let doubled: Vec<(String, String)> = other.rows.iter().map(pair).filter(|pair| own.contains(pair)).collect();
    if doubled.is_empty() {
        return Ok(());
    }
    Err(MergeError::Doubled { one: one.folder.clone(), other: other.folder.clone(), doubled })
}

fn copy_transcripts(part: &Part, out: &Path) -> Result<(), MergeError> {
    for grade in part.rows.iter().filter_map(|row| row.grade.as_ref()) {
        let (from, to) = (part.folder.join(TRANSCRIPTS).join(&grade.key), out.join(TRANSCRIPTS).join(&grade.key));
        // Submissions with the same content share them; what is not there needs a fresh run to be judged again.
        if !to.exists() && from.is_dir() {
            place(&from, &to).map_err(|cause| MergeError::Write { path: to, cause })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn of_very_many_that_are_doubled_the_first_are_named() {
        let doubled: Vec<_> = (0..12).map(|number| (format!("s{number}"), "lab".to_owned())).collect();
        let text = first(&doubled);
        assert!(text.starts_with("s0 in lab, s1 in lab") && text.ends_with("s9 in lab and 2 more"), "{text}");
    }
}
