//! A right solution that differs in design from the reference: a lab must accept what it does not expect.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::read::ReadError;
use super::{CheckId, Lab};
use crate::kind::Kind;
use crate::yaml::{self, Node, Problem, Reader};

/// A right solution: `labs/<id>/solutions/<name>.yaml`, and the files in the folder `<name>` beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// Its name: the file's, without `.yaml`.
    pub name: String,
    /// What is different about it.
    pub title: String,
    /// The checks that it may fail, being slower than the reference; it must pass all others.
    pub may_fail: Vec<CheckId>,
    /// The lab's files as it has them; the reference's where it has none.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

/// The files of a lab's other solutions, in order of name.
pub fn files(lab: &Lab) -> Vec<PathBuf> {
    super::yaml_files(&lab.folder.join("solutions"))
}

/// Reads a solution of a lab.
///
/// # Errors
/// All defects of the file at once, or what the system says when it cannot be read.
pub fn read(path: &Path, lab: &Lab, kind: &Kind) -> Result<Solution, ReadError> {
    let solution = yaml::read_file(path, |_, tree, reader| read_solution(tree, reader, path, lab, kind));
    Ok(solution.map_err(|cause| ReadError::Io { path: path.to_owned(), cause })??)
}

fn read_solution(tree: &Node, reader: &mut Reader<'_>, path: &Path, lab: &Lab, kind: &Kind) -> Option<Solution> {
    const MAY_FAIL: &str = "the checks that it may fail";
    let mut fields = reader.fields(tree, "a solution")?;
    let title = fields.required(reader, "title", "what is different about it");
    let title = title.and_then(|node| reader.text(node, "a sentence on what is different"));
    let may_fail = fields.optional("may-fail").map_or(Vec::new(), |node| {
        let known: Vec<&str> = lab.checks.iter().map(|check| check.id.0.as_str()).collect();
        let items = reader.one_or_more(node, MAY_FAIL).unwrap_or_default();
        items.iter().filter_map(|item| reader.known(item, "check", &known)).map(|id| CheckId(id.to_owned())).collect()
    });
    reader.finish(fields);

    let folder = path.with_extension("");
    let taken = lab.kernels.get(&kind.id).map_or(&[][..], |kernel| &kernel.files);
    let content = |file: &PathBuf| Some((file.clone(), std::fs::read(folder.join(file)).ok()?));
    let files: BTreeMap<PathBuf, Vec<u8>> = taken.iter().filter_map(content).collect();
    if files.is_empty() {
        let names: Vec<String> = taken.iter().map(|file| file.display().to_string()).collect();
        let text = format!("`{}` has none of the lab's files ({})", folder.display(), names.join(", "));
        reader.note(tree.at.clone(), Problem::Conflict(text));
    }
    let name = path.file_stem()?.to_string_lossy().into_owned();
    Some(Solution { name, title: title?.to_owned(), may_fail, files })
}
