//! A mutant: a known-wrong solution that a lab must catch, as edits to the reference.

use std::path::{Path, PathBuf};

use super::read::ReadError;
use super::{CheckId, Lab};
use crate::kind::Kind;
use crate::yaml::{self, Node, Problem, Reader};

/// A known-wrong solution: `labs/<id>/mutants/<name>.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Its name: the file's, without `.yaml`.
    pub name: String,
    /// What is wrong with it.
    pub title: String,
    /// The checks that it must fail.
    pub fails: Vec<CheckId>,
    /// What makes it of the reference; they are made in this order.
    pub edits: Vec<Edit>,
}

/// One replacement of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The file, relative to the kernel's root.
    pub file: PathBuf,
    /// Text that is there exactly once.
    pub find: String,
    /// What takes its place.
    pub replace: String,
}

impl Edit {
    /// Makes the edit, if its text is there exactly once.
    pub fn apply(&self, text: &str) -> Option<String> {
        (text.matches(&self.find).count() == 1).then(|| text.replacen(&self.find, &self.replace, 1))
    }
}

/// The files of a lab's mutants, in order of name.
pub fn files(lab: &Lab) -> Vec<PathBuf> {
    super::yaml_files(&lab.folder.join("mutants"))
}

/// Reads a mutant of a lab, and tries its edits on the course's own tree of `kind`.
///
/// # Errors
/// All defects of the file at once, or what the system says when it cannot be read.
pub fn read(path: &Path, lab: &Lab, kind: &Kind, course: &Path) -> Result<Mutant, ReadError> {
    let mutant = yaml::read_file(path, |_, tree, reader| read_mutant(tree, reader, path, lab, kind, course));
    Ok(mutant.map_err(|cause| ReadError::Io { path: path.to_owned(), cause })??)
}

fn read_mutant(
    tree: &Node,
    reader: &mut Reader<'_>,
    path: &Path,
    lab: &Lab,
    kind: &Kind,
    course: &Path,
) -> Option<Mutant> {
    const FAILS: &str = "the checks that it must fail";
    let mut fields = reader.fields(tree, "a mutant")?;
    let title = fields.required(reader, "title", "what is wrong with it");
    let title = title.and_then(|node| reader.text(node, "a sentence on what is wrong"));
    let fails = fields.required(reader, "fails", FAILS).map(|node| {
        let known: Vec<&str> = lab.checks.iter().map(|check| check.id.0.as_str()).collect();
        let items = reader.one_or_more(node, FAILS).unwrap_or_default();
        items.iter().filter_map(|item| reader.known(item, "check", &known)).map(|id| CheckId(id.to_owned())).collect()
    });
    let edits_node = fields.required(reader, "edits", "a list of `{ file, find, replace }`");
    reader.finish(fields);

    let tree = course.join(kind.source.as_deref()?);
    let mut edited: Vec<(PathBuf, String)> = Vec::new();
    let mut edits = Vec::new();
    for item in edits_node.and_then(|node| reader.list(node, "a list of `{ file, find, replace }`"))? {
        edits.extend(read_edit(item, reader, &tree, lab, kind, &mut edited));
    }
    if edits.is_empty() {
        reader.wrong_value::<()>(edits_node?, "a list of at least one edit");
    }
    let name = path.file_stem()?.to_string_lossy().into_owned();
    Some(Mutant { name, title: title?.to_owned(), fails: fails?, edits })
}

fn read_edit(
    node: &Node,
    reader: &mut Reader<'_>,
    tree: &Path,
    lab: &Lab,
    kind: &Kind,
    edited: &mut Vec<(PathBuf, String)>,
) -> Option<Edit> {
    let mut fields = reader.fields(node, "an edit")?;
    let file_node = fields.required(reader, "file", "one of the files that the lab takes");
    let find_node = fields.required(reader, "find", "text that is there exactly once");
    let replace = fields.required(reader, "replace", "what takes its place");
    reader.finish(fields);

    let file = file_node.and_then(|node| reader.existing_file(node, tree, "the kind's own tree"));
    let find = find_node.and_then(|node| reader.text(node, "text that is there exactly once"));
    let replace = match replace.map(|node| &node.value) {
        Some(yaml::Value::Text(text)) => text.clone(),
        Some(yaml::Value::Null) => String::new(),
        Some(_) => return reader.wrong_type(node, "a text"),
        None => return None,
    };
    let (file, find) = (file?, find?);
    let taken = lab.kernels.get(&kind.id).is_some_and(|kernel| kernel.files.contains(&file));
    if !taken {
        let text = format!(
            "`{}` is no file that the lab takes from a submission: no student could make this mistake",
            file.display()
        );
        reader.note(file_node?.at.clone(), Problem::Conflict(text));
    }
    // Later edits of a file see what earlier ones made of it.
    let index = match edited.iter().position(|(other, _)| *other == file) {
        Some(index) => index,
        None => {
            edited.push((file.clone(), std::fs::read_to_string(tree.join(&file)).unwrap_or_default()));
            edited.len() - 1
        }
    };
    let edit = Edit { file, find: find.to_owned(), replace };
    let text = &mut edited[index].1;
    match edit.apply(text) {
        Some(changed) => *text = changed,
        None => {
            let count = text.matches(&edit.find).count();
            let text =
                format!("this text is in `{}` {count} times; it must be there exactly once", edit.file.display());
            reader.note(find_node?.at.clone(), Problem::Conflict(text));
        }
    }
    Some(edit)
}
