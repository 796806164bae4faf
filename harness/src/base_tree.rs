//! The trusted tree that a submission's files are laid into: the course's own, or the branch that a course hands out.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use git2::Oid;
use serde::{Deserialize, Serialize};

use crate::course::Course;
use crate::kind::Kind;
use crate::owner::Owner;
use crate::{files, submission};

/// A trusted tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseTree {
    /// Where it came from.
    pub from: From,
    /// Its files, by path.
    pub files: BTreeMap<PathBuf, SourceFile>,
}

/// Where a trusted tree came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum From {
    /// The course's own folder, which holds the reference solution.
    Course,
    /// A commit of the repository that the course hands out.
    Handout {
        /// The repository's path or URL.
        repository: String,
        /// The branch or revision that led to it.
        name: String,
        /// Its id.
        commit: String,
    },
}

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its content.
    pub content: Vec<u8>,
    /// Whether it can be run.
    pub executable: bool,
}

/// Why there is no trusted tree.
#[derive(Debug, thiserror::Error)]
pub enum BaseTreeError {
    /// A file of the course cannot be read.
    #[error("read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The course has no tree of the kind, and nobody said where its handout is.
    #[error(
        "find the course's own files of a {title}: name the repository that it was handed out from, with `--handout REPO[@REV]`; what a submission does not have to change is taken from there"
    )]
    NoHandout {
        /// What people call the kind.
        title: String,
    },
    /// The handout cannot be read.
    #[error("read the handout")]
    Handout(#[source] Box<submission::SubmissionError>),
}

impl BaseTreeError {
    /// Whose fault it is.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Read { .. } => Owner::Harness,
            Self::NoHandout { .. } => Owner::Caller,
            Self::Handout(error) => error.owner(),
        }
    }
}

impl BaseTree {
    /// The course's own tree of a kind; `None` when the course has none.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_course(course: &Course, kind: &Kind) -> Result<Option<Self>, BaseTreeError> {
        let Some(source) = &kind.source else { return Ok(None) };
        let mut files = read_folder(&course.root.join(source), &kind.ignore)?;
        for (path, from) in &kind.added {
            let from = kind.folder.join("..").join(from);
            let content = fs::read(&from).map_err(|cause| BaseTreeError::Read { path: from, cause })?;
            files.insert(path.clone(), SourceFile { content, executable: false });
        }
        Ok(Some(Self { from: From::Course, files }))
    }

    /// Git's ids of the contents, by path, as trees of commits name them.
    pub fn ids(&self) -> BTreeMap<PathBuf, Oid> {
        let id = |(path, file): (&PathBuf, &SourceFile)| {
            Some((path.clone(), Oid::hash_object(git2::ObjectType::Blob, &file.content).ok()?))
        };
        self.files.iter().filter_map(id).collect()
    }
}

/// The files of a folder, by path.
///
/// # Errors
/// When one cannot be read.
pub fn read_folder(root: &Path, ignore: &[String]) -> Result<BTreeMap<PathBuf, SourceFile>, BaseTreeError> {
    let failed = |path: &Path, cause| BaseTreeError::Read { path: path.to_owned(), cause };
    let mut tree = BTreeMap::new();
    for path in files::list(root, ignore).map_err(|cause| failed(root, cause))? {
        let file = root.join(&path);
        let content = fs::read(&file).map_err(|cause| failed(&file, cause))?;
        let mode = fs::metadata(&file).map_err(|cause| failed(&file, cause))?.permissions().mode();
        tree.insert(path, SourceFile { content, executable: mode & 0o100 != 0 });
    }
    Ok(tree)
}
