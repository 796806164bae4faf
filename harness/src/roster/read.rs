//! A roster out of its files, or everything that is wrong with them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::row::Context;
use super::{Roster, Student, Terms, anchored, due, table, template};
use crate::digest;
use crate::lab::LabId;
use crate::owner::Owner;
use crate::yaml::{self, Defect, Defects, Node, Problem, Reader, Value};

/// Why there is no roster.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// A file cannot be read.
    #[error("read the roster {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// Not all of it is right.
    #[error("understand the roster:\n{0}")]
    Wrong(Box<Defects>),
}

impl RosterError {
    /// Whoever wrote the roster mends it.
    pub const OWNER: Owner = Owner::Caller;
}

/// What stands at the top of a roster in YAML.
#[derive(Default)]
struct Head {
    zone: Option<jiff::tz::TimeZone>,
    all: Terms,
    labs: BTreeMap<String, Terms>,
    /// The table that the students are in, where they are not in the same file.
    table: Option<String>,
}

/// Reads a roster.
pub fn read(path: &Path, labs: &[LabId]) -> Result<Roster, RosterError> {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let source = text(path)?;
    let digest = digest::of_bytes(source.as_bytes());
    let roster = |head: Head, students, digest| Roster {
        digest,
        students,
        folder: folder.clone(),
        all: head.all,
        labs: head.labs,
    };
    let is_table = |path: &Path| path.extension().is_some_and(|kind| kind == "csv" || kind == "tsv");
    if is_table(path) {
        let head = Head::default();
        let students = table_of(path, source, &head, labs, &folder)?;
        return Ok(roster(head, students, digest));
    }
    let (head, students) = yaml::read_source(path, source, yaml::parse, |source, node, reader| {
        let (head, list) = head(source, node, reader, labs)?;
        let context = Context { source, labs, zone: head.zone.as_ref() };
        let students = match list {
            Some(list) => students(&context, reader, list, &head, &folder)?,
            None => Vec::new(),
        };
        Some((head, students))
    })
    .map_err(|defects| RosterError::Wrong(Box::new(defects)))?;
    let Some(name) = &head.table else { return Ok(roster(head, students, digest)) };
    let path = folder.join(name);
    let source = text(&path)?;
    let digest = digest::of_parts([(b"yaml".as_slice(), digest.as_bytes()), (b"table", source.as_bytes())]);
    let students = table_of(&path, source, &head, labs, &folder)?;
    Ok(roster(head, students, digest))
}

fn text(path: &Path) -> Result<String, RosterError> {
    let failed = |cause| RosterError::Read { path: path.to_owned(), cause };
    let bytes = std::fs::read(path).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        // A table that a spreadsheet saved in an older code is the usual case.
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        let source = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let problem = Problem::Conflict("this is no UTF-8 text; save the file as CSV UTF-8".to_owned());
        let mut defect = Defect::new(&source, 0..0, problem);
        (defect.line, defect.column) = (line, 1);
        RosterError::Wrong(Box::new(Defects { path: path.to_owned(), source, defects: vec![defect] }))
    })
}

fn table_of(
    path: &Path,
    source: String,
    head: &Head,
    labs: &[LabId],
    folder: &Path,
) -> Result<Vec<Student>, RosterError> {
    let read = yaml::read_source(path, source, table::parse, |source, node, reader| {
        let context = Context { source, labs, zone: head.zone.as_ref() };
        students(&context, reader, node, head, folder)
    });
    read.map_err(|defects| RosterError::Wrong(Box::new(defects)))
}

