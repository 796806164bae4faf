//! Who hands in what, where, and until when: a class, read from CSV or YAML.
//!
//! Everything that is wrong with a roster is said at once, each with its line, before anything is fetched.

mod due;
mod read;
mod row;
mod table;
mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::lab::LabId;
use crate::submission::mirror;

pub use due::{BadDate, Due, Extension};
pub use read::RosterError;

/// A class.
#[derive(Debug, Clone, PartialEq)]
pub struct Roster {
    /// SHA-256, in hex, of the files that it was read from: two runs with the same one are of the same class.
    pub digest: String,
    /// The students, in the order of the file.
    pub students: Vec<Student>,
    /// The folder that paths of repositories are relative to.
    folder: PathBuf,
    /// What holds for all who say nothing else.
    all: Terms,
    /// What holds for a lab.
    labs: BTreeMap<String, Terms>,
}

/// One student.
#[derive(Debug, Clone, PartialEq)]
pub struct Student {
    /// What they are called in gradebook and reports; unique in its class, and fit for the name of a file.
    pub id: String,
    /// Their name, as people read it; may be empty.
    pub name: String,
    /// Who they work with: members of a group may share a repository.
    pub group: Option<String>,
    /// What holds for them alone.
    own: Terms,
    /// What can stand in a template: `id`, `name`, `group`, and every other column of the file.
    values: BTreeMap<String, String>,
}

/// Where and when something is handed in. The texts are templates.
#[derive(Debug, Clone, PartialEq, Default)]
struct Terms {
    repository: Option<String>,
    branch: Option<String>,
    tag: Option<String>,
    due: Option<Due>,
    extension: Extension,
}

/// What one student hands in for one lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The repository: a URL, or an absolute path.
    pub repository: String,
    /// Which of its commits.
    pub wanted: Wanted,
    /// When it is due; never, where nobody says.
    pub due: Option<Due>,
}

/// Which commit of a repository is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The last one of a branch that is not too late.
    Branch(String),
    /// The one that a tag names.
    Tag(String),
}

impl Wanted {
    /// The name of the branch or tag.
    pub fn name(&self) -> &str {
        let (Self::Branch(name) | Self::Tag(name)) = self;
        name
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(name) => write!(f, "branch {name}"),
            Self::Tag(name) => write!(f, "tag {name}"),
        }
    }
}

impl Roster {
    /// Reads a roster: CSV where the name ends in `.csv` or `.tsv`, else YAML. `labs` are the course's.
    ///
    /// # Errors
    /// When it cannot be read; everything that is wrong with it.
    pub fn read(path: &Path, labs: &[LabId]) -> Result<Self, RosterError> {
        read::read(path, labs)
    }

    /// What a student hands in for a lab: what their own row says comes first, then what the roster says of the lab,
    /// then what it says of all. Without any of these, the branch is the one that is called as the lab.
    pub fn assignment(&self, student: &Student, lab: &LabId) -> Assignment {
        let levels = || [Some(&student.own), self.labs.get(&lab.0), Some(&self.all)].into_iter().flatten();
        // Whoever read the roster made sure that every template can be filled in.
        let fill = |text: &str| template::fill(text, &student.values, Some(&lab.0)).unwrap_or_else(|_| text.to_owned());
        let tag_or_branch = |terms: &Terms| {
            let tag = terms.tag.as_deref().map(|tag| Wanted::Tag(fill(tag)));
            tag.or_else(|| terms.branch.as_deref().map(|branch| Wanted::Branch(fill(branch))))
        };
        let repository = levels().find_map(|terms| terms.repository.as_deref()).unwrap_or_default();
        let due = levels().find_map(|terms| terms.due.as_ref());
        Assignment {
            repository: anchored(&fill(repository), &self.folder),
            wanted: levels().find_map(tag_or_branch).unwrap_or_else(|| Wanted::Branch(lab.0.clone())),
            due: due.map(|due| due.extended(&student.own.extension, &lab.0)),
        }
    }
}

/// Makes a repository that is a path absolute.
fn anchored(repository: &str, folder: &Path) -> String {
    if mirror::is_url(repository) {
        return repository.to_owned();
    }
    let path = folder.join(repository);
    std::path::absolute(&path).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests;
