//! From `lab.yaml` to a [`Lab`], or to everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::check::read_checks;
use super::session::{Sessions, read_sessions};
use super::{Kernels, KindId, Lab, LabId, LabKernel, points_in};
use crate::digest;
use crate::kind::Kind;
use crate::owner::Owner;
use crate::source_policy::Rule;
use crate::subject::Subject;
use crate::yaml::{self, Defects, Fields, Node, Problem, Reader};

/// The file that makes a folder a lab.
pub const FILE: &str = "lab.yaml";

/// What a lab may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The course's root.
    pub course: &'a Path,
    /// The kernel kinds of the course.
    pub kinds: &'a BTreeMap<KindId, Kind>,
    /// What checks can be judged by.
    pub judges: Judges<'a>,
}

/// What checks can be judged by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Judges<'a> {
    /// Each oracle by name, with its groups of rules and what each means for a student.
    pub oracles: &'a [(&'a str, &'a [(&'a str, &'a str)])],
    /// What can be under test: the programs that drive it, and the figures that it yields.
    pub subjects: &'a [Subject],
}

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The file is wrong.
    #[error("use {0}")]
    Defects(Defects),
}

impl From<Defects> for ReadError {
    fn from(defects: Defects) -> Self {
        Self::Defects(defects)
    }
}

impl ReadError {
    /// A wrong file is its author's to mend, an unreadable one ours.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Io { .. } => Owner::Harness,
            Self::Defects(_) => Defects::OWNER,
        }
    }
}

/// Reads `lab.yaml` in a folder.
///
/// # Errors
/// All defects of the file at once, or what the system says when it cannot be read.
pub fn read(folder: &Path, known: &Known<'_>) -> Result<Lab, ReadError> {
    let path = folder.join(FILE);
    let lab = yaml::read_file(&path, |source, tree, reader| read_lab(source, tree, reader, folder, known));
    Ok(lab.map_err(|cause| ReadError::Io { path, cause })??)
}

/// Reads the content of a folder's `lab.yaml`.
///
/// # Errors
/// All defects of it.
pub fn read_text(source: String, folder: &Path, known: &Known<'_>) -> Result<Lab, Defects> {
    let read = |source: &str, tree: &Node, reader: &mut Reader<'_>| read_lab(source, tree, reader, folder, known);
    yaml::read_text(&folder.join(FILE), source, read)
}

fn read_lab(source: &str, tree: &Node, reader: &mut Reader<'_>, folder: &Path, known: &Known<'_>) -> Option<Lab> {
    let mut fields = reader.fields(tree, "a lab")?;
    let id = fields.required(reader, "id", "the name of the lab and of its folder");
    let id = id.and_then(|node| read_id(node, reader, folder));
    let title = fields.required(reader, "title", "what students call the lab");
    let title = title.and_then(|node| reader.text(node, "a title"));
    let points_node = fields.required(reader, "points", "the points of all checks together, of the kind that has most");
    let points = points_node.and_then(|node| reader.integer(node, 1..=1_000_000));
    let starter_below = fields.optional("starter-below").map(|node| reader.integer(node, 1..=1_000_000));
    let seed_key = fields.optional("seed-key").map(|node| reader.path(node, "the lab's folder"));
    let kernels_node = fields.required(reader, "kernels", "a mapping from kernel kinds to what is taken of each");
    let kernels = kernels_node.map(|node| read_kernels(node, reader, known));
    let sessions_node = fields.required(reader, "sessions", "a mapping from names to boots");
    let checks_node = fields.required(reader, "checks", "a list of graded items");
    reader.finish(fields);

    let sessions = sessions_node.map(|node| read_sessions(node, reader, known));
    // A kind that could not be read is missing there, and is a defect already.
    let kernels_known = kernels.as_ref().filter(|read| kernels_node.is_some_and(|node| entries(node) == read.len()));
    if let (Some(sessions), Some(kernels)) = (&sessions, &kernels) {
        speak(sessions, kernels, reader, known);
    }
    if let (Some(sessions), Some(kernels)) = (&sessions, kernels_known) {
        belong(sessions, kernels, reader);
    }
    let checks = checks_node.map(|node| read_checks(node, reader, sessions.as_ref(), known));
    if let (Some(points), Some(node), Some(checks), Some(kernels)) = (points, points_node, &checks, kernels_known) {
        let sums: Vec<(String, u64)> =
            kernels.keys().map(|kind| (kind.0.clone(), points_in(checks, kind).map(u64::from).sum())).collect();
        // Nor has a check that could not be read its part in the sum.
        let complete = checks_node.is_some_and(|node| entries(node) == checks.len());
        if complete && sums.iter().map(|(_, sum)| *sum).max() != Some(points) {
            reader.note(node.at.clone(), Problem::PointSum { sums, points });
        }
    }
    Some(Lab {
        id: LabId(id?),
        title: title?.to_owned(),
        points: u32::try_from(points?).ok()?,
        starter_below: u32::try_from(starter_below.unwrap_or(Some(points? / 5))?).ok()?,
        folder: folder.to_owned(),
        version: digest::of_bytes(source.as_bytes()),
        seed_key: seed_key.transpose_flat()?,
        kernels: kernels?,
        sessions: sessions?.list,
        checks: checks?,
    })
}