/// The head of a roster in YAML, and its list of students where they are in the same file.
fn head<'n>(source: &str, node: &'n Node, reader: &mut Reader<'_>, labs: &[LabId]) -> Option<(Head, Option<&'n Node>)> {
    let mut head = Head::default();
    let mut fields = reader.fields(node, "a roster")?;
    if let Some(zone) = fields.optional("zone") {
        let expected = "a time zone of the IANA database, as in `Europe/Berlin`, or `UTC`";
        head.zone = reader.parsed(zone, expected, due::zone);
    }
    let context = Context { source, labs, zone: head.zone.as_ref() };
    let mut all = Terms::default();
    for key in ["repository", "branch", "tag", "due"] {
        if let Some(value) = fields.optional(key) {
            context.term(reader, &mut all, key, value);
        }
    }
    let of_labs = fields.optional("labs");
    let mut by_lab = BTreeMap::new();
    for (name, at, value) in of_labs.map(|node| reader.names(node, "lab")).unwrap_or_default() {
        let known: Vec<&str> = labs.iter().map(|lab| lab.0.as_str()).collect();
        if reader.known(at, "lab", &known).is_none() {
            continue;
        }
        let mut terms = Terms::default();
        let Some(mut fields) = reader.fields(value, "what holds for a lab") else { continue };
        for key in ["repository", "branch", "tag", "due"] {
            if let Some(value) = fields.optional(key) {
                context.term(reader, &mut terms, key, value);
            }
        }
        reader.finish(fields);
        by_lab.insert(name, terms);
    }
    let students = fields.required(reader, "students", "a list of students, or the name of a table in CSV beside it");
    reader.finish(fields);
    (head.all, head.labs) = (all, by_lab);
    let students = students?;
    match &students.value {
        Value::Text(name) => {
            head.table = Some(name.clone());
            Some((head, None))
        }
        _ => Some((head, Some(students))),
    }
}

/// The students of a list, each of them once.
fn students(
    context: &Context<'_>,
    reader: &mut Reader<'_>,
    list: &Node,
    head: &Head,
    folder: &Path,
) -> Option<Vec<Student>> {
    let rows = reader.list(list, "a list of students, or the name of a table in CSV beside it")?;
    if rows.is_empty() {
        reader.note(list.at.clone(), Problem::Conflict("there is no student in it".to_owned()));
        return None;
    }
    // A column is the same in every row.
    context.check_columns(reader, &rows[0]);
    let mut students: Vec<Student> = Vec::with_capacity(rows.len());
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut places: HashMap<String, (usize, Option<String>)> = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
        let Some(student) = context.student(reader, row) else { continue };
        // Some file systems take names that differ in case for the same.
        if let Some(first) = ids.insert(student.id.to_lowercase(), index) {
            let first = reader.line(&rows[first].at);
            reader.note(row.at.clone(), Problem::Repeated { what: "student", name: student.id.clone(), first });
        }
        let terms: Vec<&Terms> = [&student.own, &head.all].into_iter().chain(head.labs.values()).collect();
        let in_lab = !head.labs.is_empty() && head.labs.values().all(|terms| terms.repository.is_some());
        if student.own.repository.is_none() && head.all.repository.is_none() && !in_lab {
            let expected = "a URL, a path, or a template, as in `https://…/course-{id}.git`".to_owned();
            reader.note(row.at.clone(), Problem::MissingKey { key: "repository", of: "a student", expected });
        }
        context.check_templates(reader, row, &student, &terms);
        if let Some(place) = place(&student, head, folder) {
            let first = places.entry(place.clone()).or_insert_with(|| (index, student.group.clone()));
            let together = first.1.is_some() && first.1 == student.group;
            if first.0 != index && !together {
                let line = reader.line(&rows[first.0].at);
                let problem = format!(
                    "student {} hands in what line {line} hands in already ({place}); those who work together have the same `group`",
                    student.id
                );
                reader.note(row.at.clone(), Problem::Conflict(problem));
            }
        }
        students.push(student);
    }
    Some(students)
}

/// Repository with branch or tag in one text, as far as they do not depend on the lab.
fn place(student: &Student, head: &Head, folder: &Path) -> Option<String> {
    let levels = [&student.own, &head.all];
    let fill = |text: &String| template::fill(text, &student.values, None).ok();
    let repository = levels.iter().find_map(|terms| terms.repository.as_ref()).and_then(fill)?;
    let branch = levels.iter().find_map(|terms| terms.tag.as_ref().or(terms.branch.as_ref()));
    let branch = match branch {
        Some(branch) => fill(branch)?,
        None => String::new(),
    };
    let at = if branch.is_empty() { "" } else { ", " };
    Some(format!("{}{at}{branch}", anchored(&repository, folder)))
}
