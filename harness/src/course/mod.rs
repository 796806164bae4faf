//! The course: labs, kernel kinds, and each kind's own tree, wherever `grader` is run.

mod check;
mod embedded;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cache::{Cache, CacheError};
use crate::kind::{self, Kind};
use crate::lab::read::{self as lab_file, Judges, Known, ReadError};
use crate::lab::{KindId, Lab, LabId};
use crate::owner::Owner;
use crate::{digest, files, similar};

/// The variable that names the course's folder.
pub const VARIABLE: &str = "GRADER_COURSE";

/// A course that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Its folder.
    pub root: PathBuf,
    /// How it was found.
    pub found: Found,
}

/// A lab's name, and the lab or what is wrong with it.
pub type ReadLab = (LabId, Result<Lab, ReadError>);

/// How a course was found, in the order in which it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// `--course` names it.
    Option,
    /// `GRADER_COURSE` names it.
    Variable,
    /// It is the nearest folder upwards that is one.
    Parent,
    /// It is the copy in the binary.
    Embedded,
}

/// Why there is no course, or not the part of it that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CourseError {
    /// The folder that was named is none.
    #[error("use {path} as the course, which {source_of} names: it has no labs/kernels/*/kernel.yaml")]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// The option or variable that names it.
        source_of: &'static str,
    },
    /// The embedded copy cannot be unpacked.
    #[error("unpack the course")]
    Unpack(#[from] CacheError),
    /// A folder cannot be read.
    #[error("read {path}")]
    Read {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A file of the course is wrong or cannot be read.
    #[error(transparent)]
    File(#[from] ReadError),
    /// A lab has no starter for a file that it takes.
    #[error("find the starter of lab {lab}: {path} is missing")]
    NoStarter {
        /// The lab.
        lab: LabId,
        /// The file that should be there.
        path: PathBuf,
    },
    /// There is no such lab.
    #[error("find lab `{id}`: {}", unknown(.meant, .known))]
    UnknownLab {
        /// What was asked for.
        id: String,
        /// What was probably meant.
        meant: Option<String>,
        /// The labs that there are.
        known: Vec<String>,
    },
}

fn unknown(meant: &Option<String>, known: &[String]) -> String {
    let known =
        if known.is_empty() { "the course has no labs".to_owned() } else { format!("labs: {}", known.join(", ")) };
    match meant {
        Some(meant) => format!("did you mean `{meant}`? ({known})"),
        None => format!("there is none ({known})"),
    }
}

impl CourseError {
    /// Whose fault it is.
    pub fn owner(&self) -> Owner {
        match self {
            Self::NotOne { .. } | Self::UnknownLab { .. } | Self::NoStarter { .. } => Owner::Caller,
            Self::Unpack(_) | Self::Read { .. } => Owner::Harness,
            Self::File(error) => error.owner(),
        }
    }
}

impl Course {
    /// Finds the course: the folder that `--course` names, else `GRADER_COURSE`, else the nearest folder upwards from
    /// `from` that is one, else the copy in the binary.
    ///
    /// # Errors
    /// When the folder that was named is none, or when the copy cannot be unpacked.
    pub fn find(option: Option<&Path>, from: &Path, cache: &Cache) -> Result<Self, CourseError> {
        let variable = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self::find_with(option, variable.as_deref(), from, cache)
    }

    fn find_with(
        option: Option<&Path>,
        variable: Option<&Path>,
        from: &Path,
        cache: &Cache,
    ) -> Result<Self, CourseError> {
        let named = option.map(|path| (path, Found::Option, "--course"));
        let named = named.or_else(|| variable.map(|path| (path, Found::Variable, VARIABLE)));
        if let Some((path, found, source_of)) = named {
            let root = from.join(path);
            return match root.canonicalize() {
                Ok(root) if is_course(&root) => Ok(Self { root, found }),
                _ => Err(CourseError::NotOne { path: path.to_owned(), source_of }),
            };
        }
        if let Ok(from) = from.canonicalize()
            && let Some(root) = from.ancestors().find(|folder| is_course(folder))
        {
            return Ok(Self { root: root.to_owned(), found: Found::Parent });
        }
        Ok(Self { root: embedded::unpack(cache)?, found: Found::Embedded })
    }

    /// The kernel kinds.
    ///
    /// # Errors
    /// The first kind that is wrong.
    pub fn kinds(&self) -> Result<BTreeMap<KindId, Kind>, CourseError> {
        let folder = self.root.join("labs/kernels");
        let mut kinds = BTreeMap::new();
        for folder in folders_with(&folder, kind::FILE)? {
            let kind = kind::read(&folder, &self.root)?;
            kinds.insert(kind.id.clone(), kind);
        }
        Ok(kinds)
    }

    /// The names of the labs: folders under `labs/` with a `lab.yaml`, in order of name.
    ///
    /// # Errors
    /// When `labs/` cannot be read.
    pub fn lab_ids(&self) -> Result<Vec<LabId>, CourseError> {
        let folders = folders_with(&self.root.join("labs"), lab_file::FILE)?;
        Ok(folders.iter().filter_map(|folder| Some(LabId(folder.file_name()?.to_str()?.to_owned()))).collect())
    }

    /// Every lab, or what is wrong with it.
    ///
    /// # Errors
    /// When the kinds are wrong or `labs/` cannot be read; a wrong lab is part of the answer.
    pub fn labs(&self, judges: Judges<'_>) -> Result<Vec<ReadLab>, CourseError> {
        let kinds = self.kinds()?;
        let known = Known { course: &self.root, kinds: &kinds, judges };
        let read = |id: LabId| {
            let lab = lab_file::read(&self.lab_folder(&id), &known);
            (id, lab)
        };
        Ok(self.lab_ids()?.into_iter().map(read).collect())
    }

    /// The lab of that name.
    ///
    /// # Errors
    /// When there is none, or when it or the kinds are wrong.
    pub fn lab(&self, id: &str, judges: Judges<'_>) -> Result<Lab, CourseError> {
        let ids = self.lab_ids()?;
        let Some(id) = ids.iter().find(|lab| lab.0 == id) else {
            let known: Vec<String> = ids.into_iter().map(|lab| lab.0).collect();
            let meant = similar::meant(id, known.iter().map(String::as_str)).map(str::to_owned);
            return Err(CourseError::UnknownLab { id: id.to_owned(), meant, known });
        };
        let kinds = self.kinds()?;
        let known = Known { course: &self.root, kinds: &kinds, judges };
        Ok(lab_file::read(&self.lab_folder(id), &known)?)
    }

    /// The folder of a lab.
    pub fn lab_folder(&self, id: &LabId) -> PathBuf {
        self.root.join("labs").join(&id.0)
    }

    /// SHA-256, in hex, of what decides a grade beside the submission and the seed: the lab's folder, the kind's
    /// folder and its own tree.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self, lab: &Lab, kind: &Kind) -> Result<String, CourseError> {
        let mut parts = Vec::new();
        let tree = kind.source.as_ref().map(|source| self.root.join(source));
        let folders = [("lab", Some(&lab.folder)), ("kind", Some(&kind.folder)), ("tree", tree.as_ref())];
        for (name, folder) in folders.into_iter().filter_map(|(name, folder)| Some((name, folder?))) {
            let read = |path: &PathBuf| Ok((format!("{name}/{}", path.display()), fs::read(folder.join(path))?));
            let contents = files::list(folder, &kind.ignore).and_then(|list| list.iter().map(read).collect());
            let contents: Vec<(String, Vec<u8>)> =
                contents.map_err(|cause| CourseError::Read { path: folder.clone(), cause })?;
            parts.extend(contents);
        }
        Ok(digest::of_parts(parts.iter().map(|(name, content)| (name.as_bytes(), content.as_slice()))))
    }
}

/// A folder with kernel kinds is a course: no student's repository has them, and a course can have no labs yet.
fn is_course(folder: &Path) -> bool {
    folders_with(&folder.join("labs/kernels"), kind::FILE).is_ok_and(|kinds| !kinds.is_empty())
}

/// The folders right below one that have a file of that name, in order of name.
fn folders_with(folder: &Path, file: &str) -> Result<Vec<PathBuf>, CourseError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        Ok(paths.into_iter().filter(|path| path.join(file).is_file()).collect())
    };
    let mut folders = list().map_err(|cause| CourseError::Read { path: folder.to_owned(), cause })?;
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course_at(root: &Path) {
        let kind = root.join("labs/kernels/k");
        fs::create_dir_all(&kind).unwrap();
        fs::write(kind.join("kernel.yaml"), "").unwrap();
    }

    #[test]
    fn option_beats_variable_beats_parent_beats_the_copy_in_the_binary() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap();
        let cache = Cache::at(root.join("cache")).unwrap();
        let (one, two, three) = (root.join("one"), root.join("two"), root.join("three"));
        for course in [&one, &two, &three] {
            course_at(course);
        }
        let deep = three.join("labs/kernels");
        let find = |option: Option<&Path>, variable: Option<&Path>, from: &Path| {
            let course = Course::find_with(option, variable, from, &cache).unwrap();
            (course.root, course.found)
        };
        assert_eq!(find(Some(&one), Some(&two), &deep), (one.clone(), Found::Option));
        assert_eq!(find(None, Some(&two), &deep), (two, Found::Variable));
        assert_eq!(find(None, None, &deep), (three.clone(), Found::Parent));
        assert_eq!(find(Some(Path::new("../one")), None, &three), (one, Found::Option));
        let (unpacked, found) = find(None, None, &root);
        assert_eq!(found, Found::Embedded);
        assert!(unpacked.starts_with(cache.root()) && is_course(&unpacked));
    }

    #[test]
    fn a_named_folder_that_is_no_course_is_refused_and_not_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().join("cache")).unwrap();
        let error = Course::find_with(Some(root.path()), None, root.path(), &cache).unwrap_err();
        assert_eq!(error.owner(), Owner::Caller);
        assert!(error.to_string().contains("--course"), "{error}");
    }
}