/// The entries of a list or a mapping.
fn entries(node: &Node) -> usize {
    match &node.value {
        yaml::Value::List(items) => items.len(),
        yaml::Value::Map(entries) => entries.len(),
        _ => 0,
    }
}

/// Notes sessions for kernels that the lab cannot be solved in: nobody would ever be judged by them.
fn belong(sessions: &Sessions, kernels: &BTreeMap<KindId, LabKernel>, reader: &mut Reader<'_>) {
    for session in &sessions.list {
        let Some((_, at)) = sessions.names.iter().find(|(name, _)| *name == session.id.0) else { continue };
        for kind in session.kernels.0.iter().flatten().filter(|kind| !kernels.contains_key(kind)) {
            let text =
                format!("session `{}` is for kernels of kind `{kind}`, in which the lab cannot be solved", session.id);
            reader.note(at.clone(), Problem::Conflict(text));
        }
    }
}

/// Notes sessions that type commands in kernels that have no shell.
fn speak(sessions: &Sessions, kernels: &BTreeMap<KindId, LabKernel>, reader: &mut Reader<'_>, known: &Known<'_>) {
    for session in sessions.list.iter().filter(|session| !session.console.is_empty()) {
        let mute = kernels
            .keys()
            .find(|id| session.kernels.includes(id) && known.kinds.get(id).is_some_and(|kind| kind.console.is_none()));
        let diskless = kernels.keys().find(|id| {
            !session.phrases.is_empty()
                && session.kernels.includes(id)
                && known.kinds.get(id).is_some_and(|kind| kind.build.disk.is_none())
        });
        let at = sessions.names.iter().find(|(name, _)| *name == session.id.0).map(|(_, at)| at.clone());
        if let (Some(kind), Some(at)) = (diskless, &at) {
            let text =
                format!("session `{}` has `phrases`, and kernels of kind `{kind}` have no `build.disk`", session.id);
            reader.note(at.clone(), Problem::Conflict(text));
        }
        if let (Some(kind), Some(at)) = (mute, at) {
            let text =
                format!("session `{}` types commands, and kernels of kind `{kind}` have no `console`", session.id);
            reader.note(at, Problem::Conflict(text));
        }
    }
}

/// A value that may be absent, but not wrong.
trait TransposeFlat<T> {
    fn transpose_flat(self) -> Option<Option<T>>;
}

impl<T> TransposeFlat<T> for Option<Option<T>> {
    fn transpose_flat(self) -> Option<Option<T>> {
        match self {
            None => Some(None),
            Some(Some(value)) => Some(Some(value)),
            Some(None) => None,
        }
    }
}

/// The `kernels` that a session is for.
pub(super) fn read_kinds(fields: &mut Fields<'_>, reader: &mut Reader<'_>, known: &Known<'_>) -> Kernels {
    let Some(node) = fields.optional("kernels") else { return Kernels::default() };
    let names: Vec<&str> = known.kinds.keys().map(|id| id.0.as_str()).collect();
    let items = reader.one_or_more(node, "a list of kernel kinds").unwrap_or_default();
    let kinds = items.iter().filter_map(|item| reader.known(item, "kernel kind", &names));
    Kernels(Some(kinds.map(|name| KindId(name.to_owned())).collect()))
}

fn read_id(node: &Node, reader: &mut Reader<'_>, folder: &Path) -> Option<String> {
    let id = reader.name(node, "a lab")?;
    let folder = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if id != folder {
        let text = format!("the lab is called `{id}`, and its folder `{folder}`: they must have the same name");
        reader.note(node.at.clone(), Problem::Conflict(text));
    }
    Some(id)
}

fn read_kernels(node: &Node, reader: &mut Reader<'_>, known: &Known<'_>) -> BTreeMap<KindId, LabKernel> {
    let kinds: Vec<&str> = known.kinds.keys().map(|kind| kind.0.as_str()).collect();
    let mut kernels = BTreeMap::new();
    let entries = reader.names(node, "kernel kind");
    if entries.is_empty() && matches!(node.value, yaml::Value::Map(_)) {
        reader.wrong_value::<()>(node, "at least one kernel kind");
    }
    for (name, key, value) in entries {
        let Some(kind) = known.kinds.get(&KindId(name.clone())) else {
            reader.unknown(key.at.clone(), "kernel kind", &name, &kinds);
            continue;
        };
        if let Some(kernel) = read_kernel(value, reader, kind, known.course) {
            kernels.insert(kind.id.clone(), kernel);
        }
    }
    kernels
}

fn read_kernel(node: &Node, reader: &mut Reader<'_>, kind: &Kind, course: &Path) -> Option<LabKernel> {
    let mut fields = reader.fields(node, "what a lab takes of a kernel")?;
    let files = fields.required(reader, "files", "the files that are taken from a submission");
    let features = fields.optional("build").map(|node| read_build(node, reader));
    let allowed = fields.optional("allow").map_or(Some(BTreeSet::new()), |node| read_allowed(node, reader));
    reader.finish(fields);

    let mut paths: Vec<PathBuf> = Vec::new();
    let items = reader.one_or_more(files?, "a list of at least one path")?;
    for item in items {
        let added = |path: &str| kind.added.contains_key(Path::new(path));
        let path = match &kind.source {
            Some(source) if !matches!(&item.value, yaml::Value::Text(path) if added(path)) => {
                reader.existing_file(item, &course.join(source), &source.display().to_string())
            }
            _ => reader.path(item, "a tree of the kind"),
        };
        let Some(path) = path else { continue };
        if kind.overlay.contains_key(&path) {
            let text = format!("`{}` is laid over by the kind, so no submission's counts", path.display());
            reader.note(item.at.clone(), Problem::Conflict(text));
        }
        if decides_builds(&path) {
            let text = format!("`{}` decides how the kernel is built, which is the course's to say", path.display());
            reader.note(item.at.clone(), Problem::Conflict(text));
        }
        if paths.contains(&path) {
            let first = items.iter().find(|other| other.value == item.value).map_or(0, |other| reader.line(&other.at));
            let name = path.display().to_string();
            reader.note(item.at.clone(), Problem::Repeated { what: "the file", name, first });
        } else {
            paths.push(path);
        }
    }
    Some(LabKernel { files: paths, features: features.unwrap_or(Some(Vec::new()))?, allowed: allowed? })
}

/// Whether Cargo would take a file for more than source.
fn decides_builds(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["Cargo.toml", "Cargo.lock", "build.rs", "rust-toolchain", "rust-toolchain.toml"].contains(&name)
        || path.components().any(|part| part.as_os_str() == ".cargo")
}

fn read_allowed(node: &Node, reader: &mut Reader<'_>) -> Option<BTreeSet<Rule>> {
    let items = reader.one_or_more(node, "a list of rules for sources")?;
    let names = Rule::ALL.map(Rule::name);
    let rule = |item: &Node| {
        let name = reader.known(item, "rule for sources", &names)?;
        Rule::ALL.into_iter().find(|rule| rule.name() == name)
    };
    Some(items.iter().filter_map(rule).collect())
}

fn read_build(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    const EXPECTED: &str = "a list of the kernel's Cargo features, as in `kernel/buddy`";
    let mut fields: Fields<'_> = reader.fields(node, "how a lab's kernel is built")?;
    let features = fields.optional("features");
    reader.finish(fields);
    let Some(features) = features else { return Some(Vec::new()) };
    let is_feature = |word: &str| {
        let allowed = |character: char| character.is_ascii_alphanumeric() || "-_/+".contains(character);
        (!word.is_empty() && word.chars().all(allowed)).then(|| word.to_owned())
    };
    let items = reader.one_or_more(features, EXPECTED)?;
    Some(items.iter().filter_map(|item| reader.parsed(item, "the name of a Cargo feature", is_feature)).collect())
}
